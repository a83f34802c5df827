//! Consuming: messages are taken and acknowledged, so many in hand at once.

use std::time::Instant;

use bus_nats::async_nats::jetstream::consumer::{AckPolicy, pull};
use cqrs_core::{BusStart, BusSubscription, Delivery, Publisher, Subscriber};
use futures_util::StreamExt;
use tokio::task::JoinSet;

use crate::publish::{publish_all, remove, stream};
use crate::{Measured, Outcome, ROUNDS, WINDOW, bus, fresh, message};

pub(crate) async fn measure(url: &str, messages: usize) -> Outcome<()> {
    let mut measured = Measured::default();
    for _ in 0..ROUNDS {
        measured.floor.push(by_hand(url, messages).await?);
        measured.ours.push(ours(url, messages).await?);
    }
    measured.report("consume and acknowledge", 0.85);
    Ok(())
}

/// A durable consumer that is pulled in batches. The server confirms each acknowledgement, so that who has
/// acknowledged knows that the message never comes again.
async fn by_hand(url: &str, messages: usize) -> Outcome<f64> {
    let (jetstream, name) = stream(url).await?;
    publish_all(&jetstream, &name, messages).await?;
    let config = pull::Config {
        durable_name: Some("mailer".to_owned()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: WINDOW as i64,
        ..pull::Config::default()
    };
    let stream = jetstream.get_stream(&name).await?;
    let consumer = stream.create_consumer(config).await?;
    let started = Instant::now();
    let mut taken = consumer.stream().max_messages_per_batch(WINDOW).messages().await?;
    let mut settling = JoinSet::new();
    for _ in 0..messages {
        let message = taken.next().await.ok_or("the messages have ended")??;
        if settling.len() == WINDOW {
            settled(settling.join_next().await)?;
        }
        settling.spawn(async move { message.double_ack().await.map_err(|e| e.to_string()) });
    }
    while let Some(ended) = settling.join_next().await {
        settled(Some(ended))?;
    }
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    jetstream.delete_stream(name).await?;
    Ok(rate)
}

type Ended = Option<Result<Result<(), String>, tokio::task::JoinError>>;

fn settled(ended: Ended) -> Outcome<()> {
    Ok(ended.ok_or("nothing is settled")???)
}

async fn ours(url: &str, messages: usize) -> Outcome<f64> {
    let prefix = fresh();
    let bus = bus(url, &prefix).await?;
    bus.publish((0..messages).map(message).collect()).await?;
    let mut mailer = BusSubscription::to_messages("mailer", ["bank.*"]);
    (mailer.start, mailer.at_once) = (BusStart::Kept, WINDOW as u32);
    let started = Instant::now();
    let mut deliveries = bus.subscribe(mailer).await?;
    let mut settling = JoinSet::new();
    for _ in 0..messages {
        let delivery: Delivery = deliveries.next().await.ok_or("the deliveries have ended")??;
        if settling.len() == WINDOW {
            settled(settling.join_next().await)?;
        }
        settling.spawn(async move { delivery.ack().await.map_err(|error| error.to_string()) });
    }
    while let Some(ended) = settling.join_next().await {
        settled(Some(ended))?;
    }
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    remove(&bus, &prefix).await?;
    Ok(rate)
}
