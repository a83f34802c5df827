//! A part that a connection owns: what waits in it, what is handed over, and what is to be written of it.

use std::collections::VecDeque;
use std::sync::Arc;

use cqrs_core::{BusSubscription, Fate, GroupAnswer, Holder, Lane, Lanes, Timestamp, Verdict};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::cursor::{Cursor, Record};
use crate::letters::Raw;

/// Room for messages of one part that are read and not finished, in units of their
/// [weight](Raw::weight).
pub(crate) const ROOM: usize = 512;

/// A message that is finished, once this is written.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) sequence: u64,
    pub(crate) token: u64,
    pub(crate) answer: Option<GroupAnswer>,
}

/// What one write of the record carries.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// Messages that are handed over once their attempt is written.
    pub(crate) claims: Vec<u64>,
    pub(crate) done: Vec<Done>,
}

/// What a connection took over.
#[derive(Debug)]
pub(crate) struct Taken {
    /// As it was written.
    pub(crate) record: Record,
    pub(crate) sequence: u64,
    /// The messages that are not finished, in their order, and how often they were handed over.
    pub(crate) open: Vec<(Raw, u32)>,
    /// Those of them that are gone from the stream.
    pub(crate) gone: Vec<u64>,
    /// What the group takes.
    pub(crate) takes: BusSubscription,
}

/// A part in our hands.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) cursor: Cursor,
    pub(crate) lanes: Lanes<Arc<Raw>>,
    pub(crate) takes: BusSubscription,
    /// The record that the next one replaces, and its number.
    pub(crate) sequence: u64,
    pub(crate) write: u64,
    /// What the next write carries.
    pub(crate) next: Carried,
    /// Whether there is something to write without anybody waiting for it.
    pub(crate) is_dirty: bool,
    /// Whether a write is on its way.
    pub(crate) writing: bool,
    /// Nothing more is handed over: another connection is to have it.
    pub(crate) leaving: bool,
    /// Messages that are with members, or with the dead letters.
    pub(crate) out: usize,
    /// Which time it is that this connection owns the part.
    pub(crate) epoch: u64,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) reader: Option<AbortHandle>,
    /// Those that whoever had the part before was handed: maybe it died of one of them. They come one
    /// after the other.
    suspects: VecDeque<(Raw, u32)>,
    /// The one of them that is not settled.
    suspect: Option<u64>,
    /// Those that nobody was handed.
    rest: Vec<Raw>,
}

