//! The one thread that writes: takes what is queued, in groups, and answers each commit.

mod apply;
mod check;
mod declare;
mod documents;
mod group;
mod pace;
mod patience;
mod snapshots;
mod sweep;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cqrs_core::{
    Clock, Collection, Commit, Committed, Error, ErrorKind, Fingerprint, Json, Result,
    SnapshotWrite, StreamId, Version,
};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::config::SqliteBuilder;
use crate::error::translate;
use pace::Pace;
use patience::Patience;
use sweep::Sweep;

/// Commits that may wait for the writer; more wait for a place.
const QUEUE: usize = 1_024;

/// A group ends with this many commits, or with this many bytes in their bodies: the last one in
/// it is answered when all are on the disk.
const GROUP_COMMITS: usize = 512;
const GROUP_BYTES: usize = 4 << 20;

/// Streams whose versions are kept in memory.
const KNOWN_STREAMS: usize = 4_096;

/// The connection that writes. A store in memory reads from it as well.
pub(crate) type Shared = Arc<Mutex<Connection>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Apply a commit.
    Commit(Box<Pending>),
    /// Declare a collection.
    Declare(Collection, oneshot::Sender<Result<()>>),
    /// Finish what is queued and stop.
    Close,
}

/// A commit that waits for its verdict.
#[derive(Debug)]
pub(crate) struct Pending {
    commit: Commit,
    /// Made by whoever asks: the writer is one thread for all.
    fingerprint: Fingerprint,
    bytes: usize,
    since: Instant,
    answer: Option<oneshot::Sender<Result<Committed>>>,
}

impl Pending {
    pub(crate) fn new(commit: Commit) -> (Box<Self>, oneshot::Receiver<Result<Committed>>) {
        let (answer, verdict) = oneshot::channel();
        let bodies = commit.appends.iter().flat_map(|a| &a.events).map(|e| e.payload.len());
        let documents = commit.documents.iter().flat_map(|d| &d.body).map(Json::len);
        let snapshots = commit.snapshots.iter().map(SnapshotWrite::size);
        let bytes = bodies.chain(documents).chain(snapshots).sum();
        let fingerprint = commit.fingerprint();
        let answer = Some(answer);
        let pending = Self { commit, fingerprint, bytes, since: Instant::now(), answer };
        (Box::new(pending), verdict)
    }

    /// Answers whoever asked, if anybody still waits.
    fn tell(&mut self, verdict: Result<Committed>) {
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(verdict);
        }
    }
}

/// Sends jobs to the writer. When the last of its clones is dropped, the writer finishes what is
/// queued and stops.
pub(crate) type Jobs = mpsc::Sender<Job>;

pub(crate) struct Writer {
    conn: Shared,
    jobs: mpsc::Receiver<Job>,
    file: Arc<str>,
    clock: Arc<dyn Clock>,
    keep_commit_ids: Duration,
    busy_timeout: Duration,
    pace: Pace,
    sweep: Sweep,
    /// What is declared, as of `data_version`.
    collections: HashMap<String, Arc<Collection>>,
    /// Where streams stand, as of `data_version`: most are written to again soon.
    versions: HashMap<StreamId, Version>,
    /// Changes when another process commits.
    data_version: Option<i64>,
    patience: Patience,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        settings: &SqliteBuilder,
        conn: Shared,
        file: Arc<str>,
        shared_file: bool,
    ) -> Result<(Jobs, JoinHandle<()>)> {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let mut writer = Self {
            conn,
            jobs,
            file,
            clock: Arc::clone(&settings.clock),
            keep_commit_ids: settings.keep_commit_ids,
            busy_timeout: settings.busy_timeout,
            pace: Pace::new(shared_file),
            sweep: Sweep::default(),
            collections: HashMap::new(),
            versions: HashMap::new(),
            data_version: None,
            patience: Patience::default(),
        };
        let thread = std::thread::Builder::new().name("store-sqlite".to_owned());
        let thread = thread.spawn(move || writer.run()).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "no thread can be started for the writer")
                .with_source(error)
        })?;
        Ok((sender, thread))
    }

    fn run(&mut self) {
        let mut group = Vec::new();
        let mut next = None;
        while let Some(job) = next.take().or_else(|| self.jobs.blocking_recv()) {
            match job {
                Job::Commit(first) => {
                    next = self.gather(*first, &mut group);
                    self.pace.before_group();
                    let others = self.write(&mut group);
                    self.pace.after_group(others);
                }
                // The answer goes to someone who may have stopped waiting; here and below.
                Job::Declare(collection, answer) => {
                    let _ = answer.send(self.declare(&collection));
                }
                Job::Close => self.jobs.close(),
            }
        }
        self.finish();
    }

    /// Takes what is queued, and what comes while the [`Patience`] lasts; the first job that is no
    /// commit is returned.
    fn gather(&mut self, first: Pending, group: &mut Vec<Pending>) -> Option<Job> {
        let mut bytes = first.bytes;
        let mut next = None;
        let mut wait = None;
        group.push(first);
        while group.len() < GROUP_COMMITS && bytes < GROUP_BYTES {
            match self.jobs.try_recv() {
                Ok(Job::Commit(pending)) => {
                    bytes += pending.bytes;
                    group.push(*pending);
                    continue;
                }
                Ok(other) => next = Some(other),
                Err(_) => {
                    let wait = wait.get_or_insert_with(|| self.patience.wait(group.len()));
                    if self.patience.lasts(wait, group.len()) {
                        std::thread::yield_now();
                        continue;
                    }
                }
            }
            break;
        }
        if let Some(wait) = wait {
            self.patience.learn(&wait, group.len());
        }
        next
    }

    /// Moves the write-ahead log into the file, as far as readers let it.
    fn finish(&mut self) {
        let conn = lock(&self.conn);
        let moved = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        if let Err(error) = moved {
            let error = translate(&Arc::new(error), "closing it", &self.file);
            tracing::debug!(%error, "the write-ahead log stays; it is read at the next opening");
        }
    }
}

/// Locks a connection. A panic under the lock leaves at worst an open transaction, and whoever
/// begins the next one finds that out.
pub(crate) fn lock(conn: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    conn.lock().unwrap_or_else(PoisonError::into_inner)
}
