//! What all broken stores share: everything goes to the store in memory, unless it is overridden.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, FindDocuments,
    FindOutgoing, FindParked, FindTimers, Head, Hint, InboxEntry, Lease, LeaseRequest, MessageId,
    Page, Pages, ParkedEntry, PendingMessage, Position, ReadLog, ReadStream, Recorded, Result,
    Store, Timer,
};
use cqrs_testing::StoreUnderTest;
use futures_util::StreamExt;

/// One way to be broken: overrides one thing, the rest is right.
#[async_trait]
pub(crate) trait Fault: fmt::Debug + Default + Send + Sync + 'static {
    /// The store behind it.
    fn store() -> MemoryStore {
        MemoryStore::default()
    }

    /// The store without the fault: it passes the case.
    fn right() -> MemoryStore {
        MemoryStore::default()
    }

    /// What it says that it offers; `None`: the truth.
    fn capabilities(&self) -> Option<&Capabilities> {
        None
    }

    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        store.commit(commit).await
    }

    fn read_stream(&self, store: &MemoryStore, read: ReadStream) -> Pages {
        store.read_stream(read)
    }

    fn read_log(&self, store: &MemoryStore, read: ReadLog) -> Pages {
        store.read_log(read)
    }

    async fn head(&self, store: &MemoryStore) -> Result<Head> {
        store.head().await
    }

    async fn checkpoint(
        &self,
        store: &MemoryStore,
        subscription: &str,
        partition: u32,
    ) -> Result<Option<Position>> {
        store.checkpoint(subscription, partition).await
    }

    async fn declare(&self, store: &MemoryStore, collection: Collection) -> Result<()> {
        store.declare(collection).await
    }

    async fn document(&self, store: &MemoryStore, key: &DocumentKey) -> Result<Option<Document>> {
        store.document(key).await
    }

    async fn find(&self, store: &MemoryStore, find: FindDocuments) -> Result<Vec<Document>> {
        store.find_documents(find).await
    }

    async fn count(&self, store: &MemoryStore, find: &FindDocuments) -> Result<u64> {
        store.count_documents(find).await
    }

    async fn lease(&self, store: &MemoryStore, request: LeaseRequest) -> Result<Vec<Lease>> {
        store.lease(request).await
    }

    async fn release(&self, store: &MemoryStore, holder: &str, names: &[String]) -> Result<()> {
        store.release(holder, names).await
    }

    async fn leases(&self, store: &MemoryStore, prefix: &str) -> Result<Vec<Lease>> {
        store.leases(prefix).await
    }

    async fn timers(&self, store: &MemoryStore, find: FindTimers) -> Result<Vec<Timer>> {
        store.timers(find).await
    }

    async fn outgoing(
        &self,
        store: &MemoryStore,
        find: FindOutgoing,
    ) -> Result<Vec<PendingMessage>> {
        store.outgoing(find).await
    }

    async fn parked(&self, store: &MemoryStore, find: FindParked) -> Result<Vec<ParkedEntry>> {
        store.parked(find).await
    }

    async fn purge(&self, store: &MemoryStore, collection: &str, limit: u32) -> Result<u32> {
        store.purge_documents(collection, limit).await
    }

    fn hint(&self, store: &MemoryStore) -> Hint {
        store.hint()
    }
}

/// Declares a fault that overrides one way to write or to find.
macro_rules! fault {
    ($(#[$doc:meta])* $name:ident, commit |$store:ident, $asked:ident| $body:expr) => {
        $crate::base::fault! {
            @as [$(#[$doc])*] $name, commit, Commit, Committed, |$store, $asked| $body
        }
    };
    ($(#[$doc:meta])* $name:ident, lease |$store:ident, $asked:ident| $body:expr) => {
        $crate::base::fault! {
            @as [$(#[$doc])*] $name, lease, LeaseRequest, Vec<Lease>, |$store, $asked| $body
        }
    };
    ($(#[$doc:meta])* $name:ident, timers |$store:ident, $asked:ident| $body:expr) => {
        $crate::base::fault! {
            @as [$(#[$doc])*] $name, timers, FindTimers, Vec<Timer>, |$store, $asked| $body
        }
    };
    ($(#[$doc:meta])* $name:ident, outgoing |$store:ident, $asked:ident| $body:expr) => {
        $crate::base::fault! {
            @as [$(#[$doc])*] $name, outgoing, FindOutgoing, Vec<PendingMessage>,
            |$store, $asked| $body
        }
    };
    ($(#[$doc:meta])* $name:ident, parked |$store:ident, $asked:ident| $body:expr) => {
        $crate::base::fault! {
            @as [$(#[$doc])*] $name, parked, FindParked, Vec<ParkedEntry>, |$store, $asked| $body
        }
    };
    (
        @as [$(#[$doc:meta])*] $name:ident, $hook:ident, $asks:ty, $gives:ty,
        |$store:ident, $asked:ident| $body:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait::async_trait]
        impl $crate::base::Fault for $name {
            async fn $hook(
                &self,
                $store: &cqrs_core::memory::MemoryStore,
                $asked: $asks,
            ) -> cqrs_core::Result<$gives> {
                $body
            }
        }
    };
}
pub(crate) use fault;

/// A store with a fault. Its clones are handles on the same store.
#[derive(Debug)]
pub(crate) struct Broken<F> {
    store: MemoryStore,
    fault: Arc<F>,
}

impl<F> Clone for Broken<F> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), fault: Arc::clone(&self.fault) }
    }
}

impl<F: Fault> Default for Broken<F> {
    fn default() -> Self {
        Self { store: F::store(), fault: Arc::default() }
    }
}

#[async_trait]
impl<F: Fault> StoreUnderTest for Broken<F> {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl<F: Fault> Store for Broken<F> {
    fn capabilities(&self) -> &Capabilities {
        self.fault.capabilities().unwrap_or_else(|| self.store.capabilities())
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.fault.commit(&self.store, commit).await
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        self.fault.read_stream(&self.store, read)
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        self.fault.read_log(&self.store, read)
    }

    async fn head(&self) -> Result<Head> {
        self.fault.head(&self.store).await
    }

    async fn declare(&self, collection: Collection) -> Result<()> {
        self.fault.declare(&self.store, collection).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.fault.document(&self.store, key).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        self.fault.find(&self.store, find).await
    }

    async fn count_documents(&self, find: &FindDocuments) -> Result<u64> {
        self.fault.count(&self.store, find).await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        self.store.inbox(consumer, message).await
    }

    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>> {
        self.fault.checkpoint(&self.store, subscription, partition).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.fault.lease(&self.store, request).await
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
        self.fault.release(&self.store, holder, names).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>> {
        self.fault.leases(&self.store, prefix).await
    }

    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>> {
        self.fault.timers(&self.store, find).await
    }

    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>> {
        self.fault.outgoing(&self.store, find).await
    }

    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        self.fault.parked(&self.store, find).await
    }

    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32> {
        self.fault.purge(&self.store, collection, limit).await
    }

    fn hint(&self) -> Hint {
        self.fault.hint(&self.store)
    }
}

/// Makes each page anew from its events.
pub(crate) fn rebuilt<'a>(page: &'a Page, events: impl Iterator<Item = Recorded<'a>>) -> Page {
    let mut made = Page::default();
    for event in events {
        made.push(&event);
    }
    made.reach(page.through());
    made
}

/// Changes every page of a reading.
pub(crate) fn changed(
    pages: Pages,
    mut change: impl FnMut(Page) -> Page + Send + 'static,
) -> Pages {
    pages.map(move |page| page.map(&mut change)).boxed()
}
