//! Publishing: CloudEvents with their ids, of each key one on its way, of many keys at once.

use std::time::Instant;

use bus_nats::async_nats::HeaderMap;
use bus_nats::async_nats::jetstream::{self, stream};
use cqrs_core::Publisher;
use futures_util::{StreamExt, TryStreamExt};

use crate::{KEYS, Measured, Outcome, ROUNDS, WINDOW, body, bus, client, fresh, message};

pub(crate) async fn measure(url: &str, messages: usize) -> Outcome<()> {
    let mut measured = Measured::default();
    for _ in 0..ROUNDS {
        measured.floor.push(by_hand(url, messages).await?);
        measured.ours.push(ours(url, messages).await?);
    }
    measured.report("publish", 0.85);
    Ok(())
}

/// The headers of a CloudEvent, and the id by which the server knows it.
pub(crate) fn headers(n: usize) -> HeaderMap {
    let (id, key) = (fresh(), (n % KEYS).to_string());
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", id.as_str());
    headers.insert("ce-source", "bench");
    headers.insert("ce-type", "bank.opened");
    headers.insert("ce-kind", "message");
    headers.insert("ce-datacontenttype", "application/json");
    headers.insert("ce-subject", key.as_str());
    headers.insert("ce-partitionkey", key.as_str());
    headers.insert("Nats-Msg-Id", id.as_str());
    headers
}

/// A stream like that of the bus.
pub(crate) async fn stream(url: &str) -> Outcome<(jetstream::Context, String)> {
    let jetstream = jetstream::new(client(url).await?);
    let name = fresh();
    let subjects = vec![format!("{name}.>")];
    let config = stream::Config { name: name.clone(), subjects, ..stream::Config::default() };
    jetstream.create_stream(config).await?;
    Ok((jetstream, name))
}

/// Each key has a future that publishes its messages one after the other.
pub(crate) async fn publish_all(
    jetstream: &jetstream::Context,
    stream: &str,
    messages: usize,
) -> Outcome<()> {
    let keys = (0..KEYS.min(messages)).map(|key| async move {
        for n in (key..messages).step_by(KEYS) {
            let subject = format!("{stream}.message.{}.bank.opened", key % 16);
            let sent = jetstream.publish_with_headers(subject, headers(n), body()).await?;
            sent.await?;
        }
        Outcome::Ok(())
    });
    futures_util::stream::iter(keys).buffer_unordered(WINDOW).try_collect().await
}

async fn by_hand(url: &str, messages: usize) -> Outcome<f64> {
    let (jetstream, name) = stream(url).await?;
    let started = Instant::now();
    publish_all(&jetstream, &name, messages).await?;
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    jetstream.delete_stream(name).await?;
    Ok(rate)
}

async fn ours(url: &str, messages: usize) -> Outcome<f64> {
    let prefix = fresh();
    let bus = bus(url, &prefix).await?;
    // Its streams are there.
    bus.publish(vec![message(0)]).await?;
    let all: Vec<_> = (0..messages).map(message).collect();
    let started = Instant::now();
    bus.publish(all).await?;
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    remove(&bus, &prefix).await?;
    Ok(rate)
}

/// Removes the streams of a bus.
pub(crate) async fn remove(bus: &bus_nats::NatsBus, prefix: &str) -> Outcome<()> {
    let jetstream = jetstream::new(bus.client().clone());
    for name in [prefix.to_owned(), format!("{prefix}-groups"), format!("{prefix}-dead")] {
        jetstream.delete_stream(name).await?;
    }
    Ok(())
}
