//! The one way to write: everything that belongs together, all or nothing.

use std::borrow::Cow;

use bytes::Bytes;

use crate::message::fingerprint::Fingerprint;
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::payload::{Json, Payload};
use crate::message::timestamp::Timestamp;
use crate::port::document::DocumentKey;
use crate::port::filter::Filter;
use crate::port::outgoing::Outgoing;
use crate::port::parked::ParkedWrite;
use crate::port::snapshot::SnapshotWrite;
use crate::port::stream_id::StreamId;
use crate::port::timer::Timer;
use crate::port::{Position, Version};

/// Everything that is written at once, all or nothing (P1). There is no second way to write.
///
/// Grows by fields: it is `Default`, and exhaustive, so that a new part is a compile error in an
/// adapter that takes the commit apart.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Append, Commit, Committed, Expected, Json, NewEvent, Payload, Store, StreamId};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::default();
/// let event = NewEvent::new("bank.opened", Payload::Json(Json::parse(r#"{"owner":"Ada"}"#)?));
/// let commit = Commit {
///     appends: vec![Append {
///         stream: StreamId::new("account", "17"),
///         expected: Expected::NoStream,
///         events: vec![event],
///     }],
///     ..Commit::default()
/// };
/// assert_eq!(store.commit(commit.clone()).await?, Committed::Now { position: 1 });
/// // The same commit again, as after a lost answer:
/// assert_eq!(store.commit(commit).await?, Committed::Before { position: 1, reply: None });
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// Makes a repeat known (P5). The default is a fresh one.
    pub id: CommitId,
    /// Leases that must still be ours.
    pub fences: Vec<Fence>,
    /// What is not written, but must still hold.
    pub guards: Vec<Guard>,
    /// New events, by stream.
    pub appends: Vec<Append>,
    /// Documents to write or delete.
    pub documents: Vec<DocumentWrite>,
    /// Documents that are made of events: the views of projections. They are written as the others
    /// are. Derived data: no part of what makes a repeat the same commit.
    pub views: Vec<DocumentWrite>,
    /// Snapshots of the streams appended to; or to forget. Derived data: no part of what makes a
    /// repeat the same commit.
    pub snapshots: Vec<SnapshotWrite>,
    /// How far a subscription got.
    pub checkpoint: Option<CheckpointWrite>,
    /// Messages that are handled by this commit.
    pub inbox: Vec<InboxMark>,
    /// Timers to set or cancel.
    pub timers: Vec<TimerWrite>,
    /// Messages to send once this is durable.
    pub outgoing: Vec<Outgoing>,
    /// Outgoing messages, timers and parked entries that are done.
    pub settled: Vec<Settled>,
    /// Messages set aside.
    pub parked: Vec<ParkedWrite>,
}

impl Commit {
    /// All documents to write, the derived ones last: for adapters.
    pub fn all_documents(&self) -> Cow<'_, [DocumentWrite]> {
        match (self.documents.is_empty(), self.views.is_empty()) {
            (_, true) => Cow::Borrowed(&self.documents),
            (true, false) => Cow::Borrowed(&self.views),
            (false, false) => Cow::Owned([&self.documents[..], &self.views].concat()),
        }
    }
}

/// The id of a commit, best derived from the message that is handled. See [`Commit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub MessageId);

impl CommitId {
    /// The id of the `n`-th event of the commit, from 0, as a [`Repository`](crate::Repository) and a
    /// [`Work`](crate::Work) make it. Of a commit whose first event has this id, a store need keep no
    /// other mark: who has the event has seen the commit.
    ///
    /// ```
    /// use cqrs_core::CommitId;
    ///
    /// let id = CommitId::default();
    /// assert_eq!(id.event(0), CommitId(id.0).event(0));
    /// assert_ne!(id.event(0), id.event(1));
    /// ```
    #[must_use]
    pub fn event(self, n: u32) -> MessageId {
        self.0.derived("event", n)
    }
}

impl Default for CommitId {
    /// A fresh one.
    fn default() -> Self {
        Self(MessageId::fresh())
    }
}

/// What an append, a document or a guard expects to find. A violated expectation fails the whole
/// commit with a [`Conflict`](crate::Conflict) that carries the real version (P2).
///
/// ```
/// use cqrs_core::Expected;
///
/// assert!(Expected::Exactly(3).holds(3) && !Expected::Exactly(3).holds(4));
/// assert!(Expected::NoStream.holds(0) && Expected::Exactly(0).holds(0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// Nothing: the stream or document does not exist.
    NoStream,
    /// Something.
    Exists,
    /// This version; `Exactly(0)` is `NoStream`.
    Exactly(Version),
}

