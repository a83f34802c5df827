//! One group of the memory bus: messages by key, and what its members hold.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::state::Lane;
use crate::error::{Error, ErrorKind, Result};
use crate::message::timestamp::Timestamp;
use crate::port::delivery::{InboundMessage, Verdict};
use crate::port::publisher::OutboundMessage;
use crate::port::subscriber::BusSubscription;

/// A message of a group.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) message: Arc<OutboundMessage>,
    /// How often it was handed over.
    pub(super) deliveries: u32,
}

impl Queued {
    pub(super) fn inbound(&self) -> InboundMessage {
        let OutboundMessage { metadata, name, key, content_type, body, .. } = &*self.message;
        let mut metadata = metadata.clone();
        if let Some(key) = key {
            metadata = metadata.with_partition_key(key.as_str());
        }
        InboundMessage {
            metadata,
            name: name.clone(),
            content_type: content_type.clone(),
            body: body.clone(),
            attempt: self.deliveries,
        }
    }
}

/// A message that the group has given up.
#[derive(Debug)]
pub(super) struct Fallen {
    pub(super) queued: Queued,
    pub(super) cause: String,
}

/// A place for messages that come one after the other: a key, or one message without a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Keyed(Lane),
    Alone(u64),
}

/// Who is handed something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) connection: u64,
    pub(super) member: u64,
    /// What it holds at most.
    pub(super) at_once: u32,
    pub(super) settle_within: Duration,
}

/// A message in the hands of a member.
#[derive(Debug)]
struct Handed {
    place: Place,
    queued: Queued,
    holder: Holder,
    until: Timestamp,
}

#[derive(Debug)]
pub(super) struct Group {
    /// The latest one.
    pub(super) subscription: BusSubscription,
    /// What waits. A place whose first message is in somebody's hands has a queue as well, maybe an
    /// empty one: what comes waits behind it.
    places: HashMap<Place, VecDeque<Queued>>,
    /// Places whose first message can be handed over.
    ready: VecDeque<Place>,
    /// Places whose first message waits for its time.
    delayed: BTreeMap<(Timestamp, u64), Place>,
    handed: HashMap<u64, Handed>,
    fallen: Vec<Fallen>,
    /// All it holds, with its dead letters.
    size: usize,
    alone: u64,
    changed: watch::Sender<()>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            subscription: BusSubscription::to_messages("", [""; 0]),
            places: HashMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            handed: HashMap::new(),
            fallen: Vec::new(),
            size: 0,
            alone: 0,
            changed: watch::Sender::new(()),
        }
    }
}

impl Group {
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn len(&self) -> usize {
        self.size
    }

    pub(super) fn fallen(&mut self) -> impl Iterator<Item = Fallen> {
        self.fallen.drain(..)
    }

    /// A new message.
    pub(super) fn add(&mut self, lane: Option<Lane>, queued: Queued) {
        self.size += 1;
        let place = match lane {
            Some(lane) => Place::Keyed(lane),
            None => {
                self.alone += 1;
                Place::Alone(self.alone)
            }
        };
        match self.places.get_mut(&place) {
            Some(queue) => queue.push_back(queued),
            None => {
                self.places.insert(place.clone(), VecDeque::from([queued]));
                self.make_ready(place);
            }
        }
    }

    /// A message that was a dead letter, and has its room already.
    pub(super) fn add_again(&mut self, queued: Queued) {
        self.size -= 1;
        self.add(Lane::of(&queued.message), queued);
    }

    /// A dead letter is gone.
    pub(super) fn make_room(&mut self) {
        self.size -= 1;
    }

