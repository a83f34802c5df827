//! Messages from other services: each applied once, in the order of its key, or set aside.

mod several;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::memory::{MemoryBus, MemoryStore};
use cqrs_core::{
    App, AppBuilder, Bus, DeadLetter, ErrorKind, FindDeadLetters, HandlerError, MessageId,
    Metadata, OutboundKind, OutboundMessage, Problem, Publisher, Repository, Res, RetryPolicy,
    Running, RuntimeSettings, Store, Work,
};
use tokio::sync::Semaphore;

use crate::bank::{Account, AccountEvent, Deposit, bank, log};
use crate::translating::Told;
use crate::watched::Watched;

const SECOND: Duration = Duration::from_secs(1);

/// What the handlers of these tests share.
#[derive(Default)]
struct Shared {
    /// How often a handler began.
    calls: AtomicU32,
    /// Attempts that are still to fail, and how.
    fails: Mutex<Vec<Fail>>,
    seen: Mutex<Vec<(String, u64)>>,
    /// Payments of the account `slow` wait for one of these.
    gate: Option<Semaphore>,
    sleeps: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
enum Fail {
    Passing,
    Fatal,
    Panic,
}

impl Shared {
    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    fn failing(fails: impl IntoIterator<Item = Fail>) -> Arc<Self> {
        let fails = Mutex::new(fails.into_iter().collect());
        Arc::new(Self { fails, ..Self::default() })
    }
}

/// Books what was paid on the account that the message's key names.
async fn book(
    event: Told,
    metadata: Metadata,
    work: Work,
    Res(shared): Res<Arc<Shared>>,
) -> Result<(), HandlerError> {
    shared.calls.fetch_add(1, Ordering::SeqCst);
    let Told::Paid { amount, .. } = event else { return Ok(()) };
    let account = metadata.partition_key().unwrap_or("none").to_owned();
    if let (Some(gate), "slow") = (&shared.gate, &*account) {
        gate.acquire().await?.forget();
    }
    if shared.sleeps.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(350)).await;
    }
    let fail = shared.fails.lock().unwrap().pop();
    match fail {
        None => {}
        Some(Fail::Passing) => return Err("not now".into()),
        Some(Fail::Fatal) => return Err(HandlerError::fatal("never")),
        Some(Fail::Panic) => panic!("it broke"),
    }
    let mut loaded = work.load::<Account>(&account).await?;
    work.record(&mut loaded, [AccountEvent::Deposited { amount }])?;
    shared.seen.lock().unwrap().push((account, amount));
    Ok(())
}

fn builder(store: Arc<dyn Store>, bus: &MemoryBus, shared: &Arc<Shared>) -> AppBuilder {
    let retry =
        RetryPolicy { attempts: 3, first: Duration::from_millis(5), ..RetryPolicy::default() };
    App::builder()
        .shared_store(store)
        .bus(bus.clone())
        .resource(shared.clone())
        .runtime(RuntimeSettings::tests())
        .listens("ledger.book", book)
        .listener("ledger.book", move |listener| listener.retry(retry))
}

struct World {
    store: MemoryStore,
    bus: MemoryBus,
    shared: Arc<Shared>,
    running: Running,
}

impl World {
    async fn new(shared: Arc<Shared>) -> Self {
        // Without deduplication, so that repeats get as far as the inbox.
        Self::with(MemoryStore::default(), MemoryBus::default().deduplicate(Duration::ZERO), shared)
            .await
    }

    async fn with(store: MemoryStore, bus: MemoryBus, shared: Arc<Shared>) -> Self {
        let app = builder(Arc::new(store.clone()), &bus, &shared).build().unwrap();
        let running = app.start().await.unwrap();
        Self { store, bus, shared, running }
    }

    async fn publish(&self, message: OutboundMessage) {
        self.bus.publish(vec![message]).await.unwrap();
    }

    async fn balance(&self, account: &str) -> u64 {
        balance(&self.store, account).await
    }

    async fn has(&self, account: &str, wanted: u64) {
        until(async || self.balance(account).await == wanted).await;
    }

