//! What a group writes: gathered while it is judged, then sent, one command for each collection.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bson::raw::{RawBson, cstr};
use bson::{Binary, RawArrayBuf, RawDocumentBuf, rawdoc};
use cqrs_core::{
    AnswerTo, CommitId, DocumentKey, Fingerprint, InboxMark, MessageId, NewEvent, Outgoing,
    ParkedWrite, Position, SnapshotWrite, StreamId, Timestamp, Tries, Version,
};
use mongodb::{ClientSession, Database};

use super::facts::{Aside, Standing};
use super::judge::Turn;
use super::look::Mode;
use crate::entities;
use crate::error::Trouble;
use crate::key::{self, ParkedKey, TimerKey};
use crate::migrate::LOG;
use crate::names::Coll;
use crate::row::{self, Place, bound, bytes, id, put_body, tenant};

/// Bytes of a command, but for its last statement. The server takes 16 MiB, and a little more.
const BYTES: usize = 8 << 20;

/// Snapshots of a stream that are kept: of so many schemas.
const SCHEMAS: i32 = 2;

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    events: Vec<RawDocumentBuf>,
    commits: Vec<RawDocumentBuf>,
    inbox: Vec<RawDocumentBuf>,
    outgoing: Vec<RawDocumentBuf>,
    sent: Vec<MessageId>,
    /// As they will be; what is written again replaces what was.
    documents: HashMap<DocumentKey, RawDocumentBuf>,
    /// Entities in collections of their own, as they will be; `None`: they are gone.
    entities: BTreeMap<String, BTreeMap<DocumentKey, Option<RawDocumentBuf>>>,
    /// Documents whose unique values others get.
    give_away: BTreeSet<DocumentKey>,
    checkpoints: BTreeMap<(String, u32), Position>,
    /// Leases that nobody may take until it is written.
    held: BTreeSet<String>,
    timers: BTreeMap<TimerKey, Option<(u64, Timestamp)>>,
    parked: BTreeMap<ParkedKey, Option<RawDocumentBuf>>,
    snapshots: HashMap<StreamId, Snapshots>,
}

/// What becomes of the snapshots of a stream.
#[derive(Debug, Default)]
struct Snapshots {
    are_forgotten: bool,
    /// With their schemas.
    kept: Vec<(Binary, RawDocumentBuf)>,
}

impl Batch {
    pub(super) fn append(
        &mut self,
        turn: &Turn,
        stream: &StreamId,
        version: Version,
        event: &NewEvent,
        commit: Option<(Fingerprint, u64)>,
    ) {
        let place = Place { stream, version, position: turn.head, recorded: turn.recorded, commit };
        self.events.push(row::event(event, &place));
    }

    /// Notes a commit that no event tells of.
    pub(super) fn commit(
        &mut self,
        turn: &Turn,
        commit: CommitId,
        fingerprint: Fingerprint,
        position: Position,
    ) {
        self.commits.push(rawdoc! {
            "_id": id(commit.0),
            "fingerprint": bytes(fingerprint.as_bytes()),
            "position": bound(position),
            "at": turn.now,
        });
    }

    pub(super) fn mark(&mut self, turn: &Turn, mark: &InboxMark, position: Position) {
        let InboxMark { consumer, message, fingerprint, reply } = mark;
        let mut document = rawdoc! {
            "_id": key::inbox(consumer, *message),
            "fingerprint": bytes(fingerprint.as_bytes()),
            "position": bound(position),
            "at": turn.now,
        };
        if let Some(reply) = reply {
            document.append(cstr!("reply"), bytes(reply));
        }
        self.inbox.push(document);
    }

