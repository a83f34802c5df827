//! Messages that members of one connection are lent by another, which owns them.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_nats::Subject;
use cqrs_core::{Clock, GroupAnswer, Holder, LoanSaid, LoanWord, Outlook, SystemClock, Timestamp};
use tokio::sync::oneshot;

use super::{Event, Group, Guest, Member, Slot, Token, not_yours};
use crate::lend::{self, Lent};
use crate::subjects::Part;
use crate::take::{Life, answers};

impl Group {
    /// Says to the owner of a message what became of it.
    pub(super) fn tell_owner(&mut self, token: u64, word: LoanWord, answer: Option<GroupAnswer>) {
        let Some(Guest { owner, token: theirs, member, .. }) = self.guests.get(&token) else {
            return;
        };
        let (owner, member, said) = (owner.clone(), *member, LoanSaid { token: *theirs, word });
        if said.word != LoanWord::Extend {
            self.guests.remove(&token);
            if let Some(member) = self.members.iter_mut().find(|other| other.id == member) {
                member.held -= 1;
            }
        }
        let (link, name) = (self.link.clone(), self.name.clone());
        tokio::spawn(async move {
            let noted = lend::tell(&link, &name, &owner, &said).await;
            if let Some(answer) = answer {
                let _ = answer.send(if noted { Ok(()) } else { Err(not_yours(&name)) });
            }
        });
    }

    /// A message of another connection, if a member has room for it.
    pub(super) fn borrow(&mut self, lent: Lent, reply: Option<Subject>) {
        let Lent { owner, token: theirs, attempt, raw } = lent;
        let room = |member: &&mut Member| member.held < member.at_once;
        let member = self.members.iter_mut().filter(room).min_by_key(|member| member.held);
        let (Some(member), Ok(message)) = (member, raw.inbound(attempt)) else {
            return self.reply(reply, "no");
        };
        member.held += 1;
        let (asks, token) = (self.asks.clone(), self.link.next());
        let outlook = Outlook { asks, token, patience: self.link.settings.patience };
        let (handed, seen) = outlook.hand(message);
        self.guests.insert(token, Guest { owner, token: theirs, member: member.id, seen });
        drop(member.hands.send(handed));
        self.reply(reply, "yes");
    }

    /// The borrower of a message has a word about it.
    pub(super) fn said(&mut self, said: LoanSaid, reply: Option<Subject>) {
        let LoanSaid { token, word } = said;
        if self.tokens.get(&token).is_none_or(|token| token.lent.is_none()) {
            return self.reply(reply, "no");
        }
        match word.verdict() {
            Ok(verdict) => {
                let (answer, noted) = oneshot::channel();
                self.settle(token, verdict, answer);
                let link = self.link.clone();
                tokio::spawn(async move {
                    let noted = matches!(noted.await, Ok(Ok(())));
                    if let Some(reply) = reply {
                        let text = if noted { "yes" } else { "no" };
                        let _ = link.client.publish(reply, text.into()).await;
                    }
                });
            }
            Err(LoanWord::Back(seen)) => {
                self.give_back(token, seen);
                self.reply(reply, "yes");
            }
            Err(_) => {
                let now = SystemClock.now();
                let extended =
                    self.owner(token).is_some_and(|owned| owned.lanes.extend(token, now));
                self.reply(reply, if extended { "yes" } else { "no" });
            }
        }
    }

    pub(super) fn reply(&self, reply: Option<Subject>, text: &'static str) {
        let link = self.link.clone();
        if let Some(reply) = reply {
            tokio::spawn(async move {
                let _ = link.client.publish(reply, text.into()).await;
            });
        }
    }

    /// Hands to members of other connections what ours have no room for.
    pub(super) fn lend(&mut self, now: Timestamp) {
        for part in Part::all() {
            let Slot::Owned(owned) = &mut self.slots[part.number()] else { continue };
            while !owned.leaving && owned.lanes.is_ready() {
                let Some(peer) = self.peers.with_room() else { return };
                let settle_within = self.settle_within;
                let holder = Holder { connection: 0, member: 0, at_once: u32::MAX, settle_within };
                let token = self.link.next();
                if owned.hand(holder, token, now) {
                    let lent = Some(peer.into());
                    self.tokens
                        .insert(token, Token { part, member: 0, seen: None, held: false, lent });
                }
            }
        }
    }

    /// Asks whether those live that messages are lent to; and sees to it that the owners of what our members
    /// have not looked at yet know that we do.
    pub(super) fn look_after_loans(&mut self) {
        let unseen = self.guests.iter().filter(|(_, guest)| !guest.seen.is_set());
        let unseen: Vec<u64> = unseen.map(|(token, _)| *token).collect();
        unseen.into_iter().for_each(|token| self.tell_owner(token, LoanWord::Extend, None));
        let lent: BTreeSet<Arc<str>> =
            self.tokens.values().filter_map(|token| token.lent.clone()).collect();
        for connection in lent {
            let (link, events) = (self.link.clone(), self.events.clone());
            tokio::spawn(async move {
                if let Ok(Life::Dead) = answers(&link, &connection).await {
                    let _ = events.send(Event::Dead { connection: connection.to_string() });
                }
            });
        }
    }
}
