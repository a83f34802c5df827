//! The port: hands commits to the one who writes, first pages to the one who loads, and the rest to the
//! pool.

use async_trait::async_trait;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, FindDocuments,
    FindOutgoing, FindParked, FindTimers, Head, Hint, InboxEntry, Lease, LeaseRequest, LogId,
    MessageId, Pages, ParkedEntry, PendingMessage, Position, ReadLog, ReadStream, Result, Store,
    Timer,
};
use futures_util::stream::{self, StreamExt};

use crate::error::Trouble;
use crate::hint;
use crate::read::{self, LogReading, Reader, StreamReading, pages};
use crate::row::{For, can_be_tenant, can_exist, fingerprint};
use crate::statements::Sql;
use crate::store::PostgresStore;

impl PostgresStore {
    /// Reads something with the pool; tried again while the database is out of reach.
    async fn reading<'r, T, F>(&'r self, doing: &str, read: impl Fn(&'r Reader) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let reader = &self.inner.reader;
        read::patiently(reader.patience, || read(reader))
            .await
            .map_err(|trouble| trouble.into_error(doing, &reader.connector.place))
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        commit.check(&self.inner.capabilities)?;
        self.inner.writer.commit(commit).await
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        let of = &read.stream;
        if !(can_be_tenant(of.tenant.as_deref()) && can_exist(&of.category) && can_exist(&of.id)) {
            return stream::empty().boxed();
        }
        let reader = self.inner.reader.clone();
        if read.backwards || read.recorded_until.is_some() {
            return pages(reader, StreamReading::new(read));
        }
        let loads = self.inner.loads.clone();
        let first = async move {
            match loads.first(read).await {
                Ok((first, rest)) => {
                    let rest = match rest {
                        Some(read) => pages(reader, StreamReading::new(read)),
                        None => stream::empty().boxed(),
                    };
                    stream::iter(first.into_iter().map(Ok)).chain(rest).boxed()
                }
                Err(error) => stream::iter([Err(error)]).boxed(),
            }
        };
        stream::once(first).flatten().boxed()
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        if let Err(error) = read.filter.check(&self.inner.capabilities.limits) {
            return stream::iter([Err(error)]).boxed();
        }
        pages(self.inner.reader.clone(), LogReading::new(read))
    }

    async fn head(&self) -> Result<Head> {
        let head = self.reading("reading the head", |reader| async move {
            let client = reader.connector.get().await?;
            read::head(reader, &client).await
        });
        head.await
    }

    async fn declare(&self, collection: Collection) -> Result<()> {
        collection.check(&self.inner.capabilities.limits)?;
        let doing = format!("declaring the collection `{}`", collection.name);
        let wait = &*self.inner.terms.lock_timeout;
        self.reading(&doing, |reader| read::declare(reader, wait, &collection)).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.reading("reading a document", |reader| read::document(reader, key)).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        self.reading("finding documents", |reader| read::find(reader, &find)).await
    }

    async fn count_documents(&self, find: &FindDocuments) -> Result<u64> {
        self.reading("counting documents", |reader| read::count(reader, find)).await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        if !can_exist(consumer) {
            return Ok(None);
        }
        let kept = self.inner.capabilities.keeps_inbox;
        let read = self.reading("reading the inbox", |reader| async move {
            let client = reader.connector.get().await?;
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&consumer, &message.uuid(), &For(kept)];
            let rows = reader.statements.query(&client, Sql::Inbox, &params).await?;
            let entry = |row: &tokio_postgres::Row| {
                Ok(InboxEntry {
                    fingerprint: fingerprint(row, 0)?,
                    position: row.try_get::<_, i64>(1)? as u64,
                    reply: row.try_get::<_, Option<Vec<u8>>>(2)?.map(Into::into),
                })
            };
            rows.first().map(entry).transpose()
        });
        read.await
    }

    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>> {
        if !can_exist(subscription) {
            return Ok(None);
        }
        let partition = i64::from(partition);
        let read = self.reading("reading a checkpoint", |reader| async move {
            let client = reader.connector.get().await?;
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
                [&subscription, &partition];
            let row = reader.statements.one(&client, Sql::Checkpoint, &params).await?;
            let position = row.try_get::<_, i64>(1)? as u64;
            let head = Head { log: LogId(row.try_get(0)?), position };
            let checkpoint = row.try_get::<_, Option<i64>>(2)?.map(|position| position as u64);
            head.admits(None, checkpoint.unwrap_or(0))?;
            Ok(checkpoint)
        });
        read.await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        request.check(&self.inner.capabilities.limits)?;
        let (reader, wait) = (&self.inner.reader, &self.inner.terms.lock_timeout);
        let session = hint::session(&self.inner.session).await;
        let given = read::lease(reader, wait, session, &request).await;
        given.map_err(|trouble| trouble.into_error("giving out leases", &reader.connector.place))
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
        let wait = &self.inner.terms.lock_timeout;
        let released = self.reading("releasing leases", |reader| async move {
            let client = reader.connector.get().await?;
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [wait, &holder, &names];
            reader.statements.query(&client, Sql::Release, &params).await
        });
        released.await.map(drop)
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>> {
        self.reading("reading leases", |reader| read::leases(reader, prefix)).await
    }

    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>> {
        self.reading("finding timers", |reader| read::timers(reader, &find)).await
    }

    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>> {
        self.reading("finding messages", |reader| read::outgoing(reader, &find)).await
    }

    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        self.reading("finding parked entries", |reader| read::parked(reader, &find)).await
    }

    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32> {
        let (wait, limit) = (&self.inner.terms.lock_timeout, limit.min(i32::MAX as u32) as i32);
        let purged = self.reading("purging documents", |reader| async move {
            let client = reader.connector.get().await?;
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [wait, &collection, &limit];
            let row = reader.statements.one(&client, Sql::Purge, &params).await?;
            Ok(row.try_get::<_, i32>(0)? as u32)
        });
        purged.await
    }

    fn hint(&self) -> Hint {
        Hint::of(self.inner.grown.subscribe())
    }
}