    async fn letter(&self) -> DeadLetter {
        let letters = async || self.bus.dead_letters(FindDeadLetters::default()).await.unwrap();
        until(async || !letters().await.is_empty()).await;
        letters().await.remove(0)
    }

    async fn stop(self) {
        self.running.stop(5 * SECOND).await.unwrap();
    }
}

async fn balance(store: &MemoryStore, account: &str) -> u64 {
    let accounts = Repository::<Account>::new(Arc::new(store.clone()));
    accounts.load(&account.to_owned()).await.unwrap().balance
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let waits = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(10 * SECOND, waits).await.expect("it never came to be so");
}

fn paid(key: &str, amount: u64) -> OutboundMessage {
    raw(key, format!(r#"{{"amount":{amount},"currency":"EUR"}}"#), 2)
}

fn raw(key: &str, body: impl Into<bytes::Bytes>, version: u16) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Message, "customers.paid", body)
        .with_key(key)
        .with_metadata(Metadata::default().with_schema_version(version))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_handled_and_what_follows_names_it_as_its_cause() {
    let world = World::new(Arc::default()).await;
    let mut message = paid("a", 5);
    message.metadata = message.metadata.with_correlation("c").with_tenant("acme");
    world.publish(message.clone()).await;
    until(async || log(&world.store).await.len() == 1).await;
    let recorded = &log(&world.store).await[0].2;
    assert_eq!(recorded.causation(), Some(message.metadata.id()));
    assert_eq!((recorded.correlation(), recorded.tenant()), (Some("c"), Some("acme")));
    assert_eq!(recorded.schema_version(), None);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_settled_without_being_handled() {
    let world = World::new(Arc::default()).await;
    let message = paid("a", 5);
    for _ in 0..5 {
        world.publish(message.clone()).await;
    }
    // The same content, in other words.
    let body = r#" {"currency":"EUR", "amount":5}"#;
    world.publish(OutboundMessage { body: body.into(), ..message }).await;
    world.publish(paid("a", 1)).await;
    world.has("a", 6).await;
    assert_eq!(world.shared.calls(), 2);
    assert!(world.bus.dead_letters(FindDeadLetters::default()).await.unwrap().is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_content_under_a_known_id_becomes_a_dead_letter() {
    let world = World::new(Arc::default()).await;
    let message = paid("a", 5);
    world.publish(message.clone()).await;
    world.has("a", 5).await;
    let body = r#"{"amount":6,"currency":"EUR"}"#;
    world.publish(OutboundMessage { body: body.into(), ..message }).await;
    let letter = world.letter().await;
    assert!(letter.cause.contains("stands for another content"), "{}", letter.cause);
    assert_eq!((letter.attempts, world.balance("a").await), (1, 5));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_and_what_panics_is_tried_again() {
    let world = World::new(Shared::failing([Fail::Passing, Fail::Panic])).await;
    world.publish(paid("a", 5)).await;
    world.has("a", 5).await;
    assert_eq!(world.shared.calls(), 3);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_attempts_it_is_a_dead_letter_that_can_be_sent_again() {
    let world = World::new(Shared::failing([Fail::Panic, Fail::Passing, Fail::Passing])).await;
    let message = paid("a", 5);
    world.publish(message.clone()).await;
    world.publish(paid("a", 3)).await;
    let letter = world.letter().await;
    assert_eq!((letter.attempts, &*letter.origin), (3, "ledger.book"));
    assert!(letter.cause.contains("not now") || letter.cause.contains("it broke"));
    assert_eq!(letter.message.metadata.id(), message.metadata.id());
    world.has("a", 3).await;
    world.bus.send_again(&letter.id).await.unwrap();
    world.has("a", 8).await;
    // Once more, as when its sender was not sure.
    world.publish(message).await;
    world.publish(paid("a", 1)).await;
    world.has("a", 9).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_will_never_pass_becomes_a_dead_letter_at_once() {
    let world = World::new(Shared::failing([Fail::Fatal])).await;
    world.publish(paid("a", 5)).await;
    let letter = world.letter().await;
    assert_eq!((&*letter.cause, letter.attempts), ("never", 1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_becomes_a_dead_letter_that_says_why() {
    let world = World::new(Arc::default()).await;
    let binary = OutboundMessage { content_type: "application/cbor".into(), ..paid("a", 1) };
    let cases = [
        (raw("a", "{", 2), "EOF"),
        (raw("a", r#"{"amount":-1,"currency":"EUR"}"#, 2), "-1"),
        (raw("a", &b"\xff\xfe"[..], 2), "is no text"),
        (raw("a", "{}", 3), "newer than version 2"),
        (raw("a", "[".repeat(10_000), 2), "`customers.paid` cannot be read"),
        (binary, "application/cbor"),
    ];
    for (message, why) in cases {
        world.publish(message).await;
        let letter = world.letter().await;
        assert!(letter.cause.contains(why), "{why}: {}", letter.cause);
        assert_eq!(letter.attempts, 1);
        world.bus.discard(&letter.id).await.unwrap();
    }
    assert_eq!(world.shared.calls(), 0);
    // An older version is lifted; a media type has parameters.
    let content_type = "application/JSON; charset=utf-8".to_owned();
    world.publish(OutboundMessage { content_type, ..raw("a", r#"{"amount":4}"#, 1) }).await;
    world.has("a", 4).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_waits_holds_up_no_other_and_keeps_its_order() {
    let shared = Shared { gate: Some(Semaphore::new(0)), ..Shared::default() };
    let world = World::new(Arc::new(shared)).await;
    for n in 1..=3 {
        world.publish(paid("slow", n)).await;
        world.publish(paid("other", n)).await;
    }
    world.has("other", 6).await;
    assert_eq!(world.balance("slow").await, 0);
    world.shared.gate.as_ref().unwrap().add_permits(3);
    world.has("slow", 6).await;
    let seen = world.shared.seen.lock().unwrap().clone();
    let of_slow: Vec<_> = seen.iter().filter(|(key, _)| key == "slow").map(|s| s.1).collect();
    assert_eq!(of_slow, [1, 2, 3]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_out_of_reach_is_waited_for_and_costs_no_attempt() {
    let (store, shared) = (Watched::default(), Arc::<Shared>::default());
    let bus = MemoryBus::default();
    let app = builder(store.shared(), &bus, &shared)
        .listener("ledger.book", |listener| listener.retry(RetryPolicy::never()))
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    store.goes_down(4);
    bus.publish(vec![paid("a", 5)]).await.unwrap();
    until(async || balance(&store.store, "a").await == 5).await;
    store.loses_answers(2);
    bus.publish(vec![paid("a", 2)]).await.unwrap();
    bus.publish(vec![paid("a", 1)]).await.unwrap();
    until(async || balance(&store.store, "a").await == 8).await;
    assert_eq!(shared.calls(), 3);
    running.stop(5 * SECOND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_change_one_account_at_once_are_all_applied() {
    let world = World::new(Arc::default()).await;
    // Without a key they are in no order: all of them are for the account `none`.
    let sent = (0..40).map(|_| OutboundMessage { key: None, ..paid("", 1) }).collect();
    world.bus.publish(sent).await.unwrap();
    world.has("none", 40).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_may_take_longer_than_the_bus_would_wait() {
    let shared = Shared { sleeps: AtomicBool::new(true), ..Shared::default() };
    let (store, bus, shared) = (MemoryStore::default(), MemoryBus::default(), Arc::new(shared));
    let patient = |store: &MemoryStore| {
        builder(Arc::new(store.clone()), &bus, &shared)
            .listener("ledger.book", |listener| listener.settle_within(Duration::from_millis(100)))
            .build()
            .unwrap()
    };
    let nodes = [patient(&store).start().await.unwrap(), patient(&store).start().await.unwrap()];
    bus.publish(vec![paid("a", 5)]).await.unwrap();
    until(async || balance(&store, "a").await == 5).await;
    assert_eq!(shared.calls(), 1, "it was handed to one of them, and stayed there");
    for node in nodes {
        node.stop(5 * SECOND).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_what_is_in_hand() {
    let shared = Shared { sleeps: AtomicBool::new(true), ..Shared::default() };
    let World { store, bus, shared, running } = World::new(Arc::new(shared)).await;
    bus.publish(vec![paid("a", 1), paid("a", 2)]).await.unwrap();
    until(async || shared.calls() == 1).await;
    running.stop(5 * SECOND).await.unwrap();
    assert_eq!((balance(&store, "a").await, shared.calls()), (1, 1));
    // The rest is there for the next one.
    World::with(store.clone(), bus, shared).await.has("a", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stop_gives_up_is_handled_by_the_next_node() {
    let shared = Shared { gate: Some(Semaphore::new(0)), ..Shared::default() };
    let World { store, bus, shared, running } = World::new(Arc::new(shared)).await;
    bus.publish(vec![paid("slow", 1)]).await.unwrap();
    until(async || shared.calls() == 1).await;
    running.stop(Duration::from_millis(20)).await.unwrap();
    assert_eq!(balance(&store, "slow").await, 0);

    let world = World::with(store, bus, shared).await;
    until(async || world.shared.calls() == 2).await;
    world.shared.gate.as_ref().unwrap().add_permits(1);
    world.has("slow", 1).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_with_a_message_in_hand_loses_nothing() {
    let shared = Shared { gate: Some(Semaphore::new(0)), ..Shared::default() };
    let World { store, bus, shared, running } = World::new(Arc::new(shared)).await;
    bus.publish(vec![paid("slow", 1)]).await.unwrap();
    until(async || shared.calls() == 1).await;
    drop(running);
    let world = World::with(store, bus, shared).await;
    world.shared.gate.as_ref().unwrap().add_permits(2);
    world.has("slow", 1).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_what_comes_and_apply_each_message_once() {
    let (store, bus) = (MemoryStore::default(), MemoryBus::default());
    let one = World::with(store.clone(), bus.clone(), Arc::default()).await;
    let two = World::with(store, bus.connect(), Arc::default()).await;
    let sent = (0..200).map(|n| paid(&format!("k{}", n % 20), 1)).collect();
    one.bus.publish(sent).await.unwrap();
    for key in 0..20 {
        one.has(&format!("k{key}"), 10).await;
    }
    assert_eq!(one.shared.calls() + two.shared.calls(), 200);
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_once_the_app_is_started_is_heard() {
    for _ in 0..20 {
        let world = World::new(Arc::default()).await;
        world.publish(paid("a", 1)).await;
        assert_eq!(world.bus.health().await.unheard, 0);
        world.has("a", 1).await;
        world.stop().await;
    }
}

#[tokio::test]
async fn an_inbox_that_forgets_before_the_bus_does_is_refused_at_the_start() {
    let day = 24 * 60 * 60 * SECOND;
    let store = MemoryStore::default().keep_inbox(7 * day);
    let bus = MemoryBus::default().keep_dead_letters(7 * day);
    let app =
        |bus: &MemoryBus| builder(Arc::new(store.clone()), bus, &Arc::default()).build().unwrap();
    let error = app(&bus).start().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Invalid { field: Some("keeps_inbox".into()) });
    let running = app(&bus.keep_dead_letters(6 * day)).start().await.unwrap();
    running.stop(SECOND).await.unwrap();
}

#[tokio::test]
async fn a_group_that_the_bus_refuses_is_told_of_at_the_start() {
    async fn handle(_: Told) -> Result<(), HandlerError> {
        Ok(())
    }
    let app = App::builder()
        .store(MemoryStore::default())
        .bus(MemoryBus::default())
        .listens("not a name", handle)
        .build()
        .unwrap();
    let error = app.start().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Invalid { field: Some("group".into()) });
}

#[test]
fn what_is_missing_is_told_when_the_app_is_built() {
    let error = App::builder()
        .listens("ledger.book", book)
        .listens("ledger.book", book)
        .listener("ledger.bok", |listener| listener.at_once(1))
        .build()
        .unwrap_err();
    let ErrorKind::Build(problems) = error.kind() else { panic!("{error:?}") };
    let name = || "ledger.book".to_owned();
    for problem in [
        Problem::MissingStore { handler: name() },
        Problem::MissingBus { handler: name() },
        Problem::DuplicateEventHandler { name: "ledger.book" },
        Problem::UnknownSubscription { name: "ledger.bok" },
    ] {
        assert!(problems.contains(&problem), "{problem:?} in {problems:?}");
    }
}