    pub(super) fn send(&mut self, turn: &Turn, message: &Outgoing) {
        let Outgoing { metadata, kind, name, key, body, not_before, answer_to, tries } = message;
        let mut document = rawdoc! {
            "_id": bound(turn.head),
            "id": id(metadata.id()),
            "kind": kind.name(),
            "name": &**name,
            "key": key.as_str(),
            "tenant": tenant(metadata.tenant()),
            "recorded_at": turn.recorded,
            "metadata": metadata.to_json().as_str(),
        };
        if let Some(at) = not_before {
            document.append(cstr!("not_before_us"), at.as_micros());
        }
        if let Some(AnswerTo { saga, key, step }) = answer_to {
            let to = rawdoc! { "saga": saga.as_str(), "key": key.as_str(), "step": step.as_str() };
            document.append(cstr!("answer_to"), to);
        }
        match tries {
            Tries::Policy => {}
            Tries::AtMost(tries) => document.append(cstr!("tries"), i64::from(*tries)),
            Tries::UntilAnswered => document.append(cstr!("tries"), -1_i64),
        }
        put_body(&mut document, body);
        self.outgoing.push(document);
    }

    pub(super) fn sent(&mut self, id: MessageId) {
        self.sent.push(id);
    }

    pub(super) fn document(
        &mut self,
        key: &DocumentKey,
        standing: Standing,
        data: Option<&str>,
        fields: &[&str],
        unique: &[&str],
    ) {
        let mut document =
            rawdoc! { "_id": key::document(key), "version": bound(standing.version) };
        if let Some(data) = data {
            document.append(cstr!("data"), data);
        }
        if !fields.is_empty() {
            document.append(cstr!("fields"), list(fields));
        }
        if !unique.is_empty() {
            document.append(cstr!("unique"), list(unique));
        }
        self.documents.insert(key.clone(), document);
    }

    pub(super) fn entity(&mut self, key: &DocumentKey, row: Option<RawDocumentBuf>) {
        let of = self.entities.entry(key.collection.clone().into_owned()).or_default();
        of.insert(key.clone(), row);
    }

    pub(super) fn give_away(&mut self, key: &DocumentKey) {
        self.give_away.insert(key.clone());
    }

    pub(super) fn checkpoint(&mut self, subscription: &str, partition: u32, to: Position) {
        self.checkpoints.insert((subscription.to_owned(), partition), to);
    }

    pub(super) fn hold(&mut self, lease: &str) {
        self.held.insert(lease.to_owned());
    }

    pub(super) fn timer(&mut self, key: TimerKey, set: Option<(u64, Timestamp)>) {
        self.timers.insert(key, set);
    }

    pub(super) fn parked(&mut self, key: ParkedKey, entry: Option<(&ParkedWrite, Aside)>) {
        let document = entry.map(|(write, aside)| {
            let ParkedWrite { partition, message, state, due, cause, attempts, edited, .. } = write;
            let mut document = rawdoc! {
                "_id": key::parked(&key),
                "version": bound(aside.version),
                "partition": i64::from(*partition),
                "message": message.as_str(),
                "state": state.name(),
                "cause": cause.as_str(),
                "attempts": i64::from(*attempts),
                "since": aside.since,
                "is_edited": edited.is_some(),
            };
            if let Some(due) = due {
                document.append(cstr!("due_us"), due.as_micros());
            }
            if let Some(edited) = edited {
                put_body(&mut document, edited);
            }
            document
        });
        self.parked.insert(key, document);
    }

    pub(super) fn snapshot(&mut self, write: &SnapshotWrite) {
        let of_stream = self.snapshots.entry(write.stream().clone()).or_default();
        match write {
            SnapshotWrite::Keep { stream: _, schema, version, body } => {
                let schema = bytes(schema.as_bytes());
                let kept = rawdoc! {
                    "schema": schema.clone(),
                    "version": bound(*version),
                    "data": body.as_str(),
                };
                of_stream.kept.push((schema, kept));
            }
            SnapshotWrite::Forget { .. } => {
                *of_stream = Snapshots { are_forgotten: true, kept: Vec::new() };
            }
        }
    }

