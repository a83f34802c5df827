//! What one partition of the relay knows of the messages that wait: in lanes, one for each key.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use tokio::time::Instant;

use crate::message::timestamp::Timestamp;
use crate::port::Position;
use crate::port::outgoing::PendingMessage;

/// Messages that are kept in memory.
pub(crate) const WINDOW: usize = 1_024;

/// Messages that are kept of one lane. The others are read again.
pub(crate) const LANE: usize = 32;

/// Messages of lanes that are full, which are passed over before reading waits for those lanes.
const AHEAD: usize = 1_024;

/// Lanes that wait for their time or for an operator; with one more, reading waits.
const BLOCKED: usize = 100_000;

/// All lanes of a partition. Whatever is not settled at or below where was read to is a head of a
/// lane, in its queue, or in the stretch of the lane that is to be read again.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: HashMap<String, Lane>,
    /// Lanes whose head may go, by its position: the oldest goes first.
    ready: BTreeMap<Position, String>,
    running: BTreeSet<Position>,
    /// Lanes that wait for a time.
    due: BTreeSet<(Timestamp, String)>,
    /// Lanes that are tried again soon.
    soon: BTreeSet<(Instant, String)>,
    /// Lanes whose queue is empty and which have more in the store.
    hungry: BTreeSet<(Position, String)>,
    /// Heads that wait, and hold up what waits for this partition.
    held_up: BTreeSet<Position>,
    kept: usize,
    ahead: usize,
    blocked: usize,
}

#[derive(Debug, Default)]
struct Lane {
    /// The head, while it runs or waits; what it says is read again.
    head: Option<Position>,
    state: State,
    queue: VecDeque<PendingMessage>,
    /// The first and the last message behind the queue.
    missed: Option<(Position, Position)>,
    notes: Notes,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Running,
    Blocked(Until),
}

/// What is known of the head of a lane beside the message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// The store has an entry for it.
    pub(crate) is_aside: bool,
    /// How often it was in vain without counting as an attempt.
    pub(crate) passing: u32,
}

/// A message whose turn it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Turn {
    pub(crate) lane: String,
    pub(crate) position: Position,
    /// `None`: it is to be read again.
    pub(crate) message: Option<PendingMessage>,
    pub(crate) notes: Notes,
}

/// Why the head of a lane waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) until: Until,
    pub(crate) notes: Notes,
}

/// Until when the head of a lane waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// An operator says so.
    Asked,
    /// By the clock of the app.
    Due(Timestamp),
    /// What keeps it may pass at any time: whoever waits for the partition waits for it. In real time,
    /// whatever clock the app has.
    Soon(Instant),
    /// Another process may take it: nobody waits for that. In real time.
    Elsewhere(Instant),
}

impl From<Option<Timestamp>> for Until {
    fn from(due: Option<Timestamp>) -> Self {
        due.map_or(Self::Asked, Self::Due)
    }
}

impl Lanes {
    /// A message that is set aside, as the store has it: the head of its lane.
    pub(crate) fn set_aside(&mut self, lane: &str, position: Position, due: Option<Timestamp>) {
        let notes = Notes { is_aside: true, passing: 0 };
        // They come in the order of their positions: the first one of a lane is its head.
        if !self.lanes.contains_key(lane) {
            self.lanes.insert(lane.to_owned(), Lane { head: Some(position), ..Lane::default() });
            self.block(lane, Wait { until: due.into(), notes });
        }
    }

    /// A message as it was read. They come in the order of their positions.
    pub(crate) fn offer(&mut self, lane: String, message: PendingMessage) {
        let position = message.position;
        self.put_before(&lane, position);
        let known = self.lanes.entry(lane.clone()).or_default();
        let last = known.queue.back().map(|message| message.position).or(known.head);
        if last.is_some_and(|last| position <= last) {
            return;
        }
        let is_blocked = matches!(known.state, State::Blocked(_));
        if let Some((_, last)) = &mut known.missed {
            *last = position.max(*last);
            self.ahead += usize::from(!is_blocked);
            return;
        }
        if is_blocked || known.queue.len() >= LANE {
            known.missed = Some((position, position));
            self.ahead += usize::from(!is_blocked);
            return;
        }
        known.queue.push_back(message);
        self.kept += 1;
        if known.state == State::Free && known.head.is_none() && known.queue.len() == 1 {
            self.ready.insert(position, lane);
        }
    }

