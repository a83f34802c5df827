//! The store: hands commits to the writer and readings to the readers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use async_trait::async_trait;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Document, DocumentKey, Error, ErrorKind,
    FindDocuments, Head, InboxEntry, LogId, MessageId, Pages, Position, ReadLog, ReadStream,
    Result, Store, Support,
};
use futures_util::stream::{self, StreamExt};
use rusqlite::OptionalExtension;
use tokio::sync::oneshot;

use crate::collection::document_of;
use crate::config::SqliteBuilder;
use crate::error::closed;
use crate::open;
use crate::read::{self, LogReading, Readers, StreamReading, log_head, pages};
use crate::row::{fingerprint, tenant, uuid_text};
use crate::statements::Sql;
use crate::writer::{Job, Jobs, Pending, Writer};

/// A store in one SQLite file, which several processes may share. Its clones are handles on the
/// same writer and readers; it belongs into a tokio runtime.
///
/// When the last handle is dropped, what is queued is still written, in the background;
/// [`close`](Self::close) waits for it.
///
/// ```
/// use cqrs_core::{Append, Commit, Committed, Expected, Json, NewEvent, Payload, Store, StreamId};
/// use store_sqlite::SqliteStore;
///
/// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("bank.db");
/// let store = SqliteStore::open(path).await?;
/// let event = NewEvent::new("bank.opened", Payload::Json(Json::parse(r#"{"owner":"Ada"}"#)?));
/// let commit = Commit {
///     appends: vec![Append {
///         stream: StreamId::new("account", "17"),
///         expected: Expected::NoStream,
///         events: vec![event],
///     }],
///     ..Commit::default()
/// };
/// assert_eq!(store.commit(commit).await?, Committed::Now { position: 1 });
/// store.close().await?;
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Jobs,
    thread: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Readers>,
    capabilities: Capabilities,
    file: Arc<str>,
}

