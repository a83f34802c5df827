//! The verdict on one commit, from what is known: in the order of the reference, the memory store. What is applied is
//! known to the commits after it.

use std::collections::HashSet;
use std::sync::Arc;

use bson::RawDocumentBuf;
use cqrs_core::{
    Append, CheckpointWrite, Collection, Commit, Committed, Conflict, DocumentKey, DocumentWrite,
    Error, Expected, Fence, Fingerprint, Guard, Head, InboxEntry, InboxMark, LogId, Outgoing,
    ParkedWrite, Position, Result, Settled, StreamId, Timer, TimerWrite, Version,
};

use super::batch::Batch;
use super::facts::{Aside, Facts, Standing};
use crate::entities::{self, ELSEWHERE};
use crate::key::{ParkedKey, TimerKey, ValueKey};
use crate::row::{tenant, value_text};

/// The turn to write: where the log stands inside of the transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) log: LogId,
    /// Moves with each commit.
    pub(crate) head: Position,
    /// The time of what is recorded now.
    pub(crate) recorded: bson::DateTime,
    /// The time on the server.
    pub(crate) now: bson::DateTime,
    /// Counts all who had the turn.
    pub(crate) number: i64,
    /// Counts what was declared.
    pub(crate) declared: i64,
}

/// Judges commits, one after the other.
pub(crate) struct Judge<'j> {
    pub(crate) facts: &'j mut Facts,
    pub(crate) turn: &'j mut Turn,
    pub(crate) batch: &'j mut Batch,
}

/// A document as it will be.
struct Plan {
    collection: Arc<Collection>,
    /// Texts of the values of its declared fields, and which of them are unique.
    fields: Vec<(usize, String)>,
    /// As an entity in a collection of its own.
    row: Option<RawDocumentBuf>,
}

