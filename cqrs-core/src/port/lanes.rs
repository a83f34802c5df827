//! What waits for the members of one group of a bus: messages of a key one after the other, all others at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::message::timestamp::Timestamp;
use crate::port::delivery::{InboundMessage, Verdict};
use crate::port::publisher::OutboundMessage;

/// What keeps messages in order: tenant and key. See [`Lanes`]. Clones share them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lane {
    tenant: Option<Arc<str>>,
    key: Arc<str>,
}

impl Lane {
    /// That of a key.
    pub fn new(tenant: Option<&str>, key: &str) -> Self {
        Self { tenant: tenant.map(Into::into), key: key.into() }
    }

    /// `None`: the message is in no order with others.
    pub fn of_outbound(message: &OutboundMessage) -> Option<Self> {
        Some(Self::new(message.metadata.tenant(), message.key.as_deref()?))
    }

    /// `None`: the message is in no order with others.
    pub fn of_inbound(message: &InboundMessage) -> Option<Self> {
        Some(Self::new(message.metadata.tenant(), message.metadata.partition_key()?))
    }

    /// Which of so many partitions it is in: the same on every node, in every version of this crate. The first
    /// 64 bits of the SHA-256 of tenant, NUL and key, modulo the number of partitions.
    ///
    /// ```
    /// use cqrs_core::Lane;
    ///
    /// assert_eq!(Lane::new(None, "17").partition(16), 0);
    /// assert_eq!(Lane::new(Some("acme"), "17").partition(16), 10);
    /// ```
    pub fn partition(&self, partitions: u32) -> u32 {
        let tenant = self.tenant.as_deref().unwrap_or_default().as_bytes();
        let digest =
            Sha256::new().chain_update(tenant).chain_update(b"\0").chain_update(&*self.key);
        let digest = digest.finalize();
        let first = digest.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        (first % u64::from(partitions.max(1))) as u32
    }

    /// Its tenant.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The rules of a group ([`Subscriber::subscribe`](crate::Subscriber::subscribe)) for brokers that do not know
/// them: for adapters. It does no I/O and asks no clock; the messages can be anything that stands for one.
///
/// A message goes through four steps: it is [added](Self::add), [handed over](Self::hand),
/// [settled](Self::settle), and [finished](Self::finish) once the broker has noted what became of it. Until then
/// its lane stands still: the next message of a key is handed over when nothing can bring back the one before.
///
/// ```
/// use std::time::Duration;
/// use cqrs_core::{Holder, Lane, Lanes, Fate, Timestamp, Verdict};
///
/// let mut lanes = Lanes::new(3);
/// let now = Timestamp::UNIX_EPOCH;
/// lanes.add(Some(Lane::new(None, "17")), "first", 0);
/// lanes.add(Some(Lane::new(None, "17")), "second", 0);
/// let member = Holder { connection: 1, member: 1, at_once: 64, settle_within: Duration::from_secs(30) };
///
/// let (message, attempt) = lanes.hand(member, 100, now).unwrap();
/// assert_eq!((*message, attempt), ("first", 1));
/// assert!(lanes.hand(member, 101, now).is_none(), "one of a key at a time");
///
/// assert_eq!(lanes.settle(100, Verdict::Ack, now), Some(Fate::Done));
/// // Here the broker is told.
/// assert_eq!(lanes.finish(100), Some("first"));
/// assert_eq!(lanes.hand(member, 102, now), Some((&"second", 1)));
/// ```
#[derive(Debug)]
pub struct Lanes<M> {
    /// How often a message is handed over at most.
    deliveries: u32,
    /// What waits. A place whose first message is in somebody's hands has a queue as well, maybe an empty one:
    /// what comes waits behind it.
    places: HashMap<Place, VecDeque<Queued<M>>>,
    /// Places whose first message can be handed over.
    ready: VecDeque<Place>,
    /// Places whose first message waits for its time.
    delayed: BTreeMap<(Timestamp, u64), Place>,
    handed: HashMap<u64, Handed<M>>,
    /// When members are silent for too long, by token.
    silent: BTreeSet<(Timestamp, u64)>,
    /// How much each member holds.
    held: HashMap<u64, u32>,
    /// The number of the last place of a message without a key.
    alone: u64,
    len: usize,
}

/// Who is handed something. See [`Lanes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Which connection to the bus.
    pub connection: u64,
    /// Which member: of all connections.
    pub member: u64,
    /// What it holds at most.
    pub at_once: u32,
    /// How long it may be silent about a message.
    pub settle_within: Duration,
}

