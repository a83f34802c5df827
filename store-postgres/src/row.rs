//! Values of ours in columns, and back.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use cqrs_core::{
    BoxError, Error, ErrorKind, FieldValue, Fingerprint, Json, MessageId, Payload, PayloadRef,
    Recorded, StreamId, Timestamp,
};
use serde_json::value::RawValue;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use uuid::Uuid;

use crate::error::Trouble;

/// Microseconds from 1970 to 2000, where PostgreSQL begins to count.
const EPOCH: i64 = 946_684_800_000_000;

/// Before this PostgreSQL knows no time but `-infinity`: the year 4713 before Christ.
const FIRST: i64 = -210_866_803_200_000_000;

/// A time in a column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) Timestamp);

impl ToSql for At {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        let micros = self.0.as_micros();
        out.put_i64(match micros {
            i64::MAX => i64::MAX,
            ..=FIRST => i64::MIN,
            _ => micros.saturating_sub(EPOCH),
        });
        Ok(IsNull::No)
    }

    accepts!(TIMESTAMPTZ);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for At {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(Timestamp::from_micros(match micros {
            i64::MIN | i64::MAX => micros,
            _ => micros.saturating_add(EPOCH),
        })))
    }

    accepts!(TIMESTAMPTZ);
}

/// A stretch of time in a parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct For(pub(crate) Duration);

impl ToSql for For {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        // Ten thousand years are for ever.
        let most = Duration::from_secs(10_000 * 366 * 24 * 60 * 60);
        out.put_i64(self.0.min(most).as_micros() as i64);
        out.put_i64(0);
        Ok(IsNull::No)
    }

    accepts!(INTERVAL);
    to_sql_checked!();
}

/// JSON or a text as it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl<'a> FromSql<'a> for Text<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(std::str::from_utf8(raw)?))
    }

    accepts!(JSON, TEXT, VARCHAR);
}

/// JSON as its text, to be sent.
#[derive(Debug, Clone)]
pub(crate) struct JsonText<T>(pub(crate) T);

impl<T: AsRef<str> + std::fmt::Debug> ToSql for JsonText<T> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_slice(self.0.as_ref().as_bytes());
        Ok(IsNull::No)
    }

    accepts!(JSON);
    to_sql_checked!();
}

/// A tenant as the tables have it: '' is none. No tenant is empty, so the two never meet.
pub(crate) fn tenant(tenant: Option<&str>) -> &str {
    tenant.unwrap_or_default()
}

/// Whether a name may be in a table. The server refuses a text with NUL, and everything that is asked
/// with it: others may have asked with it.
pub(crate) fn can_exist(name: &str) -> bool {
    !name.contains('\0')
}

/// Whether somebody may be called so: '' stands for no tenant in the tables.
pub(crate) fn can_be_tenant(tenant: Option<&str>) -> bool {
    tenant.is_none_or(|tenant| !tenant.is_empty() && can_exist(tenant))
}

/// A tenant out of a column.
pub(crate) fn tenant_of(text: &str) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// A position or version to look for. A higher one than a column holds is after everything.
pub(crate) fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A digest out of a column.
pub(crate) fn fingerprint(row: &Row, index: usize) -> Result<Fingerprint, Trouble> {
    let bytes: &[u8] = row.try_get(index)?;
    let bytes = <[u8; 16]>::try_from(bytes)
        .map_err(|_| Error::new(ErrorKind::Internal, "a fingerprint in the tables is damaged"))?;
    Ok(Fingerprint::from_bytes(bytes))
}

/// A value of a declared field as the tables have it: see `document_fields`.
pub(crate) fn value_text(value: &FieldValue) -> String {
    match value {
        FieldValue::Text(text) if text.len() > 64 => format!("d{}", hex(digest(text).as_bytes())),
        FieldValue::Text(text) => format!("t{text}"),
        FieldValue::Integer(n) => format!("i{n}"),
        FieldValue::Bool(b) => format!("b{b}"),
    }
}

