//! What is known of messages that come to a group once more: how often they were handed over.
//!
//! The broker counts how often a message came to a connection, not how often one was handed over. What comes for the
//! first time is handed over without a record, for it needs none: nobody had it. After the death of a connection all
//! that it held comes again, and nobody knows what of it was handed over: of each it is assumed that it was, once.
//! From then on it is written down before it is handed over, so that a message that takes processes with it is told
//! from those that were there by chance. A connection that leaves in order writes down all it knows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is assumed of a message that comes again, and that no record knows.
const ASSUMED: u32 = 1;

/// As it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The connection that has written it.
    #[serde(default)]
    writer: String,
    /// By id.
    messages: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// How often it was handed over.
    attempts: u32,
    /// Whether it is in the hands of a member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    handed: bool,
}

/// What is known now.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    writer: String,
    /// What comes again and is not finished.
    now: BTreeMap<String, Entry>,
    /// What the record knows of messages that may still come.
    before: BTreeMap<String, Entry>,
}

/// What is known of a message that comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prior {
    /// How often it was handed over.
    pub(crate) attempts: u32,
    /// Whether it was in somebody's hands when its connection died.
    pub(crate) is_suspect: bool,
}

impl Claims {
    /// What a record knows, for a connection that writes it from now on; and what a process knows better that was there
    /// before.
    pub(crate) fn of(
        record: Record,
        writer: String,
        memory: Option<&BTreeMap<String, u32>>,
    ) -> Self {
        let mut before = record.messages;
        for (id, attempts) in memory.into_iter().flatten() {
            // It lives: nothing of it has taken it along.
            before.insert(id.clone(), Entry { attempts: *attempts, handed: false });
        }
        Self { writer, now: BTreeMap::new(), before }
    }

    /// The connection that writes it.
    pub(crate) fn writer(&self) -> &str {
        &self.writer
    }

    /// A message comes again.
    pub(crate) fn comes(&mut self, id: &str) -> Prior {
        let known = self.before.remove(id);
        let Entry { attempts, handed } =
            known.unwrap_or(Entry { attempts: ASSUMED, handed: false });
        self.now.insert(id.to_owned(), Entry { attempts, handed: false });
        Prior { attempts, is_suspect: handed }
    }

    /// What comes now comes for the first time: all that comes again has come.
    pub(crate) fn all_have_come(&mut self) {
        self.before.clear();
    }

    /// A message is to be handed over, for that many times. Whether that must be written first.
    pub(crate) fn hands(&mut self, id: &str, attempt: u32) -> bool {
        let Some(entry) = self.now.get_mut(id) else { return false };
        *entry = Entry { attempts: attempt, handed: true };
        true
    }

    /// Nobody has it in hand any more, after that many attempts.
    pub(crate) fn returns(&mut self, id: &str, attempts: u32) {
        if let Some(entry) = self.now.get_mut(id) {
            *entry = Entry { attempts, handed: false };
        }
    }

    /// It is finished.
    pub(crate) fn finishes(&mut self, id: &str) {
        self.now.remove(id);
    }

    /// What is to be written.
    pub(crate) fn record(&self) -> Record {
        let says = |entry: &Entry| entry.handed || entry.attempts != ASSUMED;
        let now = self.now.iter().filter(|(_, entry)| says(entry));
        let all = self.before.iter().chain(now);
        let messages = all.map(|(id, entry)| (id.clone(), *entry)).collect();
        Record { writer: self.writer.clone(), messages }
    }

    /// What is to be written by a connection that leaves, and has these in hand or waiting, with how often they were
    /// handed over.
    pub(crate) fn last_record(&self, unfinished: BTreeMap<String, u32>, writer: String) -> Record {
        let all = unfinished.into_iter();
        let all = all.map(|(id, attempts)| (id, Entry { attempts, handed: false }));
        let before = self.before.iter().map(|(id, entry)| (id.clone(), *entry));
        let says = |(_, entry): &(String, Entry)| entry.handed || entry.attempts != ASSUMED;
        Record { writer, messages: before.chain(all).filter(says).collect() }
    }
}

