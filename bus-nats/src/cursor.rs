//! How far a group is with a part of the messages, and who owns that part: one record for each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The record as it is stored, in JSON. Whoever writes it names the one that it replaces, so that nobody
/// goes on who does not own the part any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The connection that owns the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// Counts the writes, so that a write whose answer was lost is known by its number.
    pub(crate) write: u64,
    /// Sequence of the last message that was looked at.
    pub(crate) read: u64,
    /// Those up to there that are not finished: their sequences, and how often they were handed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) open: Vec<(u64, u32)>,
}

impl Record {
    /// The first sequence that is still wanted.
    pub(crate) fn first_wanted(&self) -> u64 {
        self.open.first().map_or(self.read + 1, |(sequence, _)| *sequence)
    }
}

/// What the owner of a part knows. Messages are named by their sequences in the stream, which come in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The last one that was looked at.
    read: u64,
    /// The last one about which there is more to say than that it waits.
    told: u64,
    /// Those that are not finished, and how often they were handed over.
    open: BTreeMap<u64, u32>,
}

impl Cursor {
    /// Where another owner, or a former life, left off.
    pub(crate) fn of(record: &Record) -> Self {
        let open = record.open.iter().copied().filter(|(n, _)| *n <= record.read).collect();
        Self { read: record.read, told: record.read, open }
    }

    /// A message that the group is to get.
    pub(crate) fn wants(&mut self, sequence: u64) {
        self.read = self.read.max(sequence);
        self.open.entry(sequence).or_insert(0);
    }

    /// A message that the group does not get.
    pub(crate) fn passes(&mut self, sequence: u64) {
        self.read = self.read.max(sequence);
        if self.open.is_empty() {
            self.told = self.told.max(sequence);
        }
    }

    /// It is handed over, for the n-th time.
    pub(crate) fn claims(&mut self, sequence: u64, attempt: u32) {
        if let Some(attempts) = self.open.get_mut(&sequence) {
            *attempts = attempt;
            self.told = self.told.max(sequence);
        }
    }

    /// It is handled, or a dead letter.
    pub(crate) fn finishes(&mut self, sequence: u64) {
        if self.open.remove(&sequence).is_some() {
            self.told = self.told.max(sequence);
        }
        // Nothing that was looked at waits: whoever takes over need not look at it again.
        if self.open.is_empty() {
            self.told = self.read;
        }
    }

    /// Those that are not finished, with how often they were handed over.
    #[cfg(test)]
    pub(crate) fn open(&self) -> impl Iterator<Item = (u64, u32)> {
        self.open.iter().map(|(sequence, attempts)| (*sequence, *attempts))
    }

    /// The last one that was looked at.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// What is stored. What only waits behind the last one of which there is more to say is left out: it is
    /// found again.
    pub(crate) fn record(&self, owner: Option<&str>, write: u64) -> Record {
        let told = self.open.range(..=self.told);
        // Most wait behind, and are not told of.
        let mut open = Vec::with_capacity(self.open.len().min(64));
        open.extend(told.map(|(n, attempts)| (*n, *attempts)));
        Record { owner: owner.map(Into::into), write, read: self.told, open }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_says_as_little_as_it_can() {
        let mut cursor = Cursor::of(&Record { read: 10, ..Record::default() });
        (11..15).for_each(|n| cursor.wants(n));
        assert_eq!(cursor.record(None, 1).read, 10, "they only wait");
        cursor.claims(12, 1);
        let record = cursor.record(Some("me"), 2);
        assert_eq!((record.read, &*record.open), (12, &[(11, 0), (12, 1)][..]));
        assert_eq!(record.first_wanted(), 11);
        (11..15).for_each(|n| cursor.finishes(n));
        cursor.passes(20);
        let record = cursor.record(Some("me"), 3);
        assert_eq!((record.read, record.open.len(), record.first_wanted()), (20, 0, 21));
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            r#"{"owner":"me","write":3,"read":20}"#
        );
    }

    proptest! {
        /// Whoever takes over at any time gets all that is not finished, and knows how often each was handed
        /// over.
        #[test]
        fn whoever_takes_over_misses_nothing(
            stream in prop::collection::vec(any::<bool>(), 1..40),
            steps in prop::collection::vec((0..3u8, 0..40usize), 0..80),
        ) {
            let mut cursor = Cursor::default();
            let mut fed = 0;
            let mut finished = BTreeSet::new();
            let mut attempts = BTreeMap::new();
            for (step, which) in steps {
                let open: Vec<u64> = cursor.open().map(|(n, _)| n).collect();
                let one = open.get(which % open.len().max(1)).copied();
                match (step, one) {
                    (0, _) if fed < stream.len() => {
                        fed += 1;
                        if stream[fed - 1] { cursor.wants(fed as u64) } else { cursor.passes(fed as u64) }
                    }
                    (1, Some(n)) => {
                        let attempt = attempts.entry(n).or_insert(0);
                        *attempt += 1;
                        cursor.claims(n, *attempt);
                    }
                    (2, Some(n)) => {
                        cursor.finishes(n);
                        finished.insert(n);
                    }
                    _ => {}
                }
                let stored = serde_json::to_string(&cursor.record(Some("me"), 1)).unwrap();
                let record: Record = serde_json::from_str(&stored).unwrap();
                let mut next = Cursor::of(&record);
                for (n, wanted) in stream.iter().enumerate().skip(record.read as usize) {
                    let sequence = n as u64 + 1;
                    if *wanted { next.wants(sequence) } else { next.passes(sequence) }
                }
                for (n, wanted) in stream.iter().enumerate() {
                    let sequence = n as u64 + 1;
                    let is_open = next.open().find(|(open, _)| *open == sequence);
                    let expected = (*wanted && !finished.contains(&sequence))
                        .then(|| (sequence, attempts.get(&sequence).copied().unwrap_or(0)));
                    prop_assert_eq!(is_open, expected);
                }
            }
        }
    }
}
