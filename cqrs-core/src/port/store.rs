//! The port of a store: one commit in, one log out.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::message::fingerprint::Fingerprint;
use crate::message::id::MessageId;
use crate::port::Position;
use crate::port::capabilities::Capabilities;
use crate::port::commit::{Commit, Committed};
use crate::port::document::{Collection, Document, DocumentKey, FindDocuments};
use crate::port::hint::Hint;
use crate::port::lease::{Lease, LeaseRequest};
use crate::port::outgoing::{FindOutgoing, PendingMessage};
use crate::port::page::Page;
use crate::port::parked::{FindParked, ParkedEntry};
use crate::port::read::{ReadLog, ReadStream};
use crate::port::timer::{FindTimers, Timer};

/// Pages as they are read, one at a time. Owned: it can be the body of a response or live in a task
/// of its own. Dropping it ends the reading. See [`Store::read_log`] for an example.
pub type Pages = BoxStream<'static, Result<Page>>;

/// A place where everything is written as [`Commit`]s and read back as one log.
///
/// An adapter implements this, with the `async-trait` crate's attribute on the `impl`, and proves it
/// with the store suite of `cqrs-testing`.
/// [`MemoryStore`](crate::memory::MemoryStore) is the reference; see [`Commit`] for an example of
/// writing and [`Store::read_log`] for one of reading.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What it offers, and the sizes it takes.
    fn capabilities(&self) -> &Capabilities;

    /// Writes a commit, all or nothing (P1).
    ///
    /// The answer to a repeat is looked for before any expectation is checked, first in the inbox,
    /// then among the commit ids (P5); a repeat while the first is in flight waits for it.
    ///
    /// Cancel safety: when the future is dropped the commit may still be applied. Repeat it with
    /// the same id to know.
    ///
    /// # Errors
    /// Nothing is written in any of these cases but the last:
    /// - [`Conflict`](ErrorKind::Conflict): an expectation does not hold (P2).
    /// - [`IdReused`](ErrorKind::IdReused): the id of the commit, of an event or of an inbox mark
    ///   stands for something else.
    /// - [`Invalid`](ErrorKind::Invalid), [`TooLarge`](ErrorKind::TooLarge),
    ///   [`Unsupported`](ErrorKind::Unsupported): the commit cannot be taken.
    /// - [`Unavailable`](ErrorKind::Unavailable): the store is busy or out of reach.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown): it may have been written.
    async fn commit(&self, commit: Commit) -> Result<Committed>;

    /// Reads a stretch of one stream, by the page, in the order of versions. A stream that does not
    /// exist has no pages.
    ///
    /// With [`ReadStream::with_snapshot`] the first page may begin with a [snapshot](Page::snapshot),
    /// and its events, maybe none, go on after it. One that lies beyond the end of the stream is
    /// never given.
    fn read_stream(&self, read: ReadStream) -> Pages;

    /// Reads a stretch of the log, by the page, in the order of positions, up to the head.
    ///
    /// There is at least one page; a page may be empty and tell only how far the log was looked
    /// through ([`Page::through`]). The reading ends with the page that reached the head. Once a
    /// reader was given a position, what is at or below it is final (P4).
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use cqrs_core::memory::MemoryStore;
    /// use cqrs_core::{Filter, ReadLog, Store};
    ///
    /// async fn count(store: &dyn Store, category: &'static str) -> cqrs_core::Result<usize> {
    ///     let filter = Filter { categories: vec![category.into()], ..Filter::default() };
    ///     let mut pages = store.read_log(ReadLog::after(0).filter(filter));
    ///     let mut events = 0;
    ///     while let Some(page) = pages.next().await {
    ///         events += page?.len();
    ///     }
    ///     Ok(events)
    /// }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert_eq!(count(&MemoryStore::default(), "account").await.unwrap(), 0);
    /// # });
    /// ```
    ///
    /// The first page is an error of kind [`BeyondHead`](ErrorKind::BeyondHead) or
    /// [`OtherLog`](ErrorKind::OtherLog) when the position to start from is not one of this log.
    fn read_log(&self, read: ReadLog) -> Pages;

    /// The log's id and its last position.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn head(&self) -> Result<Head>;

    /// Declares a collection, or changes what was declared: from now on, for the documents that are
    /// there as well. Declaring it again as it is changes nothing.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) when documents share a value that should be unique,
    /// [`Invalid`](ErrorKind::Invalid) when one holds a value that cannot be indexed; nothing is
    /// changed then.
    async fn declare(&self, collection: Collection) -> Result<()>;

    /// A document; `None` when it does not exist.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>>;

    /// A page of documents, in the order of their ids' bytes. A page shorter than its limit is the
    /// last one.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when the field is not declared.
    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>>;

    /// How many documents there are to find, on all pages: whatever `after`, `skip` and `limit` say.
    ///
    /// Provided by paging; a store that counts without reading does.
    ///
    /// # Errors
    /// As [`find_documents`](Self::find_documents).
    async fn count_documents(&self, find: &FindDocuments) -> Result<u64> {
        let mut next = FindDocuments { after: None, skip: 0, limit: 1_000, ..find.clone() };
        let mut count = 0;
        loop {
            let page = self.find_documents(next.clone()).await?;
            count += page.len() as u64;
            match page.into_iter().nth(next.limit as usize - 1) {
                Some(last) => next.after = Some(last.id),
                None => return Ok(count),
            }
        }
    }

    /// What the inbox says of a message; `None`: it was not handled.
    ///
    /// # Errors
    /// When the store cannot be read.
    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>>;

    /// Where the checkpoint of a partition stands; `None`: nowhere yet.
    ///
    /// # Errors
    /// [`BeyondHead`](ErrorKind::BeyondHead) when the checkpoint lies past the end of the log,
    /// which was then restored to an older state.
    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>>;

    /// Gives out leases: each that was never given out, was released, or is over by the store's
    /// clock, and more time on those that the holder has. Answers how each stands then, in the order
    /// of the names.
    ///
    /// A lease that goes from one holder to another gets a higher token; one that its holder asks
    /// for again keeps its token, also when its term was over meanwhile. A store that knows that a
    /// holder is gone may give its leases out before they are over.
    ///
    /// Cancel safety: when the future is dropped, leases may have been given out all the same.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the store has no leases;
    /// when names are no names; when the store cannot be written.
    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>>;

    /// Gives leases back, so that others need not wait until they are over. What is not this holder's
    /// stays as it is. Until somebody takes them, their tokens are good: commit before, not after.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the store has no leases;
    /// when the store cannot be written.
    async fn release(&self, holder: &str, names: &[String]) -> Result<()>;

    /// The leases that somebody holds now, by the store's clock, whose names begin so; in the order
    /// of their names.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the store has no leases;
    /// when the store cannot be read.
    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>>;

    /// Timers of one owner, the earliest first.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the store has no timers;
    /// when the store cannot be read.
    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>>;

    /// Messages that are not settled, in the order of their positions. Once a reader was given a
    /// position, no other message turns up at or below it (P4).
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the store has no outgoing messages;
    /// when the store cannot be read.
    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>>;

    /// What is set aside.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) where the store has no parked entries;
    /// when the store cannot be read.
    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>>;

    /// Removes documents of a collection, of all tenants, deleted ones too, as if they had never
    /// been: at most so many. How many were removed; less than the limit: nothing is left.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32>;

    /// Hints that the log may have grown. Provided: none ever comes.
    fn hint(&self) -> Hint {
        Hint::never()
    }
}

