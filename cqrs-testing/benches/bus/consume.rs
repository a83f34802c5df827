//! Consuming: messages are taken and acknowledged, so many in hand at once.

use std::time::Instant;

use cqrs_core::{Bus, BusSubscription, Deliveries, Delivery};
use futures_util::StreamExt;
use tokio::task::{JoinError, JoinSet};

use super::{Measured, Ours, Outcome, ROUNDS, WINDOW, fresh, message};

pub(crate) async fn measure(
    ours: &impl Ours,
    messages: usize,
    by_hand: impl AsyncFn(usize) -> Outcome<f64>,
) -> Outcome<()> {
    let mut measured = Measured::default();
    for _ in 0..ROUNDS {
        measured.floor.push(by_hand(messages).await?);
        measured.ours.push(by_bus(ours, messages).await?);
    }
    measured.report("consume and acknowledge", 0.85);
    Ok(())
}

/// Becomes a member of the one group.
pub(crate) async fn join(bus: &dyn Bus) -> Outcome<Deliveries> {
    let mailer = BusSubscription::to_messages("mailer", ["bank.*"]);
    Ok(bus.subscribe(BusSubscription { at_once: WINDOW as u32, ..mailer }).await?)
}

type Ended = Option<Result<Result<(), String>, JoinError>>;

/// What a task that settles a message says at its end.
pub(crate) fn settled(ended: Ended) -> Outcome<()> {
    Ok(ended.ok_or("nothing is settled")???)
}

async fn by_bus(ours: &impl Ours, messages: usize) -> Outcome<f64> {
    let prefix = fresh();
    let bus = ours.connect(&prefix).await?;
    drop(join(&*bus).await?);
    bus.publish((0..messages).map(message).collect()).await?;
    let started = Instant::now();
    let mut deliveries = join(&*bus).await?;
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
    ours.remove(&prefix).await?;
    Ok(rate)
}
