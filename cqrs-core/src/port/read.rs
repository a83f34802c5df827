//! What to read: a stretch of one stream, or of the log.

use crate::message::fingerprint::Fingerprint;
use crate::message::timestamp::Timestamp;
use crate::port::filter::Filter;
use crate::port::store::LogId;
use crate::port::stream_id::StreamId;
use crate::port::{Position, Version};

/// How much a page holds: it ends at whichever limit comes first, and holds at least one event.
///
/// ```
/// use cqrs_core::{PageSize, ReadLog};
///
/// let small = PageSize { events: 10, bytes: 4096 };
/// let read = ReadLog { page: small, ..ReadLog::after(0) };
/// # let _ = read;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// Events.
    pub events: u32,
    /// Bytes of the events' parts.
    pub bytes: usize,
}

impl Default for PageSize {
    /// 1,024 events or 1 MiB.
    fn default() -> Self {
        Self { events: 1024, bytes: 1 << 20 }
    }
}

/// A stretch of one stream.
///
/// ```
/// use cqrs_core::{ReadStream, StreamId};
///
/// let all = ReadStream::of(StreamId::new("account", "17"));
/// let last_ten = ReadStream::of(StreamId::new("account", "17")).backwards().page(10);
/// # let _ = (all, last_ten);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadStream {
    /// Which stream.
    pub stream: StreamId,
    /// The lowest version to read.
    pub from: Version,
    /// The highest version to read.
    pub to: Version,
    /// Only what was recorded at this time or earlier, by the store's clock.
    pub recorded_until: Option<Timestamp>,
    /// From the highest version down.
    pub backwards: bool,
    /// Instead of the events up to it, the newest snapshot of this schema whose version is from
    /// `from` to `to`, where there is one: on the first page ([`Page::snapshot`]). A reading backwards
    /// or of what was recorded by a time has none, and a store that keeps none gives the events.
    ///
    /// [`Page::snapshot`]: crate::Page::snapshot
    pub snapshot: Option<Fingerprint>,
    /// For a fold, which needs version, type and body of the events: a store may leave out when they were
    /// recorded, their ids, tags and metadata.
    pub to_fold: bool,
    /// Size of the pages.
    pub page: PageSize,
}

impl ReadStream {
    /// The whole stream, forwards.
    pub fn of(stream: StreamId) -> Self {
        Self {
            stream,
            from: 1,
            to: Version::MAX,
            recorded_until: None,
            backwards: false,
            snapshot: None,
            to_fold: false,
            page: PageSize::default(),
        }
    }

    /// From this version on.
    #[must_use]
    pub fn from(mut self, version: Version) -> Self {
        self.from = version;
        self
    }

    /// Up to this version.
    #[must_use]
    pub fn to(mut self, version: Version) -> Self {
        self.to = version;
        self
    }

    /// Only what was recorded by then.
    #[must_use]
    pub fn recorded_until(mut self, time: Timestamp) -> Self {
        self.recorded_until = Some(time);
        self
    }

    /// The newest first.
    #[must_use]
    pub fn backwards(mut self) -> Self {
        self.backwards = true;
        self
    }

    /// From the newest snapshot of this schema on, where there is one. See
    /// [`SnapshotWrite`](crate::SnapshotWrite) for an example.
    #[must_use]
    pub fn with_snapshot(mut self, schema: Fingerprint) -> Self {
        self.snapshot = Some(schema);
        self
    }

    /// Only what a fold needs: position, version, type and body of the events. Of the rest, which is when they
    /// were recorded, their ids, tags and metadata, a store that is faster without it may give
    /// [`Timestamp::UNIX_EPOCH`], an id of zeros, no tags, and `{}`.
    ///
    /// ```
    /// use cqrs_core::{ReadStream, StreamId};
    ///
    /// let read = ReadStream::of(StreamId::new("account", "17")).to_fold();
    /// # let _ = read;
    /// ```
    #[must_use]
    pub fn to_fold(mut self) -> Self {
        self.to_fold = true;
        self
    }

    /// The schema of the snapshot that this reading may begin with: for adapters.
    pub fn wanted_snapshot(&self) -> Option<Fingerprint> {
        self.snapshot.filter(|_| !self.backwards && self.recorded_until.is_none())
    }

    /// At most this many events a page.
    #[must_use]
    pub fn page(mut self, events: u32) -> Self {
        self.page.events = events;
        self
    }
}

/// A stretch of the log.
///
/// ```
/// use cqrs_core::{Filter, ReadLog};
///
/// let everything = ReadLog::after(0);
/// let deposits = ReadLog::after(41)
///     .filter(Filter { types: vec!["bank.deposited".into()], ..Filter::default() });
/// # let _ = (everything, deposits);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadLog {
    /// The events with a higher position.
    pub after: Position,
    /// The log that `after` was read from, when the position comes from outside.
    pub log: Option<LogId>,
    /// Which events.
    pub filter: Filter,
    /// Size of the pages.
    pub page: PageSize,
}

impl ReadLog {
    /// Everything after a position; 0 for everything.
    pub fn after(position: Position) -> Self {
        Self { after: position, log: None, filter: Filter::default(), page: PageSize::default() }
    }

    /// Only if it is this log.
    #[must_use]
    pub fn of_log(mut self, log: LogId) -> Self {
        self.log = Some(log);
        self
    }

    /// Only these events.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// At most this many events a page.
    #[must_use]
    pub fn page(mut self, events: u32) -> Self {
        self.page.events = events;
        self
    }
}
