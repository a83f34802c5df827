//! Two brokers side by side: what is published on one comes to the other, also when either dies meanwhile; and what is
//! asked on either is answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus_nats::NatsBus;
use bus_rabbitmq::RabbitBus;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Bridge, Bus, BusSubscription, Deliveries, ErrorKind, Failure, FindDeadLetters, MessageId,
    Metadata, OutboundKind, OutboundMessage, ServiceClient,
};
use futures_util::StreamExt;
use learning_contracts::payments::{ChargePayment, GetLedger, PaymentState};
use learning_platform::learning::tutors::by_subject::BySubject;
use learning_platform::service::{self, Bounds};
use learning_platform::settings::Role;
use tempfile::TempDir;
use test_servers::{Nats, Rabbit};
use tokio::sync::watch;
use tokio::task::block_in_place;

const KEYS: usize = 40;
const EACH: usize = 250;

/// How long something may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

async fn listens(bus: &dyn Bus) -> Deliveries {
    bus.subscribe(BusSubscription::to_messages("mailer", ["bank.*"])).await.unwrap()
}

/// Publishes 10,000 messages, in the order of their keys.
async fn publish_all(bus: Arc<dyn Bus>) {
    let number = |key: usize, n: usize| {
        OutboundMessage::new(OutboundKind::Message, "bank.opened", format!("{key}/{n}"))
            .with_key(key.to_string())
    };
    for n in (0..EACH).step_by(5) {
        let mut left: Vec<_> =
            (n..n + 5).flat_map(|n| (0..KEYS).map(move |key| number(key, n))).collect();
        while let Err(unpublished) = bus.publish(left.clone()).await {
            left = unpublished.failed.iter().map(|(n, _)| left[*n].clone()).collect();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All of them come, each key in its order, but for repeats of what came before.
async fn handle_all(bus: Arc<dyn Bus>, handled: watch::Sender<usize>) {
    let mut mailer = listens(&*bus).await;
    let mut seen: HashMap<usize, usize> = HashMap::new();
    while seen.values().sum::<usize>() < KEYS * EACH {
        let delivery = tokio::time::timeout(PATIENCE, mailer.next()).await;
        let delivery = delivery.expect("nothing comes").unwrap().unwrap();
        let body = std::str::from_utf8(&delivery.message().body).unwrap();
        let (key, n) = body.split_once('/').unwrap();
        let (key, n): (usize, usize) = (key.parse().unwrap(), n.parse().unwrap());
        let expected = seen.entry(key).or_default();
        assert!(n <= *expected, "{key}/{n} came before {key}/{expected}");
        if n == *expected {
            *expected += 1;
            handled.send_modify(|count| *count += 1);
        }
        // Who cannot tell the broker handles it again.
        let _ = delivery.ack().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_from_nats_to_rabbitmq_loses_nothing_while_either_dies() {
    // On the disk that the build is on: a kill -9 is about what is on a disk.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut nats = block_in_place(|| Nats::start(folder.path())).unwrap();
    let mut rabbit = block_in_place(|| Rabbit::start(folder.path())).unwrap();
    let old = NatsBus::builder(nats.url()).patience(PATIENCE).connect().await.unwrap();
    let new = RabbitBus::builder(rabbit.url()).patience(PATIENCE).connect().await.unwrap();
    let (old, new): (Arc<dyn Bus>, Arc<dyn Bus>) = (Arc::new(old), Arc::new(new));
    drop(listens(&*new).await);
    let bridge = |from: (&str, &Arc<dyn Bus>), to: (&str, &Arc<dyn Bus>)| {
        Bridge::between((from.0, from.1.clone()), (to.0, to.1.clone())).messages(["bank.*"])
    };
    // Both ways: what has come over does not go back.
    let there = bridge(("nats", &old), ("rabbitmq", &new)).start().await.unwrap();
    let back = bridge(("rabbitmq", &new), ("nats", &old)).start().await.unwrap();
    let (handles, mut handled) = watch::channel(0);
    let publishing = tokio::spawn(publish_all(old.clone()));
    let handling = tokio::spawn(handle_all(new.clone(), handles));
    let is_at = |at: usize| move |count: &usize| *count >= at;
    handled.wait_for(is_at(3_000)).await.unwrap();
    block_in_place(|| {
        rabbit.kill().unwrap();
        rabbit.start_again().unwrap();
    });
    handled.wait_for(is_at(6_000)).await.unwrap();
    assert!(!handling.is_finished(), "it was too late");
    block_in_place(|| {
        nats.kill().unwrap();
        nats.start_again().unwrap();
    });
    publishing.await.unwrap();
    handling.await.unwrap();
    there.stop(Duration::from_secs(5)).await;
    back.stop(Duration::from_secs(5)).await;
    for bus in [old, new] {
        let letters = bus.dead_letters(FindDeadLetters::default()).await.unwrap();
        assert!(letters.is_empty(), "{letters:?}");
        bus.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_served_on_two_buses_and_one_may_go() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut nats = block_in_place(|| Nats::start(folder.path())).unwrap();
    let rabbit = block_in_place(|| Rabbit::start(folder.path())).unwrap();
    let old = || NatsBus::builder(nats.url()).patience(PATIENCE).connect();
    let new = || RabbitBus::builder(rabbit.url()).patience(PATIENCE).connect();
    let [old, asks_old] = [old().await.unwrap(), old().await.unwrap()].map(Arc::new);
    let [new, asks_new] = [new().await.unwrap(), new().await.unwrap()].map(Arc::new);
    let store = Arc::new(MemoryStore::default());
    let tutors = BySubject::Anywhere(store.clone());
    let payments = service::app(store, new.clone(), Role::Payments, Bounds::default(), tutors);
    let payments = payments.await.unwrap();
    let [on_old, on_new] =
        [payments.serve(old.clone()).await.unwrap(), payments.serve(new.clone()).await.unwrap()];

    let (old_client, new_client) =
        (ServiceClient::new(asks_old.clone()), ServiceClient::new(asks_new.clone()));
    let id = MessageId::fresh();
    let charge = ChargePayment {
        payment_id: uuid::Uuid::now_v7(),
        student_id: "ada".into(),
        amount_cents: 4_900,
    };
    for client in [&old_client, &new_client] {
        let charged = client.send(charge.clone()).with(Metadata::of(id)).await.unwrap();
        assert_eq!(charged.state, PaymentState::Charged);
    }
    let ledger = new_client.ask(GetLedger { student_id: None }).await.unwrap();
    assert_eq!(
        (ledger.charges.len(), ledger.total_cents),
        (1, 4_900),
        "a repeat over the other one"
    );

    block_in_place(|| nats.kill()).unwrap();
    let impatient = ServiceClient::new(asks_old.clone()).patience(Duration::from_millis(500));
    match impatient.ask(GetLedger { student_id: None }).await {
        Err(Failure::Failed(error)) => {
            assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
        }
        answered => panic!("nobody carries it: {answered:?}"),
    }
    new_client.ask(GetLedger { student_id: None }).await.unwrap();
    block_in_place(|| nats.start_again()).unwrap();
    // Whoever asks may be back before whoever answers.
    let is_back = async {
        loop {
            match old_client.ask(GetLedger { student_id: None }).await {
                Err(Failure::Failed(error)) if *error.kind() == ErrorKind::Unroutable => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                answered => return answered.unwrap(),
            }
        }
    };
    tokio::time::timeout(PATIENCE, is_back).await.expect("nobody answers on the old one");

    on_old.stop(PATIENCE).await;
    new_client.ask(GetLedger { student_id: None }).await.unwrap();
    on_new.stop(PATIENCE).await;
    for bus in [asks_old as Arc<dyn Bus>, old, asks_new, new] {
        bus.close().await.unwrap();
    }
}
