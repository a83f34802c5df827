//! Asking: how long a query takes, one after the other.

use std::time::{Duration, Instant};

use cqrs_core::{App, Never, Query, Request, RequestKind, ServiceClient, Wire};
use serde::{Deserialize, Serialize};

use super::{BODY, Measured, Ours, Outcome, ROUNDS, fresh, median};

/// Echoes a text.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Echo {
    pub(crate) text: String,
}

impl Request for Echo {
    const NAME: &'static str = "bench.echo";
    const KIND: RequestKind = RequestKind::Query;
    type Output = String;
    type Error = Never;
    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
}
impl Query for Echo {}

async fn echo(query: Echo) -> Result<String, Never> {
    Ok(query.text)
}

pub(crate) async fn measure(
    ours: &impl Ours,
    requests: usize,
    by_hand: impl AsyncFn(usize) -> Outcome<f64>,
) -> Outcome<()> {
    let mut measured = Measured::default();
    for _ in 0..ROUNDS {
        measured.floor.push(by_hand(requests).await?);
        measured.ours.push(by_bus(ours, requests).await?);
    }
    measured.report_times("request and answer, median", 1.3);
    Ok(())
}

/// The median of so many calls, in microseconds.
pub(crate) async fn timed(
    requests: usize,
    call: impl AsyncFn(Echo) -> Outcome<String>,
) -> Outcome<f64> {
    let text = "x".repeat(BODY);
    let mut times = Vec::with_capacity(requests);
    for n in 0..requests + requests / 10 {
        let query = Echo { text: text.clone() };
        let started = Instant::now();
        let answer = call(query).await?;
        // The first ones warm up.
        if n >= requests / 10 {
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        if answer.len() != BODY {
            return Err("that is no echo".into());
        }
    }
    Ok(median(&mut times))
}

async fn by_bus(ours: &impl Ours, requests: usize) -> Outcome<f64> {
    let prefix = fresh();
    let (asks, answers) = (ours.connect(&prefix).await?, ours.connect(&prefix).await?);
    let serving = App::builder().handler(echo).build()?.serve(answers).await?;
    let client = ServiceClient::new(asks);
    let median = timed(requests, async |query| Ok(client.ask(query).await?)).await?;
    serving.stop(Duration::from_secs(5)).await;
    ours.remove(&prefix).await?;
    Ok(median)
}
