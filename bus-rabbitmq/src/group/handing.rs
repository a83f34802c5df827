//! Handing messages over, taking verdicts, and telling the broker what became of them.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{Fate, GroupAnswer, Holder, LoanWord, Outlook, Result, Timestamp, Verdict};

use super::{Event, Group, Hold, Member, Token, With, not_yours};
use crate::letters;
use crate::post;
use crate::raw::Raw;
use crate::record;

/// How long is waited before something is stored again.
const AGAIN: Duration = Duration::from_millis(200);

impl Group {
    pub(super) fn settle(&mut self, token: u64, verdict: Verdict, answer: GroupAnswer) {
        if self.guests.contains_key(&token) {
            return self.tell_owner(token, verdict.into(), Some(answer));
        }
        let fate = match &mut self.hold {
            Hold::Open(open) => open.lanes.settle(token, verdict, Self::now()),
            _ => None,
        };
        match fate {
            Some(fate) => self.after(token, fate, Some(answer)),
            None => drop(answer.send(Err(not_yours(&self.name)))),
        }
    }

    pub(super) fn give_back(&mut self, token: u64, seen: bool) {
        if self.guests.contains_key(&token) {
            return self.tell_owner(token, LoanWord::Back(seen), None);
        }
        let Hold::Open(open) = &mut self.hold else { return };
        if seen {
            if let Some(fate) = open.lanes.give_back(token) {
                self.after(token, fate, None);
            }
            return;
        }
        let Some((raw, attempt)) = open.lanes.handed(token) else { return };
        let raw = raw.clone();
        if open.lanes.take_back(token) {
            open.out -= 1;
            open.let_go(&raw);
            if let (Some(claims), Some(id)) = (&mut open.claims, raw.id()) {
                claims.returns(&id, attempt.saturating_sub(1));
            }
            self.let_go(token);
            self.tokens.remove(&token);
        }
    }

    /// A message is out of the hands of its member.
    pub(super) fn after(&mut self, token: u64, fate: Fate, answer: Option<GroupAnswer>) {
        self.let_go(token);
        match fate {
            Fate::Done => self.finish(token, answer),
            Fate::Again => self.comes_again(token, answer),
            Fate::Fallen(cause) => self.bury(token, cause, answer),
        }
    }

    /// The broker is told, and the next one of its key has its turn.
    pub(super) fn finish(&mut self, token: u64, answer: Option<GroupAnswer>) {
        self.tokens.remove(&token);
        let Hold::Open(open) = &mut self.hold else { return };
        let Some(raw) = open.lanes.finish(token) else { return };
        open.out -= 1;
        open.let_go(&raw);
        if let (Some(claims), Some(id)) = (&mut open.claims, raw.id()) {
            claims.finishes(&id);
        }
        open.ack(raw.tag, answer);
    }

    /// It waits again, and is handed over under another token.
    fn comes_again(&mut self, token: u64, answer: Option<GroupAnswer>) {
        self.tokens.remove(&token);
        let Hold::Open(open) = &mut self.hold else { return };
        open.out -= 1;
        answer.map(|answer| answer.send(Ok(())));
    }

    fn bury(&mut self, token: u64, cause: String, answer: Option<GroupAnswer>) {
        let Hold::Open(open) = &mut self.hold else { return };
        let Some((raw, attempts)) = open.lanes.handed(token) else { return };
        // For the last time it was not handed over.
        let attempts = attempts.min(self.deliveries);
        let (raw, session, epoch) = (raw.clone(), open.session.clone(), open.epoch);
        let (link, kind, name) = (self.link.clone(), self.kind, self.name.clone());
        let events = self.events.clone();
        tokio::spawn(async move {
            // It stays where it is until it is stored, or comes again to another connection.
            while let Err(error) =
                letters::bury(&session, &link, (kind, &name), &raw, attempts, &cause).await
            {
                tracing::warn!(group = &*name, %error, "a dead letter is not stored yet");
                if session.is_over() {
                    return;
                }
                tokio::time::sleep(AGAIN).await;
            }
            let _ = events.send(Event::Buried { epoch, token, answer });
        });
    }

    /// It does not count among what is held any more.
    pub(super) fn let_go(&mut self, token: u64) {
        let Some(Token { with, held, .. }) = self.tokens.get_mut(&token) else { return };
        if !std::mem::take(held) {
            return;
        }
        match with {
            With::Member(id) => {
                if let Some(member) = self.members.iter_mut().find(|member| member.id == *id) {
                    member.held = member.held.saturating_sub(1);
                }
            }
            With::Connection(connection) => {
                if let Some(peer) = self.peers.get_mut(connection) {
                    peer.lent = peer.lent.saturating_sub(1);
                }
            }
        }
    }

    /// Takes note of what time has brought, but for messages that their members have not looked at yet.
    pub(super) fn expire(&mut self) {
        let now = Self::now();
        let Hold::Open(open) = &mut self.hold else { return };
        if open.lanes.next_due().is_none_or(|due| due > now) {
            return;
        }
        for (token, _) in self.tokens.iter().filter(|(_, token)| !token.is_seen()) {
            open.lanes.extend(*token, now);
        }
        let silent: Vec<(u64, Option<Arc<Raw>>)> = open
            .lanes
            .silent(now)
            .map(|token| (token, open.lanes.handed(token).map(|(raw, _)| raw.clone())))
            .collect();
        for (token, fate) in open.lanes.expire(now) {
            let Hold::Open(open) = &mut self.hold else { return };
            let raw = silent.iter().find(|(other, _)| *other == token);
            if let Some((_, Some(raw))) = raw {
                open.let_go(raw);
            }
            self.after(token, fate, None);
        }
    }