/// What became of a message that was settled. See [`Lanes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is handled: the broker is told, and then it is [finished](Lanes::finish).
    Done,
    /// It comes again, and is in nobody's hands any more.
    Again,
    /// It is given up for this cause: it is stored as a dead letter, and then it is
    /// [finished](Lanes::finish).
    Fallen(String),
}

/// A place for messages that come one after the other: a key, or one message without a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Keyed(Lane),
    Alone(u64),
}

#[derive(Debug)]
struct Queued<M> {
    message: M,
    /// How often it was handed over.
    deliveries: u32,
}

/// A message that is first of its place and not in its queue.
#[derive(Debug)]
struct Handed<M> {
    place: Place,
    queued: Queued<M>,
    holder: Holder,
    /// `None`: it is settled, and nobody is waited for.
    until: Option<Timestamp>,
}

impl<M> Lanes<M> {
    /// None waits. Each message is handed over so often at most.
    pub fn new(deliveries: u32) -> Self {
        Self {
            deliveries,
            places: HashMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            handed: HashMap::new(),
            silent: BTreeSet::new(),
            held: HashMap::new(),
            alone: 0,
            len: 0,
        }
    }

    /// Another bound for how often a message is handed over.
    pub fn set_deliveries(&mut self, deliveries: u32) {
        self.deliveries = deliveries;
    }

    /// Why a message is not handed over for this time, if that is so: it was handed over often enough before, by
    /// somebody who had it in hand and died. Adapters that count across deaths ask before they hand over.
    pub fn exhausted(&self, attempt: u32) -> Option<String> {
        (attempt > self.deliveries).then(|| too_often(attempt - 1))
    }

    /// Messages that are not finished.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Messages that are not finished, each with how often it was handed over: in no order.
    pub fn unfinished(&self) -> impl Iterator<Item = (&M, u32)> {
        let handed = self.handed.values().map(|handed| &handed.queued);
        let all = self.places.values().flatten().chain(handed);
        all.map(|Queued { message, deliveries }| (message, *deliveries))
    }

    /// Whether all are finished.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there is one that can be handed over.
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A message behind those of its lane, which was handed over so often before.
    pub fn add(&mut self, lane: Option<Lane>, message: M, deliveries: u32) {
        self.len += 1;
        let place = match lane {
            Some(lane) => Place::Keyed(lane),
            None => {
                self.alone += 1;
                Place::Alone(self.alone)
            }
        };
        let queued = Queued { message, deliveries };
        match self.places.get_mut(&place) {
            Some(queue) => queue.push_back(queued),
            None => {
                self.places.insert(place.clone(), VecDeque::from([queued]));
                self.ready.push_back(place);
            }
        }
    }

    /// Hands the next message over, under a token that is never given twice; with the number of its attempt,
    /// from 1. `None`: nothing is ready, or the member holds enough.
    pub fn hand(&mut self, holder: Holder, token: u64, now: Timestamp) -> Option<(&M, u32)> {
        let held = self.held.get(&holder.member).copied().unwrap_or_default();
        if held >= holder.at_once {
            return None;
        }
        // A place that is ready has a queue with a message in it.
        let place = self.ready.pop_front()?;
        let mut queued = self.places.get_mut(&place)?.pop_front()?;
        queued.deliveries = queued.deliveries.saturating_add(1);
        let until = now.saturating_add(holder.settle_within);
        self.silent.insert((until, token));
        self.held.insert(holder.member, held + 1);
        let handed = Handed { place, queued, holder, until: Some(until) };
        let handed = self.handed.entry(token).insert_entry(handed).into_mut();
        Some((&handed.queued.message, handed.queued.deliveries))
    }

    /// When time changes something: see [`expire`](Self::expire).
    pub fn next_due(&self) -> Option<Timestamp> {
        let first = |(at, _): &(Timestamp, u64)| *at;
        let times = [self.delayed.keys().next().map(first), self.silent.first().map(first)];
        times.into_iter().flatten().min()
    }

    /// A message that was handed over and is not finished, with the number of its attempt.
    pub fn handed(&self, token: u64) -> Option<(&M, u32)> {
        let Queued { message, deliveries } = &self.handed.get(&token)?.queued;
        Some((message, *deliveries))
    }

    /// Takes the verdict of whoever was handed it. `None`: it was settled, or is handed to another by now.
    pub fn settle(&mut self, token: u64, verdict: Verdict, now: Timestamp) -> Option<Fate> {
        if !self.let_go(token) {
            return None;
        }
        Some(match verdict {
            Verdict::Ack => Fate::Done,
            Verdict::Park(cause) => Fate::Fallen(cause),
            Verdict::Retry(after) => self.again(token, now.saturating_add(after), now),
        })
    }

