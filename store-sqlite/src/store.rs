//! The store: opened and closed; a writer, readers, and what it offers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use cqrs_core::{Capabilities, Clock, Error, ErrorKind, Position, Result, Support};
use tokio::sync::{oneshot, watch};

use crate::collection::Declared;
use crate::config::SqliteBuilder;
use crate::error::closed;
use crate::open;
use crate::read::Readers;
use crate::writer::{Answer, Job, Jobs, Writer};

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
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) jobs: Jobs,
    thread: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) declared: Arc<Declared>,
    pub(crate) capabilities: Capabilities,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) grown: Arc<watch::Sender<Position>>,
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
        let grown = Arc::new(watch::Sender::new(0));
        let (jobs, thread) = Writer::start(
            settings,
            Arc::clone(&conn),
            Arc::clone(&file),
            path.as_deref(),
            Arc::clone(&grown),
        )?;
        let (size, name) = (settings.readers, Arc::clone(&file));
        let readers = match path {
            Some(path) => Readers::of_file(path, settings.busy_timeout, size, name),
            None => Readers::of_memory(conn, size, name),
        };
        let kept = match shared {
            true => Support::Yes,
            false => Support::No("it lives in the memory of one process"),
        };
        let capabilities = Capabilities {
            durable: kept,
            shared: kept,
            leases: Support::Yes,
            timers: Support::Yes,
            outgoing: Support::Yes,
            parked: Support::Yes,
            snapshots: Support::Yes,
            hints: Support::Yes,
            keeps_commit_ids: settings.keep_commit_ids,
            keeps_inbox: settings.keep_inbox,
            limits: settings.limits,
        };
        let thread = tokio::sync::Mutex::new(Some(thread));
        let (readers, clock) = (Arc::new(readers), Arc::clone(&settings.clock));
        let declared = Arc::default();
        let inner = Inner { jobs, thread, readers, declared, capabilities, clock, grown, file };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Hands a job to the writer, with the place for its answer, and waits for it.
    pub(crate) async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T> {
        let (answer, verdict) = oneshot::channel();
        self.wait_for(job(answer), verdict).await
    }

    pub(crate) async fn wait_for<T>(
        &self,
        job: Job,
        verdict: oneshot::Receiver<Result<T>>,
    ) -> Result<T> {
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
