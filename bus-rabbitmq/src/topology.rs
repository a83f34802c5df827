//! Exchanges and queues: what they should be, making them, and telling where they are otherwise.

use std::fmt;
use std::time::Duration;

use cqrs_core::OutboundKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ExchangeKind};

use crate::error::refusal;
use crate::names::Names;

/// How often a message may come back to its queue: as good as for ever. Servers from 4.0 on lose it after 20 times
/// otherwise.
const RETURNS: i32 = 1_000_000_000;

/// The exchanges and queues that a bus uses, and where those of the server are otherwise. See
/// [`RabbitBus::plan`](crate::RabbitBus::plan).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Each exchange and queue.
    pub parts: Vec<Planned>,
}

/// An exchange or queue of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// `exchange` or `queue`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// Whether it is there.
    pub exists: bool,
    /// Where the one that is there is not as it should be, in the server's words. It is left as it is: an
    /// administrator may have had a reason.
    pub drift: Option<String>,
}

impl fmt::Display for Plan {
    /// A line for each part, and one for each drift.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Planned { what, name, exists, drift } in &self.parts {
            let is = if *exists { "is there" } else { "to be made" };
            writeln!(f, "{what} {name}: {is}")?;
            drift.iter().try_for_each(|drift| writeln!(f, "  {drift}"))?;
        }
        Ok(())
    }
}

/// What is declared.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Exchange(ShortString, ExchangeKind),
    Queue(ShortString, FieldTable),
}

/// All that one connection needs.
fn wanted(names: &Names, dead_letters_kept: Duration) -> Vec<Part> {
    let topics = [
        names.exchange(OutboundKind::Command),
        names.exchange(OutboundKind::Message),
        names.probe(),
    ];
    let mut parts: Vec<Part> =
        topics.into_iter().map(|name| Part::Exchange(name, ExchangeKind::Topic)).collect();
    parts.push(Part::Exchange(names.post(), ExchangeKind::Direct));
    let mut dead = quorum();
    let kept = i64::try_from(dead_letters_kept.as_millis()).unwrap_or(i64::MAX);
    dead.insert("x-message-ttl".into(), AMQPValue::LongLongInt(kept));
    parts.push(Part::Queue(names.dead(), dead));
    parts
}

/// All that a group needs: its queue first.
pub(crate) fn of_group(
    names: &Names,
    kind: OutboundKind,
    group: &str,
    max_length: Option<u32>,
) -> [Part; 3] {
    let mut queue = quorum();
    queue.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    if let Some(most) = max_length {
        queue.insert("x-max-length".into(), AMQPValue::LongLongInt(most.into()));
        queue.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    }
    let mut record = quorum();
    record.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    [
        Part::Queue(names.queue(kind, group), queue),
        Part::Queue(names.names_of(group), record.clone()),
        Part::Queue(names.claims_of(group), record),
    ]
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(RETURNS));
    arguments
}

/// Makes what is not there.
pub(crate) async fn apply(
    connection: &Connection,
    names: &Names,
    dead_letters_kept: Duration,
) -> lapin::Result<()> {
    make(connection, &wanted(names, dead_letters_kept)).await
}

/// Makes what of these is not there. What is there otherwise is told of, and stays so.
pub(crate) async fn make(connection: &Connection, parts: &[Part]) -> lapin::Result<()> {
    let mut channel = connection.create_channel().await?;
    for part in parts {
        match declare(&channel, part, false).await {
            Ok(()) => {}
            Err(error) if refusal(&error) == Some(AMQPSoftError::PRECONDITIONFAILED) => {
                tracing::warn!(%error, "what is there is not as it was planned, and stays so");
                channel = connection.create_channel().await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn declare(channel: &lapin::Channel, part: &Part, passive: bool) -> lapin::Result<()> {
    match part.clone() {
        Part::Exchange(name, kind) => {
            let options = ExchangeDeclareOptions {
                durable: true,
                passive,
                ..ExchangeDeclareOptions::default()
            };
            channel.exchange_declare(name, kind, options, FieldTable::default()).await
        }
        Part::Queue(name, arguments) => {
            let options =
                QueueDeclareOptions { durable: true, passive, ..QueueDeclareOptions::default() };
            channel.queue_declare(name, options, arguments).await.map(|_| ())
        }
    }
}

/// Whether a queue is there.
pub(crate) async fn exists(connection: &Connection, queue: ShortString) -> lapin::Result<bool> {
    is_there(connection, &Part::Queue(queue, FieldTable::default())).await
}

async fn is_there(connection: &Connection, part: &Part) -> lapin::Result<bool> {
    let channel = connection.create_channel().await?;
    match declare(&channel, part, true).await {
        Ok(()) => Ok(true),
        Err(error) if refusal(&error) == Some(AMQPSoftError::NOTFOUND) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What would be made, and what is otherwise.
pub(crate) async fn plan(
    connection: &Connection,
    names: &Names,
    dead_letters_kept: Duration,
) -> lapin::Result<Plan> {
    let mut parts = Vec::new();
    for part in wanted(names, dead_letters_kept) {
        let exists = is_there(connection, &part).await?;
        let mut drift = None;
        if exists {
            let channel = connection.create_channel().await?;
            match declare(&channel, &part, false).await {
                Ok(()) => {}
                Err(error) if refusal(&error) == Some(AMQPSoftError::PRECONDITIONFAILED) => {
                    drift = Some(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        let (what, name) = match part {
            Part::Exchange(name, _) => ("exchange", name),
            Part::Queue(name, _) => ("queue", name),
        };
        parts.push(Planned { what, name: name.into(), exists, drift });
    }
    Ok(Plan { parts })
}

/// Lets a group get messages of a name, or no more.
pub(crate) async fn bind(
    channel: &lapin::Channel,
    names: &Names,
    kind: OutboundKind,
    group: &str,
    name: &str,
    takes: bool,
) -> lapin::Result<()> {
    let queue = names.queue(kind, group);
    let ways = [
        (names.probe(), Names::probe_key(kind, name)),
        (names.exchange(kind), crate::names::short(name.to_owned())),
    ];
    for (exchange, key) in ways {
        let (queue, arguments) = (queue.clone(), FieldTable::default());
        if takes {
            channel
                .queue_bind(queue, exchange, key, QueueBindOptions::default(), arguments)
                .await?;
        } else {
            channel.queue_unbind(queue, exchange, key, arguments).await?;
        }
    }
    Ok(())
}