/// The identity of a log. A log that was made anew has another one; a copy keeps it. See [`Head`]
/// for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub Uuid);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The end of a log. See [`Store::head`].
///
/// ```
/// use cqrs_core::{Head, LogId};
///
/// let head = Head { log: LogId(uuid::Uuid::nil()), position: 41 };
/// assert!(head.admits(None, 41).is_ok());
/// assert!(head.admits(None, 42).is_err());
/// assert!(head.admits(Some(LogId(uuid::Uuid::max())), 1).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which log.
    pub log: LogId,
    /// Its last position; 0: it is empty.
    pub position: Position,
}

impl Head {
    /// Checks that a reader may start after a position: for adapters.
    ///
    /// # Errors
    /// [`OtherLog`](ErrorKind::OtherLog) or [`BeyondHead`](ErrorKind::BeyondHead), with what to do.
    pub fn admits(&self, log: Option<LogId>, after: Position) -> Result<()> {
        if let Some(expected) = log.filter(|log| *log != self.log) {
            let kind = ErrorKind::OtherLog {
                expected: expected.to_string(),
                actual: self.log.to_string(),
            };
            let context = format!(
                "position {after} is one of log {expected}, and this is log {}: start from 0",
                self.log
            );
            return Err(Error::new(kind, context));
        }
        if after > self.position {
            let head = self.position;
            let context = format!(
                "position {after} is past the end of log {} at {head}: the log was restored to an \
                 older state, or the position is another log's; rebuild from 0",
                self.log
            );
            return Err(Error::new(ErrorKind::BeyondHead { position: after, head }, context));
        }
        Ok(())
    }
}

/// What is kept of a handled message. See [`Store::inbox`], and [`InboxMark`](crate::InboxMark) for
/// an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEntry {
    /// Position of the commit that handled it.
    pub position: Position,
    /// What the message said.
    pub fingerprint: Fingerprint,
    /// What it was answered.
    pub reply: Option<Bytes>,
}
