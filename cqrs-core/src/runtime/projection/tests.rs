//! Projections over the memory store: durable, live and asked, and sinks beside them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::domain::fact::Fact;
use crate::domain::projection::Projection;
use crate::memory::MemoryStore;
use crate::message::event::{Event, EventType};
use crate::message::payload::{Json, Payload};
use crate::port::commit::{Append, Commit, DocumentWrite, Expected, NewEvent};
use crate::port::document::{DocumentKey, FindDocuments};
use crate::port::page::Page;
use crate::port::parked::{FindParked, ParkedState};
use crate::port::read::ReadLog;
use crate::port::store::Store;
use crate::port::stream_id::StreamId;
use crate::runtime::consumer::{Consumer, Handling, Stretch};
use crate::runtime::key::Slice;
use crate::runtime::projection::consumer::Folding;
use crate::runtime::settings::RuntimeSettings;
use crate::runtime::view::View;
use crate::schema::entity::Entity;

use futures_util::StreamExt;

/// Something moves between accounts: events with one key and with two.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Moved {
    In { amount: i64 },
    Between { to: String, amount: i64 },
    Closed,
    Panics,
}

impl Event for Moved {
    const TYPES: &'static [EventType] = &[
        EventType::new("bank.in", "In"),
        EventType::new("bank.between", "Between"),
        EventType::new("bank.closed", "Closed"),
        EventType::new("bank.panics", "Panics"),
    ];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::In { .. } => &Self::TYPES[0],
            Self::Between { .. } => &Self::TYPES[1],
            Self::Closed => &Self::TYPES[2],
            Self::Panics => &Self::TYPES[3],
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Balance {
    pub(crate) account: String,
    pub(crate) amount: i64,
    pub(crate) events: Vec<u64>,
    pub(crate) rich: bool,
}

impl Entity for Balance {
    const COLLECTION: &'static str = "balance";
    const INDEXED: &'static [&'static str] = &["rich"];

    fn id(&self) -> String {
        self.account.clone()
    }
}

pub(crate) struct Balances;

impl Projection for Balances {
    const NAME: &'static str = "bank.balances";
    type Input = Moved;
    type View = Balance;

    fn keys(event: &Fact<'_, Moved>) -> Vec<String> {
        match event.data {
            Moved::Between { to, .. } => vec![event.stream.to_owned(), to.clone()],
            _ => vec![event.stream.to_owned()],
        }
    }

    fn project(key: &str, view: Option<Balance>, event: &Fact<'_, Moved>) -> Option<Balance> {
        let mut view = view.unwrap_or_else(|| Balance {
            account: key.to_owned(),
            amount: 0,
            events: Vec::new(),
            rich: false,
        });
        match event.data {
            Moved::In { amount } => view.amount += amount,
            Moved::Between { to, amount } if to == key => view.amount += amount,
            Moved::Between { amount, .. } => view.amount -= amount,
            Moved::Closed => return None,
            Moved::Panics => panic!("it panics"),
        }
        view.events.push(event.version);
        view.rich = view.amount > 100;
        Some(view)
    }
}

pub(crate) fn new_event(event: &Moved) -> NewEvent {
    NewEvent::new(event.event_type().name, event.encode().unwrap())
}

pub(crate) async fn record(store: &dyn Store, tenant: Option<&str>, stream: &str, event: Moved) {
    let stream =
        StreamId { tenant: tenant.map(Into::into), ..StreamId::new("account", stream.to_owned()) };
    let append = Append { stream, expected: Expected::Any, events: vec![new_event(&event)] };
    store.commit(Commit { appends: vec![append], ..Commit::default() }).await.unwrap();
}

async fn page(store: &dyn Store, after: u64) -> Arc<Page> {
    Arc::new(store.read_log(ReadLog::after(after)).next().await.unwrap().unwrap())
}

fn folding(store: &MemoryStore) -> Folding<Balances> {
    Folding::new(Arc::new(store.clone()), "balance".into(), 1 << 20)
}

const ALL: Slice = Slice { index: 0, of: 1 };

fn stretch<'a>(page: &'a Arc<Page>, events: &'a [crate::Recorded<'a>]) -> Stretch<'a> {
    let (replay, any_blocked) = (false, false);
    Stretch { page, events, slice: ALL, replay, any_blocked, is_blocked: &|_| false }
}

