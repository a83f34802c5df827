//! A page of recorded events: one buffer, and events borrowed from it.

use std::panic::catch_unwind;

use crate::error::panic_text;
use crate::error::{Error, ErrorKind, Result};
use crate::message::event_set::{EventSet, Raw};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::payload::PayloadRef;
use crate::message::timestamp::Timestamp;
use crate::port::snapshot::SnapshotRef;
use crate::port::stream_id::StreamId;
use crate::port::{Position, Version};

/// Stands between tags in a page; no tag holds a control character.
const TAG_SEPARATOR: char = '\u{1f}';

/// A page of recorded events. All their parts lie in one buffer: reading a log costs no allocation
/// an event.
///
/// ```
/// use cqrs_core::{MessageId, Page, PayloadRef, Recorded, Timestamp};
///
/// let mut page = Page::default();
/// page.push(&Recorded {
///     tenant: None,
///     category: "account",
///     stream: "17",
///     version: 1,
///     position: 9,
///     recorded_at: Timestamp::UNIX_EPOCH,
///     event_type: "bank.opened",
///     schema_version: 1,
///     id: MessageId::fresh(),
///     joined_tags: "",
///     metadata_json: "{}",
///     data: PayloadRef::Json(r#"{"owner":"Ada"}"#),
/// });
/// page.reach(12);
/// assert_eq!(page.iter().next().unwrap().stream, "17");
/// assert_eq!((page.len(), page.through()), (1, 12));
/// ```
#[derive(Debug, Default, Clone)]
pub struct Page {
    text: String,
    bytes: Vec<u8>,
    rows: Vec<Row>,
    through: Position,
    snapshot: Option<(Version, Box<str>)>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    position: Position,
    version: Version,
    recorded_at: Timestamp,
    id: MessageId,
    schema_version: u16,
    payload: Kind,
    /// Where the parts begin in `text`, and an own body in `bytes`.
    start: usize,
    bytes_start: usize,
    /// Where they end, from `start`: tenant, category, stream, event type, tags, metadata, then
    /// the JSON body or the content type.
    ends: [u32; 7],
    bytes_len: u32,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Json,
    Binary,
    Erased,
}

/// A recorded event, borrowed from its [`Page`]. `T` is its body: raw as the store has it, or
/// decoded.
///
/// See [`Page`] for an example.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded<'a, T = PayloadRef<'a>> {
    /// Whose it is.
    pub tenant: Option<&'a str>,
    /// Category of its stream.
    pub category: &'a str,
    /// Id of its stream.
    pub stream: &'a str,
    /// Its place in the stream.
    pub version: Version,
    /// Its place in the log.
    pub position: Position,
    /// When it was recorded, by the store's clock. Never earlier than an event before it.
    pub recorded_at: Timestamp,
    /// Name of its type: maybe one that this code does not know.
    pub event_type: &'a str,
    /// Version of its body.
    pub schema_version: u16,
    /// Its id.
    pub id: MessageId,
    /// Its tags, each followed by the next after a unit separator (U+001F); see
    /// [`tags`](Self::tags).
    pub joined_tags: &'a str,
    /// The rest of its metadata as the store has it; see [`metadata`](Self::metadata).
    pub metadata_json: &'a str,
    /// Its body.
    pub data: T,
}

impl<'a, T> Recorded<'a, T> {
    /// The same event with another body.
    pub fn with<U>(&self, data: U) -> Recorded<'a, U> {
        Recorded {
            tenant: self.tenant,
            category: self.category,
            stream: self.stream,
            version: self.version,
            position: self.position,
            recorded_at: self.recorded_at,
            event_type: self.event_type,
            schema_version: self.schema_version,
            id: self.id,
            joined_tags: self.joined_tags,
            metadata_json: self.metadata_json,
            data,
        }
    }

    /// Its tags.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> + use<'a, T> {
        self.joined_tags.split(TAG_SEPARATOR).filter(|tag| !tag.is_empty())
    }

    /// Its stream's name, owned.
    pub fn stream_id(&self) -> StreamId {
        StreamId {
            tenant: self.tenant.map(Into::into),
            category: self.category.to_owned().into(),
            id: self.stream.to_owned(),
        }
    }

    /// Its metadata.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when it is not what this code writes.
    pub fn metadata(&self) -> Result<Metadata> {
        Metadata::from_json(self.id, self.tenant, self.metadata_json)
            .map_err(|cause| self.undecodable("its metadata", cause))
    }

    /// The error that names this event. See [`ErrorKind::Undecodable`].
    pub(crate) fn undecodable(&self, what: &str, cause: crate::BoxError) -> Error {
        let stream = self.stream_id().to_string();
        let context = format!(
            "`{}` at position {} (version {} of {stream}): {what} cannot be read: {cause}",
            self.event_type, self.position, self.version,
        );
        let kind = ErrorKind::Undecodable {
            stream,
            version: self.version,
            position: self.position,
            event_type: self.event_type.to_owned(),
        };
        Error::new(kind, context).with_source(cause)
    }
}