fn digest(text: &str) -> Fingerprint {
    Fingerprint::of(text.as_bytes())
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// A body from three columns: JSON, content type, bytes. Of JSON it is not asked whether a decoder
/// takes it: that is the matter of who handles it.
pub(crate) fn payload(row: &Row, index: usize) -> Result<Payload, BoxError> {
    let (data, bytes): (Option<Text<'_>>, Option<&[u8]>) =
        (row.try_get(index)?, row.try_get(index + 2)?);
    Ok(match (data, bytes) {
        (Some(Text(json)), _) => {
            Payload::Json(Json::encode(serde_json::from_str::<&RawValue>(json)?)?)
        }
        (None, Some(bytes)) => Payload::Binary {
            content_type: row.try_get::<_, String>(index + 1)?.into(),
            bytes: bytes.to_vec().into(),
        },
        (None, None) => Payload::Erased,
    })
}

/// Columns that all readings of events have.
pub(crate) const EVENT: usize = 11;

/// An event, borrowed from its columns; the first is at `from`. Those of its stream are behind them, where
/// it is not one stream that is read.
///
/// An event that cannot be read is never passed over (P6): the error names it.
pub(crate) fn event<'a>(
    row: &'a Row,
    from: usize,
    of: Option<&'a StreamId>,
) -> Result<Recorded<'a>, Trouble> {
    let parts = || {
        let text = |index: usize| row.try_get::<_, Text<'_>>(from + index).map(|Text(text)| text);
        let data = match (row.try_get(from + 8)?, row.try_get(from + 10)?) {
            (Some(Text(json)), _) => PayloadRef::Json(json),
            (None, Some(bytes)) => PayloadRef::Binary { content_type: text(9)?, bytes },
            (None, None) => PayloadRef::Erased,
        };
        let (tenant, category, stream) = match of {
            Some(of) => (of.tenant.as_deref(), &*of.category, &*of.id),
            None => {
                let tenant = text(EVENT)?;
                ((!tenant.is_empty()).then_some(tenant), text(EVENT + 1)?, text(EVENT + 2)?)
            }
        };
        // Of an event that is read for a fold there is no more than that needs.
        let recorded_at: Option<At> = row.try_get(from + 2)?;
        let id: Option<Uuid> = row.try_get(from + 3)?;
        let tags: Option<&str> = row.try_get(from + 6)?;
        let metadata: Option<Text<'_>> = row.try_get(from + 7)?;
        Ok(Recorded {
            tenant,
            category,
            stream,
            version: row.try_get::<_, i64>(from + 1)? as u64,
            position: row.try_get::<_, i64>(from)? as u64,
            recorded_at: recorded_at.map_or(Timestamp::UNIX_EPOCH, |At(time)| time),
            event_type: text(5)?,
            schema_version: u16::try_from(row.try_get::<_, i32>(from + 4)?)?,
            id: MessageId::from_uuid(id.unwrap_or_default()),
            joined_tags: tags.unwrap_or_default(),
            metadata_json: metadata.map_or("{}", |Text(json)| json),
            data,
        })
    };
    parts().map_err(|cause: BoxError| unreadable(row, from, of, cause))
}

#[cold]
fn unreadable(row: &Row, from: usize, of: Option<&StreamId>, cause: BoxError) -> Trouble {
    let text = |index: usize| row.try_get::<_, &str>(from + index).unwrap_or_default().to_owned();
    let number = |index: usize| row.try_get::<_, i64>(from + index).unwrap_or_default() as u64;
    let stream = match of {
        Some(of) => of.to_string(),
        None => {
            let stream = [text(EVENT), text(EVENT + 1), text(EVENT + 2)];
            stream[usize::from(stream[0].is_empty())..].join("/")
        }
    };
    let (position, version, event_type) = (number(0), number(1), text(5));
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
    fn times_come_back() {
        for micros in [0, -1, 1, EPOCH, i64::MAX, i64::MIN, 1_800_000_000_123_456] {
            let mut out = BytesMut::new();
            // As far as ours go: to the year 9999.
            let at = Timestamp::from_micros(micros);
            At(at).to_sql(&Type::TIMESTAMPTZ, &mut out).unwrap();
            let At(back) = At::from_sql(&Type::TIMESTAMPTZ, &out).unwrap();
            assert_eq!(back, at);
        }
    }

    #[test]
    fn a_value_is_never_one_of_another_type() {
        let texts = [
            FieldValue::from("1"),
            1i64.into(),
            true.into(),
            "true".into(),
            "x".repeat(65).into(),
            "x".repeat(66).into(),
        ];
        let mut texts: Vec<String> = texts.iter().map(value_text).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 6, "{texts:?}");
    }
}