impl Judge<'_> {
    /// Applies the nth commit of the group, or tells why not: then nothing of it is left.
    pub(crate) fn judge(
        &mut self,
        n: usize,
        commit: &Commit,
        fingerprint: Fingerprint,
    ) -> Result<Committed> {
        // No `..`: a new part does not compile here until somebody stores or refuses it.
        let Commit {
            id,
            fences,
            guards,
            appends,
            documents: _,
            views: _,
            snapshots,
            checkpoint,
            inbox,
            timers,
            outgoing,
            settled,
            parked,
        } = commit;
        if let Some(before) = self.before(commit, fingerprint)? {
            return Ok(before);
        }
        let documents = &*commit.all_documents();
        let of_checkpoint = checkpoint.iter().flat_map(|checkpoint| &checkpoint.fence);
        self.check_fences(fences.iter().chain(of_checkpoint))?;
        self.check_appends(appends)?;
        for write in documents {
            self.check_document(&write.key, write.expected)?;
        }
        self.check_guards(n, guards)?;
        self.check_checkpoint(checkpoint.as_ref())?;
        self.check_waiting(outgoing, timers, settled, parked)?;
        let plans = self.plan(documents)?;

        let events = appends.iter().map(|append| append.events.len() as u64).sum::<u64>();
        let places = events + outgoing.len() as u64;
        let first = appends.first().and_then(|append| append.events.first());
        let is_told_by_event = first.is_some_and(|event| event.id() == id.event(0));
        let mut told = is_told_by_event.then_some((fingerprint, places));
        for Append { stream, expected: _, events } in appends {
            let mut version = self.version(stream);
            for event in events {
                version += 1;
                self.turn.head += 1;
                self.batch.append(self.turn, stream, version, event, told.take());
                self.facts.events.insert(event.id());
            }
            self.facts.streams.insert(stream.clone(), version);
        }
        for (write, plan) in documents.iter().zip(plans) {
            self.write_document(write, plan);
        }
        snapshots.iter().for_each(|write| self.batch.snapshot(write));
        settled.iter().for_each(|settled| self.settle(settled));
        for message in outgoing {
            self.turn.head += 1;
            self.batch.send(self.turn, message);
            self.facts.pending.insert(message.metadata.id(), true);
        }
        timers.iter().for_each(|timer| self.set(timer));
        parked.iter().for_each(|write| self.set_aside(write));
        let position = self.turn.head;
        for mark in inbox {
            self.batch.mark(self.turn, mark, position);
            let InboxMark { consumer, message, fingerprint, reply } = mark.clone();
            let entry = InboxEntry { position, fingerprint, reply };
            self.facts.inbox.insert((consumer, message), entry);
        }
        if let Some(CheckpointWrite { subscription, partition, to, .. }) = checkpoint {
            self.batch.checkpoint(subscription, *partition, *to);
            self.facts.checkpoints.insert((subscription.clone(), *partition), *to);
        }
        if !is_told_by_event {
            self.batch.commit(self.turn, *id, fingerprint, position);
        }
        self.facts.commits.insert(id.0, (fingerprint, position));
        Ok(Committed::Now { position })
    }

    /// The answer to a repeat, of all messages or of the commit.
    pub(crate) fn before(
        &self,
        commit: &Commit,
        fingerprint: Fingerprint,
    ) -> Result<Option<Committed>> {
        if let Some(before) = self.handled_before(&commit.inbox)? {
            return Ok(Some(before));
        }
        match self.facts.commits.get(&commit.id.0) {
            Some((known, _)) if *known != fingerprint => {
                Err(Error::id_reused("commit", commit.id.0))
            }
            Some((_, position)) => Ok(Some(Committed::Before { position: *position, reply: None })),
            None => Ok(None),
        }
    }

    /// The answer to a repeat of all messages; a conflict when only some were handled.
    fn handled_before(&self, marks: &[InboxMark]) -> Result<Option<Committed>> {
        let mut known = Vec::new();
        for mark in marks {
            let key = (mark.consumer.clone(), mark.message);
            let Some(entry) = self.facts.inbox.get(&key) else { continue };
            if entry.fingerprint != mark.fingerprint {
                return Err(Error::id_reused("message", mark.message));
            }
            known.push((mark, entry));
        }
        let Some((mark, InboxEntry { position, reply, .. })) = known.first() else {
            return Ok(None);
        };
        if known.len() < marks.len() {
            let (consumer, message) = (mark.consumer.clone(), mark.message.to_string());
            return Err(Conflict::Inbox { consumer, message }.into());
        }
        Ok(Some(Committed::Before { position: *position, reply: reply.clone() }))
    }

    fn check_fences<'f>(&self, fences: impl Iterator<Item = &'f Fence>) -> Result<()> {
        for Fence { lease, token } in fences {
            let actual = self.facts.leases.get(lease).copied().unwrap_or_default();
            if actual != *token {
                let (lease, token) = (lease.clone(), *token);
                return Err(Conflict::Lease { lease, token, actual }.into());
            }
        }
        Ok(())
    }

    fn version(&self, stream: &StreamId) -> Version {
        self.facts.streams.get(stream).copied().unwrap_or_default()
    }

    fn check_stream(&self, stream: &StreamId, expected: Expected) -> Result<()> {
        let actual = self.version(stream);
        if expected.holds(actual) {
            return Ok(());
        }
        Err(Conflict::Stream { stream: stream.to_string(), actual }.into())
    }

    fn check_appends(&self, appends: &[Append]) -> Result<()> {
        let mut ids = HashSet::new();
        for append in appends {
            self.check_stream(&append.stream, append.expected)?;
            for event in &append.events {
                let id = event.id();
                if self.facts.events.contains(&id) || !ids.insert(id) {
                    return Err(Error::id_reused("event", id));
                }
            }
        }
        Ok(())
    }

    fn standing(&self, key: &DocumentKey) -> Standing {
        self.facts.documents.get(key).copied().unwrap_or_default()
    }

    fn check_document(&self, key: &DocumentKey, expected: Expected) -> Result<()> {
        let actual = self.standing(key).seen();
        if expected.holds(actual) {
            return Ok(());
        }
        let (collection, id) = (key.collection.clone().into_owned(), key.id.clone());
        Err(Conflict::Document { collection, id, actual }.into())
    }

    fn check_guards(&self, n: usize, guards: &[Guard]) -> Result<()> {
        for (m, guard) in guards.iter().enumerate() {
            match guard {
                Guard::Stream { stream, expected } => self.check_stream(stream, *expected)?,
                Guard::Document { key, expected } => self.check_document(key, *expected)?,
                Guard::NoneMatching { filter: _, after } => {
                    self.head().admits(None, *after)?;
                    if let Some(Some(found)) = self.facts.matching.get(&(n, m)) {
                        return Err(Conflict::NoneMatching { after: *after, found: *found }.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn head(&self) -> Head {
        Head { log: self.turn.log, position: self.turn.head }
    }

    fn check_checkpoint(&self, write: Option<&CheckpointWrite>) -> Result<()> {
        let Some(CheckpointWrite { subscription, partition, from, to, fence: _ }) = write else {
            return Ok(());
        };
        self.head().admits(None, *to)?;
        let (subscription, partition) = (subscription.clone(), *partition);
        let key = (subscription, partition);
        let actual = self.facts.checkpoints.get(&key).copied().unwrap_or_default();
        if actual == *from {
            return Ok(());
        }
        let (subscription, partition) = key;
        Err(Conflict::Checkpoint { subscription, partition, actual }.into())
    }

    fn check_waiting(
        &self,
        outgoing: &[Outgoing],
        timers: &[TimerWrite],
        settled: &[Settled],
        parked: &[ParkedWrite],
    ) -> Result<()> {
        let mut ids = HashSet::new();
        for message in outgoing {
            let id = message.metadata.id();
            if self.is_pending(id) || !ids.insert(id) {
                return Err(Error::id_reused("message", id));
            }
        }
        for settled in settled {
            let (is_there, what) = match settled {
                Settled::Outgoing(id) => (self.is_pending(*id), format!("the message {id}")),
                Settled::Timer(timer) => {
                    let Timer { owner, key, name, generation, .. } = timer;
                    let set = self.generation(&key_of_timer(timer));
                    (set == Some(*generation), format!("the timer `{name}` of `{owner}`/{key}"))
                }
                Settled::Parked { subscription, position, key } => {
                    let aside = self.aside(&(subscription.clone(), *position, key.clone()));
                    (aside.is_some(), format!("the parked entry {position}@{subscription}"))
                }
            };
            if !is_there {
                return Err(Conflict::Settled { what }.into());
            }
        }
        for write in timers {
            let actual = self.generation(&key_of_write(write)).unwrap_or_default();
            let is_late = match write.due {
                Some(_) => write.generation <= actual,
                None => write.generation < actual,
            };
            if is_late {
                let TimerWrite { owner, key, name, .. } = write.clone();
                return Err(Conflict::Timer { owner, key, name, actual }.into());
            }
        }
        for write in parked {
            let actual = self.aside(&key_of_parked(write)).map_or(0, |aside| aside.version);
            if !write.expected.holds(actual) {
                let (subscription, position) = (write.subscription.clone(), write.position);
                return Err(Conflict::Parked { subscription, position, actual }.into());
            }
        }
        Ok(())
    }

    fn is_pending(&self, id: cqrs_core::MessageId) -> bool {
        self.facts.pending.get(&id).copied().unwrap_or_default()
    }

    fn generation(&self, key: &TimerKey) -> Option<u64> {
        self.facts.timers.get(key).copied().flatten()
    }

    fn aside(&self, key: &ParkedKey) -> Option<Aside> {
        self.facts.parked.get(key).copied().flatten()
    }

    /// The values that the documents will have. They may be swapped between the documents of one commit: what they
    /// held before does not count.
    fn plan(&self, writes: &[DocumentWrite]) -> Result<Vec<Plan>> {
        let mut plans = Vec::with_capacity(writes.len());
        for DocumentWrite { key, expected: _, body } in writes {
            let collection = self.facts.collections.get(&*key.collection);
            let collection = collection.ok_or_else(|| Collection::undeclared(&key.collection))?;
            let (mut fields, mut row) = (Vec::new(), None);
            if let Some(body) = body {
                let mut body = body.clone();
                if let Some(mapping) = &collection.mapping {
                    let cells = mapping.cells(&key.collection, &key.id, &body)?;
                    let version = self.standing(key).version + 1;
                    row = Some(entities::row(mapping, key, version, &cells)?);
                    body = mapping.body(cells);
                }
                for (n, value) in collection.values(&key.id, &body)? {
                    // An entity is found by its own fields.
                    if row.is_none() || collection.fields[n].unique {
                        fields.push((n, value_text(&collection.fields[n].name, &value)));
                    }
                }
            }
            plans.push(Plan { collection: collection.clone(), fields, row });
        }
        let written: HashSet<&DocumentKey> = writes.iter().map(|write| &write.key).collect();
        let mut taken = HashSet::new();
        for (write, plan) in writes.iter().zip(&plans) {
            let DocumentKey { tenant: owner, collection, id } = &write.key;
            for (n, text) in plan.unique() {
                let value = value_key(&write.key, text);
                let holder = self.facts.holders.get(&value).cloned().flatten();
                let clash = holder.is_some_and(|id| {
                    let (tenant, collection) = (owner.clone(), collection.clone());
                    !written.contains(&DocumentKey { tenant, collection, id })
                });
                if clash || !taken.insert(value) {
                    let (collection, id) = (collection.clone().into_owned(), id.clone());
                    let field = plan.collection.fields[n].name.clone().into_owned();
                    return Err(Conflict::Unique { collection, id, field }.into());
                }
            }
        }
        Ok(plans)
    }

    fn write_document(&mut self, write: &DocumentWrite, plan: Plan) {
        let DocumentWrite { key, expected: _, body } = write;
        let before = self.standing(key);
        if body.is_none() && !before.is_there {
            return;
        }
        let after = Standing { version: before.version + 1, is_there: body.is_some() };
        let unique: Vec<&String> = plan.unique().map(|(_, text)| text).collect();
        // Whoever has one of them now gives it away in this group: first.
        let holders = &mut self.facts.holders;
        for text in &unique {
            let holder = holders.insert(value_key(key, text), Some(key.id.clone())).flatten();
            if let Some(id) = holder.filter(|id| *id != key.id) {
                self.batch.give_away(&DocumentKey { id, ..key.clone() });
            }
        }
        for ((whose, collection, text), holder) in holders.iter_mut() {
            let is_same = tenant(key.tenant.as_deref()) == whose && key.collection == *collection;
            if is_same && holder.as_ref() == Some(&key.id) && !unique.contains(&text) {
                *holder = None;
                self.batch.give_away(key);
            }
        }
        let is_entity = plan.collection.mapping.is_some();
        let data = body.as_ref().map(|body| if is_entity { ELSEWHERE } else { body.as_str() });
        let fields = if is_entity { Vec::new() } else { plan.texts(false) };
        self.batch.document(key, after, data, &fields, &plan.texts(true));
        if is_entity {
            self.batch.entity(key, plan.row);
        }
        self.facts.documents.insert(key.clone(), after);
    }

    fn settle(&mut self, settled: &Settled) {
        match settled {
            Settled::Outgoing(id) => {
                self.batch.sent(*id);
                self.facts.pending.insert(*id, false);
            }
            Settled::Timer(timer) => {
                let key = key_of_timer(timer);
                self.batch.timer(key.clone(), None);
                self.facts.timers.insert(key, None);
            }
            Settled::Parked { subscription, position, key } => {
                let key = (subscription.clone(), *position, key.clone());
                self.batch.parked(key.clone(), None);
                self.facts.parked.insert(key, None);
            }
        }
    }

    fn set(&mut self, write: &TimerWrite) {
        let key = key_of_write(write);
        let set = write.due.map(|due| (write.generation, due));
        self.batch.timer(key.clone(), set);
        self.facts.timers.insert(key, set.map(|(generation, _)| generation));
    }

    fn set_aside(&mut self, write: &ParkedWrite) {
        let key = key_of_parked(write);
        let before = self.aside(&key);
        let version = before.map_or(0, |aside| aside.version) + 1;
        let aside = Aside { version, since: before.map_or(self.turn.now, |aside| aside.since) };
        self.batch.parked(key.clone(), Some((write, aside)));
        self.facts.parked.insert(key, Some(aside));
    }
}

impl Plan {
    fn unique(&self) -> impl Iterator<Item = (usize, &String)> {
        let unique = self.fields.iter().filter(|(n, _)| self.collection.fields[*n].unique);
        unique.map(|(n, text)| (*n, text))
    }

    fn texts(&self, are_unique: bool) -> Vec<&str> {
        let of =
            self.fields.iter().filter(|(n, _)| !are_unique || self.collection.fields[*n].unique);
        of.map(|(_, text)| text.as_str()).collect()
    }
}

/// A value of a document's unique field.
pub(super) fn value_key(key: &DocumentKey, text: &str) -> ValueKey {
    let tenant = tenant(key.tenant.as_deref()).to_owned();
    (tenant, key.collection.clone().into_owned(), text.to_owned())
}

pub(super) fn key_of_timer(timer: &Timer) -> TimerKey {
    let Timer { owner, tenant: whose, key, name, .. } = timer;
    (owner.clone(), tenant(whose.as_deref()).to_owned(), key.clone(), name.clone())
}

pub(super) fn key_of_write(write: &TimerWrite) -> TimerKey {
    let TimerWrite { owner, tenant: whose, key, name, .. } = write;
    (owner.clone(), tenant(whose.as_deref()).to_owned(), key.clone(), name.clone())
}

pub(super) fn key_of_parked(write: &ParkedWrite) -> ParkedKey {
    (write.subscription.clone(), write.position, write.key.clone())
}
