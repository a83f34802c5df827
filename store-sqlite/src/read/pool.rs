//! The connections that read, and the threads they are used on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cqrs_core::{Error, ErrorKind, Result};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Trouble, closed};
use crate::open;
use crate::writer::{Shared, lock};

/// Something that is being read. Dropping it ends the reading, or throws away what was read.
pub(crate) struct Begun<T>(JoinHandle<T>);

impl<T> Begun<T> {
    pub(crate) async fn end(mut self) -> Result<T> {
        (&mut self.0).await.map_err(|error| {
            let context = "reading was broken off: it panicked, or the runtime was shut down";
            Error::new(ErrorKind::Internal, context).with_source(error)
        })
    }
}

impl<T> Drop for Begun<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A few connections that read, opened when they are first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    source: Source,
    file: Arc<str>,
    size: u32,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf, Duration),
    /// A database in memory is seen by its one connection only.
    Memory(Shared),
}

impl Readers {
    pub(crate) fn of_file(path: PathBuf, busy: Duration, size: usize, file: Arc<str>) -> Self {
        Self::new(Source::File(path, busy), size, file)
    }

    pub(crate) fn of_memory(conn: Shared, size: usize, file: Arc<str>) -> Self {
        Self::new(Source::Memory(conn), size, file)
    }

    fn new(source: Source, size: usize, file: Arc<str>) -> Self {
        let size = u32::try_from(size.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX).max(1);
        let permits = Arc::new(Semaphore::new(size as usize));
        Self { source, file, size, permits, idle: Mutex::default() }
    }

    /// Reads on a thread that may block. `doing` completes "… while". When the future is dropped,
    /// what was begun is finished and thrown away.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        doing: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T> {
        let permit = self.permit().await?;
        self.begin(permit, doing, read, |done| done).end().await?
    }

    /// A permit to [`begin`](Self::begin).
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map_err(|_| closed(&self.file))
    }

    /// Whether the connections are its own, and not the writer's.
    pub(super) fn has_own(&self) -> bool {
        matches!(self.source, Source::File(..))
    }

    /// A permit to [`begin`](Self::begin), unless all connections are in use.
    pub(super) fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Begins to read on a thread that may block, and tells there what was read: the connection is
    /// back by then.
    pub(super) fn begin<T, U: Send + 'static>(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        doing: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, Trouble> + Send + 'static,
        tell: impl FnOnce(Result<T>) -> U + Send + 'static,
    ) -> Begun<U> {
        let readers = Arc::clone(self);
        Begun(spawn_blocking(move || {
            let result = readers.with(permit, read);
            tell(result.map_err(|trouble| trouble.into_error(doing, &readers.file)))
        }))
    }

    fn with<T>(
        &self,
        permit: OwnedSemaphorePermit,
        read: impl FnOnce(&Connection) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let (path, busy_timeout) = match &self.source {
            Source::Memory(conn) => return read(&lock(conn)),
            Source::File(path, busy_timeout) => (path, *busy_timeout),
        };
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let pooled = idle().pop();
        let conn = match pooled {
            Some(conn) => conn,
            None => open::reader(path, busy_timeout)?,
        };
        let result = read(&conn);
        idle().push(conn);
        // The connection is back before the next one may look for it.
        drop(permit);
        result
    }

    /// Waits for the pages that are being read, then closes the connections. What is asked for
    /// later is an error.
    pub(crate) async fn close(&self) {
        let all = self.permits.acquire_many(self.size).await;
        self.permits.close();
        drop(all);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
