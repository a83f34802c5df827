//! The port: hands commits to the one who writes, and reads.

use async_trait::async_trait;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, FindDocuments,
    FindOutgoing, FindParked, FindTimers, Head, Hint, InboxEntry, Lease, LeaseRequest, MessageId,
    Pages, ParkedEntry, PendingMessage, Position, ReadLog, ReadStream, Result, Store, Timer,
};
use futures_util::stream::{self, StreamExt};

use crate::declare::{self, Purge};
use crate::leases;
use crate::read::{self, LogReading, StreamReading, pages};
use crate::row::can_be_tenant;
use crate::store::{Inner, MongoStore};

#[async_trait]
impl Store for MongoStore {
    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        commit.check(&self.inner.capabilities)?;
        self.inner.writer.commit(commit).await
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        if !can_be_tenant(read.stream.tenant.as_deref()) {
            return stream::empty().boxed();
        }
        pages(self.inner.reader.clone(), StreamReading::new(read))
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        if let Err(error) = read.filter.check(&self.inner.capabilities.limits) {
            return stream::iter([Err(error)]).boxed();
        }
        pages(self.inner.reader.clone(), LogReading::new(read))
    }

    async fn head(&self) -> Result<Head> {
        let reader = &self.inner.reader;
        reader.patiently("reading the head", || read::head(reader)).await
    }

    async fn declare(&self, collection: Collection) -> Result<()> {
        collection.check(&self.inner.capabilities.limits)?;
        declare::declare(&self.inner.reader, &self.inner.alone, &collection).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        let reader = &self.inner.reader;
        reader.patiently("reading a document", || read::document(reader, key)).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        let reader = &self.inner.reader;
        reader.patiently("finding documents", || read::find(reader, &find)).await
    }

    async fn count_documents(&self, find: &FindDocuments) -> Result<u64> {
        let reader = &self.inner.reader;
        reader.patiently("counting documents", || read::count(reader, find)).await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        let (reader, kept) = (&self.inner.reader, self.inner.capabilities.keeps_inbox);
        let read = || read::inbox(reader, kept, consumer, message);
        reader.patiently("reading the inbox", read).await
    }

    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>> {
        let reader = &self.inner.reader;
        let read = || read::checkpoint(reader, subscription, partition);
        reader.patiently("reading a checkpoint", read).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        request.check(&self.inner.capabilities.limits)?;
        let Inner { reader, alone, deaths, .. } = &*self.inner;
        leases::give_out(reader, alone, deaths, &request).await
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
        leases::release(&self.inner.reader, holder, names).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>> {
        let reader = &self.inner.reader;
        reader.patiently("reading leases", || read::leases(reader, prefix)).await
    }

    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>> {
        let reader = &self.inner.reader;
        reader.patiently("finding timers", || read::timers(reader, &find)).await
    }

    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>> {
        let reader = &self.inner.reader;
        reader.patiently("finding messages", || read::outgoing(reader, &find)).await
    }

    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        let reader = &self.inner.reader;
        reader.patiently("finding parked entries", || read::parked(reader, &find)).await
    }

    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32> {
        let Inner { reader, alone, .. } = &*self.inner;
        let known = reader.patiently("purging documents", || read::is_mapped(reader, collection));
        Purge { collection, limit, is_mapped: known.await? }.done(alone).await
    }

    fn hint(&self) -> Hint {
        Hint::of(self.inner.grown.subscribe())
    }
}