impl Expected {
    /// Whether it holds at a version; 0: it does not exist.
    pub const fn holds(self, actual: Version) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual == 0,
            Self::Exists => actual > 0,
            Self::Exactly(version) => actual == version,
        }
    }
}

/// Events for one stream. A commit names a stream at most once.
///
/// See [`Commit`] for an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The stream.
    pub stream: StreamId,
    /// What must be there.
    pub expected: Expected,
    /// One or more events, in order.
    pub events: Vec<NewEvent>,
}

/// An event that is not recorded yet.
///
/// See [`Commit`] for an example.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its id, unique in the log for ever (P5), with the rest of its metadata. Its tenant is the
    /// stream's.
    pub metadata: Metadata,
    /// Name of its type.
    pub event_type: Cow<'static, str>,
    /// Version of its body.
    pub schema_version: u16,
    /// Marks to find it by.
    pub tags: Vec<String>,
    /// Its body.
    pub payload: Payload,
}

impl NewEvent {
    /// Version 1 of a type, with a fresh id.
    pub fn new(event_type: impl Into<Cow<'static, str>>, payload: Payload) -> Self {
        Self {
            metadata: Metadata::default(),
            event_type: event_type.into(),
            schema_version: 1,
            tags: Vec::new(),
            payload,
        }
    }

    /// Its id.
    pub fn id(&self) -> MessageId {
        self.metadata.id()
    }
}

/// What was read and must still hold when the commit is applied.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Append, Commit, Expected, Filter, Guard, Json, NewEvent, Payload, Store, StreamId};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // A seat is taken once, whoever's stream it is written to.
/// let take = |guest: &str| {
///     let mut taken = NewEvent::new("theatre.taken", Payload::Json(Json::parse("{}").unwrap()));
///     taken.tags = vec!["seat:12A".into()];
///     let stream = StreamId::new("guest", guest);
///     let filter = Filter { tags: vec!["seat:12A".into()], ..Filter::default() };
///     Commit {
///         guards: vec![Guard::NoneMatching { filter, after: 0 }],
///         appends: vec![Append { stream, expected: Expected::Any, events: vec![taken] }],
///         ..Commit::default()
///     }
/// };
/// let store = MemoryStore::default();
/// store.commit(take("Ada")).await?;
/// assert!(store.commit(take("Eve")).await.unwrap_err().is_conflict());
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// A stream.
    Stream {
        /// Which one.
        stream: StreamId,
        /// What must be there.
        expected: Expected,
    },
    /// A document.
    Document {
        /// Which one.
        key: DocumentKey,
        /// What must be there.
        expected: Expected,
    },
    /// No event that matches came after a position: a dynamic consistency boundary
    /// (<https://dcb.events>).
    NoneMatching {
        /// Which events.
        filter: Filter,
        /// The position up to which they were read.
        after: Position,
    },
}

/// A document to write or to delete. A commit names a document at most once, derived or not.
///
/// See [`Collection`](crate::Collection) for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentWrite {
    /// Which one.
    pub key: DocumentKey,
    /// What must be there; `NoStream`: no such document.
    pub expected: Expected,
    /// What it says from now on; `None` deletes it.
    pub body: Option<Json>,
}

impl DocumentWrite {
    /// Writes a document.
    pub fn put(key: DocumentKey, expected: Expected, body: Json) -> Self {
        Self { key, expected, body: Some(body) }
    }

    /// Deletes a document. One that is not there stays away.
    pub fn delete(key: DocumentKey, expected: Expected) -> Self {
        Self { key, expected, body: None }
    }
}

/// A lease that must still be ours when the commit is applied. See [`LeaseRequest`] for an example of
/// leases, and [`Commit`] for one of a commit.
///
/// A commit under a lease whose term is over is applied as long as nobody else has taken it.
///
/// [`LeaseRequest`]: crate::LeaseRequest
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Name of the lease.
    pub lease: String,
    /// The token it was given out with.
    pub token: u64,
}

