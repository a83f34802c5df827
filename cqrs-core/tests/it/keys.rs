//! Commands under a key of the caller's: applied once, and their repeats answered as the first.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cqrs_core::layer::Idempotency;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, Command, ErrorKind, Failure, IdempotencyKey, Metadata, RawRequest, Request, RequestKind,
    Res, Wire, Work,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::layers::{NotToday, failed};

/// Answers with a number that nobody had before; a slow one waits for the gate.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ticket {
    slow: bool,
    refused: bool,
}
impl Command for Ticket {}
impl Request for Ticket {
    const NAME: &'static str = "test.ticket";
    const KIND: RequestKind = RequestKind::Command;
    type Output = u32;
    type Error = NotToday;
    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
}

#[derive(Clone, Default)]
struct Booth {
    sold: Arc<AtomicU32>,
    gate: Arc<Notify>,
    closed: Arc<AtomicU32>,
}

async fn ticket(t: Ticket, Res(booth): Res<Booth>, _: Work) -> Result<u32, Failure<NotToday>> {
    if t.slow {
        booth.gate.notified().await;
    }
    if t.refused && booth.closed.load(Ordering::Relaxed) == 0 {
        Err(NotToday)?;
    }
    Ok(booth.sold.fetch_add(1, Ordering::Relaxed))
}

fn booth() -> (App, Booth) {
    let booth = Booth::default();
    let app = App::builder()
        .store(MemoryStore::default())
        .resource(booth.clone())
        .handler(ticket)
        .layer(Idempotency::new("desk").wait_at_most(Duration::from_secs(3)))
        .build()
        .unwrap();
    (app, booth)
}

const FAST: Ticket = Ticket { slow: false, refused: false };

fn keyed(key: &str) -> Metadata {
    Metadata::default().with_local(IdempotencyKey(key.into()))
}

#[tokio::test]
async fn a_repeat_under_a_key_is_answered_as_the_first() {
    let (app, booth) = booth();
    let first = app.send(FAST).with(keyed("a")).reply().await.unwrap();
    let repeat = app.send(FAST).with(keyed("a")).reply().await.unwrap();
    assert_eq!(first, repeat);
    assert_eq!(booth.sold.load(Ordering::Relaxed), 1);
    let Err(Failure::Failed(other)) =
        app.send(Ticket { refused: true, ..FAST }).with(keyed("a")).await
    else {
        panic!()
    };
    assert!(matches!(other.kind(), ErrorKind::IdReused { .. }));
    assert!(other.to_string().contains("this idempotency key was used"), "{other}");
}

#[tokio::test]
async fn a_key_counts_within_tenant_and_actor() {
    let (app, _) = booth();
    let scopes = [
        keyed("a"),
        keyed("a").with_actor("ada"),
        keyed("a").with_tenant("ada"),
        keyed("a").with_actor("eve"),
        keyed("b"),
    ];
    for (n, metadata) in scopes.into_iter().enumerate() {
        assert_eq!(app.send(FAST).with(metadata).await.unwrap() as usize, n);
    }
}

#[tokio::test]
async fn a_rejection_is_decided_anew() {
    let (app, booth) = booth();
    let refused = Ticket { slow: false, refused: true };
    let first = app.send(refused.clone()).with(keyed("a")).await;
    assert!(matches!(first, Err(Failure::Rejected(NotToday))));
    booth.closed.store(1, Ordering::Relaxed);
    assert_eq!(app.send(refused).with(keyed("a")).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_waits_for_the_first_and_is_told_to_come_again() {
    let (app, booth) = booth();
    let slow = Ticket { slow: true, refused: false };
    let first = app.send(slow.clone()).with(keyed("a"));
    let (first, repeat, impatient) = tokio::join!(
        first,
        async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            app.send(slow.clone()).with(keyed("a")).await
        },
        async {
            let impatient = app.send(slow.clone()).with(keyed("a")).await;
            booth.gate.notify_one();
            impatient
        },
    );
    assert_eq!(failed(impatient), ErrorKind::InFlight);
    assert_eq!(first.unwrap(), 0);
    assert_eq!(repeat.unwrap(), 0);
    assert_eq!(booth.sold.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_first_that_is_given_up_makes_way_for_its_repeat() {
    let (app, booth) = booth();
    let slow = Ticket { slow: true, refused: false };
    let mut first = Box::pin(app.send(slow.clone()).with(keyed("a")));
    assert!(futures_util::poll!(&mut first).is_pending());
    drop(first);
    booth.gate.notify_one();
    assert_eq!(app.send(slow).with(keyed("a")).await.unwrap(), 0);
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Odd {
    set: HashSet<String>,
    big: u128,
}
impl Command for Odd {}
impl Request for Odd {
    const NAME: &'static str = "test.odd";
    const KIND: RequestKind = RequestKind::Command;
    type Output = u32;
    type Error = NotToday;
    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
}

#[tokio::test]
async fn a_body_counts_as_it_was_received() {
    async fn odd(_: Odd, Res(calls): Res<Booth>, _: Work) -> Result<u32, Failure<NotToday>> {
        Ok(calls.sold.fetch_add(1, Ordering::Relaxed))
    }
    let app = App::builder()
        .store(MemoryStore::default())
        .resource(Booth::default())
        .handler(odd)
        .layer(Idempotency::new("desk"))
        .build()
        .unwrap();
    let call = |body: String| app.dispatch(RawRequest::new("test.odd", body).with(keyed("a")));
    // In a hash set the order is another one each time.
    let body = |big: u128| format!(r#"{{"set":["a","b","c","d","e","f","g"],"big":{big}}}"#);
    for _ in 0..5 {
        assert_eq!(&call(body(36_893_488_147_419_103_233)).await.unwrap().body[..], b"0");
    }
    let other = call(body(36_893_488_147_419_103_234)).await;
    assert!(matches!(failed(other), ErrorKind::IdReused { .. }));
}

#[tokio::test]
async fn a_key_that_no_layer_takes_is_refused() {
    let booth = Booth::default();
    let app = App::builder()
        .store(MemoryStore::default())
        .resource(booth.clone())
        .handler(ticket)
        .build()
        .unwrap();
    let error = app.send(FAST).with(keyed("a")).await.unwrap_err();
    assert!(error.to_string().contains("add `.layer(Idempotency::new(..))`"), "{error}");
    assert_eq!(booth.sold.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_repeat_goes_on_when_the_first_is_given_up() {
    let (app, booth) = booth();
    let slow = Ticket { slow: true, refused: false };
    let first =
        tokio::time::timeout(Duration::from_secs(1), app.send(slow.clone()).with(keyed("a")));
    let (first, repeat) = tokio::join!(first, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let repeat = app.send(FAST).with(keyed("a"));
        repeat.await
    });
    assert!(first.is_err(), "it is given up");
    assert_eq!(repeat.unwrap(), 0);
    assert_eq!(booth.sold.load(Ordering::Relaxed), 1);
}