impl Record {
    pub(crate) fn read(text: Option<&[u8]>) -> Self {
        let Some(text) = text else { return Self::default() };
        serde_json::from_slice(text).unwrap_or_else(|error| {
            tracing::warn!(%error, "a record of claims cannot be read: attempts are counted anew");
            Self::default()
        })
    }

    /// Whether nobody else has written it since.
    pub(crate) fn is_by(&self, writer: &str) -> bool {
        self.writer == writer
    }

    pub(crate) fn text(&self) -> Vec<u8> {
        // Texts and numbers: there is nothing in it that JSON cannot take.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(claims: &Claims) -> Claims {
        Claims::of(Record::read(Some(&claims.record().text())), String::new(), None)
    }

    fn prior(attempts: u32, is_suspect: bool) -> Prior {
        Prior { attempts, is_suspect }
    }

    #[test]
    fn what_nobody_knows_was_handed_over_once() {
        let mut claims = Claims::default();
        assert_eq!(claims.comes("a"), prior(1, false));
        assert_eq!(claims.record(), Record::default(), "that is assumed anyway");
        assert!(!claims.hands("new", 1), "what comes for the first time needs no record");
    }

    #[test]
    fn who_was_in_hand_at_a_death_is_suspect_and_the_others_are_not() {
        let mut claims = Claims::default();
        claims.comes("poison");
        claims.comes("by chance");
        claims.comes("waits");
        assert!(claims.hands("poison", 2) && claims.hands("by chance", 2));
        let mut claims = again(&claims);
        assert_eq!(claims.comes("poison"), prior(2, true));
        assert_eq!(claims.comes("by chance"), prior(2, true));
        assert_eq!(claims.comes("waits"), prior(1, false));
        // One after the other from now on.
        claims.hands("poison", 3);
        let mut claims = again(&claims);
        assert_eq!(claims.comes("by chance"), prior(2, false));
        assert_eq!(claims.comes("poison"), prior(3, true));
    }

    #[test]
    fn what_has_not_come_yet_stays_known() {
        let mut claims = Claims::default();
        claims.comes("a");
        claims.hands("a", 5);
        let claims = again(&claims);
        let mut claims = again(&claims);
        assert_eq!(claims.comes("a"), prior(5, true));
        claims.finishes("a");
        claims.all_have_come();
        assert_eq!(claims.record(), Record::default());
    }

    #[test]
    fn who_leaves_in_order_tells_all() {
        let mut claims = Claims::default();
        claims.comes("again");
        claims.hands("again", 2);
        claims.returns("again", 2);
        let held = [("again", 2), ("new", 1), ("never handed", 0)];
        let held = held.into_iter().map(|(id, n)| (id.to_owned(), n));
        let record = claims.last_record(held.collect(), "leaves".to_owned());
        let mut claims = Claims::of(record, String::new(), None);
        assert_eq!(claims.comes("again"), prior(2, false));
        assert_eq!(claims.comes("new"), prior(1, false));
        assert_eq!(claims.comes("never handed"), prior(0, false));
    }

    #[test]
    fn a_process_that_lives_knows_better_than_its_record() {
        let mut claims = Claims::of(Record::default(), "first".to_owned(), None);
        claims.comes("in hand");
        claims.hands("in hand", 2);
        let record = Record::read(Some(&claims.record().text()));
        assert!(record.is_by("first") && !record.is_by("second"));
        let memory = BTreeMap::from([("in hand".to_owned(), 2), ("new".to_owned(), 0)]);
        let mut claims = Claims::of(record, "second".to_owned(), Some(&memory));
        assert_eq!(claims.comes("in hand"), prior(2, false));
        assert_eq!(claims.comes("new"), prior(0, false));
        assert_eq!(claims.writer(), "second");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_none() {
        assert_eq!(Record::read(Some(b"nonsense")), Record::default());
        assert_eq!(Record::read(None), Record::default());
    }
}