impl SqliteStore {
    /// Opens a file with the default settings; makes it when it is missing. See
    /// [`SqliteBuilder::open`].
    ///
    /// # Errors
    /// As [`SqliteBuilder::open`] has them.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(path).await
    }

    /// Opens a store in the memory of this process: for tests.
    ///
    /// # Errors
    /// When SQLite has no memory left.
    pub async fn in_memory() -> Result<Self> {
        Self::builder().in_memory().await
    }

    /// Opens by a URL: `sqlite:PATH`, or `sqlite::memory:`.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it is another URL; otherwise as
    /// [`SqliteBuilder::open`] has them.
    pub async fn connect(url: &str) -> Result<Self> {
        match url.strip_prefix("sqlite:") {
            Some(":memory:") => Self::in_memory().await,
            Some(path) => Self::open(path.strip_prefix("//").unwrap_or(path)).await,
            None => {
                // Without the rest: a URL of another store may hold a password.
                let scheme: String = url.chars().take_while(|c| *c != ':').take(20).collect();
                let context =
                    format!("{scheme:?} is not the scheme of this store: write `sqlite:PATH`");
                Err(Error::invalid_field("url", context))
            }
        }
    }

    /// Other settings. See [`SqliteBuilder`].
    pub fn builder() -> SqliteBuilder {
        SqliteBuilder::default()
    }

    /// Takes no more commits, writes those that are queued, stops the writer, waits for the pages
    /// that are being read, and moves the write-ahead log into the file. Closing again does
    /// nothing; every other call on any clone is then
    /// [`Unavailable`](ErrorKind::Unavailable).
    ///
    /// Cancel safety: when the future is dropped, the store may be half closed; close it again.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) when the writer had panicked.
    pub async fn close(&self) -> Result<()> {
        let mut thread = self.inner.thread.lock().await;
        // The writer may have stopped already.
        let _ = self.inner.jobs.send(Job::Close).await;
        self.inner.readers.close().await;
        self.inner.jobs.closed().await;
        let Some(writer) = thread.take() else { return Ok(()) };
        let joined = tokio::task::spawn_blocking(move || writer.join()).await;
        if matches!(joined, Ok(Ok(()))) {
            return Ok(());
        }
        let context = format!("the writer of {} panicked: open the store again", self.inner.file);
        Err(Error::new(ErrorKind::Internal, context))
    }

    pub(crate) async fn start(settings: SqliteBuilder, path: Option<PathBuf>) -> Result<Self> {
        let file: Arc<str> = match &path {
            Some(path) => path.to_string_lossy().into(),
            None => ":memory:".into(),
        };
        let opened =
            tokio::task::spawn_blocking(move || Self::start_blocking(&settings, path, file));
        opened.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, "opening a store was broken off")
                .with_source(error))
        })
    }

    fn start_blocking(
        settings: &SqliteBuilder,
        path: Option<PathBuf>,
        file: Arc<str>,
    ) -> Result<Self> {
        let conn = open::writer(settings, path.as_deref(), &file)?;
        let conn = Arc::new(Mutex::new(conn));
        let shared = path.is_some();
        let (size, name) = (settings.readers, Arc::clone(&file));
        let readers = match path {
            Some(path) => Readers::of_file(path, settings.busy_timeout, size, name),
            None => Readers::of_memory(Arc::clone(&conn), size, name),
        };
        let (jobs, thread) = Writer::start(settings, conn, Arc::clone(&file), shared)?;
        let later = "part of the runtime, which is not here yet";
        let kept = match shared {
            true => Support::Yes,
            false => Support::No("it lives in the memory of one process"),
        };
        let capabilities = Capabilities {
            durable: kept,
            shared: kept,
            leases: Support::No(later),
            timers: Support::No(later),
            outgoing: Support::No(later),
            parked: Support::No(later),
            snapshots: Support::Yes,
            limits: settings.limits,
        };
        let thread = tokio::sync::Mutex::new(Some(thread));
        let readers = Arc::new(readers);
        Ok(Self { inner: Arc::new(Inner { jobs, thread, readers, capabilities, file }) })
    }

    async fn ask<T>(&self, job: Job, verdict: oneshot::Receiver<Result<T>>) -> Result<T> {
        if self.inner.jobs.send(job).await.is_err() {
            return Err(closed(&self.inner.file));
        }
        verdict.await.unwrap_or_else(|_| {
            let context = format!(
                "the writer of {} stopped before it answered: open the store again and repeat the \
                 commit with the same id",
                self.inner.file
            );
            Err(Error::new(ErrorKind::OutcomeUnknown, context))
        })
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("file", &self.inner.file).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        commit.check(&self.inner.capabilities)?;
        let (pending, verdict) = Pending::new(commit);
        self.ask(Job::Commit(pending), verdict).await
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
        let (answer, verdict) = oneshot::channel();
        self.ask(Job::Declare(collection, answer), verdict).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        if key.tenant.as_deref() == Some("") {
            return Ok(None);
        }
        let key = key.clone();
        let read = self.inner.readers.run("reading a document", move |conn| {
            let place = (tenant(key.tenant.as_deref()), &*key.collection, &*key.id);
            let mut statement = conn.prepare_cached(Sql::Document.text())?;
            let mut rows = statement.query(place)?;
            rows.next()?.map(|row| document_of(row, &key.collection)).transpose()
        });
        read.await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        self.inner
            .readers
            .run("finding documents", move |conn| read::find_documents(conn, &find))
            .await
    }

    async fn count_documents(&self, find: &FindDocuments) -> Result<u64> {
        let find = find.clone();
        self.inner
            .readers
            .run("counting documents", move |conn| read::count_documents(conn, &find))
            .await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        let consumer = consumer.to_owned();
        let read = self.inner.readers.run("reading the inbox", move |conn| {
            let mut statement = conn.prepare_cached(Sql::InboxEntry.text())?;
            let entry = statement.query_row((consumer, message.uuid().as_bytes()), |row| {
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
}
