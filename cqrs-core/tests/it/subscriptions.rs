//! Handlers of events behind the log: order, retries, parking, and what goes on meanwhile.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, Append, Commit, Event, EventType, Expected, FindParked, HandlerError, Json, ManualClock,
    NewEvent, ParkedState, Payload, Res, RetryPolicy, RuntimeSettings, Store, StreamId, Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Noted {
    pub(crate) key: String,
    pub(crate) n: u32,
}

impl Event for Noted {
    const TYPES: &'static [EventType] = &[EventType::new("notes.noted", "Noted")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

pub(crate) async fn note(store: &dyn Store, key: &str, n: u32) {
    let body = Payload::Json(Json::encode(&Noted { key: key.to_owned(), n }).unwrap());
    let append = Append {
        stream: StreamId::new("note", key),
        expected: Expected::Any,
        events: vec![NewEvent::new("notes.noted", body)],
    };
    store.commit(Commit { appends: vec![append], ..Commit::default() }).await.unwrap();
}

type Seen = Arc<Mutex<Vec<(String, u32)>>>;

fn of(seen: &Seen, key: &str) -> Vec<u32> {
    let seen = seen.lock().unwrap();
    seen.iter().filter(|(k, _)| k == key).map(|(_, n)| *n).collect()
}

async fn listen(event: Noted, Res(seen): Res<Seen>) -> Result<(), HandlerError> {
    if event.key == "bad" {
        return Err("it is bad".into());
    }
    if event.key == "panics" {
        panic!("it panics");
    }
    seen.lock().unwrap().push((event.key, event.n));
    Ok(())
}

fn built(store: &MemoryStore, clock: &ManualClock, seen: &Seen) -> App {
    App::builder()
        .store(store.clone())
        .clock(clock.clone())
        .resource(seen.clone())
        .event_handler("notes.listen", listen)
        .subscription("notes.listen", |s| {
            s.partitions(3).retry(RetryPolicy { attempts: 3, ..RetryPolicy::default() })
        })
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_key_delays_no_other_and_parks_after_its_attempts() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    let store = MemoryStore::with_clock(clock.clone());
    let seen = Seen::default();
    let app = built(&store, &clock, &seen);
    for n in 0..3 {
        for key in 0..30 {
            note(&store, &format!("key-{key}"), n).await;
        }
        note(&store, "bad", n).await;
        note(&store, "panics", n).await;
    }
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    for key in 0..30 {
        assert_eq!(of(&seen, &format!("key-{key}")), [0, 1, 2], "key {key}");
    }
    // In virtual time nothing has passed: the others did not wait.
    let aside = store.parked(FindParked::of("notes.listen")).await.unwrap();
    assert_eq!(aside.len(), 6);
    let states: Vec<_> = aside.iter().map(|entry| (entry.state, entry.attempts)).collect();
    assert_eq!(
        states.iter().filter(|s| **s == (ParkedState::Retrying, 1)).count(),
        2,
        "{states:?}"
    );
    assert_eq!(states.iter().filter(|s| s.0 == ParkedState::Behind).count(), 4, "{states:?}");
    while let Some(due) = running.next_due().await.unwrap() {
        clock.set(due.max(clock_now(&clock)));
        running.settled().await.unwrap();
    }
    let aside = store.parked(FindParked::of("notes.listen")).await.unwrap();
    let parked: Vec<_> = aside.iter().filter(|e| e.state == ParkedState::Parked).collect();
    assert_eq!(parked.len(), 2);
    assert!(parked.iter().all(|entry| entry.attempts == 3), "{parked:?}");
    running.stop(Duration::from_secs(5)).await.unwrap();
}

fn clock_now(clock: &ManualClock) -> Timestamp {
    cqrs_core::Clock::now(clock)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_while_it_runs_is_handled_at_once_and_only_once() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    let store = MemoryStore::with_clock(clock.clone());
    let seen = Seen::default();
    let app = built(&store, &clock, &seen);
    let running = app.start().await.unwrap();
    running.ready().await;
    for n in 0..100 {
        note(&store, &format!("key-{}", n % 7), n).await;
    }
    running.settled().await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 100);
    running.stop(Duration::from_secs(5)).await.unwrap();
    // Started again, nothing is handled again: the checkpoints were written.
    let again = built(&store, &clock, &seen);
    let running = again.start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 100);
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_keeps_no_lease() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    let store = MemoryStore::with_clock(clock.clone());
    let app = built(&store, &clock, &Seen::default());
    let running = app.start().await.unwrap();
    running.ready().await;
    assert!(!store.leases("").await.unwrap().is_empty());
    running.stop(Duration::from_secs(5)).await.unwrap();
    assert_eq!(store.leases("").await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_runtime_has_run_is_not_caught_up_with_by_hand() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
    let store = MemoryStore::with_clock(clock.clone());
    let seen = Seen::default();
    let app = built(&store, &clock, &seen);
    for key in 0..10 {
        note(&store, &format!("key-{key}"), 1).await;
    }
    // By hand first, as one partition; then it is run, as three.
    assert_eq!(app.catch_up("notes.listen").await.unwrap(), 10);
    let running = app.start().await.unwrap();
    for key in 0..10 {
        note(&store, &format!("key-{key}"), 2).await;
    }
    running.settled().await.unwrap();
    running.stop(Duration::from_secs(5)).await.unwrap();
    let error = built(&store, &clock, &seen).catch_up("notes.listen").await.unwrap_err();
    assert!(matches!(error.kind(), cqrs_core::ErrorKind::Invalid { .. }), "{error}");
    assert_eq!(seen.lock().unwrap().len(), 20);
}