/// How far a partition of a subscription got.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{CheckpointWrite, Commit, Store};
/// # use cqrs_core::{Append, Expected, Json, NewEvent, Payload, StreamId};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let store = MemoryStore::default();
/// # let event = NewEvent::new("bank.opened", Payload::Json(Json::parse("{}")?));
/// # let stream = StreamId::new("account", "17");
/// # let appends = vec![Append { stream, expected: Expected::Any, events: vec![event] }];
/// # store.commit(Commit { appends, ..Commit::default() }).await?;
/// let reached = |from, to| CheckpointWrite {
///     subscription: "mailer".into(),
///     partition: 0,
///     from,
///     to,
///     fence: None,
/// };
/// store.commit(Commit { checkpoint: Some(reached(0, 1)), ..Commit::default() }).await?;
/// assert_eq!(store.checkpoint("mailer", 0).await?, Some(1));
/// // Another node got there first: this one must not write.
/// let late = store.commit(Commit { checkpoint: Some(reached(0, 1)), ..Commit::default() }).await;
/// assert!(late.unwrap_err().is_conflict());
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointWrite {
    /// The subscription.
    pub subscription: String,
    /// The partition.
    pub partition: u32,
    /// Where the checkpoint must stand; 0: nowhere yet.
    pub from: Position,
    /// Where it stands afterwards.
    pub to: Position,
    /// The lease under which it is written.
    pub fence: Option<Fence>,
}

/// A message that is handled by this commit, so that its repeat has no second effect.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Commit, Committed, Fingerprint, InboxMark, MessageId, Store};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::default();
/// let message = MessageId::fresh();
/// let handle = || Commit {
///     inbox: vec![InboxMark {
///         consumer: "payments".into(),
///         message,
///         fingerprint: Fingerprint::of(b"charge 5"),
///         reply: Some("charged".into()),
///     }],
///     ..Commit::default()
/// };
/// assert!(matches!(store.commit(handle()).await?, Committed::Now { .. }));
/// let Committed::Before { reply, .. } = store.commit(handle()).await? else { panic!() };
/// assert_eq!(reply.unwrap(), "charged");
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxMark {
    /// Who handles it.
    pub consumer: String,
    /// Which message.
    pub message: MessageId,
    /// What the message said: the same id with another content is an error.
    pub fingerprint: Fingerprint,
    /// What to answer its repeat.
    pub reply: Option<Bytes>,
}

/// A timer to set, to set anew or to cancel.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Commit, FindTimers, Settled, Store, TimerWrite, Timestamp};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::default();
/// let soon = Timestamp::from_micros(1_000);
/// let set = TimerWrite {
///     owner: "checkout".into(),
///     tenant: None,
///     key: "order-17".into(),
///     name: "payment".into(),
///     generation: 1,
///     due: Some(soon),
/// };
/// store.commit(Commit { timers: vec![set], ..Commit::default() }).await?;
/// let find = || FindTimers { owner: "checkout".into(), due_by: soon, limit: 10 };
/// let due = store.timers(find()).await?.remove(0);
/// assert_eq!((due.key.as_str(), due.generation), ("order-17", 1));
///
/// let fired = Settled::Timer(due);
/// store.commit(Commit { settled: vec![fired], ..Commit::default() }).await?;
/// assert!(store.timers(find()).await?.is_empty());
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerWrite {
    /// What sets it: the name of a saga.
    pub owner: String,
    /// Whose data it is.
    pub tenant: Option<Box<str>>,
    /// Which instance of the owner.
    pub key: String,
    /// Which of the instance's timers.
    pub name: String,
    /// Counts the times it was set. One that is not above the timer's own is a
    /// [`Conflict`](crate::Conflict); a cancellation may equal it.
    pub generation: u64,
    /// When it is due; `None` cancels it. Cancelling one that is not set changes nothing.
    pub due: Option<Timestamp>,
}

/// Something that is done and can be forgotten. What is not there, or was changed, is a
/// [`Conflict`](crate::Conflict): nothing is done twice. See [`Outgoing`], [`TimerWrite`] and
/// [`ParkedWrite`] for examples.
///
/// [`ParkedWrite`]: crate::ParkedWrite
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// An outgoing message, by its id.
    Outgoing(MessageId),
    /// A timer that has fired, as it was found.
    Timer(Timer),
    /// A parked entry.
    Parked {
        /// The subscription.
        subscription: String,
        /// Its position.
        position: Position,
        /// Its key.
        key: String,
    },
}

/// What became of a commit. See [`Commit`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It was applied now.
    Now {
        /// Position of its last event or outgoing message, or of the log's last one when it has none.
        position: Position,
    },
    /// It, or every message that it marks as handled, was applied before; nothing was written.
    Before {
        /// What the position was then.
        position: Position,
        /// What was stored then to answer the message with.
        reply: Option<Bytes>,
    },
}

impl Committed {
    /// The position, now or then.
    pub const fn position(&self) -> Position {
        match self {
            Self::Now { position } | Self::Before { position, .. } => *position,
        }
    }
}
