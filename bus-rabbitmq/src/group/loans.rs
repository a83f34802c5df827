//! Messages that the connection to which the broker gives them lends to others.

use std::collections::BTreeSet;
use std::sync::Arc;

use cqrs_core::{GroupAnswer, LoanSaid, LoanWord, Outlook};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{BELIEVED, Event, Group, Guest, Hold, Member, Peer, With, not_yours};
use crate::post::{self, Back, Lent};

impl Group {
    /// Tells other connections of the members of this one.
    pub(super) fn tell(&mut self) {
        let Some(session) = self.link.current() else { return };
        let room = self.members.iter().map(|member| member.at_once).fold(0, u32::saturating_add);
        post::tell_room(&session, &self.link.names, &self.name, room);
    }

    pub(super) fn hears_of(&mut self, connection: String, room: u32) {
        let is_ours = self.link.current().is_some_and(|session| session.id == connection);
        if is_ours {
            return;
        }
        let heard = Instant::now();
        match self.peers.get_mut(connection.as_str()) {
            Some(peer) => (peer.room, peer.heard) = (room, heard),
            None if room == 0 => {}
            None => {
                self.peers.insert(connection.into(), Peer { room, lent: 0, heard });
                // It may not know of ours.
                self.tell();
            }
        }
    }

    /// What a connection was lent comes back.
    pub(super) fn forget_peer(&mut self, connection: &str) {
        self.peers.remove(connection);
        let theirs = self.tokens.iter().filter(
            |(_, token)| matches!(&token.with, With::Connection(other) if **other == *connection),
        );
        let theirs: Vec<u64> = theirs.map(|(token, _)| *token).collect();
        theirs.into_iter().for_each(|token| self.give_back(token, true));
    }

    /// Says to the owner of a message what became of it.
    pub(super) fn tell_owner(&mut self, token: u64, word: LoanWord, answer: Option<GroupAnswer>) {
        let Some(Guest { owner, token: theirs, member, .. }) = self.guests.get(&token) else {
            return;
        };
        let (owner, member, said) = (owner.clone(), *member, LoanSaid { token: *theirs, word });
        if said.word != LoanWord::Extend {
            self.guests.remove(&token);
            if let Some(member) = self.members.iter_mut().find(|other| other.id == member) {
                member.held = member.held.saturating_sub(1);
            }
        }
        let (link, name) = (self.link.clone(), self.name.clone());
        tokio::spawn(async move {
            let noted = post::tell_owner(&link, &name, &owner, &said).await;
            if let Some(answer) = answer {
                let _ = answer.send(if noted { Ok(()) } else { Err(not_yours(&name)) });
            }
        });
    }

    /// A message of another connection, if a member has room for it.
    pub(super) fn borrow(&mut self, lent: Lent) {
        let Lent { owner, token: theirs, attempt, raw } = lent;
        let room = |member: &&mut Member| member.held < member.at_once;
        let member = self.members.iter_mut().filter(room).min_by_key(|member| member.held);
        let (Some(member), Ok(message)) = (member, raw.inbound(attempt)) else {
            let (link, name) = (self.link.clone(), self.name.clone());
            let said = LoanSaid { token: theirs, word: LoanWord::Back(false) };
            tokio::spawn(async move { post::tell_owner(&link, &name, &owner, &said).await });
            return;
        };
        member.held += 1;
        let (asks, token) = (self.asks.clone(), self.link.next());
        let outlook = Outlook { asks, token, patience: self.link.settings.patience };
        let (handed, seen) = outlook.hand(message);
        self.guests.insert(token, Guest { owner, token: theirs, member: member.id, seen });
        drop(member.hands.send(handed));
    }

    /// The borrower of a message has a word about it.
    pub(super) fn said(&mut self, said: LoanSaid, back: Back) {
        let LoanSaid { token, word } = said;
        let (is_noted, noted) = oneshot::channel();
        let is_lent = self.tokens.get(&token).is_some_and(super::Token::is_lent);
        match word.verdict() {
            Ok(verdict) if is_lent => self.settle(token, verdict, is_noted),
            Err(LoanWord::Back(seen)) if is_lent => {
                self.give_back(token, seen);
                let _ = is_noted.send(Ok(()));
            }
            Err(LoanWord::Extend) if is_lent && self.extend(token) => {
                let _ = is_noted.send(Ok(()));
            }
            _ => drop(is_noted),
        }
        let link = self.link.clone();
        tokio::spawn(async move {
            let is_noted = matches!(noted.await, Ok(Ok(())));
            if let Some(session) = link.current() {
                post::note(&session, &link.names, &back, is_noted);
            }
        });
    }

    /// Asks whether those live that messages are lent to; and sees to it that the owners of what our members
    /// have not looked at yet know that we do.
    pub(super) fn look_after_loans(&mut self) {
        self.peers.retain(|_, peer| peer.lent > 0 || peer.heard.elapsed() < BELIEVED);
        let unseen = self.guests.iter().filter(|(_, guest)| !guest.seen.is_set());
        let unseen: Vec<u64> = unseen.map(|(token, _)| *token).collect();
        unseen.into_iter().for_each(|token| self.tell_owner(token, LoanWord::Extend, None));
        let Hold::Open(open) = &self.hold else { return };
        let lent: BTreeSet<Arc<str>> = self
            .tokens
            .values()
            .filter_map(|token| match &token.with {
                With::Connection(connection) => Some(connection.clone()),
                With::Member(_) => None,
            })
            .collect();
        for connection in lent {
            let (link, session) = (self.link.clone(), open.session.clone());
            let events = self.events.clone();
            tokio::spawn(async move {
                if !post::lives(&session, &link, &connection).await {
                    let _ = events.send(Event::Dead { connection: connection.to_string() });
                }
            });
        }
    }
}
