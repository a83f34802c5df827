//! Asking: how long a query takes, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{App, Never, Query, Request, RequestKind, ServiceClient, Wire};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use crate::{BODY, Measured, Outcome, ROUNDS, bus, client, fresh, median};

/// Echoes a text.
#[derive(Clone, Serialize, Deserialize)]
struct Echo {
    text: String,
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

pub(crate) async fn measure(url: &str, requests: usize) -> Outcome<()> {
    let mut measured = Measured::default();
    for _ in 0..ROUNDS {
        measured.floor.push(by_hand(url, requests).await?);
        measured.ours.push(ours(url, requests).await?);
    }
    measured.report_times("request and answer, median", 1.3);
    Ok(())
}

/// The median of so many calls, in microseconds.
async fn timed(requests: usize, call: impl AsyncFn(Echo) -> Outcome<String>) -> Outcome<f64> {
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

/// Another connection decodes the query, and answers from a task.
async fn by_hand(url: &str, requests: usize) -> Outcome<f64> {
    let (asks, answers) = (client(url).await?, client(url).await?);
    let subject = fresh();
    let mut asked = answers.queue_subscribe(subject.clone(), "responders".to_owned()).await?;
    answers.flush().await?;
    let answering = tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            let answers = answers.clone();
            tokio::spawn(async move {
                let Ok(Echo { text }) = serde_json::from_slice(&message.payload) else { return };
                let (Some(reply), Ok(body)) = (message.reply, serde_json::to_vec(&text)) else {
                    return;
                };
                let _ = answers.publish(reply, body.into()).await;
            });
        }
    });
    let median = timed(requests, async |query| {
        let body = serde_json::to_vec(&query)?;
        let answer = asks.request(subject.clone(), body.into()).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    })
    .await?;
    answering.abort();
    Ok(median)
}

async fn ours(url: &str, requests: usize) -> Outcome<f64> {
    let prefix = fresh();
    let (asks, answers) = (bus(url, &prefix).await?, bus(url, &prefix).await?);
    let serving = App::builder().handler(echo).build()?.serve(Arc::new(answers)).await?;
    let client = ServiceClient::new(Arc::new(asks));
    let median = timed(requests, async |query| Ok(client.ask(query).await?)).await?;
    serving.stop(Duration::from_secs(5)).await;
    Ok(median)
}
