//! A slow consumer: how the memory of its process grows while a great many messages wait.

use std::process::Command;
use std::time::Duration;

use cqrs_core::{BusStart, BusSubscription, Publisher, Subscriber};
use futures_util::StreamExt;

use crate::publish::remove;
use crate::{Outcome, WINDOW, bus, fresh, message};

/// Resident memory may grow by so many bytes.
const BAR: u64 = 64 << 20;

/// Messages that are taken, one after the other.
const TAKEN: usize = 500;

/// How long each takes.
const SLOWLY: Duration = Duration::from_millis(20);

/// Names the prefix to the process that consumes.
const PREFIX: &str = "NATS_BENCH_PREFIX";

/// Publishes, and has another process consume.
pub(crate) async fn measure(url: &str, messages: usize) -> Outcome<()> {
    if let Ok(prefix) = std::env::var(PREFIX) {
        return consume(url, &prefix, messages).await;
    }
    let prefix = fresh();
    let bus = bus(url, &prefix).await?;
    let mut first = 0;
    while first < messages {
        let page: Vec<_> = (first..messages.min(first + 20_000)).map(message).collect();
        first += page.len();
        bus.publish(page).await?;
    }
    let mut consumer = Command::new(std::env::current_exe()?);
    let ended = consumer.arg("waiting").env(PREFIX, &prefix).status()?;
    remove(&bus, &prefix).await?;
    if ended.success() { Ok(()) } else { Err("the process that consumes has failed".into()) }
}

async fn consume(url: &str, prefix: &str, messages: usize) -> Outcome<()> {
    let bus = bus(url, prefix).await?;
    let before = resident()?;
    let mut most = before;
    let mut mailer = BusSubscription::to_messages("mailer", ["bank.*"]);
    (mailer.start, mailer.at_once) = (BusStart::Kept, WINDOW as u32);
    let mut deliveries = bus.subscribe(mailer).await?;
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