    /// Hands the next message over; or tells when there may be one.
    pub(super) fn hand(
        &mut self,
        holder: Holder,
        token: u64,
        now: Timestamp,
    ) -> Result<InboundMessage, Option<Timestamp>> {
        let held = self.handed.values().filter(|h| h.holder.member == holder.member).count();
        let place = match held < holder.at_once as usize {
            true => self.ready.pop_front(),
            false => None,
        };
        let first = place.and_then(|place| {
            let queued = self.places.get_mut(&place)?.pop_front()?;
            Some((place, queued))
        });
        let Some((place, mut queued)) = first else { return Err(self.next_due()) };
        queued.deliveries += 1;
        let message = queued.inbound();
        let until = now.saturating_add(holder.settle_within);
        self.handed.insert(token, Handed { place, queued, holder, until });
        Ok(message)
    }

    /// When time changes something.
    fn next_due(&self) -> Option<Timestamp> {
        let delayed = self.delayed.keys().next().map(|(due, _)| *due);
        let silent = self.handed.values().map(|handed| handed.until).min();
        [delayed, silent].into_iter().flatten().min()
    }

    pub(super) fn settle(&mut self, token: u64, verdict: Verdict, now: Timestamp) -> Result<()> {
        let handed = self.handed.remove(&token).ok_or_else(|| not_yours(&self.subscription))?;
        match verdict {
            Verdict::Ack => {
                self.size -= 1;
                self.advance(handed.place);
            }
            Verdict::Park(cause) => self.fall(handed, cause),
            Verdict::Retry(after) => self.again(token, handed, now.saturating_add(after), now),
        }
        self.changed.send_replace(());
        Ok(())
    }

    pub(super) fn extend(&mut self, token: u64, now: Timestamp) -> Result<()> {
        let handed = self.handed.get_mut(&token).ok_or_else(|| not_yours(&self.subscription))?;
        handed.until = now.saturating_add(handed.holder.settle_within);
        Ok(())
    }

    /// Nobody settled it.
    pub(super) fn give_back(&mut self, token: u64) {
        if let Some(handed) = self.handed.remove(&token) {
            self.again(token, handed, Timestamp::MIN, Timestamp::MIN);
        }
        self.changed.send_replace(());
    }

    pub(super) fn give_back_all(&mut self, connection: u64) {
        self.give_back_where(|handed| handed.holder.connection == connection);
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
        {
            let place = first.remove();
            self.make_ready(place);
        }
        self.give_back_where(|handed| handed.until <= now);
    }

    fn give_back_where(&mut self, is_lost: impl Fn(&Handed) -> bool) {
        let lost = self.handed.iter().filter(|(_, handed)| is_lost(handed));
        let mut lost: Vec<u64> = lost.map(|(token, _)| *token).collect();
        lost.sort_unstable();
        lost.into_iter().for_each(|token| self.give_back(token));
    }

    /// It comes again, first of its place.
    fn again(&mut self, token: u64, handed: Handed, due: Timestamp, now: Timestamp) {
        let Handed { place, queued, .. } = handed;
        let deliveries = queued.deliveries;
        if deliveries >= self.subscription.deliveries {
            let cause = format!("it was handed over {deliveries} times, and is not handled");
            self.fall(Handed { place, queued, ..handed }, cause);
            return;
        }
        self.places.entry(place.clone()).or_default().push_front(queued);
        if due <= now {
            self.make_ready(place);
        } else {
            self.delayed.insert((due, token), place);
        }
    }

    fn fall(&mut self, handed: Handed, cause: String) {
        self.fallen.push(Fallen { queued: handed.queued, cause });
        self.advance(handed.place);
    }

    /// The first message of a place is gone: the next one's turn.
    fn advance(&mut self, place: Place) {
        match self.places.get(&place) {
            Some(queue) if !queue.is_empty() => self.make_ready(place),
            _ => drop(self.places.remove(&place)),
        }
    }

    fn make_ready(&mut self, place: Place) {
        self.ready.push_back(place);
        self.changed.send_replace(());
    }
}

fn not_yours(subscription: &BusSubscription) -> Error {
    let context = format!(
        "this delivery of the group `{}` was settled, or is handed to another by now",
        subscription.group
    );
    Error::new(ErrorKind::Unavailable, context)
}
