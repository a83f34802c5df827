//! What the memory bus holds: its groups, its dead letters, and the ids that it knows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use super::group::{Fallen, Group, inbound};
use super::requests::Responders;
use crate::error::{Error, ErrorKind, Result};
use crate::message::id::MessageId;
use crate::message::timestamp::Timestamp;
use crate::port::bus::{DeadLetter, DeadLetterId, FindDeadLetters};
use crate::port::delivery::Verdict;
use crate::port::publisher::{OutboundKind, OutboundMessage};
use crate::port::subscriber::BusSubscription;

/// Whether anybody gets a message that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Heard,
    Unheard,
}

#[derive(Debug, Default)]
pub(super) struct State {
    groups: BTreeMap<String, Group>,
    letters: BTreeMap<u64, Letter>,
    known: Known,
    pub(super) responders: Responders,
    /// The last number that was given out: of connections, members, deliveries and letters.
    last: u64,
}

#[derive(Debug)]
struct Letter {
    origin: String,
    fallen: Fallen,
    since: Timestamp,
}

impl State {
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn subscribe(
        &mut self,
        subscription: &BusSubscription,
    ) -> Result<watch::Receiver<()>> {
        let BusSubscription { group: name, kind, .. } = subscription;
        if let Some(group) = self.groups.get(name)
            && group.subscription.kind != *kind
        {
            let context = format!("the group `{name}` does not take what is a {}", kind.name());
            return Err(Error::invalid_field("kind", context));
        }
        if *kind == OutboundKind::Command {
            let others = self.groups.iter().filter(|(other, _)| *other != name);
            let mut taken = others.filter(|(_, group)| group.subscription.overlaps(subscription));
            if let Some((other, _)) = taken.next() {
                let context = format!(
                    "the groups `{name}` and `{other}` would take the same commands: a command is \
                     for one of them"
                );
                return Err(Error::invalid_field("names", context));
            }
        }
        let group =
            self.groups.entry(name.clone()).or_insert_with(|| Group::new(subscription.clone()));
        Ok(group.subscribe(subscription.clone()))
    }

    /// Stores a message for all who get it, or for nobody.
    pub(super) fn publish(
        &mut self,
        message: OutboundMessage,
        now: Timestamp,
        known_since: Timestamp,
        capacity: usize,
    ) -> Result<Stored> {
        let id = message.metadata.id();
        if self.known.has(id, known_since) {
            return Ok(Stored::Heard);
        }
        let gets = |group: &Group| {
            group.subscription.kind == message.kind && group.subscription.matches(&message.name)
        };
        let mut heard = false;
        for (name, group) in self.groups.iter().filter(|(_, group)| gets(group)) {
            heard = true;
            if group.len() >= capacity {
                let context =
                    format!("the group `{name}` holds {capacity} messages: try again later");
                return Err(Error::new(ErrorKind::Overloaded, context));
            }
        }
        if !heard {
            return match message.kind {
                OutboundKind::Message => Ok(Stored::Unheard),
                OutboundKind::Command => {
                    let context = format!("no group takes the command `{}`", message.name);
                    Err(Error::new(ErrorKind::Unroutable, context))
                }
            };
        }
        self.known.add(id, now);
        let message = Arc::new(message);
        for (name, group) in &mut self.groups {
            let subscription = &group.subscription;
            if subscription.kind == message.kind && subscription.matches(&message.name) {
                tracing::trace!(group = name, message = %id, "queued");
                group.add(message.clone());
            }
        }
        Ok(Stored::Heard)
    }

