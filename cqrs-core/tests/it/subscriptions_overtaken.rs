//! What starts a saga goes before what waits for it: also when it fails, and when the process dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, Clock, Context, FindParked, ManualClock, Never, ParkedState, Reaction, Route, Running,
    RuntimeSettings, Saga, Store, Timestamp, Trigger,
};

use crate::hooked::Hooked;
use crate::subscriptions::{Noted, note};
use crate::subscriptions_moved::until;

const BOUND: Duration = Duration::from_secs(5);

/// Starts with the first note of a key, and counts the others. It fails so many times.
struct Notes {
    fails: Arc<AtomicU32>,
}

impl Saga for Notes {
    const NAME: &'static str = "notes.saga";
    type State = u32;
    type Input = Noted;
    type Timer = Never;

    fn route(&self, event: &Noted) -> Route {
        if event.n == 1 { Route::start(&event.key) } else { Route::resume(&event.key) }
    }

    fn react(&self, state: &mut u32, _: Trigger<'_, Self>, _: &Context<'_>) -> Reaction<Self> {
        let fails = |left: u32| left.checked_sub(1);
        if self.fails.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err("not now".into());
        }
        *state += 1;
        Ok(Vec::new())
    }
}

fn app(store: Arc<dyn Store>, clock: &ManualClock, fails: u32) -> App {
    App::builder()
        .shared_store(store)
        .clock(clock.clone())
        .saga(Notes { fails: Arc::new(fails.into()) })
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap()
}

async fn pass(running: &Running, clock: &ManualClock) {
    running.settled().await.unwrap();
    while let Some(due) = running.next_due().await.unwrap() {
        clock.set(due.max(clock.now()));
        running.settled().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_when_it_went_before_others_is_tried_again_before_them() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    let store = MemoryStore::with_clock(clock.clone());
    let app = app(Arc::new(store.clone()), &clock, 1);
    let running = app.start().await.unwrap();
    note(&store, "17", 2).await;
    running.settled().await.unwrap();
    let parked = store.parked(FindParked::of("notes.saga")).await.unwrap();
    assert_eq!(parked[0].state, ParkedState::Parked, "it waits for its instance");
    note(&store, "17", 1).await;
    pass(&running, &clock).await;
    assert_eq!(store.parked(FindParked::default()).await.unwrap(), []);
    let instance = app.sagas().unwrap().get("notes.saga", "17").await.unwrap().unwrap();
    assert_eq!(instance.history.len(), 2);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_goes_on_though_the_process_died_after_the_start() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    let store = MemoryStore::with_clock(clock.clone());
    note(&store, "17", 2).await;
    note(&store, "17", 1).await;
    // Nothing is written any more after the commit of the start: the process hangs, and dies.
    let (last, hangs) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let hung = hangs.clone();
    let hooked = Hooked::of(&store).before_commit(move |commit| {
        let starts = commit.documents.iter().any(|write| write.key.collection.contains("saga"));
        let is_ours = commit.checkpoint.is_some() || !commit.parked.is_empty();
        let dies = is_ours && last.load(Ordering::SeqCst) > 0;
        last.fetch_add(u32::from(starts), Ordering::SeqCst);
        hung.fetch_add(u32::from(dies), Ordering::SeqCst);
        Box::pin(async move {
            if dies {
                std::future::pending::<()>().await;
            }
        })
    });
    let running = app(Arc::new(hooked), &clock, 0).start().await.unwrap();
    until("it hangs", async || hangs.load(Ordering::SeqCst) > 0).await;
    drop(running);
    clock.advance(Duration::from_secs(60));
    let app = app(Arc::new(store.clone()), &clock, 0);
    let running = app.start().await.unwrap();
    pass(&running, &clock).await;
    assert_eq!(store.parked(FindParked::default()).await.unwrap(), []);
    let instance = app.sagas().unwrap().get("notes.saga", "17").await.unwrap().unwrap();
    assert_eq!(instance.history.len(), 2);
    running.stop(BOUND).await.unwrap();
}
