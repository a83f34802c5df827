//! How a store is opened: durability, patience, readers, limits.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{Clock, Limits, Result, SystemClock};

use crate::store::SqliteStore;

/// What is written to the disk before a commit is acknowledged.
///
/// See [`SqliteBuilder`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Everything: an acknowledged commit survives a power failure. Commits share the wait, so that
    /// many at once cost little more than without it.
    #[default]
    Full,
    /// A commit survives the death of the process; the last ones may be lost when the machine loses
    /// its power.
    Normal,
}

/// Settings of a [`SqliteStore`].
///
/// ```
/// use std::time::Duration;
/// use store_sqlite::{SqliteStore, Synchronous};
///
/// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
/// let store = SqliteStore::builder()
///     .synchronous(Synchronous::Normal)
///     .busy_timeout(Duration::from_secs(1))
///     .in_memory()
///     .await?;
/// store.close().await?;
/// # Ok::<_, cqrs_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use = "call `open` or `in_memory`"]
pub struct SqliteBuilder {
    pub(crate) synchronous: Synchronous,
    pub(crate) busy_timeout: Duration,
    pub(crate) readers: usize,
    pub(crate) keep_commit_ids: Duration,
    pub(crate) keep_inbox: Duration,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for SqliteBuilder {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::default(),
            busy_timeout: Duration::from_secs(5),
            readers: 4,
            keep_commit_ids: Duration::from_secs(7 * 24 * 60 * 60),
            keep_inbox: Duration::from_secs(30 * 24 * 60 * 60),
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl SqliteBuilder {
    /// What is on the disk before a commit is acknowledged. Default: [`Synchronous::Full`].
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How long to wait while another process writes, before
    /// [`Unavailable`](cqrs_core::ErrorKind::Unavailable). Default: 5 s.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How many pages are read at once, each over a connection of its own; at least one. Default:
    /// 4.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How long the id of a commit is remembered, so that its repeat is known. Default: 7 days.
    pub fn keep_commit_ids(mut self, kept: Duration) -> Self {
        self.keep_commit_ids = kept;
        self
    }

    /// How long the inbox knows a message that was handled, so that its repeat has no second effect.
    /// Default: 30 days.
    pub fn keep_inbox(mut self, kept: Duration) -> Self {
        self.keep_inbox = kept;
        self
    }

    /// The sizes that are taken. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where the times come from: for tests. Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens a file; makes it when it is missing.
    ///
    /// # Errors
    /// - [`Invalid`](cqrs_core::ErrorKind::Invalid): the folder is missing, or the file is no
    ///   SQLite database, or one of another application.
    /// - [`SchemaTooNew`](cqrs_core::ErrorKind::SchemaTooNew): a newer version of this crate wrote
    ///   it. It is left as it is.
    /// - [`Unavailable`](cqrs_core::ErrorKind::Unavailable): it is locked, or may not be opened.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore> {
        SqliteStore::start(self, Some(path.as_ref().to_owned())).await
    }

    /// Opens a store in the memory of this process: for tests.
    ///
    /// # Errors
    /// When SQLite has no memory left.
    pub async fn in_memory(self) -> Result<SqliteStore> {
        SqliteStore::start(self, None).await
    }
}
