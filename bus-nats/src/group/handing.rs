//! Handing messages over, taking verdicts, and writing down what became of them.

use std::time::Duration;

use cqrs_core::{
    Clock, ErrorKind, Fate, GroupAnswer, Holder, LoanWord, Outlook, Result, SystemClock, Timestamp,
    Verdict,
};

use super::{Event, Group, Member, Slot, Token, not_yours};
use crate::cursor::Record;
use crate::kept::{self, Put};
use crate::lend;
use crate::letters;
use crate::owned::{Carried, Done};
use crate::subjects::Part;

/// How long is waited before something is stored again.
const AGAIN: Duration = Duration::from_millis(200);

impl Group {
    pub(super) fn settle(&mut self, token: u64, verdict: Verdict, answer: GroupAnswer) {
        if self.guests.contains_key(&token) {
            return self.tell_owner(token, verdict.into(), Some(answer));
        }
        let now = SystemClock.now();
        let fate = self.owner(token).and_then(|owned| owned.settle(token, verdict, now));
        let Some(fate) = fate else {
            let _ = answer.send(Err(not_yours(&self.name)));
            return;
        };
        self.after(token, fate, Some(answer));
    }

    pub(super) fn give_back(&mut self, token: u64, seen: bool) {
        if self.guests.contains_key(&token) {
            return self.tell_owner(token, LoanWord::Back(seen), None);
        }
        let Some(owned) = self.owner(token) else { return };
        if !seen {
            if owned.take_back(token) {
                self.let_go(token);
                self.tokens.remove(&token);
            }
            return;
        }
        if let Some(fate) = owned.give_back(token) {
            self.after(token, fate, None);
        }
    }

    /// A message is out of the hands of its member.
    pub(super) fn after(&mut self, token: u64, fate: Fate, answer: Option<GroupAnswer>) {
        self.let_go(token);
        let Some(Token { part, .. }) = self.tokens.get(&token) else { return };
        let part = *part;
        let Slot::Owned(owned) = &mut self.slots[part.number()] else { return };
        let Some((raw, attempts)) = owned.lanes.handed(token) else {
            // It waits again, and is handed over under another token.
            self.tokens.remove(&token);
            answer.map(|answer| answer.send(Ok(())));
            return;
        };
        let done = Done { sequence: raw.sequence, token, answer };
        match fate {
            Fate::Done | Fate::Again => owned.next.done.push(done),
            Fate::Fallen(cause) => {
                // For the last time it was not handed over.
                let attempts = attempts.min(self.deliveries);
                let (link, name, raw) = (self.link.clone(), self.name.clone(), raw.clone());
                let (events, epoch) = (self.events.clone(), owned.epoch);
                tokio::spawn(async move {
                    // It stays where it is until it is stored.
                    while let Err(error) = letters::bury(&link, &name, &raw, attempts, &cause).await
                    {
                        tracing::warn!(group = &*name, %error, "a dead letter is not stored yet");
                        if link.is_closed() {
                            return;
                        }
                        tokio::time::sleep(AGAIN).await;
                    }
                    let _ = events.send(Event::Buried { part, epoch, done });
                });
            }
        }
    }

    pub(super) fn let_go(&mut self, token: u64) {
        let Some(Token { member, held, .. }) = self.tokens.get_mut(&token) else { return };
        if std::mem::take(held)
            && let Some(member) = self.members.iter_mut().find(|other| other.id == *member)
        {
            member.held -= 1;
        }
    }

    pub(super) fn written(&mut self, part: Part, epoch: u64, put: Result<Put>, carried: Carried) {
        let now = SystemClock.now();
        let Some(owned) = self.owned(part, epoch) else { return };
        owned.writing = false;
        match put {
            Ok(Put::Stored(sequence)) => {
                owned.sequence = sequence;
                owned.write += 1;
            }
            Ok(Put::Conflict) => {
                tracing::debug!(
                    group = &*self.name,
                    ?part,
                    "it is another's, or is to be read anew"
                );
                return self.lose(part, carried);
            }
            Err(error) => {
                tracing::warn!(group = &*self.name, ?part, %error, "cannot be written");
                return self.lose(part, carried);
            }
        }
        for Done { token, answer, .. } in carried.done {
            let Slot::Owned(owned) = &mut self.slots[part.number()] else { continue };
            if let Some(raw) = owned.lanes.finish(token) {
                owned.out -= 1;
                owned.room.add_permits(raw.weight());
            }
            self.tokens.remove(&token);
            answer.map(|answer| answer.send(Ok(())));
        }
        for token in carried.claims {
            self.deliver(part, token, now);
        }
    }

