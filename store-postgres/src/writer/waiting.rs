//! Commits that wait, and what of them goes together.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::keys::Keys;
use super::{Pending, QUEUE};

/// Commits of one group at most, and bytes of their bodies: one that is larger goes alone.
const COMMITS: usize = 256;
const BYTES: usize = 4 << 20;

/// What waits, in the order in which it came.
#[derive(Default)]
pub(super) struct Waiting {
    queue: VecDeque<Pending>,
    /// Those that were sent already, without an answer.
    pub(super) troubled: Vec<Pending>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < QUEUE
    }

    pub(super) fn push(&mut self, pending: Pending) {
        match pending.first {
            None => self.queue.push_back(pending),
            Some(_) => self.troubled.push(pending),
        }
    }

    /// Takes what is in the queue.
    pub(super) fn gather(&mut self, queue: &mut mpsc::Receiver<Pending>) {
        while self.has_room()
            && let Ok(pending) = queue.try_recv()
        {
            self.push(pending);
        }
    }

    /// The next group: what came first, and all that has nothing in common with it.
    pub(super) fn group(&mut self) -> Vec<Pending> {
        let mut taken = vec![false; self.queue.len()];
        let mut keys = Keys::default();
        let (mut count, mut bytes) = (0, 0);
        for (pending, taken) in self.queue.iter().zip(&mut taken) {
            let size = pending.commit.bodies();
            let is_full = count > 0 && (count >= COMMITS || bytes + size > BYTES);
            if is_full {
                break;
            }
            // One that has to wait is among the first of a later group. Those behind it may be faster:
            // they were asked for at the same time.
            if keys.admit(&pending.commit) {
                (*taken, count, bytes) = (true, count + 1, bytes + size);
            }
        }
        let mut group = Vec::with_capacity(count);
        let mut taken = taken.into_iter();
        let waiting = std::mem::take(&mut self.queue);
        for pending in waiting {
            match taken.next().unwrap_or(false) {
                true => group.push(pending),
                false => self.queue.push_back(pending),
            }
        }
        group
    }
}