    /// Writes it all inside of a transaction. `promised`: where the head was moved to when the turn was taken.
    pub(crate) async fn write(
        self,
        db: &Database,
        session: &mut ClientSession,
        turn: &Turn,
        promised: Position,
        mode: Mode,
    ) -> Result<(), Trouble> {
        // No `..`: what is gathered is written.
        let Self {
            events,
            commits,
            inbox,
            outgoing,
            sent,
            documents,
            entities,
            give_away,
            checkpoints,
            held,
            timers,
            parked,
            snapshots,
        } = self;
        insert(db, session, Coll::Events, &events).await?;
        match mode {
            Mode::Hoping => {
                insert(db, session, Coll::Commits, &commits).await?;
                insert(db, session, Coll::Inbox, &inbox).await?;
            }
            // What is there is past its time, and not forgotten yet.
            Mode::Careful => {
                let anew = |all: Vec<RawDocumentBuf>| all.into_iter().filter_map(anew).collect();
                statements(db, session, Coll::Commits, Kind::Update, anew(commits)).await?;
                statements(db, session, Coll::Inbox, Kind::Update, anew(inbox)).await?;
            }
        }
        insert(db, session, Coll::Outgoing, &outgoing).await?;
        if !sent.is_empty() {
            let mut ids = RawArrayBuf::new();
            sent.into_iter().for_each(|message| ids.push(id(message)));
            let all = rawdoc! { "q": { "id": { "$in": ids } }, "limit": 0 };
            let all = vec![all];
            statements(db, session, Coll::Outgoing, Kind::Delete, all).await?;
        }

        let unset = |key: &DocumentKey| {
            rawdoc! { "q": { "_id": key::document(key) }, "u": { "$unset": { "unique": 1 } } }
        };
        let mut updates: Vec<RawDocumentBuf> = give_away.iter().map(unset).collect();
        let written = documents.into_iter();
        updates.extend(written.map(|(key, document)| replace(key::document(&key), document)));
        statements(db, session, Coll::Documents, Kind::Update, updates).await?;

        for (name, entities) in entities {
            let (mut gone, mut put) = (Vec::new(), Vec::new());
            // Two may swap what only one may have: all of several go before one comes.
            let is_one = entities.len() == 1;
            for (key, row) in entities {
                let Ok(id) = RawBson::try_from(entities::id(&key)) else { continue };
                if row.is_none() || !is_one {
                    gone.push(rawdoc! { "q": { "_id": id.clone() }, "limit": 1 });
                }
                if let Some(row) = row {
                    put.push(rawdoc! { "q": { "_id": id }, "u": row, "upsert": true });
                }
            }
            statements_of(db, session, &name, Kind::Delete, gone).await?;
            statements_of(db, session, &name, Kind::Update, put).await?;
        }

        let moved = checkpoints.into_iter().map(|((subscription, partition), position)| {
            let id = key::checkpoint(&subscription, partition);
            replace(id.clone(), rawdoc! { "_id": id, "position": bound(position) })
        });
        statements(db, session, Coll::Checkpoints, Kind::Update, moved.collect()).await?;

        let held = held.iter().map(|lease| meet(lease)).collect();
        statements(db, session, Coll::Fences, Kind::Update, held).await?;

        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for (key, timer) in timers {
            let id = key::timer(&key);
            match timer {
                Some((generation, due)) => {
                    let timer = rawdoc! {
                        "_id": id.clone(), "generation": bound(generation), "due_us": due.as_micros(),
                    };
                    set.push(replace(id, timer));
                }
                None => gone.push(rawdoc! { "q": { "_id": id }, "limit": 1 }),
            }
        }
        statements(db, session, Coll::Timers, Kind::Update, set).await?;
        statements(db, session, Coll::Timers, Kind::Delete, gone).await?;

        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for (key, entry) in parked {
            let id = key::parked(&key);
            match entry {
                Some(entry) => set.push(replace(id, entry)),
                None => gone.push(rawdoc! { "q": { "_id": id }, "limit": 1 }),
            }
        }
        statements(db, session, Coll::Parked, Kind::Update, set).await?;
        statements(db, session, Coll::Parked, Kind::Delete, gone).await?;

        let (mut set, mut gone) = (Vec::new(), Vec::new());
        for (stream, Snapshots { are_forgotten, kept }) in snapshots {
            let of = key::stream(&stream);
            if are_forgotten {
                gone.push(rawdoc! { "q": { "_id": of.clone() }, "limit": 1 });
            }
            for (schema, snapshot) in kept {
                let pull = rawdoc! { "$pull": { "kept": { "schema": schema } } };
                set.push(rawdoc! { "q": { "_id": of.clone() }, "u": pull, "upsert": false });
                let push = rawdoc! {
                    "$push": {
                        "kept": { "$each": [snapshot], "$sort": { "version": -1 }, "$slice": SCHEMAS },
                    },
                };
                set.push(rawdoc! { "q": { "_id": of.clone() }, "u": push, "upsert": true });
            }
        }
        statements(db, session, Coll::Snapshots, Kind::Delete, gone).await?;
        statements(db, session, Coll::Snapshots, Kind::Update, set).await?;

        if turn.head != promised {
            let head = rawdoc! { "$set": { "head": bound(turn.head) } };
            let head = vec![rawdoc! { "q": { "_id": LOG }, "u": head }];
            statements(db, session, Coll::Log, Kind::Update, head).await?;
        }
        Ok(())
    }
}

