//! Values of ours in columns, and back.

use cqrs_core::{
    BoxError, Error, ErrorKind, FieldValue, Fingerprint, Json, MessageId, Page, Payload,
    PayloadRef, Recorded, StreamId, Timestamp,
};
use rusqlite::Row;
use rusqlite::types::{ToSqlOutput, Type, ValueRef};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::error::Trouble;

/// A tenant as the tables have it: '' is none. No tenant is empty, so the two never meet.
pub(crate) fn tenant(tenant: Option<&str>) -> &str {
    tenant.unwrap_or_default()
}

/// A digest from a column.
pub(crate) fn fingerprint(row: &Row<'_>, index: usize) -> rusqlite::Result<Fingerprint> {
    Ok(Fingerprint::from_bytes(row.get(index)?))
}

/// A UUID from a column of text.
pub(crate) fn uuid_text(row: &Row<'_>, index: usize) -> rusqlite::Result<Uuid> {
    let text = row.get_ref(index)?.as_str()?;
    Uuid::try_parse(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
    })
}

/// A value that is never equal to one of another type: SQLite has no booleans, so they are BLOBs.
pub(crate) fn value_to_sql(value: &FieldValue) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        FieldValue::Text(text) => ValueRef::Text(text.as_bytes()),
        FieldValue::Integer(n) => ValueRef::Integer(*n),
        FieldValue::Bool(true) => ValueRef::Blob(b"true"),
        FieldValue::Bool(false) => ValueRef::Blob(b"false"),
    })
}

/// A position to look after. A higher one than a column holds is after everything.
pub(crate) fn bound(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// The columns of a body: JSON, or content type and bytes; an erased one has none.
pub(crate) type Body<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a [u8]>);

pub(crate) fn body(payload: &Payload) -> Body<'_> {
    match payload.as_ref() {
        PayloadRef::Json(text) => (Some(text), None, None),
        PayloadRef::Binary { content_type, bytes } => (None, Some(content_type), Some(bytes)),
        PayloadRef::Erased => (None, None, None),
    }
}

/// A body from the columns `coalesce(data, bytes)` and `content_type`. Checked, because people edit
/// files, but no more than that it is JSON: one body that no decoder takes, nested too deep for one,
/// is the matter of who handles it, and must not hide the others.
pub(crate) fn payload(
    row: &Row<'_>,
    index: usize,
    content_type: usize,
) -> Result<Payload, BoxError> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => Payload::Erased,
        ValueRef::Blob(bytes) => Payload::Binary {
            content_type: row.get::<_, String>(content_type)?.into(),
            bytes: bytes.to_vec().into(),
        },
        json => Payload::Json(Json::encode(serde_json::from_str::<&RawValue>(json.as_str()?)?)?),
    })
}

/// Tags as a JSON list, so that people and `json_each` can read them; `None` without tags.
pub(crate) fn joined_to_json(tags: &[String]) -> Option<String> {
    (!tags.is_empty()).then(|| serde_json::Value::from(tags).to_string())
}

/// Tags as a page has them.
fn json_to_joined(json: &str) -> Result<String, BoxError> {
    // Without an escape in it, every `","` stands between two tags: no parser is needed.
    match json.strip_prefix("[\"").and_then(|rest| rest.strip_suffix("\"]")) {
        Some(inner) if !inner.contains('\\') => Ok(inner.replace("\",\"", "\u{1f}")),
        _ => Ok(Page::join_tags(&serde_json::from_str::<Vec<String>>(json)?)),
    }
}

/// Hands an event to `take`, borrowed from a row of the columns that all readings of events share.
/// A reading of one stream knows its name, and its rows are without.
///
/// An event that cannot be read is never passed over (P6): the error names it.
pub(crate) fn event<T>(
    row: &Row<'_>,
    of: Option<&StreamId>,
    take: impl FnOnce(&Recorded<'_>) -> T,
) -> Result<T, Trouble> {
    let number = |index| row.get::<_, i64>(index);
    let position = number(0)? as u64;
    let parts = || {
        let text = |index: usize| Ok::<_, Unreadable>(row.get_ref(index)?.as_str()?);
        let id = Uuid::from_slice(row.get_ref(7)?.as_blob()?)?;
        let tags = row.get_ref(9)?.as_str_or_null()?.map(json_to_joined).transpose()?;
        let (tenant, category, stream) = match of {
            Some(of) => (tenant(of.tenant.as_deref()), &*of.category, &*of.id),
            None => (text(1)?, text(2)?, text(3)?),
        };
        let data = match row.get_ref(11)? {
            ValueRef::Null => PayloadRef::Erased,
            ValueRef::Blob(bytes) => PayloadRef::Binary { content_type: text(12)?, bytes },
            body => PayloadRef::Json(body.as_str()?),
        };
        Ok::<_, Unreadable>(take(&Recorded {
            tenant: (!tenant.is_empty()).then_some(tenant),
            category,
            stream,
            version: number(4)? as u64,
            position,
            recorded_at: Timestamp::from_micros(number(8)?),
            event_type: text(5)?,
            schema_version: row.get(6)?,
            id: MessageId::from_uuid(id),
            joined_tags: tags.as_deref().unwrap_or_default(),
            metadata_json: text(10)?,
            data,
        }))
    };
    parts().map_err(|Unreadable(cause)| unreadable(row, of, position, cause))
}

struct Unreadable(BoxError);

impl<E: Into<BoxError>> From<E> for Unreadable {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[cold]
fn unreadable(row: &Row<'_>, of: Option<&StreamId>, position: u64, cause: BoxError) -> Trouble {
    let text = |index: usize| match row.get_ref(index) {
        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    };
    let stream = match of {
        Some(of) => of.to_string(),
        None => {
            let stream = [text(1), text(2), text(3)];
            stream[usize::from(stream[0].is_empty())..].join("/")
        }
    };
    let version = row.get::<_, i64>(4).unwrap_or_default() as u64;
    let event_type = text(5);
    let context = format!(
        "`{event_type}` at position {position} (version {version} of {stream}) cannot be read: \
         {cause}; repair its row"
    );
    let kind = ErrorKind::Undecodable { stream, version, position, event_type };
    Error::new(kind, context).with_source(cause).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_whatever_is_in_them() {
        let lists: [&[&str]; 5] = [
            &["a"],
            &["course:1", "student:2"],
            &["a\",\"b", "c"],
            &["back\\slash", "ümlaut", "[\"", "\"]"],
            &[","],
        ];
        for tags in lists {
            let tags = tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
            let json = joined_to_json(&tags).unwrap();
            assert_eq!(json_to_joined(&json).unwrap(), Page::join_tags(&tags), "{json}");
        }
        assert_eq!(joined_to_json(&[]), None);
    }
}