    /// One that comes before what waits at the head of its lane goes first. No node sends a later one
    /// before it, unless their numbers of partitions differ.
    fn put_before(&mut self, lane: &str, position: Position) {
        let Some(known) = self.lanes.get(lane) else { return };
        let is_blocked = matches!(known.state, State::Blocked(_));
        let Some(head) = known.head.filter(|head| is_blocked && position < *head) else { return };
        self.take_out(lane);
        if let Some(known) = self.lanes.get_mut(lane) {
            let last = known.missed.map_or(head, |(_, last)| last);
            *known = Lane { missed: Some((head, last)), ..Lane::default() };
        }
        self.force(lane, position);
    }

    /// Makes a position the head of a free lane.
    fn force(&mut self, lane: &str, position: Position) {
        if let Some(known) = self.lanes.get_mut(lane) {
            known.head = Some(position);
            self.ready.insert(position, lane.to_owned());
        }
    }

    /// Whether a page of so many messages may be read.
    pub(crate) fn has_room(&self, page: usize) -> bool {
        self.kept + page <= WINDOW && self.blocked < BLOCKED
    }

    /// Whether what comes later may be read, or lanes that are full come first.
    pub(crate) fn may_go_ahead(&self) -> bool {
        self.ahead < AHEAD
    }

    /// The next message that may go. Its lane waits until it is told what came of it.
    pub(crate) fn next(&mut self) -> Option<Turn> {
        let (position, lane) = self.ready.pop_first()?;
        let known = self.lanes.get_mut(&lane)?;
        let message = match known.head {
            Some(_) => None,
            None => known.queue.pop_front(),
        };
        self.kept -= usize::from(message.is_some());
        known.head = Some(position);
        known.state = State::Running;
        let notes = known.notes;
        self.running.insert(position);
        self.feed(&lane);
        Some(Turn { lane, position, message, notes })
    }

    /// The head of a lane is done: the next one follows.
    pub(crate) fn done(&mut self, lane: &str) {
        self.take_out(lane);
        let Some(known) = self.lanes.get_mut(lane) else { return };
        known.head = None;
        known.state = State::Free;
        known.notes = Notes::default();
        match (known.queue.front(), known.missed) {
            (Some(next), _) => drop(self.ready.insert(next.position, lane.to_owned())),
            (None, Some(_)) => self.feed(lane),
            (None, None) => drop(self.lanes.remove(lane)),
        }
    }

    /// The head of a lane waits, and the lane with it. What it says is not kept meanwhile.
    pub(crate) fn block(&mut self, lane: &str, wait: Wait) {
        self.take_out(lane);
        let Some(known) = self.lanes.get_mut(lane) else { return };
        let Some(head) = known.head else { return };
        if let (Some(first), Some(last)) = (known.queue.front(), known.queue.back()) {
            let last = known.missed.map_or(last.position, |(_, last)| last);
            known.missed = Some((first.position, last));
        }
        self.kept -= known.queue.len();
        known.queue = VecDeque::new();
        if known.missed.is_some() {
            // What was passed over for it holds nobody up any more.
            self.ahead = 0;
        }
        known.notes = wait.notes;
        known.state = State::Blocked(wait.until);
        self.blocked += 1;
        match wait.until {
            Until::Asked => {}
            Until::Due(due) => drop(self.due.insert((due, lane.to_owned()))),
            Until::Soon(when) | Until::Elsewhere(when) => {
                self.soon.insert((when, lane.to_owned()));
                if let Until::Soon(_) = wait.until {
                    self.held_up.insert(head);
                }
            }
        }
    }

    /// Lets those go on whose time has come.
    pub(crate) fn wake(&mut self, now: Timestamp, instant: Instant) {
        while let Some((_, lane)) = self.due.first().filter(|(due, _)| *due <= now).cloned() {
            self.free(&lane);
        }
        while let Some((_, lane)) = self.soon.first().filter(|(w, _)| *w <= instant).cloned() {
            self.free(&lane);
        }
    }

