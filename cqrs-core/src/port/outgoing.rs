//! Messages that a commit sends: how they wait, and how they are found.

use std::borrow::Cow;

use crate::message::metadata::Metadata;
use crate::message::payload::Payload;
use crate::message::timestamp::Timestamp;
use crate::port::Position;
use crate::port::read::PageSize;

/// A message to send once the commit is durable. It gets a position in the log, after the events of
/// its commit, and stays pending until it is [settled](crate::Settled::Outgoing).
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Commit, FindOutgoing, Json, Metadata, Outgoing, OutgoingKind, Payload, Settled, Store};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::default();
/// let body = Payload::Json(Json::parse(r#"{"amount":5}"#)?);
/// let charge = Outgoing::new(OutgoingKind::Command, "payments.charge", "order-17", body);
/// store.commit(Commit { outgoing: vec![charge], ..Commit::default() }).await?;
///
/// let pending = store.outgoing(FindOutgoing::after(0)).await?.remove(0);
/// assert_eq!((pending.position, &*pending.message.name), (1, "payments.charge"));
///
/// let done = Settled::Outgoing(pending.message.metadata.id());
/// store.commit(Commit { settled: vec![done], ..Commit::default() }).await?;
/// assert!(store.outgoing(FindOutgoing::after(0)).await?.is_empty());
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Its id and the rest of its metadata.
    pub metadata: Metadata,
    /// What it is.
    pub kind: OutgoingKind,
    /// Name of the command or message; of a timer, the timer's.
    pub name: Cow<'static, str>,
    /// Messages with one key, of one tenant, are sent in order.
    pub key: String,
    /// What it says.
    pub body: Payload,
    /// Not to be sent earlier. Later messages of its key wait as well.
    pub not_before: Option<Timestamp>,
    /// Who is told what came of it.
    pub answer_to: Option<AnswerTo>,
    /// How often it is tried.
    pub tries: Tries,
}

impl Outgoing {
    /// A message with a fresh id, to be sent at once.
    pub fn new(
        kind: OutgoingKind,
        name: impl Into<Cow<'static, str>>,
        key: impl Into<String>,
        body: Payload,
    ) -> Self {
        Self {
            metadata: Metadata::default(),
            kind,
            name: name.into(),
            key: key.into(),
            body,
            not_before: None,
            answer_to: None,
            tries: Tries::Policy,
        }
    }
}

/// What an [`Outgoing`] message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutgoingKind {
    /// To be handled by exactly one.
    Command,
    /// For whoever listens.
    Message,
    /// A timer that fired, for the saga that set it.
    Timer,
}

impl OutgoingKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Command, Self::Message, Self::Timer];

    /// Its name in stores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Message => "message",
            Self::Timer => "timer",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The instance of a saga that is told what came of a message. The tenant is the message's. See
/// [`Outgoing`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct AnswerTo {
    /// Name of the saga.
    pub saga: String,
    /// Which instance.
    pub key: String,
    /// The step of which it is the answer, or the generation of the timer.
    pub step: String,
}

/// How often an [`Outgoing`] message is tried. Whatever it is: only failures count, an answer of the
/// domain is an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tries {
    /// As the relay's policy says; then it is parked.
    #[default]
    Policy,
    /// So often; then whoever is to be [told](Outgoing::answer_to) is told that it failed. Without
    /// anybody to tell, it is parked.
    AtMost(u32),
    /// Until there is an answer.
    UntilAnswered,
}

/// An outgoing message that is not settled yet. See [`Outgoing`] for an example.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingMessage {
    /// Its place in the log: messages and events of one commit share one count, events first.
    pub position: Position,
    /// When it was recorded, by the store's clock.
    pub recorded_at: Timestamp,
    /// The message.
    pub message: Outgoing,
}

/// Which pending messages to find: in the order of positions, due or not. See [`Outgoing`] for an
/// example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindOutgoing {
    /// Those after this position.
    pub after: Position,
    /// At most so many, and so many bytes of bodies; at least one.
    pub page: PageSize,
}

impl FindOutgoing {
    /// The first ones after a position: at most 256, or 1 MiB.
    pub fn after(position: Position) -> Self {
        Self { after: position, page: PageSize { events: 256, bytes: 1 << 20 } }
    }
}
