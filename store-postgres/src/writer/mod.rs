//! The one who writes: whatever commits arrived while the last group was on its way go together, as one
//! statement; each has a verdict of its own.

mod collections;
mod encode;
mod keys;
mod run;
mod verdict;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{Commit, Committed, Fingerprint, Position, Result};
use tokio::sync::{mpsc, oneshot, watch};

use crate::connect::Connector;
use crate::error::closed;
use crate::statements::Statements;
use keys::Keys;

pub(crate) use collections::know;
pub(crate) use encode::{Group, Known, Terms};
pub(crate) use verdict::Verdict;

/// Commits of one group at most, and bytes of their bodies: one that is larger goes alone.
const COMMITS: usize = 256;
const BYTES: usize = 4 << 20;

/// Commits that wait; with more, whoever commits waits for room.
const QUEUE: usize = 1_024;

/// A commit on its way.
pub(crate) struct Pending {
    commit: Commit,
    fingerprint: Fingerprint,
    answer: oneshot::Sender<Result<Committed>>,
}

/// What the writer is told once.
pub(crate) struct Settings {
    pub(crate) connector: Arc<Connector>,
    pub(crate) statements: Arc<Statements>,
    pub(crate) schema: String,
    pub(crate) terms: Terms,
    pub(crate) patience: Duration,
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
        let fingerprint = commit.fingerprint();
        let pending = Pending { commit, fingerprint, answer };
        if self.queue.send(pending).await.is_err() {
            return Err(closed(&self.place));
        }
        verdict.await.unwrap_or_else(|_| Err(closed(&self.place)))
    }
}

/// What waits, in the order in which it came.
#[derive(Default)]
struct Waiting(VecDeque<Pending>);

impl Waiting {
    /// The next group: what came first, and all that has nothing in common with it.
    fn group(&mut self) -> Vec<Pending> {
        let mut taken = vec![false; self.0.len()];
        let mut keys = Keys::default();
        let (mut count, mut bytes) = (0, 0);
        for (pending, taken) in self.0.iter().zip(&mut taken) {
            let size = pending.commit.bodies();
            let is_full = count > 0 && (count >= COMMITS || bytes + size > BYTES);
            if is_full {
                break;
            }
            // One that has to wait keeps those behind it waiting that have something in common with it.
            if keys.admit(&pending.commit) {
                (*taken, count, bytes) = (true, count + 1, bytes + size);
            }
        }
        let mut group = Vec::with_capacity(count);
        let mut taken = taken.into_iter();
        let waiting = std::mem::take(&mut self.0);
        for pending in waiting {
            match taken.next().unwrap_or(false) {
                true => group.push(pending),
                false => self.0.push_back(pending),
            }
        }
        group
    }
}
