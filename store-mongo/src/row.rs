//! Values of ours as BSON, and back.

use bson::raw::cstr;
use bson::raw::{RawBsonRef, RawDocument};
use bson::spec::BinarySubtype;
use bson::{Binary, DateTime, RawArrayBuf, RawDocumentBuf};
use cqrs_core::{
    BoxError, DocumentKey, Error, ErrorKind, FieldValue, Fingerprint, Json, LogId, MessageId,
    NewEvent, Page, Payload, PayloadRef, Recorded, StreamId, Timestamp, Version,
};
use uuid::Uuid;

use crate::error::Trouble;

/// Metadata that says nothing.
const NOTHING: &str = "{}";

/// A tenant as the collections have it: '' is none. No tenant is empty, so the two never meet.
pub(crate) fn tenant(tenant: Option<&str>) -> &str {
    tenant.unwrap_or_default()
}

/// Whether there can be such a tenant: '' would be found as none.
pub(crate) fn can_be_tenant(tenant: Option<&str>) -> bool {
    tenant != Some("")
}

/// A tenant out of a document.
pub(crate) fn tenant_of(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// A position or version to look for. A higher one than BSON holds is after everything.
pub(crate) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn uuid(id: Uuid) -> Binary {
    Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() }
}

pub(crate) fn id(id: MessageId) -> Binary {
    uuid(id.uuid())
}

pub(crate) fn bytes(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

pub(crate) fn time_of(date: DateTime) -> Timestamp {
    Timestamp::from_micros(date.timestamp_millis().saturating_mul(1_000))
}

/// Reads one field after the other, wherever it is.
pub(crate) struct Fields<'a>(pub(crate) &'a RawDocument);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Result<Option<RawBsonRef<'a>>, BoxError> {
        Ok(self.0.get(name)?.filter(|value| !matches!(value, RawBsonRef::Null)))
    }

    pub(crate) fn maybe_text(&self, name: &str) -> Result<Option<&'a str>, BoxError> {
        self.get(name)?.map(|value| value.as_str().ok_or_else(|| unlike(name))).transpose()
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, BoxError> {
        self.maybe_text(name)?.ok_or_else(|| unlike(name))
    }

    pub(crate) fn maybe_number(&self, name: &str) -> Result<Option<i64>, BoxError> {
        self.get(name)?.map(|value| number_of(value).ok_or_else(|| unlike(name))).transpose()
    }

    pub(crate) fn number(&self, name: &str) -> Result<i64, BoxError> {
        self.maybe_number(name)?.ok_or_else(|| unlike(name))
    }

    /// A position, version or count.
    pub(crate) fn count(&self, name: &str) -> Result<u64, BoxError> {
        Ok(self.number(name)?.try_into()?)
    }

    pub(crate) fn maybe_bytes(&self, name: &str) -> Result<Option<&'a [u8]>, BoxError> {
        let bytes = self.get(name)?;
        bytes.map(|value| Ok(value.as_binary().ok_or_else(|| unlike(name))?.bytes)).transpose()
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<&'a [u8], BoxError> {
        self.maybe_bytes(name)?.ok_or_else(|| unlike(name))
    }

    pub(crate) fn uuid(&self, name: &str) -> Result<Uuid, BoxError> {
        Ok(Uuid::from_slice(self.bytes(name)?)?)
    }

    pub(crate) fn fingerprint(&self, name: &str) -> Result<Fingerprint, BoxError> {
        Ok(Fingerprint::from_bytes(self.bytes(name)?.try_into()?))
    }

    pub(crate) fn date(&self, name: &str) -> Result<Timestamp, BoxError> {
        let date = self.get(name)?.and_then(RawBsonRef::as_datetime);
        Ok(time_of(date.ok_or_else(|| unlike(name))?))
    }

    pub(crate) fn datetime(&self, name: &str) -> Result<DateTime, BoxError> {
        let date = self.get(name)?.and_then(RawBsonRef::as_datetime);
        date.ok_or_else(|| unlike(name))
    }

    pub(crate) fn maybe_flag(&self, name: &str) -> Result<Option<bool>, BoxError> {
        self.get(name)?.map(|value| value.as_bool().ok_or_else(|| unlike(name))).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, BoxError> {
        let flag = self.get(name)?.and_then(RawBsonRef::as_bool);
        flag.ok_or_else(|| unlike(name))
    }

    /// A document in it.
    pub(crate) fn document(&self, name: &str) -> Result<Fields<'a>, BoxError> {
        let document = self.get(name)?.and_then(RawBsonRef::as_document);
        document.map(Fields).ok_or_else(|| unlike(name))
    }

    pub(crate) fn maybe_document(&self, name: &str) -> Result<Option<Fields<'a>>, BoxError> {
        let document = self.get(name)?;
        document
            .map(|value| value.as_document().map(Fields).ok_or_else(|| unlike(name)))
            .transpose()
    }

    /// A list of documents.
    pub(crate) fn documents(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<Fields<'a>, BoxError>> + use<'a>, BoxError> {
        let list = self.get(name)?.and_then(RawBsonRef::as_array);
        let list = list.ok_or_else(|| unlike(name))?;
        Ok(list.into_iter().map(|one| Ok(Fields(one?.as_document().ok_or("it is no document")?))))
    }

    /// A list of texts.
    pub(crate) fn texts(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<&'a str, BoxError>> + use<'a>, BoxError> {
        let list = self.get(name)?.and_then(RawBsonRef::as_array);
        let list = list.ok_or_else(|| unlike(name))?;
        Ok(list.into_iter().map(|text| Ok(text?.as_str().ok_or("a text is none")?)))
    }

    pub(crate) fn maybe_micros(&self, name: &str) -> Result<Option<Timestamp>, BoxError> {
        Ok(self.maybe_number(name)?.map(Timestamp::from_micros))
    }
}

fn unlike(name: &str) -> BoxError {
    format!("`{name}` is missing, or is something else").into()
}

/// What a shell may have written as another type of number.
fn number_of(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int64(n) => Some(n),
        RawBsonRef::Int32(n) => Some(n.into()),
        RawBsonRef::Double(n) if n.fract() == 0.0 && n.abs() < 9.0e15 => Some(n as i64),
        _ => None,
    }
}

