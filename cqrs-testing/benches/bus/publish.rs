//! Publishing: of each key one on its way, of many keys at once.

use std::time::Instant;

use super::{Measured, Ours, Outcome, ROUNDS, fresh, message};

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
    measured.report("publish", 0.85);
    Ok(())
}

async fn by_bus(ours: &impl Ours, messages: usize) -> Outcome<f64> {
    let prefix = fresh();
    let bus = ours.connect(&prefix).await?;
    drop(super::consume::join(&*bus).await?);
    // All that it needs is there.
    bus.publish(vec![message(0)]).await?;
    let all: Vec<_> = (0..messages).map(message).collect();
    let started = Instant::now();
    bus.publish(all).await?;
    let rate = messages as f64 / started.elapsed().as_secs_f64();
    ours.remove(&prefix).await?;
    Ok(rate)
}
