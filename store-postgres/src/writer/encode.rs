//! A group of commits as the parameters of one statement.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use cqrs_core::{
    AnswerTo, Append, CheckpointWrite, Collection, Commit, Error, Expected, Fence, Filter,
    Fingerprint, Guard, InboxMark, NewEvent, Outgoing, ParkedWrite, Payload, Result, Settled,
    SnapshotWrite, TimerWrite, Timestamp, Tries,
};
use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::row::{For, JsonText, body, bound, hex, tenant, value_text};

/// A parameter of a statement.
pub(crate) type Param<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// On what terms commits are written.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) keep_commit_ids: Duration,
    pub(crate) keep_inbox: Duration,
    pub(crate) lock_timeout: String,
}

/// The declared fields of collections, as far as they are known.
pub(crate) type Known = HashMap<String, (Arc<Collection>, String)>;

/// The columns of a group. An empty list of appends or inbox marks is NULL, as all of its columns.
#[derive(Debug, Default)]
pub(crate) struct Group<'a> {
    pub(super) places: i32,
    pub(super) ids: Vec<Uuid>,
    pub(super) fingerprints: Vec<&'a [u8]>,
    pub(super) lasts: Vec<i32>,
    pub(super) appends: Appends<'a>,
    pub(super) events: Events<'a>,
    pub(super) inbox: Inbox<'a>,
    others: Others<'a>,
    /// What the others name by its place, from 1.
    texts: Texts<'a>,
    collections: HashSet<&'a str>,
}

/// Texts that may hold an escaped NUL, which no function of the server for JSON reads.
#[derive(Debug, Default)]
struct Texts<'a>(Vec<Cow<'a, str>>);

impl<'a> Texts<'a> {
    fn place(&mut self, text: impl Into<Cow<'a, str>>) -> i32 {
        self.0.push(text.into());
        self.0.len() as i32
    }

    /// A body as it is named in JSON.
    fn body(&mut self, payload: &'a Payload) -> BodyPart<'a> {
        let (data, content_type, bytes) = body(payload);
        let data = data.map(|data| self.place(data));
        BodyPart { data, content_type, bytes: bytes.map(|bytes| BASE64.encode(bytes)) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Appends<'a> {
    pub(super) commits: Vec<i32>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) categories: Vec<&'a str>,
    pub(super) streams: Vec<&'a str>,
    pub(super) expected: Vec<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Events<'a> {
    pub(super) appends: Vec<i32>,
    pub(super) numbers: Vec<i32>,
    pub(super) places: Vec<i32>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) categories: Vec<&'a str>,
    pub(super) streams: Vec<&'a str>,
    pub(super) types: Vec<&'a str>,
    pub(super) schemas: Vec<i32>,
    pub(super) ids: Vec<Uuid>,
    pub(super) tags: Vec<Option<String>>,
    pub(super) metadata: Vec<String>,
    pub(super) data: Vec<Option<&'a str>>,
    pub(super) content_types: Vec<Option<&'a str>>,
    pub(super) bytes: Vec<Option<&'a [u8]>>,
}

#[derive(Debug, Default)]
pub(super) struct Inbox<'a> {
    pub(super) commits: Vec<i32>,
    pub(super) consumers: Vec<&'a str>,
    pub(super) messages: Vec<Uuid>,
    pub(super) fingerprints: Vec<&'a [u8]>,
    pub(super) replies: Vec<Option<&'a [u8]>>,
}

/// The parts that are rarer, as JSON. `c` counts the commits from 1.
#[derive(Debug, Default, Serialize)]
struct Others<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fences: Vec<FencePart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stream_guards: Vec<StreamPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    document_guards: Vec<DocumentPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    none_matching: Vec<MatchingPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    documents: Vec<DocumentPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldPart<'a>>,
    /// Whether fields of the documents may be there.
    indexed: bool,
    deletes: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checkpoints: Vec<CheckpointPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outgoing: Vec<OutgoingPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settled: Vec<SettledPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timers: Vec<TimerPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parked: Vec<ParkedPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    snapshots: Vec<SnapshotPart<'a>>,
}

