//! Measures the store against programs written by hand with the driver, in turns on one server, and prints the
//! ratios of the medians. `MONGODB_URI` names the server.
//!
//! `SCALE` (default 1) sizes it; an argument (`commands`, `replay`) runs a part of it.

mod by_hand;
mod commands;
mod domain;
mod replay;

use std::error::Error;

use store_mongo::mongodb::Client;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Each is measured so often, ours and the floor in turns.
const ROUNDS: usize = 5;

fn main() -> Outcome<()> {
    let url =
        std::env::var("MONGODB_URI").map_err(|_| "MONGODB_URI names the server to measure")?;
    let scale = match std::env::var("SCALE") {
        Ok(scale) => scale.parse::<f64>()?,
        Err(_) => 1.0,
    };
    let parts: Vec<_> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    if let Some(part) = parts.iter().find(|part| !["commands", "replay"].contains(&part.as_str())) {
        return Err(format!("no part is called {part}: `commands` and `replay` are").into());
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if wanted("commands") {
            for (clients, bar) in [(1, None), (8, None), (32, Some(0.7))] {
                commands::measure(&url, clients, 3.0 * scale, bar).await?;
            }
        }
        if wanted("replay") {
            replay::measure(&url, (1_000_000.0 * scale) as u64).await?;
        }
        Ok(())
    })
}

/// A database that nobody has written to.
async fn emptied(url: &str, name: &str) -> Outcome<()> {
    Ok(Client::with_uri_str(url).await?.database(name).drop().await?)
}

/// Rates of one thing measured, by hand and by the store.
#[derive(Default)]
struct Rates {
    floor: Vec<f64>,
    ours: Vec<f64>,
}

impl Rates {
    /// Prints the medians, and ours as a part of the floor, with the range over the rounds.
    fn report(mut self, what: &str, bar: Option<f64>) {
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
            "{what:<32} by hand {floor:>9.0}/s  ours {ours:>9.0}/s  ratio {ratio:.2} \
             ({low:.2} to {high:.2}){bar}"
        );
    }
}
