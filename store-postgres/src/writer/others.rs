//! The parts of commits that are rarer than events: as JSON, a list for each kind.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cqrs_core::{
    AnswerTo, Error, Expected, Filter, Guard, Outgoing, ParkedWrite, Payload, Result, Settled,
    SnapshotWrite, Timestamp, Tries,
};
use serde::Serialize;
use uuid::Uuid;

use crate::row::{body, bound, hex, tenant};

/// Texts that may hold an escaped NUL, which no function of the server for JSON reads.
#[derive(Debug, Default)]
pub(super) struct Texts<'a>(pub(super) Vec<Cow<'a, str>>);

impl<'a> Texts<'a> {
    pub(super) fn place(&mut self, text: impl Into<Cow<'a, str>>) -> i32 {
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

/// The parts that are rarer, as JSON. `c` counts the commits from 1.
#[derive(Debug, Default, Serialize)]
pub(super) struct Others<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fences: Vec<FencePart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) stream_guards: Vec<StreamPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) document_guards: Vec<DocumentPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) none_matching: Vec<MatchingPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) documents: Vec<DocumentPart<'a>>,
    /// The collections of the documents that are rows of tables.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) mapped: BTreeSet<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fields: Vec<FieldPart<'a>>,
    /// Whether fields of the documents may be there.
    pub(super) indexed: bool,
    pub(super) deletes: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) checkpoints: Vec<CheckpointPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) outgoing: Vec<OutgoingPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) settled: Vec<SettledPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) timers: Vec<TimerPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parked: Vec<ParkedPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) snapshots: Vec<SnapshotPart<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct FencePart<'a> {
    pub(super) c: i32,
    pub(super) lease: &'a str,
    pub(super) token: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct StreamPart<'a> {
    c: i32,
    tenant: &'a str,
    category: &'a str,
    stream: &'a str,
    expected: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct DocumentPart<'a> {
    pub(super) c: i32,
    pub(super) tenant: &'a str,
    pub(super) collection: &'a str,
    pub(super) id: &'a str,
    pub(super) expected: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gone: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<i32>,
    /// What the row of a table is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<i32>,
}

#[derive(Debug, Serialize)]
pub(super) struct MatchingPart<'a> {
    c: i32,
    after: i64,
    filter: FilterPart<'a>,
}

/// A filter; what it does not name is left out.
#[derive(Debug, Serialize)]
pub(super) struct FilterPart<'a> {
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
pub(super) struct FieldPart<'a> {
    pub(super) c: i32,
    pub(super) tenant: &'a str,
    pub(super) collection: &'a str,
    pub(super) field: String,
    pub(super) value: String,
    pub(super) id: &'a str,
    pub(super) is_unique: bool,
    /// Another document of the same commit has the value.
    pub(super) twice: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct CheckpointPart<'a> {
    pub(super) c: i32,
    pub(super) subscription: &'a str,
    pub(super) partition: i64,
    pub(super) since: i64,
    pub(super) till: i64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct BodyPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct OutgoingPart<'a> {
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
pub(super) struct SettledPart<'a> {
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
pub(super) struct TimerPart<'a> {
    pub(super) c: i32,
    pub(super) owner: &'a str,
    pub(super) tenant: &'a str,
    pub(super) key: &'a str,
    pub(super) name: &'a str,
    pub(super) generation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(super) struct ParkedPart<'a> {
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
pub(super) struct SnapshotPart<'a> {
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

pub(super) fn expected(expected: Expected) -> i64 {
    match expected {
        Expected::Any => -1,
        Expected::Exists => -2,
        Expected::NoStream => 0,
        Expected::Exactly(version) => bound(version),
    }
}

pub(super) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

impl<'a> Others<'a> {
    pub(super) fn is_empty(&self) -> bool {
        let o = self;
        o.fences.is_empty()
            && o.stream_guards.is_empty()
            && o.document_guards.is_empty()
            && o.none_matching.is_empty()
            && o.documents.is_empty()
            && o.checkpoints.is_empty()
            && o.outgoing.is_empty()
            && o.settled.is_empty()
            && o.timers.is_empty()
            && o.parked.is_empty()
            && o.snapshots.is_empty()
    }

    /// All of them; `None`: there are none.
    pub(super) fn to_json(&self) -> Result<Option<String>> {
        if self.is_empty() {
            return Ok(None);
        }
        serde_json::to_string(self).map(Some).map_err(|cause| {
            let context = "the parts of a commit cannot be encoded";
            Error::new(cqrs_core::ErrorKind::Internal, context).with_source(cause)
        })
    }

    pub(super) fn guard(&mut self, c: i32, guard: &'a Guard) {
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
                row: None,
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

    pub(super) fn send(
        &mut self,
        c: i32,
        place: i32,
        message: &'a Outgoing,
        texts: &mut Texts<'a>,
    ) {
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

    pub(super) fn settle(&mut self, c: i32, settled: &'a Settled) {
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

    pub(super) fn park(&mut self, c: i32, write: &'a ParkedWrite, texts: &mut Texts<'a>) {
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

    pub(super) fn keep(&mut self, c: i32, write: &'a SnapshotWrite, texts: &mut Texts<'a>) {
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
