//! A commit that finds nobody else about is sent by whoever asks: the way through the task and back costs
//! as much as the round trip. Whatever goes wrong is left to the task.
//!
//! Whoever asks may stop to ask for the answer, and do something else first that needs the store. So
//! nothing waits long for him, and his connection is not that of the others, who would wait for him to
//! read what comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};

use cqrs_core::{Commit, Committed, Result};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::attempt::{Attempt, Outcome};
use super::{Pending, Settings};
use crate::connect::Slot;
use crate::error::Trouble;

/// Groups that are sent with questions asked, after one that was not as hoped.
const CAREFUL: u32 = 8;

/// What the task shares with those who commit.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// The connection of the groups, and that of those who are alone.
    pub(super) groups: Slot,
    pub(super) alone: Slot,
    /// Held while a connection is made for those who are alone.
    pub(super) putting: Semaphore,
    /// Held while something is on its way.
    pub(super) turn: Arc<Semaphore>,
    /// Commits of the last group.
    pub(super) last: AtomicUsize,
    /// Groups of which it is likely that another process wrote meanwhile.
    careful: AtomicU32,
    /// Somebody did not wait for the answer: nobody was told how far the log goes.
    pub(super) left: Notify,
}

/// The way is free.
pub(super) struct Direct<'a> {
    shared: &'a Shared,
    attempt: Attempt,
    _turn: OwnedSemaphorePermit,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            groups: Slot::default(),
            alone: Slot::default(),
            putting: Semaphore::new(1),
            turn: Arc::new(Semaphore::new(1)),
            last: AtomicUsize::new(0),
            careful: AtomicU32::new(0),
            left: Notify::new(),
        }
    }

    /// Whether it is likely that nothing speaks against any commit of a group.
    pub(super) fn hopes(&self) -> bool {
        self.careful.load(Relaxed) == 0
    }

    /// Notes whether it was as hoped.
    pub(super) fn note(&self, hoped: Option<bool>) {
        match hoped {
            Some(false) => self.careful.store(CAREFUL, Relaxed),
            Some(true) => {}
            None => {
                let less = |careful: u32| Some(careful.saturating_sub(1));
                let _ = self.careful.fetch_update(Relaxed, Relaxed, less);
            }
        }
    }

    /// The way for one commit, if nobody else is about and nothing has to be known before.
    pub(super) fn way(self: &Arc<Self>, commit: &Commit) -> Option<Direct<'_>> {
        let is_alone = self.last.load(Relaxed) <= 1
            && commit.documents.is_empty()
            && commit.views.is_empty()
            && !*self.settings.closing.borrow();
        if !is_alone {
            return None;
        }
        let turn = self.turn.clone().try_acquire_owned().ok()?;
        let attempt = Attempt {
            shared: self.clone(),
            client: self.alone.client()?,
            known: Arc::default(),
            is_fresh: true,
            hopes: self.hopes(),
            looks: false,
            is_repeat: false,
        };
        Some(Direct { shared: self, attempt, _turn: turn })
    }
}

impl Direct<'_> {
    /// Sends the commit. Err: the task has to see to it.
    pub(super) async fn run(
        self,
        pending: &Pending,
    ) -> Result<Result<Committed>, Result<Outcome, Trouble>> {
        let leaves = Leaves(&self.shared.left);
        let outcome = self.attempt.run(std::slice::from_ref(pending)).await;
        std::mem::forget(leaves);
        match outcome {
            Ok(Outcome::Answered { mut results, hoped }) => {
                self.shared.note(hoped);
                results.pop().ok_or_else(|| Err(Trouble::TooLong))
            }
            outcome => Err(outcome),
        }
    }
}

/// Dropped before there was an answer.
struct Leaves<'a>(&'a Notify);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