impl<'a> Recorded<'a> {
    /// Decodes the body, lifting older versions. `None`: not one of the set's types, or erased.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] with stream, position and cause (P6).
    pub fn decode<S: EventSet>(&self) -> Result<Option<Recorded<'a, S>>> {
        if self.is_erased() {
            return Ok(None);
        }
        let raw = Raw {
            event_type: self.event_type,
            schema_version: self.schema_version,
            payload: self.data,
        };
        // An upcaster or a `Deserialize` that panics is one that cannot read the event.
        let decoded = catch_unwind(|| S::from_raw(raw)).unwrap_or_else(|panic| {
            Some(Err(format!("it panicked: {}", panic_text(&*panic)).into()))
        });
        match decoded {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(self.with(event))),
            Some(Err(cause)) => Err(self.undecodable("its body", cause)),
        }
    }

    /// Whether its body was erased.
    pub const fn is_erased(&self) -> bool {
        matches!(self.data, PayloadRef::Erased)
    }
}

impl Page {
    /// An empty page with room for this many events and bytes.
    pub fn with_capacity(events: usize, bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            bytes: Vec::new(),
            rows: Vec::with_capacity(events),
            through: 0,
            snapshot: None,
        }
    }

    /// Adds an event at the end.
    pub fn push(&mut self, event: &Recorded<'_>) {
        let (start, bytes_start) = (self.text.len(), self.bytes.len());
        let (payload, text, bytes) = match event.data {
            PayloadRef::Json(text) => (Kind::Json, text, &[][..]),
            PayloadRef::Binary { content_type, bytes } => (Kind::Binary, content_type, bytes),
            PayloadRef::Erased => (Kind::Erased, "", &[][..]),
        };
        let parts = [
            event.tenant.unwrap_or_default(),
            event.category,
            event.stream,
            event.event_type,
            event.joined_tags,
            event.metadata_json,
            text,
        ];
        let ends = parts.map(|part| {
            self.text.push_str(part);
            // The limits of a commit keep an event far below 4 GiB.
            (self.text.len() - start) as u32
        });
        self.bytes.extend_from_slice(bytes);
        self.rows.push(Row {
            position: event.position,
            version: event.version,
            recorded_at: event.recorded_at,
            id: event.id,
            schema_version: event.schema_version,
            payload,
            start,
            bytes_start,
            ends,
            bytes_len: bytes.len() as u32,
        });
        self.reach(event.position);
    }

    /// Joins tags as [`Recorded::joined_tags`] has them.
    pub fn join_tags(tags: &[String]) -> String {
        tags.join("\u{1f}")
    }

    /// Notes that the log was looked through up to a position, matching or not.
    pub fn reach(&mut self, position: Position) {
        self.through = self.through.max(position);
    }

    /// The position up to which the log was looked through: at or after the last event, further
    /// when the filter let nothing more through.
    pub const fn through(&self) -> Position {
        self.through
    }

    /// Begins the page with a snapshot: for adapters. Its events are those after it.
    pub fn begin_with(&mut self, version: Version, body: impl Into<Box<str>>) {
        self.snapshot = Some((version, body.into()));
    }

    /// The snapshot before the events of the first page, where one was asked for
    /// ([`ReadStream::with_snapshot`](crate::ReadStream::with_snapshot)) and is there. See
    /// [`SnapshotWrite`](crate::SnapshotWrite) for an example.
    pub fn snapshot(&self) -> Option<SnapshotRef<'_>> {
        self.snapshot.as_ref().map(|(version, body)| SnapshotRef { version: *version, body })
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds no event.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of all parts of its events.
    pub fn size(&self) -> usize {
        self.text.len() + self.bytes.len()
    }

    /// Its events, in the order they were read.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Recorded<'_>> + ExactSizeIterator {
        self.rows.iter().map(|row| self.event(row))
    }

    /// The `n`-th event, from 0.
    pub fn get(&self, n: usize) -> Option<Recorded<'_>> {
        self.rows.get(n).map(|row| self.event(row))
    }

    fn event(&self, row: &Row) -> Recorded<'_> {
        let part = |n: usize| {
            let from = if n == 0 { 0 } else { row.ends[n - 1] as usize };
            &self.text[row.start + from..row.start + row.ends[n] as usize]
        };
        let tenant = part(0);
        Recorded {
            tenant: (!tenant.is_empty()).then_some(tenant),
            category: part(1),
            stream: part(2),
            event_type: part(3),
            joined_tags: part(4),
            metadata_json: part(5),
            version: row.version,
            position: row.position,
            recorded_at: row.recorded_at,
            schema_version: row.schema_version,
            id: row.id,
            data: match row.payload {
                Kind::Json => PayloadRef::Json(part(6)),
                Kind::Binary => PayloadRef::Binary {
                    content_type: part(6),
                    bytes: &self.bytes[row.bytes_start..row.bytes_start + row.bytes_len as usize],
                },
                Kind::Erased => PayloadRef::Erased,
            },
        }
    }
}
