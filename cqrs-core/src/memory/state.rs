//! The log of the memory store: checks a commit as a whole, then applies it as a whole.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::error::{Conflict, Error, Result};
use crate::memory::documents::Documents;
use crate::memory::snapshots::Snapshots;
use crate::message::fingerprint::Fingerprint;
use crate::message::id::MessageId;
use crate::message::timestamp::Timestamp;
use crate::port::commit::{
    Append, CheckpointWrite, Commit, CommitId, Committed, Guard, InboxMark, NewEvent,
};
use crate::port::filter::Filter;
use crate::port::page::{Page, Recorded};
use crate::port::read::{PageSize, ReadLog, ReadStream};
use crate::port::store::{Head, InboxEntry, LogId};
use crate::port::stream_id::StreamId;
use crate::port::{Position, Version};

/// How many events a reader looks through at most while it holds the lock.
const LOOKED_THROUGH: usize = 16_384;

#[derive(Debug)]
pub(super) struct State {
    id: LogId,
    log: Vec<Entry>,
    /// Indices into the log.
    streams: HashMap<StreamId, Vec<usize>>,
    event_ids: HashSet<MessageId>,
    commits: HashMap<CommitId, Done>,
    /// Number of commit ids at which the old ones are forgotten.
    forget_at: usize,
    pub(super) inbox: HashMap<(String, MessageId), InboxEntry>,
    pub(super) checkpoints: HashMap<(String, u32), Position>,
    pub(super) documents: Documents,
    snapshots: Snapshots,
}

#[derive(Debug)]
struct Done {
    fingerprint: Fingerprint,
    position: Position,
    at: Timestamp,
}

#[derive(Debug)]
struct Entry {
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
            streams: HashMap::new(),
            event_ids: HashSet::new(),
            commits: HashMap::new(),
            forget_at: 1024,
            inbox: HashMap::new(),
            checkpoints: HashMap::new(),
            documents: Documents::default(),
            snapshots: Snapshots::default(),
        }
    }
}

impl State {
    pub(super) fn head(&self) -> Head {
        Head { log: self.id, position: self.log.len() as Position }
    }

    pub(super) fn commit(
        &mut self,
        commit: Commit,
        now: Timestamp,
        forget_before: Timestamp,
    ) -> Result<Committed> {
        let fingerprint = commit.fingerprint();
        // No `..`: a new part does not compile here until somebody stores or refuses it. Those that
        // this store does not offer were refused before.
        let Commit {
            id,
            fences: _,
            guards,
            appends,
            documents,
            snapshots,
            checkpoint,
            inbox,
            timers: _,
            outgoing: _,
            settled: _,
            parked: _,
        } = commit;

        if let Some(before) = self.before(id, fingerprint, &inbox, forget_before)? {
            return Ok(before);
        }
        self.check_appends(&appends)?;
        for write in &documents {
            self.check_document(&write.key, write.expected)?;
        }
        self.check_guards(&guards)?;
        self.check_checkpoint(checkpoint.as_ref())?;
        let plan = self.documents.plan(&documents)?;

        // The clock may step back; the log's times do not.
        let recorded_at = self.log.last().map_or(now, |last| last.recorded_at.max(now));
        for Append { stream, expected: _, events } in appends {
            for event in events {
                self.append(&stream, event, recorded_at);
            }
        }
        self.documents.apply(plan, documents);
        self.snapshots.apply(snapshots);
        let position = self.head().position;
        self.forget_commits(forget_before);
        self.commits.insert(id, Done { fingerprint, position, at: now });
        for InboxMark { consumer, message, fingerprint, reply } in inbox {
            self.inbox.insert((consumer, message), InboxEntry { position, fingerprint, reply });
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
        forget_before: Timestamp,
    ) -> Result<Option<Committed>> {
        let known = |mark: &InboxMark| self.inbox.get(&(mark.consumer.clone(), mark.message));
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
        match self.commits.get(&id).filter(|done| done.at >= forget_before) {
            Some(done) if done.fingerprint != fingerprint => Err(Error::id_reused("commit", id.0)),
            Some(done) => Ok(Some(Committed::Before { position: done.position, reply: None })),
            None => Ok(None),
        }
    }

    /// Forgets old commit ids once as many came as were kept the last time: a constant effort for
    /// each commit, on average.
    fn forget_commits(&mut self, forget_before: Timestamp) {
        if self.commits.len() >= self.forget_at {
            self.commits.retain(|_, done| done.at >= forget_before);
            self.forget_at = 1024.max(self.commits.len() * 2);
        }
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
        let rest = after as usize..self.log.len();
        rest.map(|n| self.recorded(n)).find(|event| filter.matches(event)).map(|e| e.position)
    }

    fn append(&mut self, stream: &StreamId, event: NewEvent, recorded_at: Timestamp) {
        let n = self.log.len();
        let indices = self.streams.entry(stream.clone()).or_default();
        indices.push(n);
        self.event_ids.insert(event.id());
        self.log.push(Entry {
            stream: stream.clone(),
            version: indices.len() as Version,
            recorded_at,
            joined_tags: Page::join_tags(&event.tags),
            metadata_json: event.metadata.to_json(),
            event,
        });
    }

    fn recorded(&self, n: usize) -> Recorded<'_> {
        let entry = &self.log[n];
        Recorded {
            tenant: entry.stream.tenant.as_deref(),
            category: &entry.stream.category,
            stream: &entry.stream.id,
            version: entry.version,
            position: n as Position + 1,
            recorded_at: entry.recorded_at,
            event_type: &entry.event.event_type,
            schema_version: entry.event.schema_version,
            id: entry.event.id(),
            joined_tags: &entry.joined_tags,
            metadata_json: &entry.metadata_json,
            data: entry.event.payload.as_ref(),
        }
    }

