//! What is particular to RabbitMQ.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first surprise")]

mod blocked;
mod login;
mod queues;
mod requests;

use std::time::Duration;

use bus_rabbitmq::lapin::{Channel, Connection, ConnectionProperties};
use bus_rabbitmq::{RabbitBuilder, RabbitBus};
use cqrs_core::{
    BusSubscription, Deliveries, Delivery, MessageId, OutboundKind, OutboundMessage, Subscriber,
};
use futures_util::StreamExt;

/// How long something may take that is to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server of all tests.
fn url() -> String {
    std::env::var("AMQP_URL").unwrap_or_else(|_| {
        panic!("set AMQP_URL to a server, or run `cargo xtask services run`, which prints one")
    })
}

fn prefix() -> String {
    MessageId::fresh().to_string()
}

/// A channel of a program that knows nothing of the bus. Its connection is to be kept.
async fn stranger() -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&url(), properties).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

fn named(name: &str, n: usize) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Message, name, n.to_string()).with_key("a")
}

async fn join(bus: &RabbitBus, group: &str) -> Deliveries {
    bus.subscribe(BusSubscription::to_messages(group, ["bank.*"])).await.unwrap()
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    let next = tokio::time::timeout(PATIENCE, deliveries.next()).await;
    next.expect("nothing comes").expect("the deliveries have ended").unwrap()
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message().body).into_owned()
}

async fn connect(builder: RabbitBuilder) -> RabbitBus {
    builder.connect().await.unwrap()
}
