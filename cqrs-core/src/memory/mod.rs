//! The reference store and the reference bus: every rule of the ports in plain Rust, for tests and for
//! trying things out.

mod bus;
mod documents;
mod kept;
mod reading;
mod sink;
mod snapshots;
mod state;
mod waiting;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};
use crate::message::id::MessageId;
use crate::message::timestamp::Timestamp;
use crate::port::Position;
use crate::port::capabilities::{Capabilities, Limits, Support};
use crate::port::clock::{Clock, SystemClock};
use crate::port::commit::{Commit, Committed};
use crate::port::document::{Collection, Document, DocumentKey, FindDocuments};
use crate::port::hint::Hint;
use crate::port::lease::{Lease, LeaseRequest};
use crate::port::outgoing::{FindOutgoing, PendingMessage};
use crate::port::page::Page;
use crate::port::parked::{FindParked, ParkedEntry};
use crate::port::read::{ReadLog, ReadStream};
use crate::port::store::{Head, InboxEntry, Pages, Store};
use crate::port::timer::{FindTimers, Timer};
pub use bus::MemoryBus;
use kept::{COMMIT_IDS_KEPT, INBOX_KEPT};
use state::{Since, State};

/// A store in the memory of this process. Its clones are handles on the same log.
///
/// It keeps all promises but durability, and it is the reference that the store suite's broken
/// variants are made from. See [`Commit`] for an example.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    capabilities: Capabilities,
    grown: Arc<watch::Sender<Position>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_clock(SystemClock)
    }
}

impl MemoryStore {
    /// An empty store that takes its times from a clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            state: Arc::default(),
            clock: Arc::new(clock),
            capabilities: Capabilities {
                durable: Support::No("it lives in the memory of one process"),
                shared: Support::No("it lives in the memory of one process"),
                leases: Support::Yes,
                timers: Support::Yes,
                outgoing: Support::Yes,
                parked: Support::Yes,
                snapshots: Support::Yes,
                hints: Support::Yes,
                keeps_commit_ids: COMMIT_IDS_KEPT,
                keeps_inbox: INBOX_KEPT,
                limits: Limits::default(),
            },
            grown: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Other limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.capabilities.limits = limits;
        self
    }

    /// How long the id of a commit is remembered. Default: 7 days.
    #[must_use]
    pub fn keep_commit_ids(mut self, kept: Duration) -> Self {
        self.capabilities.keeps_commit_ids = kept;
        self
    }

    /// How long the inbox knows a message. Default: 30 days.
    #[must_use]
    pub fn keep_inbox(mut self, kept: Duration) -> Self {
        self.capabilities.keeps_inbox = kept;
        self
    }

    /// Applies a commit.
    fn write(&self, commit: Commit) -> Result<Committed> {
        commit.check(&self.capabilities)?;
        let now = self.clock.now();
        let (committed, last) = {
            let mut state = self.state();
            let committed = state.commit(commit, now, self.since(now))?;
            (committed, state.head().position)
        };
        self.grown.send_if_modified(|known| {
            let grown = last > *known;
            *known = last.max(*known);
            grown
        });
        Ok(committed)
    }

    fn since(&self, now: Timestamp) -> Since {
        Since {
            commit_ids: now.saturating_sub(self.capabilities.keeps_commit_ids),
            inbox: now.saturating_sub(self.capabilities.keeps_inbox),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes of the state, so a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("head", &self.state().head()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.write(commit)
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        let store = self.clone();
        let pages = stream::unfold(Some(read), move |read| {
            let store = store.clone();
            async move {
                let (page, rest) = store.state().stream_page(read?);
                let says = !page.is_empty() || page.snapshot().is_some();
                says.then_some((Ok(page), rest))
            }
        });
        pages.boxed()
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        let store = self.clone();
        let first = read
            .filter
            .check(&self.capabilities.limits)
            .and_then(|()| self.state().head().admits(read.log, read.after));
        if let Err(error) = first {
            return stream::iter([Err(error)]).boxed();
        }
        let pages = stream::unfold(Some(read), move |read| {
            let store = store.clone();
            async move {
                let (page, rest) = store.state().log_page(read?);
                Some((Ok::<Page, Error>(page), rest))
            }
        });
        pages.boxed()
    }

    async fn head(&self) -> Result<Head> {
        Ok(self.state().head())
    }

    async fn declare(&self, collection: Collection) -> Result<()> {
        collection.check(&self.capabilities.limits)?;
        self.state().documents.declare(collection)
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        Ok(self.state().documents.get(key))
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        self.state().documents.find(&find)
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        let since = self.since(self.clock.now()).inbox;
        Ok(self.state().inbox_entry(consumer, message, since).cloned())
    }

    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>> {
        let state = self.state();
        let position = state.checkpoints.get(&(subscription.to_owned(), partition)).copied();
        state.head().admits(None, position.unwrap_or(0))?;
        Ok(position)
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        request.check(&self.capabilities.limits)?;
        Ok(self.state().waiting.lease(request, self.clock.now()))
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
        self.state().waiting.release(holder, names);
        Ok(())
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>> {
        Ok(self.state().waiting.leases(prefix, self.clock.now()))
    }

    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>> {
        Ok(self.state().waiting.timers(&find))
    }

    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>> {
        Ok(self.state().waiting.outgoing(find))
    }

    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        Ok(self.state().waiting.parked(&find))
    }

    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32> {
        Ok(self.state().documents.purge(collection, limit))
    }

    fn hint(&self) -> Hint {
        Hint::of(self.grown.subscribe())
    }
}

/// What cannot happen because it was checked under the same lock.
fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the memory store is broken: {what}"))
}

#[cfg(test)]
mod tests;