/// Folds a page and writes what comes of it.
async fn fold(folding: &mut Folding<Balances>, store: &dyn Store, page: &Arc<Page>) -> usize {
    let events: Vec<_> = page.iter().collect();
    let handled = folding.many(stretch(page, &events)).await.unwrap();
    let written = handled.commit.views.len();
    store.commit(handled.commit).await.unwrap();
    Consumer::written(folding);
    written
}

async fn balance(store: &dyn Store, id: &str) -> Option<(i64, u64)> {
    let document = store.document(&DocumentKey::new("balance", id)).await.unwrap()?;
    Some((document.body.decode::<Balance>().unwrap().amount, document.version))
}

async fn declared() -> MemoryStore {
    let store = MemoryStore::default();
    store.declare(Balance::collection()).await.unwrap();
    store
}

#[tokio::test]
async fn events_of_several_keys_are_folded_across_batches() {
    let store = declared().await;
    let mut folding = folding(&store);
    record(&store, None, "a", Moved::In { amount: 10 }).await;
    record(&store, None, "a", Moved::Between { to: "b".into(), amount: 4 }).await;
    assert_eq!(fold(&mut folding, &store, &page(&store, 0).await).await, 2);
    record(&store, None, "b", Moved::Between { to: "a".into(), amount: 1 }).await;
    record(&store, Some("t"), "a", Moved::In { amount: 7 }).await;
    assert_eq!(fold(&mut folding, &store, &page(&store, 2).await).await, 3);
    // One document for each key and batch, however many events.
    assert_eq!(balance(&store, "a").await, Some((7, 2)));
    assert_eq!(balance(&store, "b").await, Some((3, 2)));
    let of_tenant = DocumentKey::new("balance", "a").with_tenant("t");
    let of_tenant = store.document(&of_tenant).await.unwrap().unwrap();
    assert_eq!(of_tenant.body.decode::<Balance>().unwrap().amount, 7);
}

#[tokio::test]
async fn a_view_that_is_deleted_comes_back_with_versions_that_go_on() {
    let store = declared().await;
    let mut folding = folding(&store);
    let mut at = 0;
    for (event, stands) in [
        (Moved::In { amount: 1 }, Some((1, 1))),
        (Moved::In { amount: 1 }, Some((2, 2))),
        (Moved::Closed, None),
        (Moved::Closed, None),
        (Moved::In { amount: 5 }, Some((5, 4))),
        (Moved::In { amount: 5 }, Some((10, 5))),
    ] {
        record(&store, None, "a", event).await;
        fold(&mut folding, &store, &page(&store, at).await).await;
        at += 1;
        assert_eq!(balance(&store, "a").await, stands, "after {at}");
    }
    // In one batch nothing of it is seen, and nobody says that it was written.
    for event in [Moved::In { amount: 1 }, Moved::Closed] {
        record(&store, None, "new", event).await;
    }
    let page_of_both = page(&store, at).await;
    let events: Vec<_> = page_of_both.iter().collect();
    let handled = folding.many(stretch(&page_of_both, &events)).await.unwrap();
    assert!(handled.is_nothing());
    record(&store, None, "new", Moved::In { amount: 9 }).await;
    fold(&mut folding, &store, &page(&store, at + 2).await).await;
    assert_eq!(balance(&store, "new").await, Some((9, 1)));
}

#[tokio::test]
async fn what_others_write_is_a_conflict_and_then_right_again() {
    let store = declared().await;
    let mut folding = folding(&store);
    record(&store, None, "a", Moved::In { amount: 1 }).await;
    fold(&mut folding, &store, &page(&store, 0).await).await;
    record(&store, None, "a", Moved::In { amount: 1 }).await;
    fold(&mut folding, &store, &page(&store, 1).await).await;
    // Somebody writes the view by hand.
    let other = Balance { account: "a".into(), amount: 100, events: vec![], rich: true };
    let key = DocumentKey::new("balance", "a");
    let by_hand = DocumentWrite::put(key, Expected::Exactly(2), Json::encode(&other).unwrap());
    store.commit(Commit { documents: vec![by_hand], ..Commit::default() }).await.unwrap();
    record(&store, None, "a", Moved::In { amount: 1 }).await;
    let page = page(&store, 2).await;
    for is_right in [false, true] {
        let event = page.iter().next().unwrap();
        let handling = Handling { page: &page, event, key: "a", replay: false };
        let handled = folding.one(handling).await.unwrap();
        let done = store.commit(handled.commit).await;
        match is_right {
            false => {
                assert!(done.unwrap_err().is_conflict());
                Consumer::forget(&mut folding);
            }
            true => {
                done.unwrap();
                Consumer::written(&mut folding);
            }
        }
    }
    assert_eq!(balance(&store, "a").await, Some((101, 4)));
}

