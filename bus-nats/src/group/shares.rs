//! Which parts this connection owns: taking its share, and leaving what is another's.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{OutboundKind, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{Event, Group, Slot, not_yours};
use crate::cursor::Record;
use crate::kept;
use crate::link::Link;
use crate::owned::{Carried, Done, Owned};
use crate::peers::Told;
use crate::reader::Reader;
use crate::subjects::Part;
use crate::take::{Take, take};

/// How long a connection that does not answer is believed to live.
const BELIEVED: Duration = Duration::from_secs(30);

impl Group {
    pub(super) fn taken(&mut self, part: Part, taken: Result<Take>) {
        let silent = &mut self.silent[part.number()];
        match taken {
            Ok(Take::Taken(taken)) => {
                tracing::debug!(group = &*self.name, ?part, "taken over");
                let owned = Owned::new(*taken, self.link.next(), self.deliveries);
                self.slots[part.number()] = Slot::Owned(Box::new(owned));
                *silent = None;
                return;
            }
            Ok(Take::Another) => *silent = None,
            Ok(Take::Silent) => *silent = silent.or_else(|| Some(Instant::now())),
            Err(error) => tracing::debug!(group = &*self.name, ?part, %error, "not taken over"),
        }
        self.slots[part.number()] = Slot::Free;
    }

    /// The part is not ours any more.
    pub(super) fn lose(&mut self, part: Part, carried: Carried) {
        self.slots[part.number()] = Slot::Free;
        let lost: Vec<u64> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.part == part)
            .map(|(token, _)| *token)
            .collect();
        for token in lost {
            self.let_go(token);
            self.tokens.remove(&token);
        }
        for Done { answer, .. } in carried.done {
            answer.map(|answer| answer.send(Err(not_yours(&self.name))));
        }
    }

    /// Sees to it that this connection owns what is its share.
    pub(super) fn share(&mut self) {
        let is_here = !self.members.is_empty();
        // Of all parts: what takes processes along is among those that were in hand, in whichever part.
        let tries = |slot: &Slot| matches!(slot, Slot::Owned(owned) if owned.tries_one());
        let mut tries = self.slots.iter().any(tries);
        for part in Part::all() {
            let is_mine = is_here && self.peers.is_mine(&self.link.id, part);
            match &mut self.slots[part.number()] {
                Slot::Owned(owned) => {
                    owned.leaving = !is_mine;
                    if is_mine {
                        if owned.reader.is_none() && owned.advance(&mut tries) {
                            let reader = read(&self.link, self.kind, part, owned, &self.events);
                            owned.reader = Some(reader);
                        }
                        continue;
                    }
                    owned.stop_reading();
                    self.withdraw(part);
                    let Slot::Owned(owned) = &mut self.slots[part.number()] else { continue };
                    let is_closing = self.closing.is_some();
                    if !owned.is_quiet(is_closing) {
                        continue;
                    }
                    let (record, replaces) = (owned.last_record(), owned.sequence);
                    let (link, name) = (self.link.clone(), self.name.clone());
                    let events = self.events.clone();
                    self.slots[part.number()] = Slot::Busy;
                    tokio::spawn(async move {
                        let subject = link.subjects.cursor(part, &name);
                        let is_same = |other: &Record| *other == record;
                        // Who is not told finds out by himself.
                        let left = kept::put(&link, &subject, &record, replaces, is_same).await;
                        if let Err(error) = left {
                            tracing::debug!(group = &*name, ?part, %error, "left without a word");
                        }
                        let _ = events.send(Event::Left { part });
                    });
                }
                Slot::Free if is_mine && self.closing.is_none() => self.takes(part),
                Slot::Free | Slot::Busy => {}
            }
        }
    }

    /// Takes back what its members have not looked at yet.
    pub(super) fn withdraw(&mut self, part: Part) {
        let theirs = self.tokens.iter().filter(|(_, token)| token.part == part && token.withdraw());
        let theirs: Vec<u64> = theirs.map(|(token, _)| *token).collect();
        theirs.into_iter().for_each(|token| self.give_back(token, false));
    }

    pub(super) fn takes(&mut self, part: Part) {
        let is_patient = self.silent[part.number()].is_none_or(|since| since.elapsed() < BELIEVED);
        let (link, name, events) = (self.link.clone(), self.name.clone(), self.events.clone());
        self.slots[part.number()] = Slot::Busy;
        tokio::spawn(async move {
            let taken = take(&link, &name, part, is_patient).await;
            if !matches!(taken, Ok(Take::Taken(_))) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let _ = events.send(Event::Taken { part, taken });
        });
    }

    /// Tells the other connections of this one.
    pub(super) fn tell(&mut self) {
        self.peers.expire(Instant::now());
        let room = self.members.iter().map(|member| member.at_once - member.held);
        let room = room.fold(0, u32::saturating_add);
        let told = Told { id: self.link.id.clone(), here: !self.members.is_empty(), room };
        let (client, subject) = (self.link.client.clone(), self.link.subjects.peers(&self.name));
        if let Ok(told) = serde_json::to_vec(&told)
            && self.link.is_up()
        {
            tokio::spawn(async move {
                let _ = client.publish(subject, told.into()).await;
            });
        }
    }

    /// All that is handed over comes back, and all parts are left.
    pub(super) fn close(&mut self, answer: oneshot::Sender<()>) {
        self.closing.get_or_insert_default().push(answer);
        self.members.clear();
        let tokens: Vec<u64> = self.tokens.keys().copied().collect();
        let guests: Vec<(u64, bool)> =
            self.guests.iter().map(|(token, guest)| (*token, !guest.seen.withdraw())).collect();
        guests.into_iter().for_each(|(token, seen)| self.give_back(token, seen));
        for token in tokens {
            let seen = self.tokens.get(&token).is_some_and(|token| !token.withdraw());
            self.give_back(token, seen);
        }
        self.tell();
    }

    pub(super) fn is_over(&mut self) -> bool {
        let is_free = |slot: &Slot| matches!(slot, Slot::Free);
        let is_forsaken = self.forsaken && self.members.is_empty() && self.guests.is_empty();
        if !(self.closing.is_some() || is_forsaken) || !self.slots.iter().all(is_free) {
            return false;
        }
        for answer in self.closing.take().into_iter().flatten() {
            let _ = answer.send(());
        }
        true
    }
}

/// Reads a part, from where its owner is.
fn read(
    link: &Arc<Link>,
    kind: OutboundKind,
    part: Part,
    owned: &Owned,
    events: &mpsc::UnboundedSender<Event>,
) -> AbortHandle {
    let (link, room, after) = (link.clone(), owned.room.clone(), owned.cursor.read());
    let (epoch, events) = (owned.epoch, events.clone());
    let reader = Reader { link, kind, part, after, room };
    // It ends with the part: nobody misses what it passes on after that.
    let pass_on = move |raws| drop(events.send(Event::Read { part, epoch, raws }));
    tokio::spawn(reader.run(pass_on)).abort_handle()
}
