//! A store whose process dies at a commit: before or after it is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, FindDocuments,
    FindOutgoing, FindParked, FindTimers, Head, Hint, InboxEntry, Lease, LeaseRequest, MessageId,
    Pages, ParkedEntry, PendingMessage, Position, ReadLog, ReadStream, Result, Store, Timer,
};
use tokio::sync::watch;

/// A handle on a store, as the process has it that is going to die.
#[derive(Debug, Clone)]
pub(crate) struct DyingStore {
    store: MemoryStore,
    /// Commits that are left to it.
    left: Arc<AtomicUsize>,
    writes_the_last: bool,
    dead: watch::Sender<bool>,
}

impl DyingStore {
    /// It dies at its `n`-th commit, from 1.
    pub(crate) fn at(store: &MemoryStore, n: usize, writes_the_last: bool) -> Self {
        let left = Arc::new(AtomicUsize::new(n));
        Self { store: store.clone(), left, writes_the_last, dead: watch::Sender::new(false) }
    }

    /// Waits until it is dead.
    pub(crate) async fn dies(&self) {
        let mut dead = self.dead.subscribe();
        let _ = dead.wait_for(|dead| *dead).await;
    }

    async fn die<T>(&self) -> T {
        self.dead.send_replace(true);
        std::future::pending().await
    }
}

#[async_trait]
impl Store for DyingStore {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        let take = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(1) if self.writes_the_last => {
                let _ = self.store.commit(commit).await;
                self.die().await
            }
            Ok(1) | Err(_) => self.die().await,
            Ok(_) => self.store.commit(commit).await,
        }
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        self.store.read_stream(read)
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
        self.store.document(key).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        self.store.find_documents(find).await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
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