/// Adds a body to a document: `data`, or `content_type` and `bytes`; an erased one has none.
pub(crate) fn put_body(document: &mut RawDocumentBuf, payload: &Payload) {
    match payload.as_ref() {
        PayloadRef::Json(text) => document.append(cstr!("data"), text),
        PayloadRef::Binary { content_type, bytes: body } => {
            document.append(cstr!("content_type"), content_type);
            document.append(cstr!("bytes"), bytes(body));
        }
        PayloadRef::Erased => {}
    }
}

pub(crate) fn body_of<'a>(fields: &Fields<'a>) -> Result<PayloadRef<'a>, BoxError> {
    if let Some(text) = fields.maybe_text("data")? {
        return Ok(PayloadRef::Json(text));
    }
    Ok(match fields.maybe_bytes("bytes")? {
        Some(bytes) => PayloadRef::Binary { content_type: fields.text("content_type")?, bytes },
        None => PayloadRef::Erased,
    })
}

/// The identity of the log, in its document.
pub(crate) fn id_of_log(log: &Fields<'_>) -> Result<LogId, BoxError> {
    Ok(LogId(log.uuid("log")?))
}

/// Bytes that are kept.
pub(crate) fn bytes_of(bytes: &[u8]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(bytes)
}

/// The key of a document, from its id.
pub(crate) fn document_key(id: &Fields<'_>) -> Result<DocumentKey, BoxError> {
    Ok(DocumentKey {
        tenant: tenant_of(id.text("tenant")?),
        collection: id.text("collection")?.to_owned().into(),
        id: id.text("id")?.to_owned(),
    })
}

/// A body that is kept. Of JSON it is asked whether it is.
pub(crate) fn payload_of(fields: &Fields<'_>) -> Result<Payload, BoxError> {
    Ok(match body_of(fields)? {
        PayloadRef::Json(text) => Payload::Json(Json::parse(text)?),
        other => other.to_owned(),
    })
}

/// The value of a declared field as the collection of documents has it: never one of another type or field.
pub(crate) fn value_text(field: &str, value: &FieldValue) -> String {
    match value {
        FieldValue::Text(text) => format!("{field}=t{text}"),
        FieldValue::Integer(n) => format!("{field}=i{n}"),
        FieldValue::Bool(b) => format!("{field}=b{b}"),
    }
}

/// Where an event goes.
pub(crate) struct Place<'a> {
    pub(crate) stream: &'a StreamId,
    pub(crate) version: Version,
    pub(crate) position: u64,
    pub(crate) recorded: DateTime,
    /// Of the first event of a commit that it alone tells of: what the commit says, and how many places it has.
    pub(crate) commit: Option<(Fingerprint, u64)>,
}

/// An event as its collection has it.
pub(crate) fn event(event: &NewEvent, place: &Place<'_>) -> RawDocumentBuf {
    let NewEvent { metadata, event_type, schema_version, tags, payload } = event;
    let Place { stream, version, position, recorded, commit } = place;
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), bound(*position));
    document.append(cstr!("tenant"), tenant(stream.tenant.as_deref()));
    document.append(cstr!("category"), &*stream.category);
    document.append(cstr!("stream"), &*stream.id);
    document.append(cstr!("version"), bound(*version));
    document.append(cstr!("type"), &**event_type);
    document.append(cstr!("schema_version"), i32::from(*schema_version));
    document.append(cstr!("id"), id(metadata.id()));
    document.append(cstr!("recorded_at"), *recorded);
    if !tags.is_empty() {
        let mut all = RawArrayBuf::new();
        tags.iter().for_each(|tag| all.push(tag.as_str()));
        document.append(cstr!("tags"), all);
    }
    let said = metadata.to_json();
    if said != NOTHING {
        document.append(cstr!("metadata"), said.as_str());
    }
    put_body(&mut document, payload);
    if let Some((fingerprint, places)) = commit {
        document.append(cstr!("fingerprint"), bytes(fingerprint.as_bytes()));
        document.append(cstr!("places"), bound(*places));
    }
    document
}

