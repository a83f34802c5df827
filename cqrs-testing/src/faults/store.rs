//! A store in whose commits a process may end itself. Everything else is handed on as it is.

use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, FindDocuments,
    FindOutgoing, FindParked, FindTimers, Head, Hint, InboxEntry, Lease, LeaseRequest, MessageId,
    Pages, ParkedEntry, PendingMessage, Position, ReadLog, ReadStream, Result, Store, Timer,
};

use super::{Faults, Step};

/// A store with the faults of its commits.
#[derive(Debug)]
pub(super) struct Faulty {
    store: Arc<dyn Store>,
    faults: Faults,
}

impl Faulty {
    pub(super) fn new(store: Arc<dyn Store>, faults: Faults) -> Self {
        Self { store, faults }
    }
}

#[async_trait]
impl Store for Faulty {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.faults.around(Step::Commit, self.store.commit(commit)).await
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

    async fn count_documents(&self, find: &FindDocuments) -> Result<u64> {
        self.store.count_documents(find).await
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
