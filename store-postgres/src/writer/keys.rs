//! What commits of one group may not have in common: each is checked against what was there before.

use std::collections::HashSet;

use cqrs_core::{Commit, Guard, MessageId, Settled, StreamId};

/// What the commits of a group read or write.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    seen: HashSet<Key<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Commit(MessageId),
    Event(MessageId),
    Message(MessageId),
    Stream(&'a StreamId),
    Document(Option<&'a str>, &'a str, &'a str),
    Checkpoint(&'a str, u32),
    Inbox(&'a str, MessageId),
    Timer(&'a str, Option<&'a str>, &'a str, &'a str),
    Parked(&'a str, u64, &'a str),
}

impl<'a> Keys<'a> {
    /// Adds what a commit reads or writes, where it has nothing in common with the others. False: it
    /// has to wait for the next group.
    pub(super) fn admit(&mut self, commit: &'a Commit) -> bool {
        let keys = keys(commit);
        let matches = |guard: &Guard| matches!(guard, Guard::NoneMatching { .. });
        let looks = commit.guards.iter().any(matches);
        // Who must find no event that matches comes first.
        if (looks && !self.seen.is_empty()) || keys.iter().any(|key| self.seen.contains(key)) {
            return false;
        }
        self.seen.extend(keys);
        true
    }
}

fn keys(commit: &Commit) -> Vec<Key<'_>> {
    let mut keys = vec![Key::Commit(commit.id.0)];
    for append in &commit.appends {
        keys.push(Key::Stream(&append.stream));
        keys.extend(append.events.iter().map(|event| Key::Event(event.id())));
    }
    for guard in &commit.guards {
        match guard {
            Guard::Stream { stream, .. } => keys.push(Key::Stream(stream)),
            Guard::Document { key, .. } => {
                keys.push(Key::Document(key.tenant.as_deref(), &key.collection, &key.id));
            }
            Guard::NoneMatching { .. } => {}
        }
    }
    keys.extend(commit.documents.iter().chain(&commit.views).map(|write| {
        Key::Document(write.key.tenant.as_deref(), &write.key.collection, &write.key.id)
    }));
    let checkpoint = commit.checkpoint.iter();
    keys.extend(checkpoint.map(|write| Key::Checkpoint(&write.subscription, write.partition)));
    keys.extend(commit.inbox.iter().map(|mark| Key::Inbox(&mark.consumer, mark.message)));
    keys.extend(
        commit.timers.iter().map(|timer| {
            Key::Timer(&timer.owner, timer.tenant.as_deref(), &timer.key, &timer.name)
        }),
    );
    keys.extend(commit.outgoing.iter().map(|message| Key::Message(message.metadata.id())));
    keys.extend(commit.settled.iter().map(|settled| match settled {
        Settled::Outgoing(id) => Key::Message(*id),
        Settled::Timer(timer) => {
            Key::Timer(&timer.owner, timer.tenant.as_deref(), &timer.key, &timer.name)
        }
        Settled::Parked { subscription, position, key } => {
            Key::Parked(subscription, *position, key)
        }
    }));
    keys.extend(
        commit
            .parked
            .iter()
            .map(|write| Key::Parked(&write.subscription, write.position, &write.key)),
    );
    keys
}
