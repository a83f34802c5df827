//! A message that a bus hands over, and the right to settle it once.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::message::metadata::Metadata;

/// A message as a bus hands it over. See [`Delivery`] for an example.
#[derive(Clone, PartialEq)]
pub struct InboundMessage {
    /// Its id and the rest of its metadata. Its [partition key](Metadata::partition_key) is the key
    /// under which it was [published](crate::OutboundMessage::key).
    pub metadata: Metadata,
    /// Name of the command, query or event.
    pub name: String,
    /// Media type of the body.
    pub content_type: String,
    /// What it says.
    pub body: Bytes,
    /// How often it was handed over, this time included: from 1.
    pub attempt: u32,
}

/// What becomes of a delivery. See [`Settle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is handled, and never comes again.
    Ack,
    /// It comes again, not before this time has passed.
    Retry(Duration),
    /// It is stored as a dead letter, with this cause.
    Park(String),
}

/// How an adapter settles one message. Dropped unsettled, the message must be handed over again.
#[async_trait]
pub trait Settle: Send + Sync {
    /// Settles it, and waits until the broker has noted it.
    ///
    /// # Errors
    /// When the broker cannot be reached: the message is handed over again.
    async fn settle(self: Box<Self>, verdict: Verdict) -> Result<()>;

    /// Tells the broker that it is still being worked on.
    ///
    /// # Errors
    /// When the broker cannot be reached, or has given the message to another.
    async fn extend(&self) -> Result<()>;
}

/// A message from a bus, with the right to settle it: once, because settling takes it. One that is
/// dropped is handed over again.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use cqrs_core::{Delivery, InboundMessage, Metadata, Settle, Verdict};
///
/// /// What an adapter does.
/// struct Broker(Arc<Mutex<Vec<Verdict>>>);
///
/// #[async_trait::async_trait]
/// impl Settle for Broker {
///     async fn settle(self: Box<Self>, verdict: Verdict) -> cqrs_core::Result<()> {
///         self.0.lock().unwrap().push(verdict);
///         Ok(())
///     }
///     async fn extend(&self) -> cqrs_core::Result<()> { Ok(()) }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let verdicts = Arc::new(Mutex::new(Vec::new()));
/// let message = InboundMessage {
///     metadata: Metadata::default(),
///     name: "bank.opened".into(),
///     content_type: "application/json".into(),
///     body: "{}".into(),
///     attempt: 1,
/// };
/// let (message, ticket) = Delivery::new(message, Broker(verdicts.clone())).split();
/// let handled = async move { message.body.len() }.await;
/// if handled == 2 { ticket.ack().await? } else { ticket.park("too long").await? }
/// assert_eq!(*verdicts.lock().unwrap(), [Verdict::Ack]);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[must_use = "an unsettled delivery is handed over again"]
pub struct Delivery {
    message: InboundMessage,
    ticket: Ticket,
}

/// The right to settle a message whose content was taken away. See [`Delivery::split`].
#[must_use = "an unsettled delivery is handed over again"]
pub struct Ticket(Box<dyn Settle>);

impl Delivery {
    /// A message, and how it is settled: for adapters.
    pub fn new(message: InboundMessage, settle: impl Settle + 'static) -> Self {
        Self { message, ticket: Ticket(Box::new(settle)) }
    }

    /// The message.
    pub fn message(&self) -> &InboundMessage {
        &self.message
    }

    /// The message for its handler, and the right to settle for whoever runs it.
    pub fn split(self) -> (InboundMessage, Ticket) {
        (self.message, self.ticket)
    }

    /// It is handled.
    ///
    /// # Errors
    /// As [`Settle::settle`].
    pub async fn ack(self) -> Result<()> {
        self.ticket.ack().await
    }

    /// It comes again, not before this time has passed.
    ///
    /// # Errors
    /// As [`Settle::settle`].
    pub async fn retry(self, after: Duration) -> Result<()> {
        self.ticket.retry(after).await
    }

    /// It becomes a dead letter, with this cause.
    ///
    /// # Errors
    /// As [`Settle::settle`].
    pub async fn park(self, cause: impl Into<String>) -> Result<()> {
        self.ticket.park(cause).await
    }
}

impl Ticket {
    /// It is handled.
    ///
    /// # Errors
    /// As [`Settle::settle`].
    pub async fn ack(self) -> Result<()> {
        self.0.settle(Verdict::Ack).await
    }

    /// It comes again, not before this time has passed.
    ///
    /// # Errors
    /// As [`Settle::settle`].
    pub async fn retry(self, after: Duration) -> Result<()> {
        self.0.settle(Verdict::Retry(after)).await
    }

    /// It becomes a dead letter, with this cause.
    ///
    /// # Errors
    /// As [`Settle::settle`].
    pub async fn park(self, cause: impl Into<String>) -> Result<()> {
        self.0.settle(Verdict::Park(cause.into())).await
    }

    /// It is still being worked on.
    ///
    /// # Errors
    /// As [`Settle::extend`].
    pub async fn extend(&self) -> Result<()> {
        self.0.extend().await
    }
}

/// Without what it says.
impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, attempt, body, .. } = self;
        let mut message = f.debug_struct("InboundMessage");
        message.field("name", name).field("attempt", attempt).field("bytes", &body.len()).finish()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delivery").field(&self.message).finish()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}
