//! The one thread that writes: takes what is queued, in groups, and answers each commit.

mod alone;
mod apply;
mod check;
mod declare;
mod documents;
mod group;
mod lease;
mod pace;
mod patience;
mod project;
mod purge;
mod snapshots;
mod sweep;
mod waiting;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cqrs_core::{
    Clock, Collection, Commit, Committed, DocumentKey, Error, ErrorKind, Fingerprint, Lease,
    LeaseRequest, Position, Result, StreamId, Version,
};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::collection::Declaration;
use crate::config::SqliteBuilder;
use crate::error::translate;
use crate::guard::Guard;
use crate::holders::Holders;
use crate::sink::Work;
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

/// Documents whose versions are kept in memory.
const KNOWN_DOCUMENTS: usize = 8_192;

/// The connection that writes. A store in memory reads from it as well.
pub(crate) type Shared = Arc<Mutex<Connection>>;

/// Where the answer goes: to someone who may have stopped waiting.
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// What the writer is asked to do.
pub(crate) enum Job {
    /// Apply a commit.
    Commit(Box<Pending>),
    /// Declare a collection.
    Declare(Collection, Answer<()>),
    /// Remove documents of a collection, at most so many.
    Purge(String, u32, Answer<u32>),
    /// Give out leases.
    Lease(LeaseRequest, Answer<Vec<Lease>>),
    /// Take leases of a holder back.
    Release(String, Vec<String>, Answer<()>),
    /// Make tables of the user's.
    SetUp(Work, Answer<()>),
    /// Apply a commit, and what the user makes of the events it handles.
    Project(Box<Pending>, Work),
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
    answer: Option<Answer<Committed>>,
}

impl Pending {
    pub(crate) fn new(commit: Commit) -> (Box<Self>, oneshot::Receiver<Result<Committed>>) {
        let (answer, verdict) = oneshot::channel();
        let bytes = commit.bodies();
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
    keep_inbox: Duration,
    busy_timeout: Duration,
    pace: Pace,
    sweep: Sweep,
    /// What is declared, as of `data_version`.
    collections: HashMap<String, Arc<Declaration>>,
    /// Where streams stand, as of `data_version`: most are written to again soon.
    versions: HashMap<StreamId, Version>,
    /// Where documents stand, as of `data_version`: views are written again and again.
    documents: HashMap<DocumentKey, Version>,
    /// Changes when another process commits.
    data_version: Option<i64>,
    patience: Patience,
    /// Told the head when it moved.
    grown: Arc<watch::Sender<Position>>,
    /// The locks of holders of leases; a store in memory has none.
    holders: Option<Holders>,
    guard: Arc<Guard>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        settings: &SqliteBuilder,
        conn: Shared,
        file: Arc<str>,
        path: Option<&Path>,
        grown: Arc<watch::Sender<Position>>,
    ) -> Result<(Jobs, JoinHandle<()>)> {
        let guard = Guard::over(&mut lock(&conn))
            .map_err(|error| translate(&Arc::new(error), "opening it", &file))?;
        let (sender, jobs) = mpsc::channel(QUEUE);
        let mut writer = Self {
            conn,
            jobs,
            file,
            clock: Arc::clone(&settings.clock),
            keep_commit_ids: settings.keep_commit_ids,
            keep_inbox: settings.keep_inbox,
            busy_timeout: settings.busy_timeout,
            pace: Pace::new(path.is_some()),
            sweep: Sweep::default(),
            collections: HashMap::new(),
            versions: HashMap::new(),
            documents: HashMap::new(),
            data_version: None,
            patience: Patience::default(),
            grown,
            holders: path.and_then(holders_beside),
            guard,
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
                Job::Declare(collection, answer) => {
                    let _ = answer.send(self.declare(&collection));
                }
                Job::Purge(collection, limit, answer) => {
                    let _ = answer.send(self.purge(&collection, limit));
                }
                Job::Lease(request, answer) => {
                    let _ = answer.send(self.lease(&request));
                }
                Job::Release(holder, names, answer) => {
                    let _ = answer.send(self.release(&holder, &names));
                }
                Job::SetUp(work, answer) => {
                    let _ = answer.send(self.set_up(work));
                }
                Job::Project(mut pending, work) => {
                    let verdict = self.project(&pending, work);
                    pending.tell(verdict);
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

    /// Frees locks, and moves the write-ahead log into the file, as far as readers let it.
    fn finish(&mut self) {
        self.let_holders_go();
        let conn = lock(&self.conn);
        let moved = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()));
        if let Err(error) = moved {
            let error = translate(&Arc::new(error), "closing it", &self.file);
            tracing::debug!(%error, "the write-ahead log stays; it is read at the next opening");
        }
    }
}

fn holders_beside(path: &Path) -> Option<Holders> {
    let holders = Holders::beside(path);
    holders
        .inspect_err(|error| {
            let path = path.display();
            tracing::warn!(%path, %error, "no locks for holders of leases: the file is not found");
        })
        .ok()
}

/// Locks a connection. A panic under the lock leaves at worst an open transaction, and whoever
/// begins the next one finds that out.
pub(crate) fn lock(conn: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    conn.lock().unwrap_or_else(PoisonError::into_inner)
}
