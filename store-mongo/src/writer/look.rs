//! What a group has to know and nobody knows yet: asked for with one command, inside of its transaction.

use std::collections::{BTreeSet, HashSet};

use bson::raw::{CStr, cstr};
use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};
use cqrs_core::{
    BoxError, Commit, DocumentKey, Expected, Filter, Guard, MessageId, NewEvent, Position, Settled,
    StreamId,
};
use mongodb::{ClientSession, Database};

use super::Pending;
use super::facts::{Facts, Standing};
use super::judge::{key_of_parked, key_of_timer, key_of_write, value_key};
use super::learn::{
    first_matching, learn_collections, learn_replies, read_checkpoint, read_commit, read_document,
    read_event, read_holder, read_inbox, read_lease, read_parked, read_pending, read_stream,
    read_timer,
};
use crate::error::Trouble;
use crate::key::{self, ParkedKey, TimerKey, ValueKey};
use crate::migrate::LOG;
use crate::names::Coll;
use crate::row::{Fields, id, tenant, value_text};
use crate::seen::Seen;

/// Keys that one condition names.
const KEYS: usize = 1_000;

/// Conditions, and keys in all of them, of one command.
const CONDITIONS: usize = 100;
const ALL_KEYS: usize = 3_000;

/// How a group is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What an index would refuse is not looked for.
    Hoping,
    /// An index has refused something: all is looked for, so that each gets its verdict.
    Careful,
}

