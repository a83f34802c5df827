//! What is set aside, and what goes on beside it: neither keeps the other waiting, nor itself.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, AppBuilder, Batch, Entity, Fact, FindParked, HandlerError, Limits, ParkedState,
    Projection, Res, RetryPolicy, RuntimeSettings, Store, View,
};
use cqrs_core::{Append, Commit, Event, Expected, Metadata, NewEvent, StreamId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::hooked::Hooked;
use crate::logged::Log;
use crate::subscriptions::{Noted, note};
use crate::subscriptions_moved::until;

const BOUND: Duration = Duration::from_secs(5);

/// What was handled, and whether what is bad is so.
#[derive(Clone, Default)]
struct Desk {
    handled: Arc<Mutex<Vec<(String, u32)>>>,
    repaired: Arc<AtomicBool>,
}

impl Desk {
    fn handled(&self, key: &str) -> usize {
        self.handled.lock().unwrap().iter().filter(|(k, _)| k == key).count()
    }
}

async fn listen(event: Noted, Res(desk): Res<Desk>) -> Result<(), HandlerError> {
    if event.key.starts_with("bad") && !desk.repaired.load(Ordering::SeqCst) {
        return Err("it is bad".into());
    }
    desk.handled.lock().unwrap().push((event.key, event.n));
    Ok(())
}

fn app(store: impl Store, desk: &Desk, retry: RetryPolicy) -> AppBuilder {
    App::builder()
        .store(store)
        .resource(desk.clone())
        .event_handler("notes.listen", listen)
        .subscription("notes.listen", move |s| s.partitions(1).retry(retry))
        .runtime(RuntimeSettings::tests())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_tried_again_and_again_keeps_no_other_waiting() {
    let (store, desk) = (MemoryStore::default(), Desk::default());
    for key in ["bad", "good", "bad-too", "good"] {
        note(&store, key, 1).await;
    }
    let (first, max) = (Duration::ZERO, Duration::ZERO);
    let at_once = RetryPolicy { attempts: u32::MAX, first, max, ..RetryPolicy::default() };
    let running = app(store.clone(), &desk, at_once).build().unwrap().start().await.unwrap();
    until("the others are handled", async || desk.handled("good") == 2).await;
    note(&store, "good", 2).await;
    until("what comes later is handled", async || desk.handled("good") == 3).await;
    desk.repaired.store(true, Ordering::SeqCst);
    running.settled().await.unwrap();
    assert_eq!((desk.handled("bad"), desk.handled("bad-too")), (1, 1));
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_elsewhere_is_done_while_events_keep_coming() {
    let (store, desk) = (MemoryStore::default(), Desk::default());
    note(&store, "bad", 1).await;
    let never = RetryPolicy::never();
    let running = app(store.clone(), &desk, never).build().unwrap().start().await.unwrap();
    running.settled().await.unwrap();
    // Another process: nobody tells the one that runs it.
    let elsewhere = app(store.clone(), &desk, never).build().unwrap().parked().unwrap();
    let entry = elsewhere.list(FindParked::of("notes.listen")).await.unwrap().remove(0);
    desk.repaired.store(true, Ordering::SeqCst);
    let ends = watch::Sender::new(false);
    let (log, mut end) = (store.clone(), ends.subscribe());
    let busy = tokio::spawn(async move {
        for n in 0.. {
            note(&log, "good", n).await;
            let pause = tokio::time::sleep(Duration::from_millis(5));
            tokio::select! {
                _ = end.wait_for(|end| *end) => return,
                () = pause => {}
            }
        }
    });
    elsewhere.retry(&entry.id()).await.unwrap();
    until("it is tried again", async || desk.handled("bad") == 1).await;
    ends.send_replace(true);
    busy.await.unwrap();
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_may_wait_than_a_commit_takes() {
    let limits = Limits { parts: 40, ..Limits::default() };
    let (store, desk) = (MemoryStore::default().limits(limits), Desk::default());
    for n in 0..100 {
        note(&store, "bad", n).await;
    }
    let never = RetryPolicy::never();
    let app = app(store.clone(), &desk, never).build().unwrap();
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    let waiting = store.parked(FindParked::of("notes.listen").limit(1_000)).await.unwrap();
    assert_eq!(waiting.len(), 100);
    desk.repaired.store(true, Ordering::SeqCst);
    app.parked().unwrap().retry(&waiting[0].id()).await.unwrap();
    running.settled().await.unwrap();
    let handled: Vec<u32> = desk.handled.lock().unwrap().iter().map(|(_, n)| *n).collect();
    assert!(handled.iter().copied().eq(0..100), "{handled:?}");
    running.stop(BOUND).await.unwrap();
}

/// So many keys may wait in one partition, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_waits_when_too_many_keys_do() {
    const KEYS: usize = 10_000;
    let (store, desk) = (MemoryStore::default(), Desk::default());
    for key in 0..KEYS + 20 {
        note(&store, &format!("bad-{key}"), 1).await;
    }
    let never = RetryPolicy::never();
    let app = app(store.clone(), &desk, never).build().unwrap();
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    let find = FindParked::of("notes.listen").limit(20_000);
    let waiting = store.parked(find.clone()).await.unwrap();
    assert_eq!(waiting.len(), KEYS);
    desk.repaired.store(true, Ordering::SeqCst);
    app.parked().unwrap().retry(&waiting[7].id()).await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(store.parked(find).await.unwrap().len(), KEYS - 1);
    assert_eq!(desk.handled.lock().unwrap().len(), 21);
    running.stop(BOUND).await.unwrap();
}

/// How many events a batch handler has seen, and how many it may see.
#[derive(Clone)]
struct Gate {
    seen: Arc<AtomicU32>,
    stops_at: u32,
    open: watch::Sender<bool>,
}

async fn list(events: Batch<Noted>, Res(gate): Res<Gate>) -> Result<(), HandlerError> {
    let seen = gate.seen.fetch_add(events.len() as u32, Ordering::SeqCst);
    if seen + events.len() as u32 > gate.stops_at {
        gate.open.subscribe().wait_for(|open| *open).await?;
    }
    Ok(())
}

fn listing(store: &MemoryStore, gate: &Gate) -> App {
    App::builder()
        .store(store.clone())
        .resource(gate.clone())
        .event_handler("notes.list", list)
        .subscription("notes.list", |s| s.partitions(1).batch(50))
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_nothing_is_written_moves_the_checkpoint() {
    let gate = Gate { seen: Arc::default(), stops_at: 400, open: watch::Sender::new(false) };
    let store = MemoryStore::default();
    for n in 0..500 {
        note(&store, &format!("key-{}", n % 7), n).await;
    }
    let running = listing(&store, &gate).start().await.unwrap();
    until("it is stopped", async || gate.seen.load(Ordering::SeqCst) > 400).await;
    let at = store.checkpoint("notes.list", 0).await.unwrap();
    assert!(at >= Some(300), "{at:?}");
    // What is in hand is given up, and the lease given back: nobody waits until it runs out.
    running.stop(Duration::from_millis(10)).await.unwrap();
    assert_eq!(store.leases("notes.list").await.unwrap(), []);
    assert_eq!(store.checkpoint("notes.list", 0).await.unwrap(), Some(400));
    gate.open.send_replace(true);
    let running = listing(&store, &gate).start().await.unwrap();
    running.settled().await.unwrap();
    assert!(store.parked(FindParked::default()).await.unwrap().is_empty());
    running.stop(BOUND).await.unwrap();
}

#[derive(Debug, Serialize, Deserialize)]
struct Total {
    id: String,
    events: u32,
}

impl Entity for Total {
    const COLLECTION: &'static str = "totals";

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Each event has two views: its own, and that of all.
struct Totals;

impl Projection for Totals {
    const NAME: &'static str = "notes.totals";
    type Input = Noted;
    type View = Total;

    fn keys(event: &Fact<'_, Noted>) -> Vec<String> {
        vec![event.data.key.clone(), "all".to_owned()]
    }

    fn project(key: &str, view: Option<Total>, event: &Fact<'_, Noted>) -> Option<Total> {
        assert!(key != "bad", "it is bad");
        let events = view.map_or(0, |view| view.events) + 1;
        let _ = event;
        Some(Total { id: key.to_owned(), events })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_in_the_middle_of_an_event_is_done_at_the_next_start() {
    let store = MemoryStore::default();
    note(&store, "bad", 1).await;
    note(&store, "bad", 2).await;
    // The view of all is read for a batch, for the first event, and not again.
    let (reads, ends) = (Arc::new(AtomicU32::new(0)), watch::Sender::new(false));
    let counted = reads.clone();
    let hooked = Hooked::of(&store).before_document(move |key| {
        let is_of_all = key.collection == "totals" && key.id == "all";
        let is_late = is_of_all && counted.fetch_add(1, Ordering::SeqCst) > 1;
        let mut end = ends.subscribe();
        Box::pin(async move {
            if is_late {
                let _ = end.wait_for(|end| *end).await;
            }
        })
    });
    let projecting = |store: Arc<dyn Store>| {
        App::builder()
            .shared_store(store)
            .projection::<Totals>()
            .runtime(RuntimeSettings::tests())
            .build()
            .unwrap()
    };
    let running = projecting(Arc::new(hooked)).start().await.unwrap();
    until("it is in the middle", async || reads.load(Ordering::SeqCst) > 2).await;
    running.stop(Duration::from_millis(10)).await.unwrap();
    let app = projecting(Arc::new(store.clone()));
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    let all = View::<Totals>::new(Arc::new(store.clone())).get("all").await.unwrap().unwrap();
    assert_eq!(all.events, 2);
    let waiting = store.parked(FindParked::of("notes.totals")).await.unwrap();
    let states: Vec<ParkedState> = waiting.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [ParkedState::Parked, ParkedState::Behind]);
    running.stop(BOUND).await.unwrap();
}

/// Fails, once it may.
async fn hesitate(_: Noted, Res(gate): Res<Gate>) -> Result<(), HandlerError> {
    if gate.seen.fetch_add(1, Ordering::SeqCst) == gate.stops_at {
        gate.open.subscribe().wait_for(|open| *open).await?;
    }
    Err("it is bad".into())
}

#[tokio::test]
async fn an_operator_who_asks_in_the_middle_of_an_attempt_is_heard_and_disturbs_nobody() {
    let gate = Gate { seen: Arc::default(), stops_at: 1, open: watch::Sender::new(false) };
    let (store, log) = (MemoryStore::default(), Log::default());
    let _guard = log.listen();
    note(&store, "bad", 1).await;
    let (first, max) = (Duration::ZERO, Duration::ZERO);
    let policy = RetryPolicy { attempts: 2, first, max, ..RetryPolicy::default() };
    let app = App::builder()
        .store(store.clone())
        .resource(gate.clone())
        .event_handler("notes.hesitate", hesitate)
        .subscription("notes.hesitate", move |s| s.partitions(1).retry(policy))
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    until("the second attempt is made", async || gate.seen.load(Ordering::SeqCst) == 2).await;
    let parked = app.parked().unwrap();
    let entry = parked.list(FindParked::of("notes.hesitate")).await.unwrap().remove(0);
    parked.retry(&entry.id()).await.unwrap();
    gate.open.send_replace(true);
    running.settled().await.unwrap();
    let entry = parked.list(FindParked::of("notes.hesitate")).await.unwrap().remove(0);
    assert_eq!((entry.state, entry.attempts), (ParkedState::Parked, 2));
    // Two that were spent before, and two that were asked for.
    assert_eq!(gate.seen.load(Ordering::SeqCst), 4);
    running.stop(BOUND).await.unwrap();
    let log = log.text();
    assert!(!log.contains("a partition failed"), "{log}");
}

type Batches = Arc<Mutex<Vec<Vec<u32>>>>;

async fn gather(events: Batch<Noted>, Res(seen): Res<Batches>) -> Result<(), HandlerError> {
    seen.lock().unwrap().push(events.iter().map(|event| event.message.n).collect());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_all_events_of_a_tenant_in_one_call() {
    let (store, seen) = (MemoryStore::default(), Batches::default());
    for n in 0..6 {
        let event = Noted { key: "17".into(), n };
        let tenant = ["a", "b"][n as usize % 2];
        let body = event.encode().unwrap();
        let mut new = NewEvent::new(event.event_type().name, body);
        new.metadata = Metadata::default().with_tenant(tenant);
        let stream = StreamId::new("note", "17").with_tenant(tenant);
        let append = Append { stream, expected: Expected::Any, events: vec![new] };
        store.commit(Commit { appends: vec![append], ..Commit::default() }).await.unwrap();
    }
    let app = App::builder()
        .store(store)
        .resource(seen.clone())
        .event_handler("notes.gather", gather)
        .subscription("notes.gather", |s| s.partitions(1))
        .runtime(RuntimeSettings::tests());
    let running = app.build().unwrap().start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [vec![0, 2, 4], vec![1, 3, 5]]);
    running.stop(BOUND).await.unwrap();
}