fn list(texts: &[&str]) -> RawArrayBuf {
    let mut list = RawArrayBuf::new();
    texts.iter().for_each(|text| list.push(*text));
    list
}

/// Whoever writes under a lease writes this, as does who takes it over: one of the two has to begin again. It is not
/// the document of the lease, whose holder asks for more time meanwhile.
pub(crate) fn meet(lease: &str) -> RawDocumentBuf {
    rawdoc! { "q": { "_id": lease }, "u": { "$inc": { "uses": 1_i64 } }, "upsert": true }
}

/// Puts a document where another one of its id is, or none.
fn replace(id: RawDocumentBuf, document: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "q": { "_id": id }, "u": document, "upsert": true }
}

/// Puts a document where an old one of its id may be.
fn anew(document: RawDocumentBuf) -> Option<RawDocumentBuf> {
    let id = RawBson::from(document.get("_id").ok().flatten()?);
    Some(rawdoc! { "q": { "_id": id }, "u": document, "upsert": true })
}

async fn insert(
    db: &Database,
    session: &mut ClientSession,
    coll: Coll,
    documents: &[RawDocumentBuf],
) -> Result<(), Trouble> {
    if documents.is_empty() {
        return Ok(());
    }
    let coll = db.collection::<RawDocumentBuf>(coll.name());
    coll.insert_many(documents).session(session).await?;
    Ok(())
}

/// What statements do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Update,
    Delete,
}

/// Sends statements in their order, in as few commands as may be.
pub(crate) async fn statements(
    db: &Database,
    session: &mut ClientSession,
    coll: Coll,
    kind: Kind,
    all: Vec<RawDocumentBuf>,
) -> Result<(), Trouble> {
    statements_of(db, session, coll.name(), kind, all).await
}

/// The same for any collection.
pub(crate) async fn statements_of(
    db: &Database,
    session: &mut ClientSession,
    coll: &str,
    kind: Kind,
    all: Vec<RawDocumentBuf>,
) -> Result<(), Trouble> {
    let (mut some, mut size) = (RawArrayBuf::new(), 0);
    let mut all = all.into_iter().peekable();
    while let Some(statement) = all.next() {
        size += statement.as_bytes().len();
        some.push(statement);
        let next = all.peek().map(|next| next.as_bytes().len());
        if next.is_some_and(|next| size + next <= BYTES) {
            continue;
        }
        let some = std::mem::take(&mut some);
        size = 0;
        let command = match kind {
            Kind::Update => rawdoc! { "update": coll, "updates": some, "ordered": true },
            Kind::Delete => rawdoc! { "delete": coll, "deletes": some, "ordered": true },
        };
        let reply = db.run_raw_command(command).session(&mut *session).await?;
        Trouble::of_writes(&reply)?;
    }
    Ok(())
}
