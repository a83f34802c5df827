//! How far the partitions of this process have come, for whoever waits or looks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::message::timestamp::Timestamp;
use crate::port::Position;

/// Names a partition: by its checkpoint and number.
pub(crate) type SlotId = (String, u32);

#[derive(Debug, Default)]
pub(crate) struct Progress {
    slots: Mutex<BTreeMap<SlotId, SlotProgress>>,
    changed: watch::Sender<u64>,
}

/// How a partition of this process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotProgress {
    /// Up to here everything is handled or set aside.
    pub(crate) position: Position,
    pub(crate) state: SlotState,
    /// Keys that wait for something that is set aside.
    pub(crate) blocked: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SlotState {
    Running,
    /// Something waits for this time.
    Waiting(Timestamp),
    /// More events wait behind one key than may.
    Full(String),
    /// It failed, and is begun again.
    Failing(String),
}

impl Progress {
    pub(crate) fn report(&self, slot: &SlotId, progress: SlotProgress) {
        let mut slots = self.slots();
        if slots.get(slot) == Some(&progress) {
            return;
        }
        slots.insert(slot.clone(), progress);
        drop(slots);
        self.changed.send_modify(|n| *n += 1);
    }

    /// The partition is not this process's any more.
    pub(crate) fn remove(&self, slot: &SlotId) {
        self.slots().remove(slot);
        self.changed.send_modify(|n| *n += 1);
    }

    pub(crate) fn of(&self, slot: &SlotId) -> Option<SlotProgress> {
        self.slots().get(slot).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(SlotId, SlotProgress)> {
        self.slots().iter().map(|(slot, progress)| (slot.clone(), progress.clone())).collect()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<SlotId, SlotProgress>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
