//! The port: hands commits to the writer and readings to the readers.

use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, FindDocuments,
    FindOutgoing, FindParked, FindTimers, Head, Hint, InboxEntry, Lease, LeaseRequest, LogId,
    MessageId, Pages, ParkedEntry, PendingMessage, Position, ReadLog, ReadStream, Result, Store,
    Timer,
};
use futures_util::stream::{self, StreamExt};
use rusqlite::{Connection, OptionalExtension};

use crate::read::{self, LogReading, StreamReading, log_head, pages};
use crate::row::{fingerprint, uuid_text};
use crate::statements::Sql;
use crate::store::{Inner, SqliteStore};
use crate::writer::{Job, Pending};

#[async_trait]
impl Store for SqliteStore {
    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        commit.check(&self.inner.capabilities)?;
        let (pending, verdict) = Pending::new(commit);
        self.wait_for(Job::Commit(pending), verdict).await
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        // '' stands for no tenant in the tables, but it is not the name of one.
        if read.stream.tenant.as_deref() == Some("") {
            return stream::empty().boxed();
        }
        let reading = StreamReading::new(read);
        pages(Arc::clone(&self.inner.readers), reading, "reading a stream", StreamReading::page)
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        if let Err(error) = read.filter.check(&self.inner.capabilities.limits) {
            return stream::iter([Err(error)]).boxed();
        }
        let reading = LogReading::new(read);
        pages(Arc::clone(&self.inner.readers), reading, "reading the log", LogReading::page)
    }

    async fn head(&self) -> Result<Head> {
        self.inner.readers.run("reading the head", |conn| Ok(log_head(conn)?)).await
    }

    async fn declare(&self, collection: Collection) -> Result<()> {
        collection.check(&self.inner.capabilities.limits)?;
        self.ask(|answer| Job::Declare(collection, answer)).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        if key.tenant.as_deref() == Some("") {
            return Ok(None);
        }
        let key = key.clone();
        let declared = Arc::clone(&self.inner.declared);
        self.inner
            .readers
            .run("reading a document", move |conn| read::document(conn, &declared, &key))
            .await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        let declared = Arc::clone(&self.inner.declared);
        self.inner
            .readers
            .run("finding documents", move |conn| read::find_documents(conn, &declared, &find))
            .await
    }

    async fn count_documents(&self, find: &FindDocuments) -> Result<u64> {
        let (find, declared) = (find.clone(), Arc::clone(&self.inner.declared));
        self.inner
            .readers
            .run("counting documents", move |conn| read::count_documents(conn, &declared, &find))
            .await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        let consumer = consumer.to_owned();
        let Inner { clock, capabilities, .. } = &*self.inner;
        let since = clock.now().saturating_sub(capabilities.keeps_inbox).as_micros();
        let read = self.inner.readers.run("reading the inbox", move |conn| {
            let mut statement = conn.prepare_cached(Sql::InboxEntry.text())?;
            let entry = statement.query_row((consumer, message.uuid().as_bytes(), since), |row| {
                Ok(InboxEntry {
                    fingerprint: fingerprint(row, 0)?,
                    position: row.get::<_, i64>(1)? as u64,
                    reply: row.get::<_, Option<Vec<u8>>>(2)?.map(Into::into),
                })
            });
            Ok(entry.optional()?)
        });
        read.await
    }

    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>> {
        let subscription = subscription.to_owned();
        let read = self.inner.readers.run("reading a checkpoint", move |conn| {
            let mut statement = conn.prepare_cached(Sql::CheckpointAndHead.text())?;
            let (head, checkpoint) = statement.query_row((subscription, partition), |row| {
                let position = row.get::<_, i64>(1)? as u64;
                let checkpoint = row.get::<_, Option<i64>>(2)?;
                Ok((Head { log: LogId(uuid_text(row, 0)?), position }, checkpoint))
            })?;
            let checkpoint = checkpoint.map(|position| position as u64);
            head.admits(None, checkpoint.unwrap_or(0))?;
            Ok(checkpoint)
        });
        read.await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        request.check(&self.inner.capabilities.limits)?;
        self.ask(|answer| Job::Lease(request, answer)).await
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
        self.ask(|answer| Job::Release(holder.to_owned(), names.to_vec(), answer)).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>> {
        let (prefix, now) = (prefix.to_owned(), self.inner.clock.now());
        let leases = move |conn: &Connection| read::leases(conn, &prefix, now);
        self.inner.readers.run("reading leases", leases).await
    }

    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>> {
        self.inner.readers.run("finding timers", move |conn| read::timers(conn, &find)).await
    }

    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>> {
        self.inner.readers.run("finding messages", move |conn| read::outgoing(conn, &find)).await
    }

    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        self.inner
            .readers
            .run("finding parked entries", move |conn| read::parked(conn, &find))
            .await
    }

    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32> {
        self.ask(|answer| Job::Purge(collection.to_owned(), limit, answer)).await
    }

    fn hint(&self) -> Hint {
        Hint::of(self.inner.grown.subscribe())
    }
}
