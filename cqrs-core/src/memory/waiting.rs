//! What waits in the memory store: messages to send, timers, entries set aside, and leases.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::{Conflict, Error, Result};
use crate::message::id::MessageId;
use crate::message::timestamp::Timestamp;
use crate::port::Position;
use crate::port::commit::{Fence, Settled, TimerWrite};
use crate::port::lease::{Lease, LeaseRequest};
use crate::port::outgoing::{FindOutgoing, Outgoing, PendingMessage};
use crate::port::parked::{FindParked, ParkedEntry, ParkedWrite};
use crate::port::timer::{FindTimers, Timer};

/// Owner, tenant, key and name.
type TimerKey = (String, Option<Box<str>>, String, String);

#[derive(Debug, Default)]
pub(super) struct Waiting {
    outgoing: BTreeMap<Position, PendingMessage>,
    positions: HashMap<MessageId, Position>,
    timers: BTreeMap<TimerKey, (u64, Timestamp)>,
    parked: BTreeMap<(String, Position, String), ParkedEntry>,
    leases: BTreeMap<String, Lease>,
}

impl Waiting {
    pub(super) fn check_fences<'a>(&self, fences: impl Iterator<Item = &'a Fence>) -> Result<()> {
        for Fence { lease, token } in fences {
            let actual = self.leases.get(lease).map_or(0, |lease| lease.token);
            if actual != *token {
                let (lease, token) = (lease.clone(), *token);
                return Err(Conflict::Lease { lease, token, actual }.into());
            }
        }
        Ok(())
    }

    pub(super) fn check(
        &self,
        outgoing: &[Outgoing],
        timers: &[TimerWrite],
        settled: &[Settled],
        parked: &[ParkedWrite],
    ) -> Result<()> {
        let mut ids = HashSet::new();
        for message in outgoing {
            let id = message.metadata.id();
            if self.positions.contains_key(&id) || !ids.insert(id) {
                return Err(Error::id_reused("message", id));
            }
        }
        settled.iter().try_for_each(|settled| self.check_settled(settled))?;
        timers.iter().try_for_each(|timer| self.check_timer(timer))?;
        for write in parked {
            let place = (write.subscription.clone(), write.position, write.key.clone());
            let actual = self.parked.get(&place).map_or(0, |entry| entry.version);
            if !write.expected.holds(actual) {
                let (subscription, position, _) = place;
                return Err(Conflict::Parked { subscription, position, actual }.into());
            }
        }
        Ok(())
    }

    fn check_timer(&self, write: &TimerWrite) -> Result<()> {
        let set = self.timers.get(&key_of(write)).map_or(0, |(generation, _)| *generation);
        let is_late = match write.due {
            Some(_) => write.generation <= set,
            None => write.generation < set,
        };
        if !is_late {
            return Ok(());
        }
        let TimerWrite { owner, key, name, .. } = write.clone();
        Err(Conflict::Timer { owner, key, name, actual: set }.into())
    }

    fn check_settled(&self, settled: &Settled) -> Result<()> {
        let gone = |what: String| Err(Conflict::Settled { what }.into());
        match settled {
            Settled::Outgoing(id) if !self.positions.contains_key(id) => {
                gone(format!("the message {id}"))
            }
            Settled::Timer(timer) => {
                let set = self.timers.get(&key_of_set(timer)).map(|(generation, _)| *generation);
                if set == Some(timer.generation) {
                    return Ok(());
                }
                let Timer { owner, key, name, .. } = timer;
                gone(format!("the timer `{name}` of `{owner}`/{key}"))
            }
            Settled::Parked { subscription, position, key }
                if !self.parked.contains_key(&(subscription.clone(), *position, key.clone())) =>
            {
                gone(format!("the parked entry {position}@{subscription}"))
            }
            Settled::Outgoing(_) | Settled::Parked { .. } => Ok(()),
        }
    }

    /// Forgets what is settled; then writes.
    pub(super) fn settle(&mut self, settled: Vec<Settled>) {
        for settled in settled {
            match settled {
                Settled::Outgoing(id) => {
                    if let Some(position) = self.positions.remove(&id) {
                        self.outgoing.remove(&position);
                    }
                }
                Settled::Timer(timer) => {
                    self.timers.remove(&key_of_set(&timer));
                }
                Settled::Parked { subscription, position, key } => {
                    self.parked.remove(&(subscription, position, key));
                }
            }
        }
    }

    pub(super) fn send(&mut self, position: Position, recorded_at: Timestamp, message: Outgoing) {
        self.positions.insert(message.metadata.id(), position);
        self.outgoing.insert(position, PendingMessage { position, recorded_at, message });
    }

    pub(super) fn set(&mut self, write: &TimerWrite) {
        let key = key_of(write);
        match write.due {
            Some(due) => self.timers.insert(key, (write.generation, due)),
            None => self.timers.remove(&key),
        };
    }

    pub(super) fn set_aside(&mut self, write: ParkedWrite, now: Timestamp) {
        let ParkedWrite { subscription, position, expected: _, partition, key, message, .. } =
            write;
        let ParkedWrite { state, due, cause, attempts, edited, .. } = write;
        let place = (subscription.clone(), position, key.clone());
        let before = self.parked.get(&place);
        let (version, since) = before.map_or((1, now), |b| (b.version + 1, b.since));
        let entry = ParkedEntry {
            subscription,
            position,
            version,
            partition,
            key,
            message,
            state,
            due,
            cause,
            attempts,
            edited,
            since,
        };
        self.parked.insert(place, entry);
    }

    pub(super) fn lease(&mut self, request: LeaseRequest, now: Timestamp) -> Vec<Lease> {
        let LeaseRequest { holder, names, term } = request;
        let until = now.saturating_add(term);
        let stands = names.into_iter().map(|name| {
            let lease = self.leases.entry(name.clone()).or_insert_with(|| Lease {
                name,
                holder: String::new(),
                token: 0,
                until: Timestamp::MIN,
                taken_over: false,
            });
            if lease.holder == holder {
                lease.until = until;
                return lease.clone();
            }
            if lease.until > now {
                return lease.clone();
            }
            // Released: nobody's.
            let taken_over = !lease.holder.is_empty();
            lease.holder.clone_from(&holder);
            lease.token += 1;
            lease.until = until;
            Lease { taken_over, ..lease.clone() }
        });
        stands.collect()
    }

    pub(super) fn release(&mut self, holder: &str, names: &[String]) {
        for name in names {
            if let Some(lease) = self.leases.get_mut(name)
                && lease.holder == holder
            {
                lease.holder.clear();
                lease.until = Timestamp::MIN;
            }
        }
    }

    pub(super) fn leases(&self, prefix: &str, now: Timestamp) -> Vec<Lease> {
        let held = |lease: &&Lease| !lease.holder.is_empty() && lease.until > now;
        let from = self.leases.range(prefix.to_owned()..).map(|(_, lease)| lease);
        from.take_while(|lease| lease.name.starts_with(prefix)).filter(held).cloned().collect()
    }

    pub(super) fn timers(&self, find: &FindTimers) -> Vec<Timer> {
        let all = self.timers.iter().filter(|(key, _)| key.0 == find.owner);
        let mut due: Vec<Timer> = all
            .filter(|(_, (_, due))| *due <= find.due_by)
            .map(|((owner, tenant, key, name), (generation, due))| Timer {
                owner: owner.clone(),
                tenant: tenant.clone(),
                key: key.clone(),
                name: name.clone(),
                generation: *generation,
                due: *due,
            })
            .collect();
        due.sort_by_key(|timer| timer.due);
        due.truncate(find.limit as usize);
        due
    }

    pub(super) fn outgoing(&self, find: FindOutgoing) -> Vec<PendingMessage> {
        let mut found: Vec<PendingMessage> = Vec::new();
        let mut bytes = 0;
        for pending in self.outgoing.range(find.after.saturating_add(1)..).map(|(_, m)| m) {
            bytes += pending.message.body.len();
            let full = found.len() >= find.page.events as usize || bytes > find.page.bytes;
            if full && !found.is_empty() {
                break;
            }
            found.push(pending.clone());
        }
        found
    }

    pub(super) fn parked(&self, find: &FindParked) -> Vec<ParkedEntry> {
        let FindParked { subscription, key, state, due_by, position, after, limit } = find;
        let all = self.parked.values().filter(|entry| {
            let place = (&entry.subscription, entry.position, &entry.key);
            subscription.as_ref().is_none_or(|wanted| *wanted == entry.subscription)
                && key.as_ref().is_none_or(|wanted| *wanted == entry.key)
                && state.is_none_or(|wanted| wanted == entry.state)
                && due_by.is_none_or(|by| entry.due.is_some_and(|due| due <= by))
                && position.is_none_or(|wanted| wanted == entry.position)
                && after.as_ref().is_none_or(|last| place > (&last.0, last.1, &last.2))
        });
        all.take(*limit as usize).cloned().collect()
    }
}

fn key_of(write: &TimerWrite) -> TimerKey {
    (write.owner.clone(), write.tenant.clone(), write.key.clone(), write.name.clone())
}

fn key_of_set(timer: &Timer) -> TimerKey {
    (timer.owner.clone(), timer.tenant.clone(), timer.key.clone(), timer.name.clone())
}
