//! The NATS bus: JetStream, one message of a key at a time.
//!
//! ```no_run
//! use bus_nats::NatsBus;
//! use cqrs_core::{BusSubscription, Subscriber};
//! use futures_util::StreamExt;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = NatsBus::builder("nats://localhost:4222").name("mailer").connect().await?;
//! let mut deliveries = bus.subscribe(BusSubscription::to_messages("mailer", ["bank.*"])).await?;
//! while let Some(delivery) = deliveries.next().await {
//!     let delivery = delivery?;
//!     println!("{}", delivery.message().name);
//!     delivery.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An app takes it as any bus: `AppBuilder::shared_bus`.
//!
//! # How it works
//!
//! Messages are in one stream, named as the [prefix](NatsBuilder::prefix), under
//! `<prefix>.<kind>.<part>.<name>`: `shop.message.3.bank.opened`. A key is always in the same of 4 parts;
//! who does not know in which publishes to part `x`. Each message is a CloudEvent 1.0 in binary mode, its
//! attributes in headers that begin with `ce-`.
//!
//! How far a group is with a part is one small record in the stream `<prefix>-groups`: the last message that was
//! looked at, and those before it that are not finished, with how often they were handed over. One connection
//! owns a part of a group at a time. It reads ahead, hands one message of a key over at a time, and writes the
//! record before a message is handed over and after it is settled, many messages at once. Each write names the
//! one that it replaces (`Nats-Expected-Last-Subject-Sequence`), so that whoever lost a part writes nothing any
//! more. Durable consumers of the broker would do neither: after a time-out they hand messages over in another
//! order, and several of one key at once.
//!
//! The connections that have members of a group share the parts among them. When one dies, the server knows
//! at once, and another takes its parts over within a second. A connection whose members hold all they want lends
//! messages to members of others.
//!
//! Requests and answers are plain messages of NATS: whoever answers a name subscribes to
//! `<prefix>.request.<name>` in the queue group `responders`, and the answer goes to the inbox of whoever asked. No
//! stream keeps them.
//!
//! # What "stored" means
//!
//! A message counts as stored when the server has acknowledged it: it is in the page cache of the machine, and with
//! more than one [replica](NatsBuilder::replicas) in that of most of them. It outlives the death of the server's
//! process. To outlive a loss of power, JetStream must write to the disk before it acknowledges: servers from 2.10 on
//! do, with `sync_interval: always` in the `jetstream` block of their settings; without it, and before 2.10, they do
//! so every two minutes. Replicas on machines that do not fail together are the usual answer.
//!
//! # Limits
//!
//! - A message that a group wants is never removed, however old. A group that nobody takes for any more
//!   keeps its messages: [`NatsBus::forget_group`]. [`NatsBuilder::max_bytes`] bounds the stream; publishing then fails
//!   as [`Overloaded`](cqrs_core::ErrorKind::Overloaded), and the relay of an app tries again.
//! - Of each of the 4 parts, 512 messages are held in memory, fewer when they are large. When as many wait behind one
//!   of their key that is to be retried, other keys of that part wait as well.
//! - A part that another connection is to have waits until what is handed over of it is settled.
//! - A retry that waits for its time comes at once when its part changes hands.
//! - A request that the server hands to an instance in the moment in which that one stops taking requests may get no
//!   answer. As after the death of an instance: send it again under its id.
//! - A body may have 1 MiB less 18 KiB: the usual server takes 1 MiB, headers included.
//!
//! # Errors
//!
//! The [health](cqrs_core::Bus::health) says why there is no connection, as far as the client tells: of a certificate
//! that is refused it says "IO error" and no more; the server's log knows.
//!
//! While the server is out of reach, calls go on trying for as long as they are [patient](NatsBuilder::patience); then
//! they fail as [`Unavailable`](cqrs_core::ErrorKind::Unavailable), or
//! [`OutcomeUnknown`](cqrs_core::ErrorKind::OutcomeUnknown) where a message may have been stored. Deliveries wait until
//! the server is back.

mod bus;
mod config;
mod cursor;
mod error;
mod group;
mod headers;
mod kept;
mod lend;
mod letters;
mod link;
mod owned;
mod peers;
mod publisher;
mod reader;
mod requests;
mod routes;
mod subjects;
mod take;
mod topology;
mod trim;

pub use async_nats;
pub use bus::NatsBus;
pub use config::NatsBuilder;
pub use topology::{Plan, PlannedStream};