/// An event as it was read, but for its tags.
#[derive(Default)]
struct Parts<'a> {
    position: Option<i64>,
    tenant: &'a str,
    category: Option<&'a str>,
    stream: Option<&'a str>,
    version: Option<i64>,
    event_type: Option<&'a str>,
    schema_version: i64,
    id: Uuid,
    recorded: Option<DateTime>,
    metadata: Option<&'a str>,
    data: Option<&'a str>,
    content_type: &'a str,
    bytes: Option<&'a [u8]>,
}

/// Adds an event to a page. One that cannot be read is never passed over (P6): the error names it.
pub(crate) fn push(
    page: &mut Page,
    document: &RawDocument,
    tags: &mut String,
) -> Result<(), Trouble> {
    let mut parts = Parts::default();
    tags.clear();
    match read(document, &mut parts, tags) {
        Ok(()) => {}
        Err(cause) => return Err(unreadable(&parts, cause)),
    }
    let recorded = || {
        Ok::<_, BoxError>(Recorded {
            tenant: (!parts.tenant.is_empty()).then_some(parts.tenant),
            category: parts.category.ok_or_else(|| unlike("category"))?,
            stream: parts.stream.ok_or_else(|| unlike("stream"))?,
            version: parts.version.ok_or_else(|| unlike("version"))?.try_into()?,
            position: parts.position.ok_or_else(|| unlike("_id"))?.try_into()?,
            recorded_at: parts.recorded.map_or(Timestamp::UNIX_EPOCH, time_of),
            event_type: parts.event_type.ok_or_else(|| unlike("type"))?,
            schema_version: parts.schema_version.try_into()?,
            id: MessageId::from_uuid(parts.id),
            joined_tags: tags,
            metadata_json: parts.metadata.unwrap_or(NOTHING),
            data: match (parts.data, parts.bytes) {
                (Some(text), _) => PayloadRef::Json(text),
                (None, Some(bytes)) => {
                    PayloadRef::Binary { content_type: parts.content_type, bytes }
                }
                (None, None) => PayloadRef::Erased,
            },
        })
    };
    match recorded() {
        Ok(recorded) => {
            page.push(&recorded);
            Ok(())
        }
        Err(cause) => Err(unreadable(&parts, cause)),
    }
}

/// Reads all fields, in the order in which they lie.
fn read<'a>(
    document: &'a RawDocument,
    parts: &mut Parts<'a>,
    tags: &mut String,
) -> Result<(), BoxError> {
    for element in document.iter_elements() {
        let element = element?;
        let value = element.value()?;
        match element.key().as_str() {
            "_id" => parts.position = number_of(value),
            "tenant" => parts.tenant = value.as_str().ok_or_else(|| unlike("tenant"))?,
            "category" => parts.category = value.as_str(),
            "stream" => parts.stream = value.as_str(),
            "version" => parts.version = number_of(value),
            "type" => parts.event_type = value.as_str(),
            "schema_version" => {
                parts.schema_version = number_of(value).ok_or_else(|| unlike("schema_version"))?;
            }
            "id" => {
                let id = value.as_binary().ok_or_else(|| unlike("id"))?;
                parts.id = Uuid::from_slice(id.bytes)?;
            }
            "recorded_at" => parts.recorded = value.as_datetime(),
            "tags" => {
                for tag in value.as_array().ok_or_else(|| unlike("tags"))? {
                    if !tags.is_empty() {
                        tags.push('\u{1f}');
                    }
                    tags.push_str(tag?.as_str().ok_or_else(|| unlike("tags"))?);
                }
            }
            "metadata" => {
                parts.metadata = Some(value.as_str().ok_or_else(|| unlike("metadata"))?);
            }
            "data" => parts.data = Some(value.as_str().ok_or_else(|| unlike("data"))?),
            "content_type" => {
                parts.content_type = value.as_str().ok_or_else(|| unlike("content_type"))?;
            }
            "bytes" => {
                let bytes = value.as_binary().ok_or_else(|| unlike("bytes"))?;
                parts.bytes = Some(bytes.bytes);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cold]
fn unreadable(parts: &Parts<'_>, cause: BoxError) -> Trouble {
    let of_stream = [parts.category.unwrap_or("?"), parts.stream.unwrap_or("?")].join("/");
    let stream = match parts.tenant {
        "" => of_stream,
        tenant => format!("{tenant}/{of_stream}"),
    };
    let number = |number: Option<i64>| number.unwrap_or_default().max(0) as u64;
    let (position, version) = (number(parts.position), number(parts.version));
    let event_type = parts.event_type.unwrap_or("?").to_owned();
    let context = format!(
        "`{event_type}` at position {position} (version {version} of {stream}) cannot be read: \
         {cause}; repair its document"
    );
    let kind = ErrorKind::Undecodable { stream, version, position, event_type };
    Error::new(kind, context).with_source(cause).into()
}
