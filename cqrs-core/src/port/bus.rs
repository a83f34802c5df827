//! A bus: all sides of it, what it offers, how it is, and what it could not deliver.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;
use crate::message::timestamp::Timestamp;
use crate::port::capabilities::Support;
use crate::port::delivery::InboundMessage;
use crate::port::publisher::Publisher;
use crate::port::request::{Requester, Responder};
use crate::port::subscriber::Subscriber;

/// A broker of messages, as one connection to it sees it.
///
/// An adapter implements this, with the `async-trait` crate's attribute on the `impl`, and proves it
/// with the bus suite of `cqrs-testing`. [`MemoryBus`](crate::memory::MemoryBus) is the reference;
/// see [`Publisher`] and [`Subscriber`] for examples of messages, [`Requester`] for one of requests, and
/// [`DeadLetter`] for one of what is left over.
#[async_trait]
pub trait Bus: Publisher + Subscriber + Requester + Responder {
    /// What it offers, and the sizes it takes.
    fn capabilities(&self) -> &BusCapabilities;

    /// How it is. It does not wait for an answer of the broker for longer than a few seconds.
    async fn health(&self) -> BusHealth;

    /// Dead letters, in the order in which they came to be.
    ///
    /// # Errors
    /// When the broker is out of reach.
    async fn dead_letters(&self, find: FindDeadLetters) -> Result<Vec<DeadLetter>>;

    /// Hands a dead letter to its group once more, after what waits there of its key: under the id it
    /// has, so that an inbox knows it, counting from the first attempt (P21). It is no dead letter any
    /// more then.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when there is no such letter (any more);
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the broker is out of reach.
    async fn send_again(&self, letter: &DeadLetterId) -> Result<()>;

    /// Forgets a dead letter.
    ///
    /// # Errors
    /// As [`send_again`](Self::send_again).
    async fn discard(&self, letter: &DeadLetterId) -> Result<()>;

    /// Closes it: publishing fails from now on, and its deliveries end. What was handed over through it
    /// and is not settled is handed to others. Closing it again changes nothing, and waits as well.
    ///
    /// # Errors
    /// When the broker could not be told: it finds out by itself, later.
    async fn close(&self) -> Result<()>;
}

/// What a bus offers.
///
/// ```
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{Bus, Support};
///
/// let bus = MemoryBus::default();
/// let Support::No(reason) = bus.capabilities().durable else { panic!() };
/// assert_eq!(reason, "it lives in the memory of one process");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusCapabilities {
    /// What was stored is there after the broker was killed.
    pub durable: Support,
    /// Several processes use it at once.
    pub shared: Support,
    /// It keeps messages for groups that come later: [`BusStart::Kept`](crate::BusStart::Kept).
    pub keeps_published: Support,
    /// For how long it knows the id of a message that was sent; `None`: it does not look.
    pub deduplicates: Option<Duration>,
    /// The longest time from a message's first delivery to its last one, dead letters that are sent
    /// again included; `None`: there is no bound. Inboxes must keep ids for longer (P18).
    pub longest_redelivery: Option<Duration>,
    /// The sizes it takes.
    pub limits: BusLimits,
}

/// The sizes that a bus takes; what is larger is refused as
/// [`TooLarge`](crate::ErrorKind::TooLarge) before it is sent. See [`BusCapabilities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusLimits {
    /// Bytes of the body of a message. Default: 1 MiB.
    pub body: usize,
    /// Bytes of all metadata of a message. Default: 16 KiB.
    pub headers: usize,
    /// Bytes of a key. Default: 1,024.
    pub key: usize,
    /// Bytes of a name: of a message, a group, a tenant. Default: 200.
    pub name: usize,
}

impl Default for BusLimits {
    fn default() -> Self {
        Self { body: 1 << 20, headers: 16 << 10, key: 1024, name: 200 }
    }
}

/// How a bus is. See [`Bus::health`].
///
/// ```
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{Bus, BusState};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let bus = MemoryBus::default();
/// assert_eq!(bus.health().await.state, BusState::Up);
/// bus.close().await?;
/// assert_eq!(bus.health().await.state, BusState::Closed);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusHealth {
    /// Whether it can be used now.
    pub state: BusState,
    /// Messages that were published and that nobody listened to, as far as this connection has
    /// noticed (P17).
    pub unheard: u64,
}

/// Whether a bus can be used. See [`BusHealth`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusState {
    /// It can.
    Up,
    /// The broker is out of reach, for this reason; it is tried again.
    Down(String),
    /// It was closed.
    Closed,
}

/// Where a bus keeps a dead letter: a text of its own. See [`DeadLetter`] for an example.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId(pub String);

/// A message that could not be handled (P21).
///
/// ```
/// use futures_util::StreamExt;
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{Bus, BusSubscription, FindDeadLetters, OutboundKind, OutboundMessage, Publisher, Subscriber};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let bus = MemoryBus::default();
/// let mut deliveries = bus.subscribe(BusSubscription::to_messages("mailer", ["bank.opened"])).await?;
/// bus.publish(vec![OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}")]).await?;
/// deliveries.next().await.unwrap()?.park("no address").await?;
///
/// let letter = bus.dead_letters(FindDeadLetters::of("mailer")).await?.remove(0);
/// assert_eq!((&*letter.origin, &*letter.cause, letter.attempts), ("mailer", "no address", 1));
///
/// bus.send_again(&letter.id).await?;
/// let delivery = deliveries.next().await.unwrap()?;
/// assert_eq!(delivery.message().metadata.id(), letter.message.metadata.id());
/// delivery.ack().await?;
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Where it is kept: a new one each time it becomes a dead letter.
    pub id: DeadLetterId,
    /// The message, as it was handed over last.
    pub message: InboundMessage,
    /// Why.
    pub cause: String,
    /// How often it was handed over.
    pub attempts: u32,
    /// The group that could not handle it.
    pub origin: String,
    /// When it became a dead letter, by the clock of whoever wrote it down.
    pub since: Timestamp,
}

/// Which dead letters to find: all of them by default. See [`DeadLetter`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindDeadLetters {
    /// Those of this group.
    pub origin: Option<String>,
    /// Those after this one.
    pub after: Option<DeadLetterId>,
    /// At most so many. Default: 100.
    pub limit: u32,
}

impl Default for FindDeadLetters {
    fn default() -> Self {
        Self { origin: None, after: None, limit: 100 }
    }
}

impl FindDeadLetters {
    /// The first ones of a group.
    pub fn of(origin: impl Into<String>) -> Self {
        Self { origin: Some(origin.into()), ..Self::default() }
    }

    /// Those after a letter: the next page.
    #[must_use]
    pub fn after(mut self, letter: &DeadLetter) -> Self {
        self.after = Some(letter.id.clone());
        self
    }
}
