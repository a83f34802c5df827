//! What others are told: through an explicit translation, once, in order, and nothing else.

use std::collections::HashSet;
use std::time::Duration;

use cqrs_core::memory::{MemoryBus, MemoryStore};
use cqrs_core::{
    App, AppBuilder, BusSubscription, ErrorKind, Event, EventType, FindOutgoing, FindParked,
    MessageId, Metadata, OutgoingKind, Payload, PendingMessage, Problem, RetryPolicy,
    RuntimeSettings, Store, Subscriber, Upcaster,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::bank::{AccountEvent, Deposit, Open, bank, log};

/// What others know of an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Told {
    Won { name: String },
    Paid { amount: u64, currency: String },
}

impl Event for Told {
    const TYPES: &'static [EventType] = &[
        EventType::new("customers.won", "Won"),
        EventType::new("customers.paid", "Paid").at_version(2),
    ];
    const UPCASTERS: &'static [Upcaster] = &[Upcaster {
        event_type: "customers.paid",
        from: 1,
        lift: |mut body| {
            body["currency"] = "EUR".into();
            Ok(body)
        },
    }];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Won { .. } => &Self::TYPES[0],
            Self::Paid { .. } => &Self::TYPES[1],
        }
    }
}

fn told(event: &AccountEvent) -> Vec<Told> {
    match event {
        AccountEvent::Opened { owner } => vec![Told::Won { name: owner.clone() }],
        // In halves, so that there are two.
        AccountEvent::Deposited { amount: 7 } => panic!("seven"),
        AccountEvent::Deposited { amount } => {
            vec![Told::Paid { amount: amount / 2, currency: "EUR".into() }; 2]
        }
        AccountEvent::Withdrawn { .. } => Vec::new(),
    }
}

fn translates(store: &MemoryStore) -> AppBuilder {
    bank(store).translate("bank.told", told)
}

async fn pending(store: &MemoryStore) -> Vec<PendingMessage> {
    store.outgoing(FindOutgoing::after(0)).await.unwrap()
}

async fn opened(app: &App) {
    let metadata = Metadata::default().with_correlation("from-a-client").with_actor("ada");
    let open = Open { account: "a".into(), owner: "Ada".into() };
    app.send(open).with(metadata).await.unwrap();
    app.send(Deposit { account: "a".into(), amount: 10 }).await.unwrap();
}