/// What is to be looked for.
#[derive(Debug, Default)]
struct Wants<'w> {
    collections: BTreeSet<&'w str>,
    streams: HashSet<&'w StreamId>,
    documents: HashSet<&'w DocumentKey>,
    leases: BTreeSet<&'w str>,
    checkpoints: BTreeSet<(&'w str, u32)>,
    timers: BTreeSet<TimerKey>,
    pending: BTreeSet<MessageId>,
    parked: BTreeSet<ParkedKey>,
    values: BTreeSet<ValueKey>,
    commits: BTreeSet<MessageId>,
    inbox: BTreeSet<(&'w str, MessageId)>,
    events: BTreeSet<MessageId>,
    matching: Vec<((usize, usize), &'w Filter, Position)>,
}

/// Learns all that the verdicts on a group need.
pub(crate) async fn look(
    db: &Database,
    session: &mut ClientSession,
    group: &[Pending],
    facts: &mut Facts,
    seen: &Seen,
    head: Position,
    mode: Mode,
) -> Result<(), Trouble> {
    let mut wants = Wants::default();
    for (n, pending) in group.iter().enumerate() {
        wants.add(n, &pending.commit, facts, seen, mode);
    }
    if !wants.collections.is_empty() {
        // What is declared tells which values are unique.
        let names = std::mem::take(&mut wants.collections);
        learn_collections(db, session, &names, facts).await?;
    }
    for pending in group {
        wants.add_values(&pending.commit, facts);
    }
    wants.learn(db, session, facts, head).await
}

/// Learns which messages were handled before, of some commits of a group.
pub(crate) async fn look_for_marks(
    db: &Database,
    session: &mut ClientSession,
    commits: impl Iterator<Item = &Commit>,
    facts: &mut Facts,
) -> Result<(), Trouble> {
    let mut wants = Wants::default();
    commits.for_each(|commit| wants.add_marks(commit));
    wants.learn(db, session, facts, 0).await
}

impl<'w> Wants<'w> {
    fn add_marks(&mut self, commit: &'w Commit) {
        let marks = commit.inbox.iter();
        self.inbox.extend(marks.map(|mark| (mark.consumer.as_str(), mark.message)));
    }

    fn add(&mut self, n: usize, commit: &'w Commit, facts: &mut Facts, seen: &Seen, mode: Mode) {
        // Whatever they wrote: no index tells of those that wrote something else.
        self.commits.insert(commit.id.0);
        let of_checkpoint = commit.checkpoint.iter().flat_map(|write| &write.fence);
        for fence in commit.fences.iter().chain(of_checkpoint) {
            self.leases.insert(&fence.lease);
        }
        for append in &commit.appends {
            match (mode, seen.version(&append.stream), append.expected) {
                // What the first one expects need not be so, and the index says nothing when that one is refused.
                _ if facts.assumed.contains(&append.stream) => {
                    self.streams.insert(&append.stream);
                }
                // It has so many events at least; that it has more is told by an index.
                (Mode::Hoping, 0, Expected::NoStream | Expected::Exactly(0)) => {
                    facts.assume(&append.stream, 0);
                }
                (Mode::Hoping, at, expected) if at > 0 && expected.holds(at) => {
                    facts.assume(&append.stream, at);
                }
                _ => drop(self.streams.insert(&append.stream)),
            }
            if mode == Mode::Careful {
                self.events.extend(append.events.iter().map(NewEvent::id));
            }
        }
        for (m, guard) in commit.guards.iter().enumerate() {
            match guard {
                // No index tells of what is only read.
                Guard::Stream { stream, .. } => {
                    self.streams.insert(stream);
                }
                Guard::Document { key, .. } => {
                    self.documents.insert(key);
                }
                Guard::NoneMatching { filter, after } => {
                    self.matching.push(((n, m), filter, *after));
                }
            }
        }
        for write in commit.documents.iter().chain(&commit.views) {
            self.documents.insert(&write.key);
            if !facts.collections.contains_key(&*write.key.collection) {
                self.collections.insert(&write.key.collection);
            }
        }
        if let Some(write) = &commit.checkpoint {
            self.checkpoints.insert((&write.subscription, write.partition));
        }
        if mode == Mode::Careful {
            self.add_marks(commit);
            self.pending.extend(commit.outgoing.iter().map(|message| message.metadata.id()));
        }
        self.timers.extend(commit.timers.iter().map(key_of_write));
        self.parked.extend(commit.parked.iter().map(key_of_parked));
        for settled in &commit.settled {
            match settled {
                Settled::Outgoing(id) => drop(self.pending.insert(*id)),
                Settled::Timer(timer) => drop(self.timers.insert(key_of_timer(timer))),
                Settled::Parked { subscription, position, key } => {
                    self.parked.insert((subscription.clone(), *position, key.clone()));
                }
            }
        }
    }

    /// The unique values that the documents will have.
    fn add_values(&mut self, commit: &'w Commit, facts: &Facts) {
        for write in commit.documents.iter().chain(&commit.views) {
            let Some(collection) = facts.collections.get(&*write.key.collection) else { continue };
            let unique = collection.fields.iter().any(|field| field.unique);
            let Some(body) = write.body.as_ref().filter(|_| unique) else { continue };
            // What cannot be indexed is told when it is judged.
            for (n, value) in collection.values(&write.key.id, body).unwrap_or_default() {
                let field = &collection.fields[n];
                if field.unique {
                    self.values.insert(value_key(&write.key, &value_text(&field.name, &value)));
                }
            }
        }
    }

    async fn learn(
        self,
        db: &Database,
        session: &mut ClientSession,
        facts: &mut Facts,
        head: Position,
    ) -> Result<(), Trouble> {
        // No `..`: what is wanted is looked for.
        let Self {
            collections: _,
            streams,
            documents,
            leases,
            checkpoints,
            timers,
            pending,
            parked,
            values,
            commits,
            inbox,
            events,
            matching: guards,
        } = self;
        let mut conditions = Conditions::default();

        for stream in streams {
            facts.streams.insert(stream.clone(), 0);
            let of = rawdoc! {
                "$match": {
                    "tenant": tenant(stream.tenant.as_deref()),
                    "category": &*stream.category,
                    "stream": stream.id.as_str(),
                },
            };
            let last = rawdoc! { "$sort": { "version": -1 } };
            let fields = rawdoc! {
                "$project": { "_id": 0, "tenant": 1, "category": 1, "stream": 1, "version": 1 },
            };
            conditions.add(
                Coll::Events,
                1,
                [of, last, rawdoc! { "$limit": 1 }, fields],
                read_stream,
            );
        }
        for key in &documents {
            facts.documents.insert((*key).clone(), Standing::default());
        }
        let ids = documents.into_iter().map(key::document);
        let fields =
            rawdoc! { "$project": { "version": 1, "is_there": { "$gt": ["$data", null] } } };
        conditions.by_id(Coll::Documents, ids, &fields, read_document);

        for lease in &leases {
            facts.leases.insert((*lease).to_owned(), 0);
        }
        let fields = rawdoc! { "$project": { "token": 1 } };
        conditions.by_id(Coll::Leases, leases.into_iter(), &fields, read_lease);

        for (subscription, partition) in &checkpoints {
            facts.checkpoints.insert(((*subscription).to_owned(), *partition), 0);
        }
        let ids = checkpoints.into_iter().map(|(name, partition)| key::checkpoint(name, partition));
        let fields = rawdoc! { "$project": { "position": 1 } };
        conditions.by_id(Coll::Checkpoints, ids, &fields, read_checkpoint);

        let ids: Vec<_> = timers.iter().map(key::timer).collect();
        facts.timers.extend(timers.into_iter().map(|key| (key, None)));
        let fields = rawdoc! { "$project": { "generation": 1 } };
        conditions.by_id(Coll::Timers, ids.into_iter(), &fields, read_timer);

        let ids: Vec<_> = parked.iter().map(key::parked).collect();
        facts.parked.extend(parked.into_iter().map(|key| (key, None)));
        let fields = rawdoc! { "$project": { "version": 1, "since": 1 } };
        conditions.by_id(Coll::Parked, ids.into_iter(), &fields, read_parked);

        let fields = rawdoc! { "$project": { "_id": 0, "id": 1 } };
        conditions.by(
            Coll::Outgoing,
            cstr!("id"),
            pending.into_iter().map(id),
            &fields,
            read_pending,
        );

        let mut of_collection: Vec<(String, String, Vec<String>)> = Vec::new();
        for (tenant, collection, text) in values {
            match of_collection.last_mut() {
                Some((t, c, texts)) if (&*t, &*c) == (&tenant, &collection) => texts.push(text),
                _ => of_collection.push((tenant, collection, vec![text])),
            }
        }
        for (tenant, collection, texts) in of_collection {
            for texts in texts.chunks(KEYS) {
                let of = rawdoc! {
                    "$match": {
                        "_id.collection": collection.as_str(),
                        "_id.tenant": tenant.as_str(),
                        "unique": { "$in": list(texts.iter().map(String::as_str)) },
                    },
                };
                let fields = rawdoc! { "$project": { "unique": 1 } };
                conditions.add(Coll::Documents, texts.len(), [of, fields], read_holder);
            }
        }

        let firsts: BTreeSet<_> =
            commits.iter().map(|commit| cqrs_core::CommitId(*commit).event(0)).collect();
        let told = |commit: &MessageId| (cqrs_core::CommitId(*commit).event(0), *commit);
        let by_first: std::collections::BTreeMap<_, _> = commits.iter().map(told).collect();
        let fields = rawdoc! { "$project": { "fingerprint": 1, "position": 1, "at": 1 } };
        conditions.by_id(Coll::Commits, commits.into_iter().map(id), &fields, read_commit);

        let fields = rawdoc! { "$project": { "id": 1, "fingerprint": 1, "places": 1 } };
        let all: BTreeSet<_> = events.into_iter().chain(firsts).collect();
        conditions.by(Coll::Events, cstr!("id"), all.into_iter().map(id), &fields, read_event);

        let ids = inbox.into_iter().map(|(consumer, message)| key::inbox(consumer, message));
        let fields = rawdoc! { "$project": { "fingerprint": 1, "position": 1, "at": 1 } };
        conditions.by_id(Coll::Inbox, ids, &fields, read_inbox);

        conditions.ask(db, session, facts).await?;
        learn_replies(db, session, facts).await?;

        // Events that tell of a commit stand for it.
        for (first, commit) in by_first {
            if let Some(known) = facts.commits.remove(&first) {
                facts.commits.insert(commit, known);
            }
        }
        for (place, filter, after) in guards {
            let found = first_matching(db, session, filter, after, head).await?;
            facts.matching.insert(place, found);
        }
        Ok(())
    }
}

/// How a document of an answer is taken.
type Read = fn(&Fields<'_>, &mut Facts) -> Result<(), BoxError>;

/// Conditions on collections.
#[derive(Default)]
struct Conditions {
    all: Vec<(Coll, usize, Vec<RawDocumentBuf>, Read)>,
}

impl Conditions {
    fn add(
        &mut self,
        coll: Coll,
        keys: usize,
        stages: impl IntoIterator<Item = RawDocumentBuf>,
        read: Read,
    ) {
        self.all.push((coll, keys, stages.into_iter().collect(), read));
    }

    fn by_id<K: Into<bson::raw::RawBson>>(
        &mut self,
        coll: Coll,
        ids: impl Iterator<Item = K>,
        fields: &RawDocumentBuf,
        read: Read,
    ) {
        self.by(coll, cstr!("_id"), ids, fields, read);
    }

    fn by<K: Into<bson::raw::RawBson>>(
        &mut self,
        coll: Coll,
        field: &CStr,
        keys: impl Iterator<Item = K>,
        fields: &RawDocumentBuf,
        read: Read,
    ) {
        let mut keys = keys.peekable();
        while keys.peek().is_some() {
            let (mut some, mut count) = (RawArrayBuf::new(), 0);
            for key in keys.by_ref().take(KEYS) {
                some.push(key.into());
                count += 1;
            }
            let of = rawdoc! { "$match": { field: { "$in": some } } };
            self.add(coll, count, [of, fields.clone()], read);
        }
    }

    /// Asks, with as few commands as may be.
    async fn ask(
        self,
        db: &Database,
        session: &mut ClientSession,
        facts: &mut Facts,
    ) -> Result<(), Trouble> {
        let (mut some, mut keys) = (Vec::new(), 0);
        for condition in self.all {
            if some.len() == CONDITIONS || (keys > 0 && keys + condition.1 > ALL_KEYS) {
                ask(db, session, std::mem::take(&mut some), facts).await?;
                keys = 0;
            }
            keys += condition.1;
            some.push(condition);
        }
        ask(db, session, some, facts).await
    }
}

async fn ask(
    db: &Database,
    session: &mut ClientSession,
    conditions: Vec<(Coll, usize, Vec<RawDocumentBuf>, Read)>,
    facts: &mut Facts,
) -> Result<(), Trouble> {
    if conditions.is_empty() {
        return Ok(());
    }
    // No transaction takes `$unionWith`; so all is looked up from the one document that there is.
    let mut pipeline = RawArrayBuf::new();
    pipeline.push(rawdoc! { "$match": { "_id": LOG } });
    pipeline.push(rawdoc! { "$project": { "_id": 1 } });
    let mut reads = Vec::with_capacity(conditions.len());
    for (coll, _, stages, read) in conditions {
        let name = format!("of{}", reads.len());
        let mut of = RawArrayBuf::new();
        stages.into_iter().for_each(|stage| of.push(stage));
        let look = rawdoc! { "from": coll.name(), "pipeline": of, "as": name.as_str() };
        pipeline.push(rawdoc! { "$lookup": look });
        reads.push((name, read));
    }
    let command = rawdoc! { "aggregate": Coll::Log.name(), "pipeline": pipeline, "cursor": {} };
    let found = db.run_raw_cursor_command(command).session(&mut *session).await?;
    let mut found = found.with_type::<RawDocumentBuf>();
    let missing = || Trouble::damaged("the log", "its document is missing".into());
    let found = found.next(session).await.ok_or_else(missing)??;
    let fields = Fields(&found);
    for (name, read) in reads {
        let taken = fields
            .documents(&name)
            .and_then(|mut all| all.try_for_each(|document| read(&document?, facts)));
        taken.map_err(|cause| Trouble::damaged("a document of the store", cause))?;
    }
    Ok(())
}

pub(super) fn list<'t>(texts: impl Iterator<Item = &'t str>) -> RawArrayBuf {
    let mut list = RawArrayBuf::new();
    texts.for_each(|text| list.push(text));
    list
}
