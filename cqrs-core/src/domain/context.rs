//! What a decision may know beside the state and the command: the time, ids, metadata.

use std::cell::Cell;

use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::timestamp::Timestamp;
use crate::port::Version;

/// What a decision may know beside the state and the command. See [`Decide`](crate::Decide).
///
/// It is handed in, so that a test says what time it is and which ids are made.
///
/// ```
/// use cqrs_core::{Context, Metadata, Timestamp};
///
/// let command = Metadata::default();
/// let (first, again) = (
///     Context::new(Timestamp::UNIX_EPOCH, &command, 0),
///     Context::new(Timestamp::UNIX_EPOCH, &command, 0),
/// );
/// assert!(!first.exists());
/// // The retry of a command makes the same ids.
/// assert_eq!(first.new_id(), again.new_id());
/// assert_ne!(first.new_id(), first.new_id());
/// ```
#[derive(Debug)]
pub struct Context<'a> {
    now: Timestamp,
    metadata: &'a Metadata,
    version: Version,
    exists: bool,
    /// What new ids are derived from; `None`: the id of the command.
    base: Option<MessageId>,
    /// `Cell`: a context is not `Sync` on purpose, it never crosses an await.
    made: Cell<u32>,
}

impl<'a> Context<'a> {
    /// A context for a command with this metadata, decided on at this time by an aggregate at this
    /// version.
    pub fn new(now: Timestamp, metadata: &'a Metadata, version: Version) -> Self {
        Self { now, metadata, version, exists: version > 0, base: None, made: Cell::new(0) }
    }

    /// The same for an aggregate of which it is known whether it exists.
    #[doc(hidden)]
    #[must_use]
    pub fn existing(mut self, exists: bool) -> Self {
        self.exists = exists;
        self
    }

    /// The same, with ids derived from `base`, after `made` of them were made elsewhere.
    pub(crate) fn based_on(mut self, base: MessageId, made: u32) -> Self {
        self.base = Some(base);
        self.made.set(made);
        self
    }

    pub(crate) fn made(&self) -> u32 {
        self.made.get()
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The metadata of the command.
    pub fn metadata(&self) -> &'a Metadata {
        self.metadata
    }

    /// Version of the aggregate, the number of its events.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the aggregate has events: a default state cannot say so itself. Of one that is stored as
    /// a document: whether that is there.
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// An id that nobody has yet, derived from the command's: a retry makes the same.
    pub fn new_id(&self) -> MessageId {
        let n = self.made.get();
        self.made.set(n + 1);
        self.base.unwrap_or_else(|| self.metadata.id()).derived("made", n)
    }
}
