//! What is known of the log and of all that is beside it, inside of one transaction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::DateTime;
use cqrs_core::{
    Collection, DocumentKey, Fingerprint, InboxEntry, MessageId, Position, StreamId, Version,
};

use crate::key::{ParkedKey, TimerKey, ValueKey};

/// Documents, leases and checkpoints that are known beyond a group; with more, all are forgotten.
const KEPT: usize = 16_384;

/// Where a document stands. One that was deleted goes on counting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) version: Version,
    pub(crate) is_there: bool,
}

impl Standing {
    /// As who expects something sees it; 0: it does not exist.
    pub(crate) const fn seen(self) -> Version {
        if self.is_there { self.version } else { 0 }
    }
}

/// What is set aside, where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) version: Version,
    pub(crate) since: DateTime,
}

/// What is known. What is in no map was not looked at; what was looked at and is not there says so.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// What is declared: good for as long as nobody declares anything.
    pub(crate) collections: HashMap<String, Arc<Collection>>,
    /// The rest of them are good for as long as nobody else writes.
    pub(crate) documents: HashMap<DocumentKey, Standing>,
    pub(crate) leases: HashMap<String, u64>,
    pub(crate) checkpoints: HashMap<(String, u32), Position>,
    /// And these for one group.
    pub(crate) once: Once,
}

/// What is known for the time of a group.
#[derive(Debug)]
pub(crate) struct Once {
    /// Commits and marks of the inbox that are older are not known any more.
    pub(crate) commits_since: DateTime,
    pub(crate) inbox_since: DateTime,
    pub(crate) streams: HashMap<StreamId, Version>,
    pub(crate) timers: HashMap<TimerKey, Option<u64>>,
    pub(crate) pending: HashMap<MessageId, bool>,
    pub(crate) parked: HashMap<ParkedKey, Option<Aside>>,
    /// Which document has a unique value.
    pub(crate) holders: HashMap<ValueKey, Option<String>>,
    /// Commits that were applied; which of all others were not is told by an index.
    pub(crate) commits: HashMap<MessageId, (Fingerprint, Position)>,
    pub(crate) inbox: HashMap<(String, MessageId), InboxEntry>,
    /// Ids of events that are taken; as are those of all others, by an index.
    pub(crate) events: HashSet<MessageId>,
    /// The first event that matches, of the nth commit's mth guard.
    pub(crate) matching: HashMap<(usize, usize), Option<Position>>,
}

impl Default for Once {
    fn default() -> Self {
        Self {
            commits_since: DateTime::MIN,
            inbox_since: DateTime::MIN,
            streams: HashMap::new(),
            timers: HashMap::new(),
            pending: HashMap::new(),
            parked: HashMap::new(),
            holders: HashMap::new(),
            commits: HashMap::new(),
            inbox: HashMap::new(),
            events: HashSet::new(),
            matching: HashMap::new(),
        }
    }
}

impl Facts {
    /// Others have written: only what is declared is still known.
    pub(crate) fn forget_written(&mut self) {
        self.documents.clear();
        self.leases.clear();
        self.checkpoints.clear();
    }

    /// It is not known what came of what was written.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The group is written.
    pub(crate) fn next_group(&mut self) {
        self.once = Once::default();
        if self.documents.len() + self.leases.len() + self.checkpoints.len() > KEPT {
            self.forget_written();
        }
    }

    pub(crate) fn forget_declared(&mut self) {
        self.collections.clear();
    }
}