#[tokio::test]
async fn only_what_is_of_the_partition_and_not_blocked_is_folded() {
    let store = declared().await;
    for n in 0..20 {
        record(&store, None, &format!("k{n}"), Moved::In { amount: 1 }).await;
    }
    let page = page(&store, 0).await;
    let events: Vec<_> = page.iter().collect();
    let mut seen = 0;
    for index in 0..3 {
        let slice = Slice { index, of: 3 };
        let is_blocked = |key: &str| key == "k7";
        let stretch = Stretch {
            page: &page,
            events: &events,
            slice,
            replay: false,
            any_blocked: true,
            is_blocked: &is_blocked,
        };
        let handled = folding(&store).many(stretch).await.unwrap();
        assert!(handled.commit.views.iter().all(|write| slice.has(&write.key.id)));
        assert!(handled.commit.views.iter().all(|write| write.key.id != "k7"));
        let behind = handled.behind.iter().filter(|behind| behind.key == "k7").count();
        assert_eq!(behind, usize::from(slice.has("k7")));
        seen += handled.commit.views.len();
    }
    assert_eq!(seen, 19);
}

#[tokio::test]
async fn a_view_with_another_id_and_keys_that_no_store_takes_are_refused() {
    struct Wrong;
    impl Projection for Wrong {
        const NAME: &'static str = "bank.wrong";
        type Input = Moved;
        type View = Balance;
        fn keys(event: &Fact<'_, Moved>) -> Vec<String> {
            match event.data {
                Moved::In { .. } => vec!["a".into()],
                Moved::Between { to, .. } => vec![to.clone()],
                _ => vec!["x".repeat(2_000)],
            }
        }
        fn project(_: &str, _: Option<Balance>, _: &Fact<'_, Moved>) -> Option<Balance> {
            Some(Balance { account: "b".into(), amount: 0, events: vec![], rich: false })
        }
    }
    let store = declared().await;
    record(&store, None, "s", Moved::In { amount: 1 }).await;
    record(&store, None, "s", Moved::Between { to: String::new(), amount: 1 }).await;
    record(&store, None, "s", Moved::Between { to: "a\u{1f}b".into(), amount: 1 }).await;
    record(&store, None, "s", Moved::Closed).await;
    let page = page(&store, 0).await;
    let mut folding = Folding::<Wrong>::new(Arc::new(store.clone()), "balance".into(), 1 << 20);
    let event = page.get(0).unwrap();
    let handling = Handling { page: &page, event, key: "a", replay: false };
    let error = folding.one(handling).await.unwrap_err();
    assert!(error.is_fatal());
    let text = error.to_string();
    assert!(
        text.contains("\"b\"") && text.contains("\"a\"") && text.contains("bank.wrong"),
        "{text}"
    );
    for n in 1..4 {
        let error = folding.keys(&page.get(n).unwrap()).unwrap_err();
        assert!(error.to_string().contains("bank.wrong"), "{error}");
    }
}

