//! The one who writes: whatever commits arrived while the last group was on its way go together, in one transaction;
//! each has a verdict of its own. Nothing waits for a group to fill.

mod batch;
mod facts;
mod judge;
mod learn;
mod look;
mod run;
mod single;
pub(crate) mod turn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{Commit, Committed, Fingerprint, Position, Result};
use tokio::sync::{mpsc, oneshot, watch};

use crate::alone::OneAtATime;
use crate::connect::Connector;
use crate::error::closed;
use crate::seen::Seen;

pub(crate) use batch::{Kind, meet, statements, statements_of};
pub(crate) use judge::Turn;
pub(crate) use learn::inbox_entry;
pub(crate) use single::{judge_checkpoint, only_moves_checkpoint, write_alone};

/// Commits that wait; with more, whoever commits waits for room.
const QUEUE: usize = 1_024;

/// A commit on its way.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) commit: Commit,
    pub(crate) fingerprint: Fingerprint,
    since: Instant,
    answer: Option<oneshot::Sender<Result<Committed>>>,
}

impl Pending {
    /// One that is answered by whoever made it.
    pub(crate) fn alone(commit: Commit) -> Self {
        Self { fingerprint: commit.fingerprint(), commit, since: Instant::now(), answer: None }
    }

    fn tell(&mut self, verdict: Result<Committed>) {
        if let Some(answer) = self.answer.take() {
            // Nobody may wait any more.
            let _ = answer.send(verdict);
        }
    }
}

/// How long ids are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) commit_ids: Duration,
    pub(crate) inbox: Duration,
}

/// What the writer is told once.
pub(crate) struct Settings {
    pub(crate) connector: Arc<Connector>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) one: OneAtATime,
    pub(crate) kept: Kept,
    pub(crate) grown: Arc<watch::Sender<Position>>,
    pub(crate) closing: watch::Receiver<bool>,
}

/// Takes commits for the one who writes.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Pending>,
    place: Arc<str>,
    /// Ends with the task.
    running: watch::Receiver<()>,
}

impl Writer {
    pub(crate) fn start(settings: Settings) -> Self {
        let (queue, pending) = mpsc::channel(QUEUE);
        let place = settings.connector.place.clone();
        let (runs, running) = watch::channel(());
        tokio::spawn(async move {
            run::Writing::new(settings).run(pending).await;
            drop(runs);
        });
        Self { queue, place, running }
    }

    /// Waits until everything is written that was taken. The store is closing.
    pub(crate) async fn ended(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<Committed> {
        let (answer, verdict) = oneshot::channel();
        let pending = Pending { answer: Some(answer), ..Pending::alone(commit) };
        if self.queue.send(pending).await.is_err() {
            return Err(closed(&self.place));
        }
        verdict.await.unwrap_or_else(|_| Err(closed(&self.place)))
    }
}

/// Positions that a commit takes.
fn places(commit: &Commit) -> u64 {
    let events = commit.appends.iter().map(|append| append.events.len()).sum::<usize>();
    (events + commit.outgoing.len()) as u64
}

/// When that began which is still known.
pub(crate) fn since(now: bson::DateTime, kept: Duration) -> bson::DateTime {
    let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    bson::DateTime::from_millis(now.timestamp_millis().saturating_sub(kept))
}
