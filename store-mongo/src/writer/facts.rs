//! What is known of the log and of all that is beside it, inside of one transaction: for as long as that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bson::DateTime;
use cqrs_core::{
    Collection, DocumentKey, Fingerprint, InboxEntry, MessageId, Position, StreamId, Version,
};

use crate::key::{ParkedKey, TimerKey, ValueKey};

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
#[derive(Debug)]
pub(crate) struct Facts {
    /// What is declared: good for as long as nobody declares anything.
    pub(crate) collections: HashMap<String, Arc<Collection>>,
    /// How often anything was declared when that was read.
    pub(crate) declared: i64,
    /// Commits and marks of the inbox that are older are not known any more.
    pub(crate) commits_since: DateTime,
    pub(crate) inbox_since: DateTime,
    pub(crate) streams: HashMap<StreamId, Version>,
    /// Those whose versions nobody has looked at: they are what the one commit that writes to them expects.
    pub(crate) assumed: HashSet<StreamId>,
    pub(crate) documents: HashMap<DocumentKey, Standing>,
    pub(crate) leases: HashMap<String, u64>,
    pub(crate) checkpoints: HashMap<(String, u32), Position>,
    pub(crate) timers: HashMap<TimerKey, Option<u64>>,
    pub(crate) pending: HashMap<MessageId, bool>,
    pub(crate) parked: HashMap<ParkedKey, Option<Aside>>,
    /// Which document has a unique value.
    pub(crate) holders: HashMap<ValueKey, Option<String>>,
    /// Commits that were applied.
    pub(crate) commits: HashMap<MessageId, (Fingerprint, Position)>,
    /// Messages that were handled; which of all others were not is told by an index.
    pub(crate) inbox: HashMap<(String, MessageId), InboxEntry>,
    /// Ids of events that are taken; as are those of all others, by an index.
    pub(crate) events: HashSet<MessageId>,
    /// The first event that matches, of the nth commit's mth guard.
    pub(crate) matching: HashMap<(usize, usize), Option<Position>>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            collections: HashMap::new(),
            declared: i64::MIN,
            commits_since: DateTime::MIN,
            inbox_since: DateTime::MIN,
            streams: HashMap::new(),
            assumed: HashSet::new(),
            documents: HashMap::new(),
            leases: HashMap::new(),
            checkpoints: HashMap::new(),
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
    /// A version that nobody looks at.
    pub(crate) fn assume(&mut self, stream: &StreamId, version: Version) {
        self.streams.insert(stream.clone(), version);
        self.assumed.insert(stream.clone());
    }

    /// What is known to the next group: what is declared, if that is as it was.
    pub(crate) fn next_group(&mut self) {
        let collections = std::mem::take(&mut self.collections);
        *self = Self { collections, declared: self.declared, ..Self::default() };
    }
}