#[tokio::test]
async fn an_event_becomes_what_others_are_told() {
    let store = MemoryStore::default();
    let app = translates(&store).build().unwrap();
    opened(&app).await;
    app.catch_up("bank.told").await.unwrap();

    let sent = pending(&store).await;
    let names: Vec<_> = sent.iter().map(|sent| &*sent.message.name).collect();
    assert_eq!(names, ["customers.won", "customers.paid", "customers.paid"]);
    let won = &sent[0].message;
    assert_eq!((won.kind, &*won.key), (OutgoingKind::Message, "a"));
    let Payload::Json(body) = &won.body else { panic!("{:?}", won.body) };
    assert_eq!(body.as_str(), r#"{"name":"Ada"}"#);

    let events = log(&store).await;
    let cause = &events[0].2;
    assert_eq!(won.metadata.causation(), Some(cause.id()));
    assert_eq!(won.metadata.correlation(), Some("from-a-client"));
    assert_eq!(won.metadata.actor(), Some("ada"));
    assert!(won.metadata.occurred_at().is_some());
    assert_eq!(won.metadata.schema_version(), None);
    assert_eq!(sent[1].message.metadata.schema_version(), Some(2));
    let ids: HashSet<MessageId> = sent.iter().map(|sent| sent.message.metadata.id()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn what_is_told_is_one_commit_with_the_checkpoint() {
    let store = MemoryStore::default();
    let app = translates(&store).build().unwrap();
    opened(&app).await;
    app.catch_up("bank.told").await.unwrap();
    app.catch_up("bank.told").await.unwrap();
    assert_eq!(pending(&store).await.len(), 3);
    // Another program, from the same checkpoint.
    translates(&store).build().unwrap().catch_up("bank.told").await.unwrap();
    assert_eq!(pending(&store).await.len(), 3);
}

#[tokio::test]
async fn ids_are_derived_from_the_event_and_the_translation() {
    let ids = async |name| {
        let store = MemoryStore::default();
        let app = bank(&store).translate(name, told).build().unwrap();
        let id = MessageId::from_u128(7);
        let open = Open { account: "a".into(), owner: "Ada".into() };
        app.send(open).with(Metadata::of(id)).await.unwrap();
        app.catch_up(name).await.unwrap();
        pending(&store).await[0].message.metadata.id()
    };
    assert_eq!(ids("bank.told").await, ids("bank.told").await);
    assert_ne!(ids("bank.told").await, ids("bank.told_again").await);
}

#[tokio::test]
async fn the_key_is_that_of_the_event() {
    let store = MemoryStore::default();
    let app = translates(&store).build().unwrap();
    let open = Open { account: "a".into(), owner: "Ada".into() };
    let metadata = Metadata::default().with_partition_key("student-17").with_tenant("acme");
    app.send(open).with(metadata).await.unwrap();
    app.catch_up("bank.told").await.unwrap();
    let sent = pending(&store).await.remove(0).message;
    assert_eq!((&*sent.key, sent.metadata.tenant()), ("student-17", Some("acme")));
    assert_eq!(sent.metadata.partition_key(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_as_a_subscription_does_and_reaches_the_bus_in_order() {
    let (store, bus) = (MemoryStore::default(), MemoryBus::default());
    let wiretap = BusSubscription::to_messages("wiretap", ["customers.*"]);
    let mut heard = bus.subscribe(wiretap).await.unwrap();
    let app = translates(&store)
        .bus(bus)
        .runtime(RuntimeSettings::tests())
        .subscription("bank.told", |s| s.retry(RetryPolicy::never()))
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    opened(&app).await;
    app.send(Deposit { account: "b".into(), amount: 7 }).await.unwrap();
    running.settled().await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let delivery = heard.next().await.unwrap().unwrap();
        let message = delivery.message();
        assert_eq!(message.metadata.partition_key(), Some("a"));
        assert!(message.metadata.correlation().is_some());
        bodies.push(String::from_utf8_lossy(&message.body).into_owned());
        delivery.ack().await.unwrap();
    }
    let paid = r#"{"amount":5,"currency":"EUR"}"#;
    assert_eq!(bodies, [r#"{"name":"Ada"}"#, paid, paid]);
    assert!(pending(&store).await.is_empty(), "what was sent is settled");
    let parked = store.parked(FindParked::of("bank.told")).await.unwrap();
    assert!(parked[0].cause.contains("seven"), "a panic parks its event: {:?}", parked[0].cause);
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[test]
fn the_manifest_lists_what_is_told_and_a_store_is_needed() {
    let app = translates(&MemoryStore::default()).build().unwrap();
    let known: Vec<_> = app.manifest().events.iter().map(|event| event.name).collect();
    assert!(known.contains(&"customers.won") && known.contains(&"bank.opened"));
    assert_eq!(app.manifest().event_handlers[0].name, "bank.told");

    let error = App::builder().translate("bank.told", told).build().unwrap_err();
    let ErrorKind::Build(problems) = error.kind() else { panic!("{error:?}") };
    assert_eq!(problems[..], [Problem::MissingStore { handler: "bank.told".into() }]);
}

/// An option is enough where there is one at most.
#[test]
fn it_takes_what_can_be_iterated() {
    let one = |event: &AccountEvent| match event {
        AccountEvent::Opened { owner } => Some(Told::Won { name: owner.clone() }),
        _ => None,
    };
    assert!(bank(&MemoryStore::default()).translate("one", one).build().is_ok());
}