    /// A group that somebody is a member of, or was: they stay.
    pub(super) fn group(&mut self, name: &str) -> Result<&mut Group> {
        self.groups.get_mut(name).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("the memory bus lost the group `{name}`"))
        })
    }

    pub(super) fn settle(
        &mut self,
        name: &str,
        token: u64,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<()> {
        self.expire(now);
        let settled = self.group(name)?.settle(token, verdict, now);
        self.bury(now);
        settled
    }

    /// What was handed over and not settled goes back to its group.
    pub(super) fn give_back(&mut self, name: &str, token: u64, now: Timestamp) {
        if let Some(group) = self.groups.get_mut(name) {
            group.give_back(token);
        }
        self.bury(now);
    }

    pub(super) fn give_back_all(&mut self, connection: u64, now: Timestamp) {
        self.groups.values_mut().for_each(|group| group.give_back_all(connection));
        self.bury(now);
    }

    /// Takes note of what time has brought: silent members, and retries that are due.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.groups.values_mut().for_each(|group| group.expire(now));
        self.bury(now);
    }

    /// Makes dead letters of what the groups have given up.
    fn bury(&mut self, now: Timestamp) {
        let Self { groups, letters, last, .. } = self;
        for (origin, group) in groups {
            for fallen in group.fallen() {
                *last += 1;
                tracing::warn!(
                    group = origin,
                    message = %fallen.message.metadata.id(),
                    cause = fallen.cause,
                    "a dead letter"
                );
                let origin = origin.clone();
                letters.insert(*last, Letter { origin, fallen, since: now });
            }
        }
    }

    pub(super) fn letters(&self, find: &FindDeadLetters) -> Vec<DeadLetter> {
        let after = find.after.as_ref().and_then(number).map_or(0, |after| after.saturating_add(1));
        let wanted = |letter: &Letter| find.origin.as_ref().is_none_or(|o| *o == letter.origin);
        let found = self.letters.range(after..).filter(|(_, letter)| wanted(letter));
        let found = found.map(|(n, letter)| DeadLetter {
            id: DeadLetterId(n.to_string()),
            message: inbound(&letter.fallen.message, letter.fallen.attempts),
            cause: letter.fallen.cause.clone(),
            attempts: letter.fallen.attempts,
            origin: letter.origin.clone(),
            since: letter.since,
        });
        found.take(find.limit as usize).collect()
    }

    fn remove(&mut self, letter: &DeadLetterId) -> Result<Letter> {
        number(letter).and_then(|n| self.letters.remove(&n)).ok_or_else(|| {
            let context = format!("there is no dead letter {}", letter.0);
            Error::invalid_field("dead_letter", context)
        })
    }

    pub(super) fn send_again(&mut self, letter: &DeadLetterId) -> Result<()> {
        let Letter { origin, fallen, .. } = self.remove(letter)?;
        self.group(&origin)?.add_again(fallen.message);
        Ok(())
    }

    pub(super) fn discard(&mut self, letter: &DeadLetterId) -> Result<()> {
        let letter = self.remove(letter)?;
        self.group(&letter.origin)?.make_room();
        Ok(())
    }

    /// Forgets dead letters from before a time.
    pub(super) fn forget_letters(&mut self, before: Timestamp) {
        while let Some(first) = self.letters.first_entry()
            && first.get().since < before
        {
            let Letter { origin, fallen, .. } = first.remove();
            let message = fallen.message.metadata.id();
            tracing::warn!(group = origin, %message, "a dead letter is too old, and forgotten");
            if let Some(group) = self.groups.get_mut(&origin) {
                group.make_room();
            }
        }
    }
}

fn number(letter: &DeadLetterId) -> Option<u64> {
    letter.0.parse().ok()
}

/// The ids of messages that were sent lately.
#[derive(Debug, Default)]
struct Known {
    since: HashMap<MessageId, Timestamp>,
    order: VecDeque<(Timestamp, MessageId)>,
}

impl Known {
    fn has(&mut self, id: MessageId, since: Timestamp) -> bool {
        while let Some((at, old)) = self.order.front().copied()
            && at < since
        {
            self.order.pop_front();
            self.since.remove(&old);
        }
        self.since.contains_key(&id)
    }

    fn add(&mut self, id: MessageId, now: Timestamp) {
        self.since.insert(id, now);
        self.order.push_back((now, id));
    }
}
