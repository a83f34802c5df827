//! A store in which a test steps in before something is written or read.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, FindDocuments,
    FindOutgoing, FindParked, FindTimers, Head, Hint, InboxEntry, Lease, LeaseRequest, MessageId,
    Pages, ParkedEntry, PendingMessage, Position, ReadLog, ReadStream, Result, Store, Timer,
};
use futures_util::future::BoxFuture;

type Hook<T> = Arc<dyn Fn(&T) -> BoxFuture<'static, ()> + Send + Sync>;

/// The store in memory, as one process has it.
#[derive(Clone)]
pub(crate) struct Hooked {
    store: MemoryStore,
    commit: Hook<Commit>,
    document: Hook<DocumentKey>,
    lease: Hook<LeaseRequest>,
}

fn nothing<T>() -> Hook<T> {
    Arc::new(|_| Box::pin(std::future::ready(())))
}

impl Hooked {
    pub(crate) fn of(store: &MemoryStore) -> Self {
        Self { store: store.clone(), commit: nothing(), document: nothing(), lease: nothing() }
    }

    /// This is waited for before a commit is written.
    pub(crate) fn before_commit(
        self,
        hook: impl Fn(&Commit) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { commit: Arc::new(hook), ..self }
    }

    /// This is waited for before a document is read.
    pub(crate) fn before_document(
        self,
        hook: impl Fn(&DocumentKey) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { document: Arc::new(hook), ..self }
    }

    /// This is waited for before leases are asked for.
    pub(crate) fn before_lease(
        self,
        hook: impl Fn(&LeaseRequest) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self { lease: Arc::new(hook), ..self }
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Hooked {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        (self.commit)(&commit).await;
        self.store.commit(commit).await
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
        (self.document)(key).await;
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
        (self.lease)(&request).await;
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
