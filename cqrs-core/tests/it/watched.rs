//! A store that counts what is asked of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, Error, ErrorKind,
    FindDocuments, Head, InboxEntry, MessageId, Page, Pages, Position, ReadLog, ReadStream, Result,
    SnapshotWrite, Store,
};
use cqrs_core::{
    FindOutgoing, FindParked, FindTimers, Hint, Lease, LeaseRequest, ParkedEntry, PendingMessage,
    Timer,
};
use futures_util::StreamExt;

/// The store in memory, watched. Its clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watched {
    pub(crate) store: MemoryStore,
    /// How long a commit takes.
    delay: Option<Duration>,
    calls: Arc<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    commits: AtomicUsize,
    snapshots: AtomicUsize,
    streams: AtomicUsize,
    events: Arc<AtomicUsize>,
    documents: AtomicUsize,
    kept: Mutex<Vec<SnapshotWrite>>,
    /// Commits and looks into the inbox that are still to fail, before anything is done.
    down: AtomicUsize,
    /// Commits that are still to be applied without an answer.
    unanswered: AtomicUsize,
}

/// What was asked since the last look.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// Commits that were tried.
    pub(crate) commits: usize,
    /// Snapshots in them.
    pub(crate) snapshots: usize,
    /// Readings of streams.
    pub(crate) streams: usize,
    /// Events that came of them.
    pub(crate) events: usize,
    /// Documents that were asked for.
    pub(crate) documents: usize,
}

impl Watched {
    pub(crate) fn of(store: &MemoryStore) -> Self {
        Self { store: store.clone(), ..Self::default() }
    }

    /// Whose commits take that long.
    pub(crate) fn taking(self, delay: Duration) -> Self {
        Self { delay: Some(delay), ..self }
    }

    /// Is out of reach for so many commits and looks into the inbox.
    pub(crate) fn goes_down(&self, times: usize) {
        self.calls.down.store(times, Ordering::SeqCst);
    }

    /// Applies so many commits without an answer.
    pub(crate) fn loses_answers(&self, times: usize) {
        self.calls.unanswered.store(times, Ordering::SeqCst);
    }

    fn is_up(&self) -> Result<()> {
        match left(&self.calls.down) {
            true => Err(Error::new(ErrorKind::Unavailable, "the store is out of reach")),
            false => Ok(()),
        }
    }

    pub(crate) fn shared(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }

    /// All snapshots that were to be written.
    pub(crate) fn kept(&self) -> Vec<SnapshotWrite> {
        self.calls.kept.lock().unwrap().clone()
    }

    /// What was asked since the last look.
    pub(crate) fn seen(&self) -> Seen {
        let Calls { commits, snapshots, streams, events, documents, .. } = &*self.calls;
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        Seen {
            commits: take(commits),
            snapshots: take(snapshots),
            streams: take(streams),
            events: take(events),
            documents: take(documents),
        }
    }
}

/// Whether one is left, and takes it.
fn left(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl Store for Watched {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.calls.commits.fetch_add(1, Ordering::SeqCst);
        self.calls.snapshots.fetch_add(commit.snapshots.len(), Ordering::SeqCst);
        self.calls.kept.lock().unwrap().extend(commit.snapshots.iter().cloned());
        // Others get a turn, as they do while a store writes to a disk.
        match self.delay {
            Some(delay) => tokio::time::sleep(delay).await,
            None => tokio::task::yield_now().await,
        }
        self.is_up()?;
        let committed = self.store.commit(commit).await?;
        match left(&self.calls.unanswered) {
            true => Err(Error::new(ErrorKind::OutcomeUnknown, "the connection broke")),
            false => Ok(committed),
        }
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        self.calls.streams.fetch_add(1, Ordering::SeqCst);
        let events = self.calls.events.clone();
        let pages = self.store.read_stream(read).then(move |page| {
            let events = events.clone();
            async move {
                tokio::task::yield_now().await;
                events.fetch_add(page.as_ref().map_or(0, Page::len), Ordering::SeqCst);
                page
            }
        });
        pages.boxed()
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        self.store.read_log(read)
    }

    async fn head(&self) -> Result<Head> {
        self.store.head().await
    }

    async fn declare(&self, collection: Collection) -> Result<()> {
        self.store.declare(collection).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.calls.documents.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.store.document(key).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        self.store.find_documents(find).await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        self.is_up()?;
        self.store.inbox(consumer, message).await
    }

    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>> {
        self.store.checkpoint(subscription, partition).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.store.lease(request).await
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
        self.store.release(holder, names).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>> {
        self.store.leases(prefix).await
    }

    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>> {
        self.store.timers(find).await
    }

    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>> {
        self.store.outgoing(find).await
    }

    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        self.store.parked(find).await
    }

    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32> {
        self.store.purge_documents(collection, limit).await
    }

    fn hint(&self) -> Hint {
        self.store.hint()
    }
}