    /// Hands over what can be handed over: to whoever holds the least of what it can.
    pub(super) fn hand(&mut self) {
        let now = Self::now();
        if self.members.is_empty() || self.closing.is_some() {
            return;
        }
        loop {
            let Hold::Open(open) = &mut self.hold else { return };
            if !open.lanes.is_ready() {
                return;
            }
            let Some(with) = least_loaded(&self.members, &self.peers) else { return };
            let (member, settle_within) = match &with {
                With::Member(id) => {
                    let member = self.members.iter_mut().find(|member| member.id == *id);
                    let Some(member) = member else { return };
                    member.held += 1;
                    (*id, member.settle_within)
                }
                With::Connection(connection) => {
                    let Some(peer) = self.peers.get_mut(connection) else { return };
                    peer.lent += 1;
                    (u64::MAX, self.settle_within)
                }
            };
            let holder = Holder { connection: 0, member, at_once: u32::MAX, settle_within };
            let token = self.link.next();
            self.tokens.insert(token, Token { with, seen: None, held: true });
            let Some((raw, attempt)) = open.lanes.hand(holder, token, now) else {
                self.let_go(token);
                self.tokens.remove(&token);
                return;
            };
            open.out += 1;
            let is_to_be_written = match (&mut open.claims, raw.id()) {
                (Some(claims), Some(id)) => claims.hands(&id, attempt),
                _ => false,
            };
            match is_to_be_written {
                true => open.unwritten.push(token),
                false => self.deliver(token, now),
            }
        }
    }

    /// It goes to its member, or to another connection.
    fn deliver(&mut self, token: u64, now: Timestamp) {
        let Hold::Open(open) = &mut self.hold else { return };
        let Some((raw, attempt)) = open.lanes.handed(token) else { return };
        let is_too_often = open.lanes.exhausted(attempt);
        let message = match is_too_often.or_else(|| raw.is_too_old(&self.link, attempt, now)) {
            Some(cause) => Err(cause),
            None => raw.inbound(attempt).map_err(|error| format!("it cannot be read: {error}")),
        };
        let message = match message {
            Ok(message) => message,
            Err(cause) => {
                if let Some(fate) = open.lanes.settle(token, Verdict::Park(cause), now) {
                    self.after(token, fate, None);
                }
                return;
            }
        };
        let (raw, session) = (raw.clone(), open.session.clone());
        open.lanes.extend(token, now);
        let Some(Token { with, seen: on_its_way, .. }) = self.tokens.get_mut(&token) else {
            return;
        };
        match with {
            With::Connection(to) => {
                let to = (&*self.name, &**to);
                post::lend(&session, &self.link.names, to, (token, attempt), &raw);
            }
            With::Member(id) => {
                let (asks, patience) = (self.asks.clone(), self.link.settings.patience);
                let (handed, seen) = Outlook { asks, token, patience }.hand(message);
                *on_its_way = Some(seen);
                // Dropped where there is nobody: it comes back.
                match self.members.iter().find(|member| member.id == *id) {
                    Some(member) => drop(member.hands.send(handed)),
                    None => drop(handed),
                }
            }
        }
    }

    /// Writes down what is to be handed over, where that is needed.
    pub(super) fn write(&mut self) {
        let Hold::Open(open) = &mut self.hold else { return };
        if open.writing || open.unwritten.is_empty() {
            return;
        }
        let Some(claims) = &open.claims else { return };
        open.writing = true;
        let (tokens, record) = (std::mem::take(&mut open.unwritten), claims.record());
        let (session, epoch) = (open.session.clone(), open.epoch);
        let (queue, events) = (self.link.names.claims_of(&self.name), self.events.clone());
        tokio::spawn(async move {
            let written = record::write(&session, &queue, record.text()).await;
            let _ = events.send(Event::Written { epoch, written, tokens });
        });
    }

    pub(super) fn written(&mut self, epoch: u64, written: Result<()>, tokens: Vec<u64>) {
        let now = Self::now();
        let name = self.name.clone();
        let Some(open) = self.opened_as(epoch) else { return };
        open.writing = false;
        if let Err(error) = written {
            tracing::warn!(group = &*name, %error, "claims cannot be written");
            // All comes again, to whoever is next.
            return open.session.fail();
        }
        tokens.into_iter().for_each(|token| self.deliver(token, now));
    }
}

/// Whoever holds the least of what it can: a member, or another connection.
fn least_loaded(
    members: &[Member],
    peers: &std::collections::HashMap<Arc<str>, super::Peer>,
) -> Option<With> {
    let share = |held: u32, most: u32| u64::from(held) * 1_000_000 / u64::from(most.max(1));
    let ours = members.iter().filter(|member| member.held < member.at_once);
    let ours = ours.map(|m| (share(m.held, m.at_once), With::Member(m.id)));
    let theirs = peers.iter().filter(|(_, peer)| peer.lent < peer.room);
    let theirs = theirs.map(|(id, p)| (share(p.lent, p.room), With::Connection(id.clone())));
    let least = ours.chain(theirs).min_by_key(|(share, _)| *share);
    least.map(|(_, with)| with)
}
