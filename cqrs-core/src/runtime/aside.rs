//! What one partition has set aside: the keys that wait, and since when.

use std::collections::HashMap;
use std::iter::successors;

use crate::error::Result;
use crate::handler::HandlerError;
use crate::message::timestamp::Timestamp;
use crate::port::Position;
use crate::port::commit::Expected;
use crate::port::parked::{FindParked, ParkedEntry, ParkedState, ParkedWrite};
use crate::port::store::Store;
use crate::runtime::consumer::Behind;
use crate::runtime::key::Slice;

/// Keys that may wait in one partition; with one more, it waits for one of them.
const KEYS: usize = 10_000;

/// The keys of a partition that wait for something that is set aside.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    blocked: HashMap<String, Blocked>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Blocked {
    /// When its first entry is to be tried again; `None`: when an operator says so.
    due: Option<Timestamp>,
    /// Its entries.
    entries: u32,
}

impl Aside {
    /// What the store has of a partition.
    pub(crate) async fn load(store: &dyn Store, parked: &str, slice: Slice) -> Result<Self> {
        let mut aside = Self::default();
        let mut find = FindParked::of(parked).limit(1_000);
        loop {
            let page = store.parked(find.clone()).await?;
            let is_last = page.len() < find.limit as usize;
            find.after = page.last().map(ParkedEntry::place);
            for entry in page.iter().filter(|entry| slice.has(&entry.key)) {
                let blocked = aside.blocked.entry(entry.key.clone());
                // The first of a key says when it goes on.
                blocked.or_insert(Blocked { due: due(entry), entries: 0 }).entries += 1;
            }
            if is_last {
                return Ok(aside);
            }
        }
    }

    pub(crate) fn is_blocked(&self, key: &str) -> bool {
        self.blocked.contains_key(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.blocked.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.blocked.is_empty()
    }

    /// Whether one more event may wait behind this key.
    pub(crate) fn has_room(&self, key: &str, limit: u32) -> bool {
        match self.blocked.get(key) {
            Some(blocked) => blocked.entries <= limit,
            None => self.blocked.len() < KEYS,
        }
    }

    /// Whether all of these may wait behind what their keys wait for.
    pub(crate) fn has_room_for(&self, behind: &[Behind], limit: u32) -> bool {
        let mut more: HashMap<&str, u32> = HashMap::new();
        behind.iter().all(|Behind { key, .. }| {
            let before = more.entry(key).or_default();
            let entries = self.blocked.get(key).map(|blocked| blocked.entries + *before);
            *before += 1;
            entries.map_or(self.blocked.len() < KEYS, |entries| entries <= limit)
        })
    }

    /// An event of this key was set aside, or queued up behind another.
    pub(crate) fn add(&mut self, key: &str, due: Option<Timestamp>) {
        match self.blocked.get_mut(key) {
            Some(blocked) => blocked.entries += 1,
            None => {
                self.blocked.insert(key.to_owned(), Blocked { due, entries: 1 });
            }
        }
    }

    /// The first entry of this key is to be tried then.
    pub(crate) fn set_due(&mut self, key: &str, due: Option<Timestamp>) {
        if let Some(blocked) = self.blocked.get_mut(key) {
            blocked.due = due;
        }
    }

    /// One entry of this key is done.
    pub(crate) fn done(&mut self, key: &str) {
        if let Some(blocked) = self.blocked.get_mut(key) {
            blocked.entries = blocked.entries.saturating_sub(1);
        }
    }

    /// Nothing of this key waits any more.
    pub(crate) fn free(&mut self, key: &str) {
        self.blocked.remove(key);
    }

    /// A key whose time has come.
    pub(crate) fn due(&self, now: Timestamp) -> Option<String> {
        let due = self.blocked.iter().filter_map(|(key, blocked)| Some((blocked.due?, key)));
        due.filter(|(due, _)| *due <= now).min().map(|(_, key)| key.clone())
    }

    /// When the next key's time comes.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.blocked.values().filter_map(|blocked| blocked.due).min()
    }

    /// Takes note of what operators asked for, maybe on other nodes.
    pub(crate) async fn look(
        &mut self,
        store: &dyn Store,
        parked: &str,
        now: Timestamp,
    ) -> Result<()> {
        let mut find = FindParked::of(parked).due_by(now);
        loop {
            let page = store.parked(find.clone()).await?;
            let is_last = page.len() < find.limit as usize;
            find.after = page.last().map(ParkedEntry::place);
            for entry in page {
                self.set_due(&entry.key, due(&entry));
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// When an entry that is the first of its key is to be looked at.
pub(crate) fn due(entry: &ParkedEntry) -> Option<Timestamp> {
    match entry.state {
        // The one that it waited for is gone.
        ParkedState::Behind => Some(Timestamp::MIN),
        ParkedState::Retrying | ParkedState::Discarding => {
            Some(entry.due.unwrap_or(Timestamp::MIN))
        }
        ParkedState::Parked => None,
    }
}

/// An event that queues up behind another one of its key.
pub(crate) fn behind(
    parked: &str,
    slice: Slice,
    key: String,
    position: Position,
    message: String,
) -> ParkedWrite {
    ParkedWrite {
        subscription: parked.to_owned(),
        position,
        expected: Expected::NoStream,
        partition: slice.index,
        key,
        message,
        state: ParkedState::Behind,
        due: None,
        cause: "an earlier one of its key waits".to_owned(),
        attempts: 0,
        edited: None,
    }
}

/// Why something failed, with the causes behind it, cut to what a store takes.
pub(crate) fn why(error: &HandlerError) -> String {
    let mut text = error.to_string();
    for cause in successors(error.cause().source(), |cause| cause.source()).take(16) {
        let cause = cause.to_string();
        // Many say what their cause says.
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    cut(&text)
}

/// A cause, cut to what a store takes.
pub(crate) fn cut(cause: &str) -> String {
    const LONGEST: usize = 2_000;
    let cause = cause.replace('\0', "\u{fffd}");
    match cause.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &cause[..end]),
        None => cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn a_batch_has_room_as_its_events_would_one_by_one() {
        let mut aside = Aside::default();
        aside.add("a", None);
        let behind = |positions: &[Position]| -> Vec<Behind> {
            let behind = |position: &Position| Behind {
                position: *position,
                key: "a".to_owned(),
                message: "noted".to_owned(),
            };
            positions.iter().map(behind).collect()
        };
        // The one that is set aside, and two behind it.
        assert!(aside.has_room_for(&behind(&[2, 3]), 2));
        assert!(!aside.has_room_for(&behind(&[2, 3, 4]), 2));
        for _ in 0..2 {
            assert!(aside.has_room("a", 2));
            aside.add("a", None);
        }
        assert!(!aside.has_room("a", 2));
    }

    #[test]
    fn why_something_failed_is_told_with_the_causes_behind_it() {
        let refused = std::io::Error::other("connection refused");
        let of_store = Error::new(ErrorKind::Unavailable, "the store is out of reach");
        let error = HandlerError::from(of_store.with_source(refused));
        assert_eq!(why(&error), "the store is out of reach: connection refused");
        assert_eq!(why(&"no such account".into()), "no such account");
    }
}
