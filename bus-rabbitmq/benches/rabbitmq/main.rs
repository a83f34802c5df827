//! Measures the bus against programs written by hand with lapin, in turns on one server, and prints the ratios of the
//! medians. `AMQP_URL` names the server.
//!
//! `SCALE` (default 1) sizes it; an argument (`publish`, `consume`, `request`, `waiting`) runs a part of it.

#[path = "../../../cqrs-testing/benches/bus/mod.rs"]
mod bench;
mod by_hand;

use std::sync::Arc;
use std::time::Duration;

use bench::{Ours, Outcome, WINDOW, consume, parts, publish, request, waiting};
use bus_rabbitmq::RabbitBus;
use by_hand::ByHand;
use cqrs_core::Bus;

fn main() -> Outcome<()> {
    let parts = parts()?;
    let url = std::env::var("AMQP_URL").map_err(|_| "AMQP_URL names the server to measure")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (bus, hand) = (Rabbit { url: &url }, ByHand { url: &url });
        for (part, n) in parts {
            match part {
                "publish" => publish::measure(&bus, n, async |n| hand.publishes(n).await).await,
                "consume" => consume::measure(&bus, n, async |n| hand.consumes(n).await).await,
                "request" => request::measure(&bus, n, async |n| hand.asks(n).await).await,
                _ => waiting::measure(&bus, n).await,
            }?;
        }
        Ok(())
    })
}

struct Rabbit<'a> {
    url: &'a str,
}

impl Ours for Rabbit<'_> {
    async fn connect(&self, prefix: &str) -> Outcome<Arc<dyn Bus>> {
        let bus = RabbitBus::builder(self.url).prefix(prefix).window(WINDOW).name("bench");
        // This server is not killed.
        Ok(Arc::new(bus.settling(Duration::ZERO).connect().await?))
    }

    async fn remove(&self, prefix: &str) -> Outcome<()> {
        let queues = ["message.mailer", "names.mailer", "claims.mailer", "dead"];
        by_hand::remove(self.url, &queues.map(|queue| format!("{prefix}.{queue}"))).await
    }
}