#[derive(Debug, Serialize)]
struct FencePart<'a> {
    c: i32,
    lease: &'a str,
    token: i64,
}

#[derive(Debug, Serialize)]
struct StreamPart<'a> {
    c: i32,
    tenant: &'a str,
    category: &'a str,
    stream: &'a str,
    expected: i64,
}

#[derive(Debug, Serialize)]
struct DocumentPart<'a> {
    c: i32,
    tenant: &'a str,
    collection: &'a str,
    id: &'a str,
    expected: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<i32>,
}

#[derive(Debug, Serialize)]
struct MatchingPart<'a> {
    c: i32,
    after: i64,
    filter: FilterPart<'a>,
}

/// A filter; what it does not name is left out.
#[derive(Debug, Serialize)]
struct FilterPart<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    types: &'a [Cow<'static, str>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'a [Cow<'static, str>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    streams: Vec<[&'a str; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
}

#[derive(Debug, Serialize)]
struct FieldPart<'a> {
    c: i32,
    tenant: &'a str,
    collection: &'a str,
    field: String,
    value: String,
    id: &'a str,
    is_unique: bool,
    /// Another document of the same commit has the value.
    twice: bool,
}

#[derive(Debug, Serialize)]
struct CheckpointPart<'a> {
    c: i32,
    subscription: &'a str,
    partition: i64,
    since: i64,
    till: i64,
}

#[derive(Debug, Default, Serialize)]
struct BodyPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

#[derive(Debug, Serialize)]
struct OutgoingPart<'a> {
    c: i32,
    place: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<i64>,
    id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    tries: Option<i64>,
    kind: &'static str,
    name: &'a str,
    key: &'a str,
    tenant: &'a str,
    metadata: i32,
    #[serde(flatten)]
    body: BodyPart<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer_to: Option<&'a AnswerTo>,
}

#[derive(Debug, Default, Serialize)]
struct SettledPart<'a> {
    c: i32,
    kind: &'static str,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    owner: &'a str,
    tenant: &'a str,
    key: &'a str,
    name: &'a str,
    generation: i64,
    position: i64,
}

#[derive(Debug, Serialize)]
struct TimerPart<'a> {
    c: i32,
    owner: &'a str,
    tenant: &'a str,
    key: &'a str,
    name: &'a str,
    generation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
}

#[derive(Debug, Serialize)]
struct ParkedPart<'a> {
    c: i32,
    subscription: &'a str,
    position: i64,
    key: &'a str,
    expected: i64,
    partition: i64,
    message: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    cause: &'a str,
    attempts: u32,
    is_edited: bool,
    #[serde(flatten)]
    body: BodyPart<'a>,
}

#[derive(Debug, Serialize)]
struct SnapshotPart<'a> {
    c: i32,
    tenant: &'a str,
    category: &'a str,
    stream: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<i32>,
}

fn expected(expected: Expected) -> i64 {
    match expected {
        Expected::Any => -1,
        Expected::Exists => -2,
        Expected::NoStream => 0,
        Expected::Exactly(version) => bound(version),
    }
}

fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

