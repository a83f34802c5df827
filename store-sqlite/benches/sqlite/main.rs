//! Measures the store against programs written by hand over the same tables, in turns, and prints
//! the ratios of the medians.
//!
//! `SCALE` (default 1) sizes it; an argument (`commits`, `commands`, `log`, `load`, `projection`,
//! `latency`, `backlog`) runs a part of it.

mod backlog;
mod commands;
mod commits;
mod domain;
mod floor;
mod latency;
mod projection;
mod reading;

use std::error::Error;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Each is measured so often, ours and the floor in turns.
const ROUNDS: usize = 7;

fn main() -> Outcome<()> {
    let scale = match std::env::var("SCALE") {
        Ok(scale) => scale.parse::<f64>()?,
        Err(_) => 1.0,
    };
    let sized = |n: f64| (n * scale).max(64.0) as usize;
    let parts: Vec<_> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(path) = backlog::asked() {
        let handler = parts.first().map_or("", String::as_str);
        return runtime.block_on(backlog::catch_up(&path, handler));
    }
    if wanted("commits") {
        runtime.block_on(commits::measure(sized(40_000.0)))?;
    }
    if wanted("commands") {
        runtime.block_on(commands::measure())?;
    }
    if wanted("log") || wanted("load") {
        let events = sized(1_000_000.0);
        runtime.block_on(reading::measure(events, wanted("log"), wanted("load")))?;
    }
    if wanted("projection") {
        runtime.block_on(projection::measure(sized(1_000_000.0)))?;
    }
    if wanted("latency") {
        runtime.block_on(latency::measure(sized(500.0)))?;
    }
    if wanted("backlog") {
        runtime.block_on(backlog::measure(sized(1_000_000.0), sized(50_000.0)))?;
    }
    Ok(())
}

/// Rates of one thing measured, by hand and by the store.
#[derive(Default)]
struct Rates {
    floor: Vec<f64>,
    ours: Vec<f64>,
}

impl Rates {
    /// Prints the medians, and ours as a part of the floor, with the range over the rounds.
    fn report(self, what: &str, bar: Option<f64>) {
        self.print(what, "by hand", bar);
    }

    /// The same against something else of ours.
    fn compare(self, what: &str, against: &str) {
        self.print(what, against, None);
    }

    fn print(mut self, what: &str, against: &str, bar: Option<f64>) {
        let ratios = self.ours.iter().zip(&self.floor).map(|(ours, floor)| ours / floor);
        let (low, high) =
            ratios.fold((f64::MAX, 0.0), |(low, high), r| (f64::min(low, r), f64::max(high, r)));
        let median = |rates: &mut [f64]| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        };
        let (floor, ours) = (median(&mut self.floor), median(&mut self.ours));
        let ratio = ours / floor;
        let bar = bar.map_or(String::new(), |bar| {
            format!("  bar {bar:.2}: {}", if ratio >= bar { "met" } else { "MISSED" })
        });
        println!(
            "{what:<46} {against} {floor:>9.0}/s  ours {ours:>9.0}/s  ratio {ratio:.2} \
             ({low:.2} to {high:.2}){bar}"
        );
    }
}