impl Owned {
    pub(crate) fn new(taken: Taken, epoch: u64, deliveries: u32) -> Self {
        let Taken { record, sequence, open, gone, takes } = taken;
        let mut cursor = Cursor::of(&record);
        gone.iter().for_each(|sequence| cursor.finishes(*sequence));
        let room = ROOM.saturating_sub(open.iter().map(|(raw, _)| raw.weight()).sum());
        let (suspects, rest): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(_, attempts)| *attempts > 0);
        Self {
            cursor,
            lanes: Lanes::new(deliveries),
            takes,
            sequence,
            write: record.write,
            next: Carried::default(),
            is_dirty: !gone.is_empty(),
            writing: false,
            leaving: false,
            out: 0,
            epoch,
            room: Arc::new(Semaphore::new(room)),
            reader: None,
            suspects: suspects.into(),
            suspect: None,
            rest: rest.into_iter().map(|(raw, _)| raw).collect(),
        }
    }

    /// Messages that were read.
    pub(crate) fn reads(&mut self, raws: Vec<Raw>, name_of: impl Fn(&str) -> &str) {
        for raw in raws {
            if self.takes.matches(name_of(&raw.subject)) && raw.is_for(&self.takes.group) {
                self.cursor.wants(raw.sequence);
                self.adds(raw, 0);
            } else {
                // Who has changed meanwhile what the group takes has written the record anew: writing it tells.
                self.is_dirty = true;
                self.cursor.passes(raw.sequence);
                self.room.add_permits(raw.weight());
            }
        }
    }

    fn adds(&mut self, raw: Raw, attempts: u32) {
        // What cannot be read has no key.
        let lane = raw.inbound(0).ok().and_then(|message| Lane::of_inbound(&message));
        self.lanes.add(lane, Arc::new(raw), attempts);
    }

    /// Whether one of those that are to come one after the other is not settled.
    pub(crate) fn tries_one(&self) -> bool {
        self.suspect.is_some()
    }

    /// The next of those that are to come one after the other, if no other part `tries` one: then this one does.
    /// Whether all of them have come, so that reading can go on.
    pub(crate) fn advance(&mut self, tries: &mut bool) -> bool {
        if self.suspect.is_some() || (*tries && !self.suspects.is_empty()) {
            return false;
        }
        if let Some((raw, attempts)) = self.suspects.pop_front() {
            *tries = true;
            self.suspect = Some(raw.sequence);
            self.adds(raw, attempts);
            return false;
        }
        for raw in std::mem::take(&mut self.rest) {
            self.adds(raw, 0);
        }
        true
    }

    /// Hands the next message over. Its attempt is written first.
    pub(crate) fn hand(&mut self, holder: Holder, token: u64, now: Timestamp) -> bool {
        if self.leaving {
            return false;
        }
        let Some((raw, attempt)) = self.lanes.hand(holder, token, now) else { return false };
        self.cursor.claims(raw.sequence, attempt);
        self.next.claims.push(token);
        self.out += 1;
        true
    }

    /// Takes a verdict. None: it was settled, or is handed to another by now.
    pub(crate) fn settle(&mut self, token: u64, verdict: Verdict, now: Timestamp) -> Option<Fate> {
        let sequence = self.lanes.handed(token).map(|(raw, _)| raw.sequence);
        let fate = self.lanes.settle(token, verdict, now)?;
        self.let_go(sequence, &fate);
        Some(fate)
    }

    /// Nobody will settle it. None: it was settled, or is handed to another by now.
    pub(crate) fn give_back(&mut self, token: u64) -> Option<Fate> {
        let sequence = self.lanes.handed(token).map(|(raw, _)| raw.sequence);
        let fate = self.lanes.give_back(token)?;
        self.let_go(sequence, &fate);
        Some(fate)
    }

    /// It never got to whoever it was handed over to. Whether it was in his hands.
    pub(crate) fn take_back(&mut self, token: u64) -> bool {
        let Some((raw, attempt)) = self.lanes.handed(token) else { return false };
        let (sequence, before) = (raw.sequence, attempt.saturating_sub(1));
        if !self.lanes.take_back(token) {
            return false;
        }
        self.cursor.claims(sequence, before);
        self.is_dirty = true;
        self.let_go(Some(sequence), &Fate::Again);
        true
    }

    /// What time has brought, but for messages that their members have not seen yet.
    pub(crate) fn expire(
        &mut self,
        now: Timestamp,
        unseen: impl Iterator<Item = u64>,
    ) -> Vec<(u64, Fate)> {
        if self.lanes.next_due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        for token in unseen {
            self.lanes.extend(token, now);
        }
        let sequence = |token| self.lanes.handed(token).map(|(raw, _)| raw.sequence);
        let due: Vec<_> = self.lanes.silent(now).map(|token| (token, sequence(token))).collect();
        let fates = self.lanes.expire(now);
        for (token, fate) in &fates {
            let sequence = due.iter().find(|(other, _)| other == token).and_then(|(_, n)| *n);
            self.let_go(sequence, fate);
        }
        fates
    }

    /// Whoever had it is rid of it.
    pub(crate) fn let_go(&mut self, sequence: Option<u64>, fate: &Fate) {
        if self.suspect.is_some() && self.suspect == sequence {
            self.suspect = None;
        }
        if *fate == Fate::Again {
            self.out -= 1;
        }
    }

    /// What is to be written now, if anything is.
    pub(crate) fn write(&mut self, owner: &str) -> Option<(Record, Carried)> {
        let Carried { claims, done } = &self.next;
        if self.writing || (claims.is_empty() && done.is_empty() && !self.is_dirty) {
            return None;
        }
        let carried = std::mem::take(&mut self.next);
        carried.done.iter().for_each(|done| self.cursor.finishes(done.sequence));
        self.writing = true;
        self.is_dirty = false;
        Some((self.cursor.record(Some(owner), self.write + 1), carried))
    }

    /// The record of a part that is left to others.
    pub(crate) fn last_record(&self) -> Record {
        self.cursor.record(None, self.write + 1)
    }

    /// Whether nothing of it is with anybody, and nothing is to be written. When the connection closes, what is
    /// on its way to the dead letters is not waited for.
    pub(crate) fn is_quiet(&self, is_closing: bool) -> bool {
        let Carried { claims, done } = &self.next;
        let is_nobodys = self.out == 0 || is_closing;
        is_nobodys && !self.writing && claims.is_empty() && done.is_empty()
    }

    /// Nothing more is read.
    pub(crate) fn stop_reading(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.stop_reading();
    }
}