    /// One page of a stream, and what is left to read.
    pub(super) fn stream_page(&self, mut read: ReadStream) -> (Page, Option<ReadStream>) {
        let mut page = Page::default();
        if let Some(schema) = read.wanted_snapshot() {
            let versions = read.from.max(1)..=read.to;
            if let Some((version, body)) = self.snapshots.get(&read.stream, schema, versions) {
                page.begin_with(version, body.as_str());
                read.from = version + 1;
            }
        }
        read.snapshot = None;
        let indices = self.streams.get(&read.stream).map_or(&[][..], Vec::as_slice);
        let from = (read.from.max(1) - 1).min(indices.len() as u64) as usize;
        let to = read.to.min(indices.len() as u64) as usize;
        let mut indices = indices.get(from..to).unwrap_or_default().iter();
        let mut next = || if read.backwards { indices.next_back() } else { indices.next() };
        while let Some(&n) = next() {
            let event = self.recorded(n);
            if read.recorded_until.is_some_and(|until| event.recorded_at > until) {
                continue;
            }
            if is_full(&page, read.page) {
                match read.backwards {
                    true => read.to = event.version,
                    false => read.from = event.version,
                }
                return (page, Some(read));
            }
            page.push(&event);
        }
        (page, None)
    }

    /// One page of the log, and what is left to read.
    pub(super) fn log_page(&self, mut read: ReadLog) -> (Page, Option<ReadLog>) {
        let mut page = Page::default();
        let end = self.log.len().min(read.after as usize + LOOKED_THROUGH);
        for n in read.after as usize..end {
            let event = self.recorded(n);
            if read.filter.matches(&event) {
                if is_full(&page, read.page) {
                    page.reach(event.position - 1);
                    read.after = event.position - 1;
                    return (page, Some(read));
                }
                page.push(&event);
            }
        }
        read.after = end as Position;
        page.reach(read.after);
        (page, (end < self.log.len()).then_some(read))
    }
}

/// A page takes at least one event, whatever its limits.
fn is_full(page: &Page, size: PageSize) -> bool {
    !page.is_empty() && (page.len() >= size.events as usize || page.size() >= size.bytes)
}
