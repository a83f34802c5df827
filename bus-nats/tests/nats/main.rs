//! What is particular to NATS.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first surprise")]

mod login;
mod requests;
mod streams;

use std::time::Duration;

use bus_nats::{NatsBuilder, NatsBus};
use cqrs_core::{
    BusSubscription, Deliveries, Delivery, MessageId, OutboundKind, OutboundMessage, Subscriber,
};
use futures_util::StreamExt;

/// How long something may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server of all tests.
fn url() -> String {
    std::env::var("NATS_URL").unwrap_or_else(|_| {
        panic!("set NATS_URL to a server, or run `cargo xtask services run`, which prints one")
    })
}

fn prefix() -> String {
    MessageId::fresh().to_string()
}

fn opened(key: usize, n: usize) -> OutboundMessage {
    let body = format!("{key}/{n}");
    OutboundMessage::new(OutboundKind::Message, "bank.opened", body).with_key(key.to_string())
}

async fn join(bus: &NatsBus, group: &str) -> Deliveries {
    bus.subscribe(BusSubscription::to_messages(group, ["bank.*"])).await.unwrap()
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, deliveries.next()).await;
    next.expect("nothing comes").expect("the deliveries have ended").unwrap()
}

/// Key and number of a delivery of [`opened`].
fn what(delivery: &Delivery) -> (usize, usize) {
    let body = std::str::from_utf8(&delivery.message().body).unwrap();
    let (key, n) = body.split_once('/').unwrap();
    (key.parse().unwrap(), n.parse().unwrap())
}

async fn connect(builder: NatsBuilder) -> NatsBus {
    builder.connect().await.unwrap()
}
