//! Measures the bus against programs written by hand with async-nats, in turns on one server, and prints the
//! ratios of the medians. `NATS_URL` names the server.
//!
//! `SCALE` (default 1) sizes it; an argument (`publish`, `consume`, `request`, `waiting`) runs a part of it.

mod consume;
mod publish;
mod request;
mod waiting;

use std::error::Error;

use async_nats::{Client, ConnectOptions, ServerAddr};
use bus_nats::{NatsBus, async_nats};
use bytes::Bytes;
use cqrs_core::{MessageId, OutboundKind, OutboundMessage};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Each is measured so often, ours and the floor in turns.
const ROUNDS: usize = 5;

/// Bytes of a body.
const BODY: usize = 256;

/// Keys that messages are spread over.
const KEYS: usize = 1_000;

/// Keys of which messages are on their way at once, and messages in hand: of the bus and of the floor.
const WINDOW: usize = 256;

fn main() -> Outcome<()> {
    let scale = match std::env::var("SCALE") {
        Ok(scale) => scale.parse::<f64>()?,
        Err(_) => 1.0,
    };
    let sized = |n: f64| (n * scale).max(64.0) as usize;
    let parts: Vec<_> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let url = std::env::var("NATS_URL").map_err(|_| "NATS_URL names the server to measure")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if wanted("publish") {
            publish::measure(&url, sized(50_000.0)).await?;
        }
        if wanted("consume") {
            consume::measure(&url, sized(50_000.0)).await?;
        }
        if wanted("request") {
            request::measure(&url, sized(5_000.0)).await?;
        }
        if wanted("waiting") {
            waiting::measure(&url, sized(1_000_000.0)).await?;
        }
        Ok(())
    })
}

/// A bus with a prefix of its own.
async fn bus(url: &str, prefix: &str) -> Outcome<NatsBus> {
    let bus = NatsBus::builder(url).prefix(prefix).window(WINDOW).name("bench");
    Ok(bus.connect().await?)
}

/// A client of the floor.
async fn client(url: &str) -> Outcome<Client> {
    let address: ServerAddr = url.parse()?;
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => {
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        _ => ConnectOptions::new(),
    };
    Ok(options.connect(address).await?)
}

fn fresh() -> String {
    MessageId::fresh().to_string()
}

fn body() -> Bytes {
    Bytes::from(vec![b'x'; BODY])
}

/// A message of one of the keys.
fn message(n: usize) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Message, "bank.opened", body())
        .with_key((n % KEYS).to_string())
}

/// Of one thing measured, by hand and by the bus: rates, where more is better, or times, where less is.
#[derive(Default)]
struct Measured {
    floor: Vec<f64>,
    ours: Vec<f64>,
}

impl Measured {
    /// Prints the medians of rates, and ours as a part of the floor.
    fn report(self, what: &str, bar: f64) {
        let (floor, ours, ratio) = self.medians();
        let met = if ratio >= bar { "met" } else { "MISSED" };
        println!(
            "{what:<40} by hand {floor:>9.0}/s  ours {ours:>9.0}/s  ratio {ratio:.2}  bar {bar:.2}: {met}"
        );
    }

    /// Prints the medians of times in microseconds, and ours as a multiple of the floor.
    fn report_times(self, what: &str, bar: f64) {
        let (floor, ours, ratio) = self.medians();
        let met = if ratio <= bar { "met" } else { "MISSED" };
        println!(
            "{what:<40} by hand {floor:>8.0} µs  ours {ours:>8.0} µs  ratio {ratio:.2}  bar {bar:.2}: {met}"
        );
    }

    fn medians(mut self) -> (f64, f64, f64) {
        let (floor, ours) = (median(&mut self.floor), median(&mut self.ours));
        (floor, ours, ours / floor)
    }
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
