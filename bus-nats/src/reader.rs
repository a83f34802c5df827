//! Reading a part of the messages from a sequence on: in order, each once, no faster than they are taken.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, ReplayPolicy};
use cqrs_core::{OutboundKind, Result};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::unavailable;
use crate::letters::Raw;
use crate::link::Link;
use crate::subjects::Part;

/// Messages of one request at most.
const BATCH: usize = 256;

/// Bytes of one request at most. One message may have as much.
const BYTES: usize = 2 << 20;

/// How long room for many messages is waited for.
const GATHERED: Duration = Duration::from_millis(10);

/// How long a request waits for messages.
const WAIT: Duration = Duration::from_secs(20);

/// How long the broker keeps a consumer that asks for nothing.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What is read, and how much of it may be on its way.
pub(crate) struct Reader {
    pub(crate) link: Arc<Link>,
    pub(crate) kind: OutboundKind,
    pub(crate) part: Part,
    /// The last sequence that was read.
    pub(crate) after: u64,
    /// Messages that may still be read.
    pub(crate) room: Arc<Semaphore>,
}

impl Reader {
    /// Reads for ever, and passes on what is read.
    pub(crate) async fn run(mut self, pass_on: impl Fn(Vec<Raw>)) {
        loop {
            if let Err(error) = self.read(&pass_on).await {
                tracing::debug!(%error, part = ?self.part, "reading again");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reads with one consumer of the broker, for as long as it lives and nothing was lost on the way.
    async fn read(&mut self, pass_on: &impl Fn(Vec<Raw>)) -> Result<()> {
        let link = self.link.clone();
        link.connected().await;
        let connection = *link.connections.borrow();
        let consumer = self.consumer().await?;
        let mut expected = 1;
        loop {
            let Some(mut permits) = self.permits().await else { return Ok(()) };
            let batch = consumer
                .batch()
                .max_messages(permits.num_permits())
                .max_bytes(BYTES)
                .expires(WAIT)
                .messages()
                .await;
            let batch = batch.map_err(|error| unavailable("reading messages", error))?;
            let mut connections = link.connections.clone();
            let mut batch = batch.ready_chunks(64);
            loop {
                let next = tokio::select! {
                    next = batch.next() => next,
                    // What was on its way in the connection before may be lost, and is read again.
                    _ = connections.wait_for(|now| *now != connection) => return Ok(()),
                };
                let Some(some) = next else { break };
                let mut raws = Vec::with_capacity(some.len());
                let mut is_whole = true;
                for message in some {
                    let message =
                        message.map_err(|error| unavailable("reading messages", error))?;
                    let info = message.info().map_err(|error| unavailable("reading", error))?;
                    if info.consumer_sequence != expected {
                        is_whole = false;
                        break;
                    }
                    expected += 1;
                    self.after = info.stream_sequence;
                    let (sequence, stored_at) =
                        (info.stream_sequence, SystemTime::from(info.published).into());
                    let async_nats::Message { subject, payload, headers, .. } = message.message;
                    raws.push(Raw {
                        sequence,
                        subject,
                        headers: headers.unwrap_or_default(),
                        body: payload,
                        stored_at,
                        read: OnceLock::new(),
                    });
                }
                // Whoever takes them gives the room back when they are done.
                if let Some(used) = permits.split(raws.len().min(permits.num_permits())) {
                    used.forget();
                }
                let more: usize = raws.iter().map(|raw| raw.weight() - 1).sum();
                pass_on(raws);
                // Something before the next one was lost: it is read again.
                if !is_whole {
                    return Ok(());
                }
                if let Ok(more) = self.room.acquire_many(more as u32).await {
                    more.forget();
                }
            }
        }
    }

    /// Room for the messages of one request. While much waits already, it is asked for many at once, or each message
    /// that is finished would be a request.
    async fn permits(&self) -> Option<OwnedSemaphorePermit> {
        let many = self.room.clone().acquire_many_owned(BATCH as u32 / 2);
        let mut permits = match tokio::time::timeout(GATHERED, many).await {
            Ok(many) => many.ok()?,
            // What waits may wait for long, and what does not is not to wait for it.
            Err(_) => self.room.clone().acquire_owned().await.ok()?,
        };
        let more = self.room.available_permits().min(BATCH - permits.num_permits());
        if let Ok(more) = self.room.clone().try_acquire_many_owned(more as u32) {
            permits.merge(more);
        }
        Some(permits)
    }

    async fn consumer(&self) -> Result<Consumer<Config>> {
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.after + 1 },
            ack_policy: AckPolicy::None,
            replay_policy: ReplayPolicy::Instant,
            filter_subject: self.link.subjects.part(self.kind, self.part),
            inactive_threshold: FORGOTTEN,
            memory_storage: true,
            num_replicas: 1,
            ..Config::default()
        };
        let stream = self.link.subjects.messages();
        let consumer = self.link.jetstream.create_consumer_on_stream(config, stream).await;
        consumer.map_err(|error| unavailable("reading messages", error))
    }
}
