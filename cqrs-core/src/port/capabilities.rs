//! What a store offers, and how much it takes.

use std::time::Duration;

/// Whether a store offers something; if not, why not. Its conformance cases then show as ignored
/// with this reason. See [`Capabilities`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Yes,
    /// It does not, because of this.
    No(&'static str),
}

impl Support {
    /// Whether it does.
    pub const fn is_yes(self) -> bool {
        matches!(self, Self::Yes)
    }
}

/// What a store offers. A commit with a part that it does not offer is refused as
/// [`Unsupported`](crate::ErrorKind::Unsupported) before anything is written.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Limits, Store, Support};
///
/// let store = MemoryStore::default().limits(Limits { payload: 1024, ..Limits::default() });
/// assert_eq!(store.capabilities().limits.payload, 1024);
/// let Support::No(reason) = store.capabilities().durable else { panic!() };
/// assert_eq!(reason, "it lives in the memory of one process");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// What was acknowledged is there after the process was killed.
    pub durable: Support,
    /// Several processes use one store at once.
    pub shared: Support,
    /// [`Commit::fences`](crate::Commit::fences) and [`Store::lease`](crate::Store::lease).
    pub leases: Support,
    /// [`Commit::timers`](crate::Commit::timers).
    pub timers: Support,
    /// [`Commit::outgoing`](crate::Commit::outgoing).
    pub outgoing: Support,
    /// [`Commit::parked`](crate::Commit::parked), and the settling of its entries.
    pub parked: Support,
    /// [`Commit::snapshots`](crate::Commit::snapshots).
    pub snapshots: Support,
    /// [`Store::hint`](crate::Store::hint): a commit wakes up readers in the process that made it.
    pub hints: Support,
    /// For how long it knows the id of a commit (P5). At least this long.
    pub keeps_commit_ids: Duration,
    /// For how long its inbox knows a message (P18). At least this long.
    pub keeps_inbox: Duration,
    /// The sizes it takes.
    pub limits: Limits,
}

/// The sizes that a store takes; what is larger is refused as
/// [`TooLarge`](crate::ErrorKind::TooLarge) before anything is written.
///
/// Names and ids (tenants, categories, streams, event types, tags, collections, documents,
/// consumers) hold no control characters and are not empty.
///
/// See [`Capabilities`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the body of an event, a document or a snapshot, or of a stored reply.
    /// Default: 4 MiB.
    pub payload: usize,
    /// Bytes of all metadata of an event. Default: 16 KiB.
    pub headers: usize,
    /// Bytes of an id: of a stream, a document, a consumer, a subscription, a lease, a timer; and of a
    /// key. Default: 1,024.
    pub id: usize,
    /// Bytes of a name: a tenant, a category, an event type, a tag, a collection, a field.
    /// Default: 256.
    pub name: usize,
    /// Tags of an event. Default: 32.
    pub tags: usize,
    /// Events, documents, snapshots, guards, marks, messages, timers and entries of a commit,
    /// together. Default: 10,000.
    pub parts: usize,
    /// Bytes of all bodies of a commit, together. Default: 64 MiB.
    pub commit: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 4 << 20,
            headers: 16 << 10,
            id: 1024,
            name: 256,
            tags: 32,
            parts: 10_000,
            commit: 64 << 20,
        }
    }
}