impl<'a> Group<'a> {
    /// Adds a commit, whose collections are known.
    ///
    /// # Errors
    /// When a document holds a value that cannot be indexed.
    pub(crate) fn add(
        &mut self,
        commit: &'a Commit,
        fingerprint: &'a Fingerprint,
        known: &Known,
    ) -> Result<()> {
        // No `..`: a new part does not compile here until somebody stores or refuses it.
        let Commit {
            id,
            fences,
            guards,
            appends,
            documents,
            views,
            snapshots,
            checkpoint,
            inbox,
            timers,
            outgoing,
            settled,
            parked,
        } = commit;
        let c = self.ids.len() as i32 + 1;
        let before = self.places;
        let all_documents = || documents.iter().chain(views);
        // What can be refused here, before anything is added.
        let mut fields = Vec::new();
        let mut taken = HashSet::new();
        for write in all_documents() {
            let Some((collection, _)) = known.get(&*write.key.collection) else {
                return Err(Collection::undeclared(&write.key.collection));
            };
            let Some(body) = &write.body else { continue };
            for (n, value) in collection.values(&write.key.id, body)? {
                let (field, whose) = (&collection.fields[n], tenant(write.key.tenant.as_deref()));
                let value = value_text(&value);
                let place = (&write.key.tenant, &write.key.collection, n, value.clone());
                fields.push(FieldPart {
                    c,
                    tenant: whose,
                    collection: &write.key.collection,
                    field: field.name.clone().into_owned(),
                    twice: field.unique && !taken.insert(place),
                    value,
                    id: &write.key.id,
                    is_unique: field.unique,
                });
            }
        }
        let mut event_ids = HashSet::new();
        let mut events = appends.iter().flat_map(|append| &append.events).map(NewEvent::id);
        if let Some(id) = events.find(|id| !event_ids.insert(*id)) {
            return Err(Error::id_reused("event", id));
        }
        let mut message_ids = HashSet::new();
        let mut messages = outgoing.iter().map(|message| message.metadata.id());
        if let Some(id) = messages.find(|id| !message_ids.insert(*id)) {
            return Err(Error::id_reused("message", id));
        }

        self.ids.push(id.0.uuid());
        self.fingerprints.push(fingerprint.as_bytes());
        for append in appends {
            self.append(c, append);
        }
        for InboxMark { consumer, message, fingerprint, reply } in inbox {
            self.inbox.commits.push(c);
            self.inbox.consumers.push(consumer);
            self.inbox.messages.push(message.uuid());
            self.inbox.fingerprints.push(fingerprint.as_bytes());
            self.inbox.replies.push(reply.as_ref().map(Bytes::as_ref));
        }
        let (others, texts) = (&mut self.others, &mut self.texts);
        for write in all_documents() {
            let body = write.body.as_ref().map(|body| texts.place(body.as_str()));
            self.collections.insert(&write.key.collection);
            let of = known.get(&*write.key.collection);
            others.indexed |= of.is_some_and(|(collection, _)| !collection.fields.is_empty());
            others.deletes |= body.is_none();
            others.documents.push(DocumentPart {
                c,
                tenant: tenant(write.key.tenant.as_deref()),
                collection: &write.key.collection,
                id: &write.key.id,
                expected: expected(write.expected),
                gone: body.is_none().then_some(true),
                body,
            });
        }
        others.fields.extend(fields);
        let of_checkpoint = checkpoint.iter().filter_map(|checkpoint| checkpoint.fence.as_ref());
        for Fence { lease, token } in fences.iter().chain(of_checkpoint) {
            others.fences.push(FencePart { c, lease, token: bound(*token) });
        }
        guards.iter().for_each(|guard| others.guard(c, guard));
        if let Some(CheckpointWrite { subscription, partition, from, to, fence: _ }) = checkpoint {
            let partition = i64::from(*partition);
            let (since, till) = (bound(*from), bound(*to));
            others.checkpoints.push(CheckpointPart { c, subscription, partition, since, till });
        }
        for message in outgoing {
            self.places += 1;
            others.send(c, self.places, message, texts);
        }
        settled.iter().for_each(|settled| others.settle(c, settled));
        for TimerWrite { owner, tenant: whose, key, name, generation, due } in timers {
            let (tenant, generation) = (tenant(whose.as_deref()), bound(*generation));
            others.timers.push(TimerPart {
                c,
                owner,
                tenant,
                key,
                name,
                generation,
                due: micros(*due),
            });
        }
        parked.iter().for_each(|write| others.park(c, write, texts));
        snapshots.iter().for_each(|write| others.keep(c, write, texts));
        self.lasts.push(if self.places > before { self.places } else { 0 });
        Ok(())
    }

