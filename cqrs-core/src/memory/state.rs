//! The log of the memory store: checks a commit as a whole, then applies it as a whole.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::error::{Conflict, Error, Result};
use crate::memory::documents::Documents;
use crate::memory::kept::Kept;
use crate::memory::snapshots::Snapshots;
use crate::memory::waiting::Waiting;
use crate::message::fingerprint::Fingerprint;
use crate::message::id::MessageId;
use crate::message::timestamp::Timestamp;
use crate::port::commit::{
    Append, CheckpointWrite, Commit, CommitId, Committed, Guard, InboxMark, NewEvent,
};
use crate::port::filter::Filter;
use crate::port::page::{Page, Recorded};
use crate::port::store::{Head, InboxEntry, LogId};
use crate::port::stream_id::StreamId;
use crate::port::{Position, Version};

#[derive(Debug)]
pub(super) struct State {
    id: LogId,
    pub(super) log: Vec<Entry>,
    /// The last position that was given to an event or a message.
    pub(super) last: Position,
    /// The last time that was given to one.
    last_at: Timestamp,
    /// Indices into the log.
    pub(super) streams: HashMap<StreamId, Vec<usize>>,
    event_ids: HashSet<MessageId>,
    commits: HashMap<CommitId, Done>,
    commits_kept: Kept,
    inbox: HashMap<(String, MessageId), (InboxEntry, Timestamp)>,
    inbox_kept: Kept,
    pub(super) checkpoints: HashMap<(String, u32), Position>,
    pub(super) documents: Documents,
    pub(super) snapshots: Snapshots,
    pub(super) waiting: Waiting,
}

/// What was written earlier is not known any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Since {
    pub(super) commit_ids: Timestamp,
    pub(super) inbox: Timestamp,
}

#[derive(Debug)]
struct Done {
    fingerprint: Fingerprint,
    position: Position,
    at: Timestamp,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) position: Position,
    stream: StreamId,
    version: Version,
    recorded_at: Timestamp,
    joined_tags: String,
    metadata_json: String,
    event: NewEvent,
}

impl Default for State {
    fn default() -> Self {
        Self {
            id: LogId(Uuid::now_v7()),
            log: Vec::new(),
            last: 0,
            last_at: Timestamp::MIN,
            streams: HashMap::new(),
            event_ids: HashSet::new(),
            commits: HashMap::new(),
            commits_kept: Kept::default(),
            inbox: HashMap::new(),
            inbox_kept: Kept::default(),
            checkpoints: HashMap::new(),
            documents: Documents::default(),
            snapshots: Snapshots::default(),
            waiting: Waiting::default(),
        }
    }
}

impl State {
    pub(super) fn head(&self) -> Head {
        Head { log: self.id, position: self.last }
    }

    pub(super) fn commit(
        &mut self,
        commit: Commit,
        now: Timestamp,
        kept: Since,
    ) -> Result<Committed> {
        let fingerprint = commit.fingerprint();
        // No `..`: a new part does not compile here until somebody stores or refuses it.
        let Commit {
            id,
            fences,
            guards,
            appends,
            mut documents,
            views,
            snapshots,
            checkpoint,
            inbox,
            timers,
            outgoing,
            settled,
            parked,
        } = commit;

        if let Some(before) = self.before(id, fingerprint, &inbox, kept)? {
            return Ok(before);
        }
        documents.extend(views);
        let of_checkpoint = checkpoint.iter().flat_map(|checkpoint| &checkpoint.fence);
        self.waiting.check_fences(fences.iter().chain(of_checkpoint))?;
        self.check_appends(&appends)?;
        for write in &documents {
            self.check_document(&write.key, write.expected)?;
        }
        self.check_guards(&guards)?;
        self.check_checkpoint(checkpoint.as_ref())?;
        self.waiting.check(&outgoing, &timers, &settled, &parked)?;
        let plan = self.documents.plan(&documents)?;

        // The clock may step back; the log's times do not.
        let recorded_at = self.last_at.max(now);
        if !appends.is_empty() || !outgoing.is_empty() {
            self.last_at = recorded_at;
        }
        for Append { stream, expected: _, events } in appends {
            for event in events {
                self.append(&stream, event, recorded_at);
            }
        }
        self.documents.apply(plan, documents);
        self.snapshots.apply(snapshots);
        self.waiting.settle(settled);
        for message in outgoing {
            self.last += 1;
            self.waiting.send(self.last, recorded_at, message);
        }
        timers.iter().for_each(|timer| self.waiting.set(timer));
        parked.into_iter().for_each(|entry| self.waiting.set_aside(entry, now));
        let position = self.last;
        self.commits_kept.sweep(&mut self.commits, |done| done.at >= kept.commit_ids);
        self.commits.insert(id, Done { fingerprint, position, at: now });
        self.inbox_kept.sweep(&mut self.inbox, |(_, at)| *at >= kept.inbox);
        for InboxMark { consumer, message, fingerprint, reply } in inbox {
            let entry = InboxEntry { position, fingerprint, reply };
            self.inbox.insert((consumer, message), (entry, now));
        }
        if let Some(CheckpointWrite { subscription, partition, to, .. }) = checkpoint {
            self.checkpoints.insert((subscription, partition), to);
        }
        Ok(Committed::Now { position })
    }

