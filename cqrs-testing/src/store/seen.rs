//! Events as a reader saw them, owned, to compare with what was written.

use cqrs_core::{
    MessageId, Metadata, Page, Payload, PayloadRef, Position, Recorded, StreamId, Timestamp,
    Version,
};
use serde_json::Value;

/// An event that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) stream: StreamId,
    pub(crate) version: Version,
    pub(crate) position: Position,
    pub(crate) recorded_at: Timestamp,
    pub(crate) event_type: String,
    pub(crate) schema_version: u16,
    pub(crate) id: MessageId,
    /// Sorted: the order of tags says nothing.
    pub(crate) tags: Vec<String>,
    pub(crate) metadata: Metadata,
    pub(crate) body: Body,
}

/// What an event says. JSON by its meaning: a store may write it in another form.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Json(Value),
    Binary { content_type: String, bytes: Vec<u8> },
    Erased,
}

/// A page that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenPage {
    pub(crate) events: Vec<Seen>,
    pub(crate) through: Position,
    /// Its version and its body.
    pub(crate) snapshot: Option<(Version, Value)>,
}

impl Seen {
    fn of(event: &Recorded<'_>) -> Self {
        let metadata = event.metadata().unwrap_or_else(|error| panic!("{error:?}"));
        let mut tags = event.tags().map(str::to_owned).collect::<Vec<_>>();
        tags.sort();
        Self {
            stream: event.stream_id(),
            version: event.version,
            position: event.position,
            recorded_at: event.recorded_at,
            event_type: event.event_type.to_owned(),
            schema_version: event.schema_version,
            id: event.id,
            tags,
            metadata,
            body: Body::of(event.data),
        }
    }
}

impl Body {
    fn of(payload: PayloadRef<'_>) -> Self {
        match payload {
            PayloadRef::Json(text) => Self::Json(parsed(text)),
            PayloadRef::Binary { content_type, bytes } => {
                Self::Binary { content_type: content_type.to_owned(), bytes: bytes.to_vec() }
            }
            PayloadRef::Erased => Self::Erased,
        }
    }
}

impl From<&Payload> for Body {
    fn from(payload: &Payload) -> Self {
        Self::of(payload.as_ref())
    }
}

impl SeenPage {
    pub(crate) fn of(page: &Page) -> Self {
        let snapshot = page.snapshot().map(|kept| (kept.version, parsed(kept.body)));
        let events = page.iter().map(|e| Seen::of(&e)).collect();
        Self { events, through: page.through(), snapshot }
    }
}

fn parsed(text: &str) -> Value {
    let value = serde_json::from_str(text);
    value.unwrap_or_else(|error| panic!("the store gave JSON that is none: {error}: {text}"))
}

/// The positions, for messages that stay short.
pub(crate) fn positions(events: &[Seen]) -> Vec<Position> {
    events.iter().map(|event| event.position).collect()
}

/// The versions.
pub(crate) fn versions(events: &[Seen]) -> Vec<Version> {
    events.iter().map(|event| event.version).collect()
}

/// The ids.
pub(crate) fn ids(events: &[Seen]) -> Vec<MessageId> {
    events.iter().map(|event| event.id).collect()
}