    /// Its attempt is written: it goes to its member.
    pub(super) fn deliver(&mut self, part: Part, token: u64, now: Timestamp) {
        let Slot::Owned(owned) = &mut self.slots[part.number()] else { return };
        let Some((raw, attempt)) = owned.lanes.handed(token) else { return };
        let is_too_often = owned.lanes.exhausted(attempt);
        let message = match is_too_often.or_else(|| raw.is_too_old(&self.link, attempt, now)) {
            Some(cause) => Err(cause),
            None => raw.inbound(attempt).map_err(|error| format!("it cannot be read: {error}")),
        };
        let message = match message {
            Ok(message) => message,
            Err(cause) => {
                let verdict = Verdict::Park(cause);
                if let Some(fate) = owned.settle(token, verdict, now) {
                    self.after(token, fate, None);
                }
                return;
            }
        };
        let raw = raw.clone();
        owned.lanes.extend(token, now);
        let Some(Token { member, seen: on_its_way, lent, .. }) = self.tokens.get_mut(&token) else {
            return;
        };
        if let Some(to) = lent.clone() {
            let (link, name, events) = (self.link.clone(), self.name.clone(), self.events.clone());
            tokio::spawn(async move {
                if lend::lend(&link, &name, &to, token, attempt, &raw).await == lend::Taken::No {
                    let _ = events.send(Event::Refused { token });
                }
            });
            return;
        }
        let member = self.members.iter().find(|other| other.id == *member);
        let (asks, patience) = (self.asks.clone(), self.link.settings.patience);
        let (handed, seen) = Outlook { asks, token, patience }.hand(message);
        *on_its_way = Some(seen);
        // Dropped where there is nobody: it comes back.
        match member {
            Some(member) => drop(member.hands.send(handed)),
            None => drop(handed),
        }
    }

    /// A dead letter is stored.
    pub(super) fn buried(&mut self, part: Part, epoch: u64, done: Done) {
        if let Some(owned) = self.owned(part, epoch) {
            owned.next.done.push(done);
        }
    }

    pub(super) fn expire(&mut self) {
        let now = SystemClock.now();
        for part in Part::all() {
            let Slot::Owned(owned) = &mut self.slots[part.number()] else { continue };
            let tokens = &self.tokens;
            let unseen = tokens.iter().filter(|(_, token)| token.part == part && !token.is_seen());
            let unseen: Vec<u64> = match owned.lanes.next_due() {
                Some(due) if due <= now => unseen.map(|(token, _)| *token).collect(),
                _ => continue,
            };
            for (token, fate) in owned.expire(now, unseen.into_iter()) {
                self.after(token, fate, None);
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let due = |slot: &Slot| match slot {
            Slot::Owned(owned) => owned.lanes.next_due(),
            _ => None,
        };
        self.slots.iter().filter_map(due).min()
    }

    /// Hands over what can be handed over, in turns.
    pub(super) fn hand(&mut self) {
        let now = SystemClock.now();
        let (parts, mut idle) = (self.slots.len(), 0);
        while idle < parts {
            let room = |member: &&mut Member| member.held < member.at_once;
            // Who holds the least is first.
            let member = self.members.iter_mut().filter(room).min_by_key(|member| member.held);
            let Some(member) = member else { return self.lend(now) };
            self.turn = (self.turn + 1) % parts;
            let holder = Holder {
                connection: 0,
                member: member.id,
                at_once: u32::MAX,
                settle_within: member.settle_within,
            };
            let Slot::Owned(owned) = &mut self.slots[self.turn] else {
                idle += 1;
                continue;
            };
            let token = self.link.next();
            if owned.hand(holder, token, now) {
                let part = Part::at(self.turn);
                member.held += 1;
                self.tokens.insert(
                    token,
                    Token { part, member: member.id, seen: None, held: true, lent: None },
                );
                idle = 0;
            } else {
                idle += 1;
            }
        }
    }

    pub(super) fn write(&mut self) {
        for part in Part::all() {
            let Slot::Owned(owned) = &mut self.slots[part.number()] else { continue };
            let Some((record, carried)) = owned.write(&self.link.id) else { continue };
            let (link, name, events) = (self.link.clone(), self.name.clone(), self.events.clone());
            let (epoch, replaces) = (owned.epoch, owned.sequence);
            tokio::spawn(async move {
                let subject = link.subjects.cursor(part, &name);
                let is_same = |other: &Record| *other == record;
                let put = loop {
                    match kept::put(&link, &subject, &record, replaces, is_same).await {
                        Err(error)
                            if *error.kind() == ErrorKind::Unavailable && !link.is_closed() =>
                        {
                            tracing::debug!(group = &*name, ?part, %error, "written again");
                            tokio::time::sleep(Duration::from_millis(50)).await;
                            link.connected().await;
                        }
                        put => break put,
                    }
                };
                let _ = events.send(Event::Written { part, epoch, put, carried });
            });
        }
    }
}