    /// The answer to a repeat: of the messages, then of the commit.
    fn before(
        &self,
        id: CommitId,
        fingerprint: Fingerprint,
        marks: &[InboxMark],
        kept: Since,
    ) -> Result<Option<Committed>> {
        let known = |mark: &InboxMark| self.inbox_entry(&mark.consumer, mark.message, kept.inbox);
        let mut entries = Vec::new();
        for mark in marks {
            let Some(entry) = known(mark) else { continue };
            if entry.fingerprint != mark.fingerprint {
                return Err(Error::id_reused("message", mark.message));
            }
            entries.push((mark, entry));
        }
        if let Some((mark, entry)) = entries.first() {
            if entries.len() < marks.len() {
                let (consumer, message) = (mark.consumer.clone(), mark.message.to_string());
                return Err(Conflict::Inbox { consumer, message }.into());
            }
            let (position, reply) = (entry.position, entry.reply.clone());
            return Ok(Some(Committed::Before { position, reply }));
        }
        match self.commits.get(&id).filter(|done| done.at >= kept.commit_ids) {
            Some(done) if done.fingerprint != fingerprint => Err(Error::id_reused("commit", id.0)),
            Some(done) => Ok(Some(Committed::Before { position: done.position, reply: None })),
            None => Ok(None),
        }
    }

    /// What the inbox says, unless it is too old to be known.
    pub(super) fn inbox_entry(
        &self,
        consumer: &str,
        message: MessageId,
        since: Timestamp,
    ) -> Option<&InboxEntry> {
        let (entry, at) = self.inbox.get(&(consumer.to_owned(), message))?;
        (*at >= since).then_some(entry)
    }

    /// Whether a mark is still kept, known or not.
    #[cfg(test)]
    pub(super) fn inbox_holds(&self, message: MessageId) -> bool {
        self.inbox.keys().any(|(_, kept)| *kept == message)
    }

    fn version(&self, stream: &StreamId) -> Version {
        self.streams.get(stream).map_or(0, |events| events.len() as Version)
    }

    fn check_stream(&self, stream: &StreamId, expected: crate::Expected) -> Result<()> {
        let actual = self.version(stream);
        if expected.holds(actual) {
            return Ok(());
        }
        Err(Conflict::Stream { stream: stream.to_string(), actual }.into())
    }

    fn check_document(&self, key: &crate::DocumentKey, expected: crate::Expected) -> Result<()> {
        let actual = self.documents.version(key);
        if expected.holds(actual) {
            return Ok(());
        }
        let (collection, id) = (key.collection.clone().into_owned(), key.id.clone());
        Err(Conflict::Document { collection, id, actual }.into())
    }

    fn check_appends(&self, appends: &[Append]) -> Result<()> {
        let mut ids = HashSet::new();
        for append in appends {
            self.check_stream(&append.stream, append.expected)?;
            for event in &append.events {
                if self.event_ids.contains(&event.id()) || !ids.insert(event.id()) {
                    return Err(Error::id_reused("event", event.id()));
                }
            }
        }
        Ok(())
    }

    fn check_guards(&self, guards: &[Guard]) -> Result<()> {
        for guard in guards {
            match guard {
                Guard::Stream { stream, expected } => self.check_stream(stream, *expected)?,
                Guard::Document { key, expected } => self.check_document(key, *expected)?,
                Guard::NoneMatching { filter, after } => {
                    self.head().admits(None, *after)?;
                    if let Some(found) = self.first_matching(filter, *after) {
                        return Err(Conflict::NoneMatching { after: *after, found }.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn check_checkpoint(&self, checkpoint: Option<&CheckpointWrite>) -> Result<()> {
        let Some(write) = checkpoint else { return Ok(()) };
        self.head().admits(None, write.to)?;
        let key = (write.subscription.clone(), write.partition);
        let actual = self.checkpoints.get(&key).copied().unwrap_or(0);
        if actual == write.from {
            return Ok(());
        }
        let (subscription, partition) = key;
        Err(Conflict::Checkpoint { subscription, partition, actual }.into())
    }

    fn first_matching(&self, filter: &Filter, after: Position) -> Option<Position> {
        let rest = self.first_after(after)..self.log.len();
        rest.map(|n| self.recorded(n)).find(|event| filter.matches(event)).map(|e| e.position)
    }

    fn append(&mut self, stream: &StreamId, event: NewEvent, recorded_at: Timestamp) {
        let n = self.log.len();
        let indices = self.streams.entry(stream.clone()).or_default();
        indices.push(n);
        self.event_ids.insert(event.id());
        self.last += 1;
        self.log.push(Entry {
            position: self.last,
            stream: stream.clone(),
            version: indices.len() as Version,
            recorded_at,
            joined_tags: Page::join_tags(&event.tags),
            metadata_json: event.metadata.to_json(),
            event,
        });
    }

    /// Index of the first event after a position.
    pub(super) fn first_after(&self, position: Position) -> usize {
        self.log.partition_point(|entry| entry.position <= position)
    }

    pub(super) fn recorded(&self, n: usize) -> Recorded<'_> {
        let entry = &self.log[n];
        Recorded {
            tenant: entry.stream.tenant.as_deref(),
            category: &entry.stream.category,
            stream: &entry.stream.id,
            version: entry.version,
            position: entry.position,
            recorded_at: entry.recorded_at,
            event_type: &entry.event.event_type,
            schema_version: entry.event.schema_version,
            id: entry.event.id(),
            joined_tags: &entry.joined_tags,
            metadata_json: &entry.metadata_json,
            data: entry.event.payload.as_ref(),
        }
    }
}
