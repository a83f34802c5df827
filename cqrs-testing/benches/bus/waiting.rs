//! A slow consumer: how the memory of its process grows while a great many messages wait.

use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;

use super::{Ours, Outcome, consume, fresh, message};

/// Resident memory may grow by so many bytes.
const BAR: u64 = 64 << 20;

/// Messages that are taken, one after the other.
const TAKEN: usize = 500;

/// How long each takes.
const SLOWLY: Duration = Duration::from_millis(20);

/// Names the prefix to the process that consumes.
const PREFIX: &str = "BUS_BENCH_PREFIX";

/// Publishes, and has another process consume.
pub(crate) async fn measure(ours: &impl Ours, messages: usize) -> Outcome<()> {
    if let Ok(prefix) = std::env::var(PREFIX) {
        return take(ours, &prefix, messages).await;
    }
    let prefix = fresh();
    let bus = ours.connect(&prefix).await?;
    drop(consume::join(&*bus).await?);
    let mut first = 0;
    while first < messages {
        let page: Vec<_> = (first..messages.min(first + 20_000)).map(message).collect();
        first += page.len();
        bus.publish(page).await?;
    }
    let mut consumer = Command::new(std::env::current_exe()?);
    let ended = consumer.arg("waiting").env(PREFIX, &prefix).status()?;
    ours.remove(&prefix).await?;
    if ended.success() { Ok(()) } else { Err("the process that consumes has failed".into()) }
}

async fn take(ours: &impl Ours, prefix: &str, messages: usize) -> Outcome<()> {
    let bus = ours.connect(prefix).await?;
    let before = resident()?;
    let mut most = before;
    let mut deliveries = consume::join(&*bus).await?;
    for _ in 0..TAKEN {
        let delivery = deliveries.next().await.ok_or("the deliveries have ended")??;
        tokio::time::sleep(SLOWLY).await;
        delivery.ack().await?;
        most = most.max(resident()?);
    }
    let grown = most - before;
    let met = if grown < BAR { "met" } else { "MISSED" };
    println!(
        "a slow consumer, {messages} messages wait: resident memory grows by {:.1} MiB from {:.1}  bar {}: {met}",
        grown as f64 / f64::from(1 << 20),
        before as f64 / f64::from(1 << 20),
        BAR >> 20,
    );
    Ok(())
}

/// Resident memory of this process, in bytes: Linux says.
fn resident() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("Linux does not say how much memory is resident")?.trim().parse::<u64>()?
        << 10)
}