    /// Whoever was handed it is heard of. `false`: it was settled, or is handed to another by now.
    pub fn extend(&mut self, token: u64, now: Timestamp) -> bool {
        let Some(Handed { until: Some(until), holder, .. }) = self.handed.get_mut(&token) else {
            return false;
        };
        self.silent.remove(&(*until, token));
        *until = now.saturating_add(holder.settle_within);
        self.silent.insert((*until, token));
        true
    }

    /// Nobody will settle it. `None`: it was settled, or is handed to another by now.
    pub fn give_back(&mut self, token: u64) -> Option<Fate> {
        self.let_go(token).then(|| self.again(token, Timestamp::MIN, Timestamp::MIN))
    }

    /// It was handed over, and never got there: it is as if it had not been. `false`: it was settled, or is
    /// handed to another by now.
    pub fn take_back(&mut self, token: u64) -> bool {
        if !self.let_go(token) {
            return false;
        }
        if let Some(Handed { place, mut queued, .. }) = self.handed.remove(&token) {
            queued.deliveries = queued.deliveries.saturating_sub(1);
            self.places.entry(place.clone()).or_default().push_front(queued);
            self.ready.push_front(place);
        }
        true
    }

    /// Nobody will settle what a connection holds. What became of each message, by token.
    pub fn give_back_all(&mut self, connection: u64) -> Vec<(u64, Fate)> {
        let theirs = self
            .handed
            .iter()
            .filter(|(_, handed)| handed.holder.connection == connection && handed.until.is_some());
        let mut theirs: Vec<u64> = theirs.map(|(token, _)| *token).collect();
        theirs.sort_unstable();
        self.give_back_each(theirs)
    }

    /// Takes note of what time has brought: retries that are due, and members that are silent. What
    /// became of the messages of these, by token.
    pub fn expire(&mut self, now: Timestamp) -> Vec<(u64, Fate)> {
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
        {
            let place = first.remove();
            self.ready.push_back(place);
        }
        let silent: Vec<u64> = self.silent(now).collect();
        self.give_back_each(silent)
    }

    /// The messages, by token, whose members are silent for too long.
    pub fn silent(&self, now: Timestamp) -> impl Iterator<Item = u64> {
        let silent = self.silent.iter().take_while(move |(until, _)| *until <= now);
        silent.map(|(_, token)| *token)
    }

    /// A message that was [`Done`](Fate::Done) or has [`Fallen`](Fate::Fallen) is gone: the next one of
    /// its lane has its turn. `None`: it is not settled.
    pub fn finish(&mut self, token: u64) -> Option<M> {
        if self.handed.get(&token)?.until.is_some() {
            return None;
        }
        let Handed { place, queued, .. } = self.handed.remove(&token)?;
        self.len -= 1;
        match self.places.get(&place) {
            Some(queue) if !queue.is_empty() => self.ready.push_back(place),
            _ => drop(self.places.remove(&place)),
        }
        Some(queued.message)
    }

    fn give_back_each(&mut self, tokens: Vec<u64>) -> Vec<(u64, Fate)> {
        let given = tokens.into_iter().filter_map(|token| Some((token, self.give_back(token)?)));
        given.collect()
    }

    /// Takes it out of the hands of its holder.
    fn let_go(&mut self, token: u64) -> bool {
        let Some(handed) = self.handed.get_mut(&token) else { return false };
        let Some(until) = handed.until.take() else { return false };
        self.silent.remove(&(until, token));
        let member = handed.holder.member;
        match self.held.get_mut(&member) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                self.held.remove(&member);
            }
        }
        true
    }

    /// It comes again, first of its place, or was handed over too often.
    fn again(&mut self, token: u64, due: Timestamp, now: Timestamp) -> Fate {
        let Some(handed) = self.handed.get(&token) else { return Fate::Again };
        let deliveries = handed.queued.deliveries;
        if deliveries >= self.deliveries {
            return Fate::Fallen(too_often(deliveries));
        }
        if let Some(Handed { place, queued, .. }) = self.handed.remove(&token) {
            self.places.entry(place.clone()).or_default().push_front(queued);
            if due <= now {
                self.ready.push_back(place);
            } else {
                self.delayed.insert((due, token), place);
            }
        }
        Fate::Again
    }
}

fn too_often(deliveries: u32) -> String {
    format!("it was handed over {deliveries} times, and is not handled")
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