    /// An entry of this lane is to be looked at, as an operator wants.
    pub(crate) fn look_at(&mut self, lane: &str, position: Position) {
        let is_it =
            |known: &Lane| known.head == Some(position) && matches!(known.state, State::Blocked(_));
        match self.lanes.get(lane) {
            Some(known) if is_it(known) => self.free(lane),
            Some(_) => {}
            None => {
                self.set_aside(lane, position, None);
                self.free(lane);
            }
        }
    }

    fn free(&mut self, lane: &str) {
        self.take_out(lane);
        let Some(known) = self.lanes.get_mut(lane) else { return };
        known.state = State::Free;
        if let Some(head) = known.head {
            self.ready.insert(head, lane.to_owned());
        }
    }

    /// Out of all lists but that of lanes.
    fn take_out(&mut self, lane: &str) {
        let Some(known) = self.lanes.get(lane) else { return };
        if let State::Blocked(until) = known.state {
            self.blocked -= 1;
            match until {
                Until::Asked => {}
                Until::Due(due) => drop(self.due.remove(&(due, lane.to_owned()))),
                Until::Soon(when) | Until::Elsewhere(when) => {
                    self.soon.remove(&(when, lane.to_owned()));
                }
            }
        }
        if let Some((first, _)) = known.missed {
            self.hungry.remove(&(first, lane.to_owned()));
        }
        if let Some(head) = known.head {
            self.ready.remove(&head);
            self.running.remove(&head);
            self.held_up.remove(&head);
        }
    }

    /// Notes a lane that has nothing left to go but what is in the store.
    fn feed(&mut self, lane: &str) {
        let Some(known) = self.lanes.get(lane) else { return };
        let is_blocked = matches!(known.state, State::Blocked(_));
        if let Some((first, _)) = known.missed
            && known.queue.is_empty()
            && !is_blocked
        {
            self.hungry.insert((first, lane.to_owned()));
        }
    }

    /// Where is to be read again, for lanes that have nothing left.
    pub(crate) fn hungry_from(&self) -> Option<Position> {
        self.hungry.first().map(|(first, _)| *first)
    }

    /// Begins to read again from a position on: the lanes that take in what was missed after it.
    pub(crate) fn begin_again(&mut self, from: Position) -> Vec<String> {
        let takes = |lane: &Lane| {
            lane.missed.is_some_and(|(first, _)| first >= from)
                && lane.queue.len() < LANE
                && !matches!(lane.state, State::Blocked(_))
        };
        let mut taking = Vec::new();
        for (name, lane) in self.lanes.iter_mut().filter(|(_, lane)| takes(lane)) {
            if let Some((first, _)) = lane.missed.take() {
                self.hungry.remove(&(first, name.clone()));
            }
            taking.push(name.clone());
        }
        self.ahead = 0;
        taking
    }

    /// Whether some of these lanes may still take what comes.
    pub(crate) fn are_taking(&self, taking: &[String]) -> bool {
        let misses = |name: &String| self.lanes.get(name).is_none_or(|l| l.missed.is_some());
        !taking.iter().all(misses)
    }

    /// The reading ended before it reached `to`: what lies between was not offered.
    pub(crate) fn end_again(&mut self, taking: Vec<String>, through: Position, to: Position) {
        for name in taking {
            let Some(lane) = self.lanes.get_mut(&name) else { continue };
            if through < to {
                let (first, last) = lane.missed.unwrap_or((through + 1, to));
                lane.missed = Some((first, last.max(to)));
            }
            let is_empty = lane.missed.is_none() && lane.head.is_none() && lane.queue.is_empty();
            match is_empty {
                true => drop(self.lanes.remove(&name)),
                false => self.feed(&name),
            }
        }
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(crate) fn next_soon(&self) -> Option<Instant> {
        self.soon.first().map(|(when, _)| *when)
    }

    /// Lanes that wait for their time or for an operator.
    pub(crate) fn blocked(&self) -> usize {
        self.blocked
    }

    /// The first position that is neither done nor set aside.
    pub(crate) fn open_from(&self) -> Option<Position> {
        let ready = self.ready.first_key_value().map(|(position, _)| *position);
        let sets = [self.running.first(), self.held_up.first()];
        let hungry = self.hungry.first().map(|(first, _)| *first);
        sets.into_iter().flatten().copied().chain(ready).chain(hungry).min()
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
