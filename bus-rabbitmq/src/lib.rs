//! The RabbitMQ bus: quorum queues, one message of a key at a time.
//!
//! ```no_run
//! use bus_rabbitmq::RabbitBus;
//! use cqrs_core::{BusSubscription, Subscriber};
//! use futures_util::StreamExt;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = RabbitBus::builder("amqp://guest:guest@localhost").name("mailer").connect().await?;
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
//! An app takes it as any bus: `AppBuilder::shared_bus`. It wants RabbitMQ 3.10 or newer, as it comes, without plugins,
//! and a user who may configure, write and read what begins with its [prefix](RabbitBuilder::prefix).
//!
//! # How it works
//!
//! Messages are published to the topic exchanges `<prefix>.command` and `<prefix>.message` under their names, with
//! publisher confirms. Each is a CloudEvent 1.0 in binary mode, its attributes in headers that begin with
//! `cloudEvents_`. Each group has one durable quorum queue, `<prefix>.message.<group>`, and is bound to the names
//! that it takes.
//!
//! A queue that is shared as usual would hand over several messages of a key at once, and put what comes again behind
//! what came later. So the queue has a single active consumer: of all connections that have members of the group, the
//! broker gives the messages to one. That one hands over one message of a key at a time, keeps what is to be retried,
//! and lends messages to the members of the other connections, whoever holds the least. It acknowledges a message
//! when it is handled or stored as a dead letter. When it dies, the server knows at once, and gives all that is not
//! acknowledged to the next connection, in order.
//!
//! The broker counts how often a message came to a connection, not how often somebody had it. Attempts are counted
//! here; after the death of a connection they are written to the queue `<prefix>.claims.<group>` before a message is
//! handed over, so that one that takes processes with it is found among those that were there by chance.
//!
//! Requests of a name go to the queue `<prefix>.request.<name>`, which all who answer it share, and which goes with the
//! last of them. Answers come straight to whoever asked (direct reply-to). Nothing of both is stored.
//!
//! The connection is made again whenever it is lost, with a pause that grows to a second: what is missing is declared,
//! groups consume again, and publishing goes on where it was. Every call has an end.
//!
//! # What "stored" means
//!
//! A message counts as stored when the server has confirmed it: each quorum queue that gets it has it on the disks of
//! most of its nodes. It outlives the death of the server's process and, as the server writes it through, a loss of
//! power.
//!
//! Not so in a queue that is not a second old: RabbitMQ writes down later which quorum queues it has, and does not
//! find one again that it has not written down. So a group that is joined for the first time gets nothing for [2
//! seconds](RabbitBuilder::settling). Should the server die meanwhile, its queues may be there without an answer, and
//! joining it fails: [forget](RabbitBus::forget_group) the group, and join it again. There was nothing in them.
//!
//! # Limits
//!
//! - RabbitMQ does not confirm acknowledgements: one that is lost with its connection means that the message comes
//!   again.
//! - RabbitMQ does not look at ids: a message that is sent again, because it was not known whether it was stored, may
//!   come twice. An inbox knows it.
//! - Nothing is kept for groups that come later ([`BusStart::Kept`](cqrs_core::BusStart::Kept)).
//! - All messages of a group go through one connection. Of a group [512](RabbitBuilder::prefetch) are held in memory;
//!   when as many wait behind one of their key that is to be retried, other keys wait as well.
//! - A retry that waits for its time comes at once when the queue changes hands. Servers before 3.12 take messages
//!   back that are in hand for longer than their `consumer_timeout` (30 minutes): a retry after a longer time comes
//!   early there, and so do all that are in hand then.
//! - A group that was the first to take a command is its group: another one is refused where it asks for the same
//!   name, and not where it asks for a pattern that fits it.
//! - A queue of your own that is bound to `<prefix>.command` gets commands beside their group, and is no group: a
//!   command that only it would get is [`Unroutable`](cqrs_core::ErrorKind::Unroutable). For messages, such a queue
//!   counts as nobody in [`BusHealth::unheard`](cqrs_core::BusHealth::unheard).
//! - Dead letters of all groups are in the queue `<prefix>.dead`. To list them is to read it from its beginning, one
//!   connection at a time.
//! - Requests that have come to an instance when it dies are not answered: send them again under their ids. An instance
//!   takes them as they come, and refuses those that are more than 10,000 behind.
//!
//! # Errors
//!
//! The [health](cqrs_core::Bus::health) says why there is no connection, and whether the server takes no messages
//! because it is short of memory or disk: publishing and asking then wait as if it were out of reach.
//!
//! While the server is out of reach, calls go on trying for as long as they are [patient](RabbitBuilder::patience);
//! then they fail as [`Unavailable`](cqrs_core::ErrorKind::Unavailable), or
//! [`OutcomeUnknown`](cqrs_core::ErrorKind::OutcomeUnknown) where a message may have been stored. Deliveries wait
//! until the server is back.

mod bus;
mod claims;
mod config;
mod error;
mod group;
mod headers;
mod letters;
mod link;
mod names;
mod post;
mod publisher;
mod raw;
mod record;
mod requests;
mod routes;
mod session;
mod topology;

pub use bus::RabbitBus;
pub use config::RabbitBuilder;
pub use lapin;
pub use topology::{Plan, Planned};