    fn append(&mut self, c: i32, append: &'a Append) {
        let Append { stream, expected: expects, events } = append;
        let whose = tenant(stream.tenant.as_deref());
        self.appends.commits.push(c);
        self.appends.tenants.push(whose);
        self.appends.categories.push(&stream.category);
        self.appends.streams.push(&stream.id);
        self.appends.expected.push(expected(*expects));
        let of = self.appends.commits.len() as i32;
        for (event, number) in events.iter().zip(1..) {
            self.places += 1;
            let (data, content_type, bytes) = body(&event.payload);
            let columns = &mut self.events;
            columns.appends.push(of);
            columns.numbers.push(number);
            columns.places.push(self.places);
            columns.tenants.push(whose);
            columns.categories.push(&stream.category);
            columns.streams.push(&stream.id);
            columns.types.push(&event.event_type);
            columns.schemas.push(event.schema_version.into());
            columns.ids.push(event.id().uuid());
            let tags = (!event.tags.is_empty()).then(|| cqrs_core::Page::join_tags(&event.tags));
            columns.tags.push(tags);
            columns.metadata.push(event.metadata.to_json());
            columns.data.push(data);
            columns.content_types.push(content_type);
            columns.bytes.push(bytes);
        }
    }

    /// The rarer parts; `None`: there are none.
    fn others(&self) -> Result<Option<String>> {
        let o = &self.others;
        let is_empty = o.fences.is_empty()
            && o.stream_guards.is_empty()
            && o.document_guards.is_empty()
            && o.none_matching.is_empty()
            && o.documents.is_empty()
            && o.checkpoints.is_empty()
            && o.outgoing.is_empty()
            && o.settled.is_empty()
            && o.timers.is_empty()
            && o.parked.is_empty()
            && o.snapshots.is_empty();
        if is_empty {
            return Ok(None);
        }
        serde_json::to_string(o).map(Some).map_err(|cause| {
            let context = "the parts of a commit cannot be encoded";
            Error::new(cqrs_core::ErrorKind::Internal, context).with_source(cause)
        })
    }

    /// All of it as the parameters of the statement. `strict`: a refusal is an error of the statement;
    /// `looks`: whether ids of events are looked for, and not only refused by their index.
    pub(crate) fn params<'p>(
        &'p self,
        terms: &'p Terms,
        known: &Known,
        strict: bool,
        looks: bool,
    ) -> Result<Vec<Param<'p>>> {
        fn list<T: ToSql + Sync + Send>(column: &Vec<T>) -> Param<'_> {
            Box::new((!column.is_empty()).then_some(column))
        }
        let (appends, events, inbox) = (&self.appends, &self.events, &self.inbox);
        let tags = events.tags.iter().any(Option::is_some).then_some(&events.tags);
        Ok(vec![
            Box::new(strict),
            Box::new(looks),
            Box::new(&terms.lock_timeout),
            Box::new(For(terms.keep_commit_ids)),
            Box::new(For(terms.keep_inbox)),
            Box::new(self.places),
            Box::new(&self.ids),
            Box::new(&self.fingerprints),
            Box::new(&self.lasts),
            list(&appends.commits),
            list(&appends.tenants),
            list(&appends.categories),
            list(&appends.streams),
            list(&appends.expected),
            list(&events.appends),
            list(&events.numbers),
            list(&events.places),
            list(&events.tenants),
            list(&events.categories),
            list(&events.streams),
            list(&events.types),
            list(&events.schemas),
            list(&events.ids),
            Box::new(tags),
            list(&events.metadata),
            list(&events.data),
            list(&events.content_types),
            list(&events.bytes),
            list(&inbox.commits),
            list(&inbox.consumers),
            list(&inbox.messages),
            list(&inbox.fingerprints),
            list(&inbox.replies),
            Box::new(self.collections(known).map(JsonText)),
            Box::new(self.others()?.map(JsonText)),
            list(&self.texts.0),
        ])
    }

    /// What the collections of the documents were declared as, as far as is known.
    fn collections(&self, known: &Known) -> Option<String> {
        if self.collections.is_empty() {
            return None;
        }
        let named = self.collections.iter().filter_map(|name| Some((name, &known.get(*name)?.1)));
        let named =
            named.map(|(name, fields)| serde_json::json!({ "name": name, "fields": fields }));
        Some(serde_json::Value::Array(named.collect()).to_string())
    }
}

