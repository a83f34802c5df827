//! The same by hand, with async-nats.

use std::time::Instant;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, ConnectOptions, HeaderMap, ServerAddr};
use bus_nats::async_nats;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;

use crate::bench::consume::settled;
use crate::bench::request::{Echo, timed};
use crate::bench::{Outcome, WINDOW, by_key, fresh};

pub(crate) async fn client(url: &str) -> Outcome<Client> {
    let address: ServerAddr = url.parse()?;
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => {
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        _ => ConnectOptions::new(),
    };
    Ok(options.connect(address).await?)
}

/// The headers of a CloudEvent, and the id by which the server knows it.
fn headers(key: &str) -> HeaderMap {
    let id = fresh();
    let mut headers = HeaderMap::new();
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-id", id.as_str());
    headers.insert("ce-source", "bench");
    headers.insert("ce-type", "bank.opened");
    headers.insert("ce-kind", "message");
    headers.insert("ce-datacontenttype", "application/json");
    headers.insert("ce-subject", key);
    headers.insert("ce-partitionkey", key);
    headers.insert("Nats-Msg-Id", id.as_str());
    headers
}

pub(crate) struct ByHand<'a> {
    pub(crate) url: &'a str,
}

impl ByHand<'_> {
    /// A stream like that of the bus.
    async fn stream(&self) -> Outcome<(jetstream::Context, String)> {
        let jetstream = jetstream::new(client(self.url).await?);
        let name = fresh();
        let subjects = vec![format!("{name}.>")];
        let config = stream::Config { name: name.clone(), subjects, ..stream::Config::default() };
        jetstream.create_stream(config).await?;
        Ok((jetstream, name))
    }

    /// CloudEvents with their ids. Each key has a future that publishes its messages one after the other.
    pub(crate) async fn publishes(&self, messages: usize) -> Outcome<f64> {
        let (jetstream, name) = self.stream().await?;
        let all = by_key(messages);
        let started = Instant::now();
        publish_all(&jetstream, &name, all).await?;
        let rate = messages as f64 / started.elapsed().as_secs_f64();
        jetstream.delete_stream(name).await?;
        Ok(rate)
    }

    /// A durable consumer that is pulled in batches. The server confirms each acknowledgement, so that who has
    /// acknowledged knows that the message never comes again.
    pub(crate) async fn consumes(&self, messages: usize) -> Outcome<f64> {
        let (jetstream, name) = self.stream().await?;
        publish_all(&jetstream, &name, by_key(messages)).await?;
        let config = pull::Config {
            durable_name: Some("mailer".to_owned()),
            ack_policy: AckPolicy::Explicit,
            max_ack_pending: WINDOW as i64,
            ..pull::Config::default()
        };
        let stream = jetstream.get_stream(&name).await?;
        let consumer = stream.create_consumer(config).await?;
        let started = Instant::now();
        let mut taken = consumer.stream().max_messages_per_batch(WINDOW).messages().await?;
        let mut settling = JoinSet::new();
        for _ in 0..messages {
            let message = taken.next().await.ok_or("the messages have ended")??;
            if settling.len() == WINDOW {
                settled(settling.join_next().await)?;
            }
            settling.spawn(async move { message.double_ack().await.map_err(|e| e.to_string()) });
        }
        while let Some(ended) = settling.join_next().await {
            settled(Some(ended))?;
        }
        let rate = messages as f64 / started.elapsed().as_secs_f64();
        jetstream.delete_stream(name).await?;
        Ok(rate)
    }

    /// Another connection decodes the query, and answers from a task.
    pub(crate) async fn asks(&self, requests: usize) -> Outcome<f64> {
        let (asks, answers) = (client(self.url).await?, client(self.url).await?);
        let subject = fresh();
        let mut asked = answers.queue_subscribe(subject.clone(), "responders".to_owned()).await?;
        // The server takes in in order what it is sent: it knows the subscription when this has come back.
        let back = fresh();
        let mut comes_back = answers.subscribe(back.clone()).await?;
        answers.publish(back, "".into()).await?;
        comes_back.next().await;
        let answering = tokio::spawn(async move {
            while let Some(message) = asked.next().await {
                let answers = answers.clone();
                tokio::spawn(async move {
                    let Ok(Echo { text }) = serde_json::from_slice(&message.payload) else {
                        return;
                    };
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
}

async fn publish_all(
    jetstream: &jetstream::Context,
    stream: &str,
    messages: Vec<(String, Vec<Bytes>)>,
) -> Outcome<()> {
    let keys = messages.into_iter().enumerate().map(|(part, (key, bodies))| async move {
        for body in bodies {
            let subject = format!("{stream}.message.{}.bank.opened", part % 16);
            let sent = jetstream.publish_with_headers(subject, headers(&key), body).await?;
            sent.await?;
        }
        Outcome::Ok(())
    });
    futures_util::stream::iter(keys).buffer_unordered(WINDOW).try_collect().await
}