fn app(store: &MemoryStore) -> App {
    App::builder()
        .store(store.clone())
        .projection::<Balances>()
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_parks_its_key_and_the_others_go_on() {
    let store = MemoryStore::default();
    for n in 0..5 {
        for key in ["a", "b"] {
            record(&store, None, key, Moved::In { amount: 1 }).await;
        }
        if n == 2 {
            record(&store, None, "b", Moved::Panics).await;
        }
    }
    let running = app(&store).start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(balance(&store, "a").await.unwrap().0, 5);
    assert_eq!(balance(&store, "b").await.unwrap().0, 3, "as it was before the panic");
    let aside = store.parked(FindParked::of("bank.balances")).await.unwrap();
    let states: Vec<_> = aside.iter().map(|entry| (&*entry.key, entry.state)).collect();
    assert_eq!(
        states,
        [("b", ParkedState::Parked), ("b", ParkedState::Behind), ("b", ParkedState::Behind)]
    );
    assert!(aside[0].cause.contains("it panics"), "{}", aside[0].cause);
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_read_from_what_is_live_while_they_are_built_anew() {
    let store = MemoryStore::default();
    for key in ["a", "b"] {
        record(&store, None, key, Moved::In { amount: 60 }).await;
        record(&store, None, key, Moved::In { amount: 60 }).await;
    }
    let app = app(&store);
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    let view = View::<Balances>::new(Arc::new(store.clone()));
    assert_eq!(view.get("a").await.unwrap().unwrap().amount, 120);
    assert_eq!(view.find("rich", true).await.unwrap().len(), 2);
    assert_eq!(view.count(FindDocuments::all("balance")).await.unwrap(), 2);
    // What is live is damaged; what is built anew is not.
    let key = DocumentKey::new("balance", "a");
    let gone = DocumentWrite::delete(key, Expected::Exists);
    store.commit(Commit { documents: vec![gone], ..Commit::default() }).await.unwrap();
    assert!(view.get("a").await.unwrap().is_none());
    app.subscriptions().unwrap().rebuild("bank.balances").await.unwrap();
    app.subscriptions().unwrap().built("bank.balances", Duration::from_secs(10)).await.unwrap();
    let fresh = View::<Balances>::new(Arc::new(store.clone()));
    assert_eq!(fresh.get("a").await.unwrap().unwrap().amount, 120);
    assert_eq!(fresh.find("rich", true).await.unwrap().len(), 2);
    // What nobody reads any more is removed, and nothing else.
    let removed = async {
        while !store.find_documents(FindDocuments::all("balance")).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), removed).await.unwrap();
    assert_eq!(view.get("a").await.unwrap().unwrap().amount, 120);
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_takes_each_event_once_with_its_checkpoint() {
    let store = MemoryStore::default();
    let total = Arc::new(Mutex::new((0, Vec::new())));
    let sink = store.sink(&total, |total: &mut (i64, Vec<u64>), event: &Moved, at| {
        match event {
            Moved::In { amount } => total.0 += amount,
            Moved::Panics => panic!("it panics"),
            _ => return Err("not today".into()),
        }
        total.1.push(at.position);
        Ok(())
    });
    for n in 0..100 {
        record(&store, None, &format!("k{}", n % 7), Moved::In { amount: n }).await;
    }
    record(&store, None, "bad", Moved::Panics).await;
    record(&store, None, "bad", Moved::In { amount: 1_000_000 }).await;
    record(&store, None, "good", Moved::In { amount: 1 }).await;
    let app = App::builder()
        .store(store.clone())
        .sink("bank.total", sink)
        .subscription("bank.total", |s| s.batch(16).retry(crate::RetryPolicy::never()))
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    running.stop(Duration::from_secs(5)).await.unwrap();
    let (sum, positions) = total.lock().unwrap().clone();
    assert_eq!(sum, (0..100).sum::<i64>() + 1);
    assert_eq!(positions, (1..=100).chain([103]).collect::<Vec<_>>());
    assert_eq!(store.parked(FindParked::of("bank.total")).await.unwrap().len(), 2);
    assert_eq!(store.checkpoint("bank.total", 0).await.unwrap(), Some(103));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_folded_once_it_can() {
    let store = MemoryStore::default();
    let broken = NewEvent::new("bank.in", Payload::Json(Json::parse(r#"{"sum":5}"#).unwrap()));
    let stream = StreamId::new("account", "a");
    let append = Append { stream, expected: Expected::Any, events: vec![broken] };
    store.commit(Commit { appends: vec![append], ..Commit::default() }).await.unwrap();
    record(&store, None, "a", Moved::In { amount: 2 }).await;
    let app = app(&store);
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(balance(&store, "a").await.unwrap().0, 2);
    let aside = store.parked(FindParked::of("bank.balances")).await.unwrap().remove(0);
    assert_eq!(aside.key, "account/a");
    // As an operator edits it.
    let mut edited = aside.to_write();
    edited.edited = Some(Payload::Json(Json::parse(r#"{"amount":5}"#).unwrap()));
    edited.state = ParkedState::Retrying;
    edited.due = Some(crate::Timestamp::MIN);
    store.commit(Commit { parked: vec![edited], ..Commit::default() }).await.unwrap();
    let folded = async {
        while balance(&store, "a").await.unwrap().0 != 7 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), folded).await.unwrap();
    running.stop(Duration::from_secs(5)).await.unwrap();
}