impl<'a> Others<'a> {
    fn guard(&mut self, c: i32, guard: &'a Guard) {
        match guard {
            Guard::Stream { stream, expected: expects } => self.stream_guards.push(StreamPart {
                c,
                tenant: tenant(stream.tenant.as_deref()),
                category: &stream.category,
                stream: &stream.id,
                expected: expected(*expects),
            }),
            Guard::Document { key, expected: expects } => self.document_guards.push(DocumentPart {
                c,
                tenant: tenant(key.tenant.as_deref()),
                collection: &key.collection,
                id: &key.id,
                expected: expected(*expects),
                gone: None,
                body: None,
            }),
            Guard::NoneMatching { filter, after } => {
                let Filter { types, categories, streams, tags, tenant: whose, since } = filter;
                let of = |s: &'a cqrs_core::StreamId| {
                    [tenant(s.tenant.as_deref()), &*s.category, &*s.id]
                };
                let streams = streams.iter().map(of).collect();
                let (tenant, since) = (whose.as_deref(), micros(*since));
                let filter = FilterPart { types, categories, tags, streams, tenant, since };
                self.none_matching.push(MatchingPart { c, after: bound(*after), filter });
            }
        }
    }

    fn send(&mut self, c: i32, place: i32, message: &'a Outgoing, texts: &mut Texts<'a>) {
        let Outgoing { metadata, kind, name, key, body, not_before, answer_to, tries } = message;
        self.outgoing.push(OutgoingPart {
            c,
            place,
            not_before: micros(*not_before),
            id: metadata.id().uuid(),
            tries: match tries {
                Tries::Policy => None,
                Tries::AtMost(tries) => Some(i64::from(*tries)),
                Tries::UntilAnswered => Some(-1),
            },
            kind: kind.name(),
            name,
            key,
            tenant: tenant(metadata.tenant()),
            metadata: texts.place(metadata.to_json()),
            body: texts.body(body),
            answer_to: answer_to.as_ref(),
        });
    }

    fn settle(&mut self, c: i32, settled: &'a Settled) {
        self.settled.push(match settled {
            Settled::Outgoing(id) => SettledPart {
                c,
                kind: "outgoing",
                what: format!("the message {id}"),
                id: Some(id.uuid()),
                ..SettledPart::default()
            },
            Settled::Timer(timer) => SettledPart {
                c,
                kind: "timer",
                what: format!("the timer `{}` of `{}`/{}", timer.name, timer.owner, timer.key),
                owner: &timer.owner,
                tenant: tenant(timer.tenant.as_deref()),
                key: &timer.key,
                name: &timer.name,
                generation: bound(timer.generation),
                ..SettledPart::default()
            },
            Settled::Parked { subscription, position, key } => SettledPart {
                c,
                kind: "parked",
                what: format!("the parked entry {position}@{subscription}"),
                owner: subscription,
                key,
                position: bound(*position),
                ..SettledPart::default()
            },
        });
    }

    fn park(&mut self, c: i32, write: &'a ParkedWrite, texts: &mut Texts<'a>) {
        let ParkedWrite {
            subscription, position, expected: expects, partition, key, message, ..
        } = write;
        let ParkedWrite { state, due, cause, attempts, edited, .. } = write;
        self.parked.push(ParkedPart {
            c,
            subscription,
            position: bound(*position),
            key,
            expected: expected(*expects),
            partition: i64::from(*partition),
            message,
            state: state.name(),
            due: micros(*due),
            cause,
            attempts: *attempts,
            is_edited: edited.is_some(),
            body: edited.as_ref().map(|edited| texts.body(edited)).unwrap_or_default(),
        });
    }

    fn keep(&mut self, c: i32, write: &'a SnapshotWrite, texts: &mut Texts<'a>) {
        let stream = write.stream();
        let part = SnapshotPart {
            c,
            tenant: tenant(stream.tenant.as_deref()),
            category: &stream.category,
            stream: &stream.id,
            schema: None,
            version: 0,
            body: None,
        };
        self.snapshots.push(match write {
            SnapshotWrite::Keep { stream: _, schema, version, body } => SnapshotPart {
                schema: Some(hex(schema.as_bytes())),
                version: bound(*version),
                body: Some(texts.place(body.as_str())),
                ..part
            },
            SnapshotWrite::Forget { .. } => part,
        });
    }
}
