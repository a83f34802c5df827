//! What the benchmarks of all buses have in common: how much of what is measured, how the bus does it, and how it is
//! told. What is by hand is in the benchmark of each.

pub(crate) mod consume;
pub(crate) mod publish;
pub(crate) mod request;
pub(crate) mod waiting;

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use cqrs_core::{Bus, MessageId, OutboundKind, OutboundMessage};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Each is measured so often, ours and the floor in turns.
pub(crate) const ROUNDS: usize = 5;

/// Bytes of a body.
pub(crate) const BODY: usize = 256;

/// Keys that messages are spread over.
pub(crate) const KEYS: usize = 1_000;

/// Keys of which messages are on their way at once, and messages in hand: of the bus and of the floor.
pub(crate) const WINDOW: usize = 256;

/// A part of a benchmark: its name, and how many messages it takes at a scale of 1.
pub(crate) const PARTS: [(&str, f64); 4] =
    [("publish", 50_000.0), ("consume", 50_000.0), ("request", 5_000.0), ("waiting", 1_000_000.0)];

/// Which parts the arguments ask for, each with its number of messages; `SCALE` sizes them.
pub(crate) fn parts() -> Outcome<Vec<(&'static str, usize)>> {
    let scale = match std::env::var("SCALE") {
        Ok(scale) => scale.parse::<f64>()?,
        Err(_) => 1.0,
    };
    let asked: Vec<_> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| asked.is_empty() || asked.iter().any(|asked| asked == part);
    let parts = PARTS.into_iter().filter(|(part, _)| wanted(part));
    Ok(parts.map(|(part, n)| (part, (n * scale).max(64.0) as usize)).collect())
}

/// How the bus that is measured is connected, and what it leaves is removed.
pub(crate) trait Ours: Sync {
    /// A connection to the bus of a prefix, with the [`WINDOW`].
    async fn connect(&self, prefix: &str) -> Outcome<Arc<dyn Bus>>;

    /// Removes what a prefix has on the server.
    async fn remove(&self, prefix: &str) -> Outcome<()>;
}

pub(crate) fn fresh() -> String {
    MessageId::fresh().to_string()
}

pub(crate) fn body() -> Bytes {
    Bytes::from(vec![b'x'; BODY])
}

/// A message of one of the keys.
pub(crate) fn message(n: usize) -> OutboundMessage {
    OutboundMessage::new(OutboundKind::Message, "bank.opened", body())
        .with_key((n % KEYS).to_string())
}

/// The same messages for who publishes by hand, made before they are, as those for the bus are: each key with its
/// bodies.
pub(crate) fn by_key(messages: usize) -> Vec<(String, Vec<Bytes>)> {
    let bodies = |key| (key..messages).step_by(KEYS).map(|_| body()).collect();
    (0..KEYS.min(messages)).map(|key| (key.to_string(), bodies(key))).collect()
}

/// Of one thing measured, by hand and by the bus: rates, where more is better, or times, where less is.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) floor: Vec<f64>,
    pub(crate) ours: Vec<f64>,
}

impl Measured {
    /// Prints the medians of rates, and ours as a part of the floor.
    pub(crate) fn report(self, what: &str, bar: f64) {
        let (floor, ours, ratio) = self.medians();
        let met = if ratio >= bar { "met" } else { "MISSED" };
        println!(
            "{what:<40} by hand {floor:>9.0}/s  ours {ours:>9.0}/s  ratio {ratio:.2}  bar {bar:.2}: {met}"
        );
    }

    /// Prints the medians of times in microseconds, and ours as a multiple of the floor.
    pub(crate) fn report_times(self, what: &str, bar: f64) {
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

pub(crate) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
