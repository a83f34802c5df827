//! The one who writes: whatever commits arrived while the last group was on its way go together, as one
//! statement; each has a verdict of its own. Nothing waits for a group to fill.

mod attempt;
mod collections;
mod direct;
mod encode;
mod keys;
mod others;
mod pace;
mod run;
mod verdict;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{Commit, Committed, Fingerprint, Position, Result};
use tokio::sync::{mpsc, oneshot, watch};

use crate::connect::Connector;
use crate::error::{Trouble, closed, unknown};
use crate::statements::Statements;
use attempt::Outcome;
use direct::Shared;

pub(crate) use collections::know;
pub(crate) use encode::{Group, Known, Terms};
pub(crate) use verdict::Verdict;

/// Commits that wait; with more, whoever commits waits for room.
const QUEUE: usize = 1_024;

/// A commit on its way.
pub(crate) struct Pending {
    commit: Commit,
    fingerprint: Fingerprint,
    answer: oneshot::Sender<Result<Committed>>,
    /// What came of it when it was sent already.
    first: Option<Result<Outcome, Trouble>>,
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
    shared: Arc<Shared>,
    place: Arc<str>,
    /// Ends with the task.
    running: watch::Receiver<()>,
}

impl Writer {
    pub(crate) fn start(settings: Settings) -> Self {
        let (queue, pending) = mpsc::channel(QUEUE);
        let place = settings.connector.place.clone();
        let (runs, running) = watch::channel(());
        let shared = Arc::new(Shared::new(settings));
        let writing = run::Writing::new(shared.clone());
        tokio::spawn(async move {
            writing.run(pending).await;
            drop(runs);
        });
        Self { queue, shared, place, running }
    }

    /// Waits until everything is written that was taken. The store is closing.
    pub(crate) async fn ended(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<Committed> {
        let (answer, verdict) = oneshot::channel();
        let fingerprint = commit.fingerprint();
        let mut pending = Pending { commit, fingerprint, answer, first: None };
        if let Some(direct) = self.shared.way(&pending.commit) {
            match direct.run(&pending).await {
                Ok(answer) => return answer,
                Err(outcome) => pending.first = Some(outcome),
            }
        }
        if let Err(mpsc::error::SendError(pending)) = self.queue.send(pending).await {
            return Err(match pending.first {
                Some(Err(trouble)) if trouble.is_lost() => unknown(trouble, &self.place),
                _ => closed(&self.place),
            });
        }
        verdict.await.unwrap_or_else(|_| Err(closed(&self.place)))
    }
}
