//! The same by hand, with lapin.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bus_rabbitmq::lapin;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::bench::consume::settled;
use crate::bench::request::{Echo, timed};
use crate::bench::{Outcome, WINDOW, by_key, fresh};

async fn connection(url: &str) -> Outcome<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}

/// Removes queues.
pub(crate) async fn remove(url: &str, queues: &[String]) -> Outcome<()> {
    let connection = connection(url).await?;
    let channel = connection.create_channel().await?;
    for queue in queues {
        channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
    }
    Ok(())
}

/// The headers of a CloudEvent.
fn properties(key: &str) -> BasicProperties {
    let id = fresh();
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("specversion", "1.0"),
        ("id", id.as_str()),
        ("source", "bench"),
        ("type", "bank.opened"),
        ("kind", "message"),
        ("subject", key),
        ("partitionkey", key),
    ] {
        let name = format!("cloudEvents_{name}");
        headers.insert(name.as_str().into(), AMQPValue::LongString(value.into()));
    }
    BasicProperties::default()
        .with_headers(headers)
        .with_content_type("application/json".into())
        .with_message_id(id.as_str().into())
        .with_delivery_mode(2)
}

pub(crate) struct ByHand<'a> {
    pub(crate) url: &'a str,
}

/// A topic exchange and a quorum queue like those of the bus, each of this name.
struct Queue {
    connection: Connection,
    channel: Channel,
    name: ShortString,
}

impl Queue {
    async fn make(url: &str) -> Outcome<Self> {
        let connection = connection(url).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let name = ShortString::from(fresh());
        let (kind, nothing) = (ExchangeKind::Topic, FieldTable::default());
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(name.clone(), kind, options, nothing.clone()).await?;
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        quorum.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.clone(), options, quorum).await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(name.clone(), name.clone(), "bank.*".into(), options, nothing).await?;
        Ok(Self { connection, channel, name })
    }

    /// Each key has a future that publishes its messages one after the other.
    async fn fill(&self, messages: Vec<(String, Vec<Bytes>)>) -> Outcome<()> {
        let keys = messages.into_iter().map(|(key, bodies)| async move {
            for body in bodies {
                let (options, exchange) = (BasicPublishOptions::default(), self.name.clone());
                let (name, properties) = ("bank.opened".into(), properties(&key));
                let sent = self.channel.basic_publish(exchange, name, options, &body, properties);
                if !sent.await?.await?.is_ack() {
                    return Err("it is not stored".into());
                }
            }
            Outcome::Ok(())
        });
        futures_util::stream::iter(keys).buffer_unordered(WINDOW).try_collect().await
    }

    async fn remove(self) -> Outcome<()> {
        self.channel.queue_delete(self.name.clone(), QueueDeleteOptions::default()).await?;
        self.channel.exchange_delete(self.name, ExchangeDeleteOptions::default()).await?;
        Ok(self.connection.close(200, "done".into()).await?)
    }
}

impl ByHand<'_> {
    /// CloudEvents, stored and confirmed.
    pub(crate) async fn publishes(&self, messages: usize) -> Outcome<f64> {
        let queue = Queue::make(self.url).await?;
        let all = by_key(messages);
        let started = Instant::now();
        queue.fill(all).await?;
        let rate = messages as f64 / started.elapsed().as_secs_f64();
        queue.remove().await?;
        Ok(rate)
    }

    /// A consumer that acknowledges each message from a task, as who handles it does.
    pub(crate) async fn consumes(&self, messages: usize) -> Outcome<f64> {
        let queue = Queue::make(self.url).await?;
        queue.fill(by_key(messages)).await?;
        let channel = queue.connection.create_channel().await?;
        channel.basic_qos(WINDOW as u16, BasicQosOptions::default()).await?;
        let started = Instant::now();
        let options = BasicConsumeOptions { nowait: true, ..BasicConsumeOptions::default() };
        let name = queue.name.clone();
        let mut taken =
            channel.basic_consume(name, "mailer".into(), options, FieldTable::default()).await?;
        let mut settling = JoinSet::new();
        for _ in 0..messages {
            let message = taken.next().await.ok_or("the messages have ended")??;
            if settling.len() == WINDOW {
                settled(settling.join_next().await)?;
            }
            settling.spawn(async move {
                let acked = message.ack(BasicAckOptions::default()).await;
                acked.map(|_| ()).map_err(|error| error.to_string())
            });
        }
        while let Some(ended) = settling.join_next().await {
            settled(Some(ended))?;
        }
        let rate = messages as f64 / started.elapsed().as_secs_f64();
        queue.remove().await?;
        Ok(rate)
    }

    /// Another connection decodes the query, and answers from a task: straight to whoever asked.
    pub(crate) async fn asks(&self, requests: usize) -> Outcome<f64> {
        let (asking, answering) = (connection(self.url).await?, connection(self.url).await?);
        let (asks, answers) = (asking.create_channel().await?, answering.create_channel().await?);
        let (queue, nothing) = (ShortString::from(fresh()), FieldTable::default());
        let own = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
        answers.queue_declare(queue.clone(), own, nothing.clone()).await?;
        let at_most_once =
            BasicConsumeOptions { no_ack: true, nowait: true, ..BasicConsumeOptions::default() };
        let tag = ShortString::from("echo");
        let mut asked =
            answers.basic_consume(queue.clone(), tag, at_most_once, nothing.clone()).await?;
        let answering_task = tokio::spawn(async move {
            while let Some(Ok(message)) = asked.next().await {
                let answers = answers.clone();
                tokio::spawn(async move {
                    let Ok(Echo { text }) = serde_json::from_slice(&message.data) else { return };
                    let Some(reply) = message.properties.reply_to().clone() else { return };
                    let number = message.properties.correlation_id().clone().unwrap_or_default();
                    let properties = BasicProperties::default().with_correlation_id(number);
                    let Ok(body) = serde_json::to_vec(&text) else { return };
                    let options = BasicPublishOptions::default();
                    let sent = answers.basic_publish("".into(), reply, options, &body, properties);
                    let _ = sent.await;
                });
            }
        });
        let replies = ShortString::from("amq.rabbitmq.reply-to");
        let tag = ShortString::from("replies");
        let mut answered = asks.basic_consume(replies.clone(), tag, at_most_once, nothing).await?;
        let waiting = Arc::new(Mutex::new(HashMap::<String, oneshot::Sender<Vec<u8>>>::new()));
        let waits = waiting.clone();
        let hearing = tokio::spawn(async move {
            while let Some(Ok(message)) = answered.next().await {
                let number = message.properties.correlation_id().clone().unwrap_or_default();
                let asker = waits.lock().ok().and_then(|mut waits| waits.remove(number.as_str()));
                asker.map(|asker| asker.send(message.data));
            }
        });
        let last = std::sync::atomic::AtomicU64::new(0);
        let median = timed(requests, async |query| {
            let body = serde_json::to_vec(&query)?;
            let number = last.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
            let (sender, answer) = oneshot::channel();
            waiting.lock().map_err(|_| "locked")?.insert(number.clone(), sender);
            let properties = BasicProperties::default()
                .with_reply_to(replies.clone())
                .with_correlation_id(number.into());
            let options = BasicPublishOptions::default();
            asks.basic_publish("".into(), queue.clone(), options, &body, properties).await?;
            Ok(serde_json::from_slice(&answer.await?)?)
        })
        .await?;
        answering_task.abort();
        hearing.abort();
        Ok(median)
    }
}
