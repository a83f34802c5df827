//! Requests from those who may not ask.

use std::time::Duration;

use bus_rabbitmq::RabbitBus;
use bus_rabbitmq::lapin::BasicProperties;
use bus_rabbitmq::lapin::options::QueueDeclareOptions;
use bus_rabbitmq::lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use bus_rabbitmq::lapin::types::{AMQPValue, FieldTable};
use cqrs_core::{
    InboundMessage, OutboundRequest, ReplyMessage, ReplyStatus, RequestKind, Requester, Responder,
};
use futures_util::StreamExt;

use crate::{connect, join, prefix, stranger, url};

fn double(n: u64) -> OutboundRequest {
    OutboundRequest::new(RequestKind::Query, "double", n.to_string(), Duration::from_secs(20))
}

/// Answers all that comes.
async fn answer(bus: &RabbitBus) {
    let mut requests = bus.respond(vec!["double".to_owned(), "secret".to_owned()]).await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let InboundMessage { name, body, .. } = request.message();
            assert_eq!(name, "double", "nobody asks for another one");
            let n: u64 = std::str::from_utf8(body).unwrap().parse().unwrap();
            request.reply(ReplyMessage::done((n * 2).to_string())).await.unwrap();
        }
    });
}

fn asked(name: &str, reply_to: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (attribute, value) in
        [("specversion", "1.0"), ("id", "7"), ("source", "/py"), ("type", name)]
    {
        let header = format!("cloudEvents_{attribute}");
        headers.insert(header.as_str().into(), AMQPValue::LongString(value.into()));
    }
    BasicProperties::default()
        .with_headers(headers)
        .with_reply_to(reply_to.into())
        .with_correlation_id("17".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_for_the_name_of_its_queue_and_its_answer_goes_to_no_queue_of_the_bus() {
    let prefix = prefix();
    let bus = connect(RabbitBus::builder(url()).prefix(&prefix)).await;
    answer(&bus).await;
    let (_connection, channel) = stranger().await;
    let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let mine = channel.queue_declare("".into(), own, FieldTable::default()).await.unwrap();
    let mine = mine.name().as_str().to_owned();
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let answers =
        channel.basic_consume(mine.as_str().into(), "mine".into(), options, FieldTable::default());
    let mut answers = answers.await.unwrap();
    let ask = async |properties: BasicProperties| {
        let queue = format!("{prefix}.request.double");
        let options = BasicPublishOptions::default();
        let sent =
            channel.basic_publish("".into(), queue.as_str().into(), options, b"4", properties);
        sent.await.unwrap().await.unwrap();
    };
    ask(asked("secret", &mine)).await;
    let refused = answers.next().await.unwrap().unwrap();
    let headers = refused.properties.headers().clone().unwrap();
    let text = |name: &str| match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => Some(text.to_string()),
        _ => None,
    };
    let no = (text("cloudEvents_status"), text("cloudEvents_field"));
    assert_eq!((no.0.as_deref(), no.1.as_deref()), (Some("failed"), Some("type")));
    assert_eq!(refused.properties.correlation_id().as_ref().unwrap().as_str(), "17");
    // Its answer goes nowhere among the queues of the bus.
    drop(join(&bus, "mailer").await);
    let misled = format!("{prefix}.message.mailer");
    ask(asked("double", &misled)).await;
    // It would have come before: requests are answered one after the other here.
    let done = bus.request(double(4)).await.unwrap();
    assert_eq!((done.status, &done.body[..]), (ReplyStatus::Done, &b"8"[..]));
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let there = channel.queue_declare(misled.as_str().into(), passive, FieldTable::default());
    assert_eq!(there.await.unwrap().message_count(), 0, "an answer went among our queues");
    // Who may ask is answered.
    ask(asked("double", &mine)).await;
    assert_eq!(answers.next().await.unwrap().unwrap().data, b"8");
}
