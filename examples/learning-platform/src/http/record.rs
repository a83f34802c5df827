//! A recorded event, as it is sent to those who follow the log.

use std::borrow::Cow;

use bytes::Bytes;
use cqrs_core::{Page, PayloadRef, Recorded};
use serde::Serialize;
use serde_json::value::RawValue;

/// The data of one server-sent event.
#[derive(Serialize)]
struct Record<'a> {
    r#type: &'a str,
    stream: String,
    version: u64,
    position: u64,
    recorded_at: String,
    metadata: Metadata<'a>,
    data: Option<&'a RawValue>,
    /// There were data, and they were erased.
    #[serde(skip_serializing_if = "is_false")]
    erased: bool,
    /// The data are no JSON but of this media type, and not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
}

/// The recorded metadata, with the parts that a store keeps in columns of their own.
#[derive(Serialize)]
struct Metadata<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(flatten)]
    recorded: serde_json::Map<String, serde_json::Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The events of a page, one after the other.
pub(crate) fn page(page: &Page) -> Bytes {
    let mut text = Vec::with_capacity(page.size() * 2);
    for event in page.iter() {
        text.extend_from_slice(format!("id: {}\ndata: ", event.position).as_bytes());
        text.extend_from_slice(one(&event).as_bytes());
        text.extend_from_slice(b"\n\n");
    }
    text.into()
}

fn one(event: &Recorded<'_>) -> String {
    let (data, content_type) = match event.data {
        PayloadRef::Json(json) => (one_line(json), None),
        PayloadRef::Binary { content_type, .. } => (Cow::Borrowed("null"), Some(content_type)),
        PayloadRef::Erased => (Cow::Borrowed("null"), None),
    };
    let record = Record {
        r#type: event.event_type,
        stream: format!("{}/{}", event.category, event.stream),
        version: event.version,
        position: event.position,
        recorded_at: event.recorded_at.to_string(),
        metadata: Metadata {
            id: event.id.to_string(),
            tenant: event.tenant,
            recorded: serde_json::from_str(event.metadata_json).unwrap_or_default(),
        },
        data: serde_json::from_str(&data).ok(),
        erased: event.is_erased(),
        content_type,
    };
    // Everything in it came from JSON, or is a text.
    serde_json::to_string(&record).unwrap_or_default()
}

/// A line break would end the data of a server-sent event. In JSON it can only stand between
/// tokens, where a space does as well.
fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}

#[cfg(test)]
mod tests {
    use cqrs_core::{MessageId, Timestamp};
    use serde_json::{Value, json};

    use super::*;

    fn sent(data: PayloadRef<'_>, metadata_json: &str) -> Value {
        let mut recorded = Page::default();
        recorded.push(&Recorded {
            tenant: Some("acme"),
            category: "course",
            stream: "17",
            version: 2,
            position: 9,
            recorded_at: Timestamp::UNIX_EPOCH,
            event_type: "learning.course_published",
            schema_version: 1,
            id: MessageId::from_u128(1),
            joined_tags: "",
            metadata_json,
            data,
        });
        let text = String::from_utf8(page(&recorded).to_vec()).unwrap();
        let data = text.strip_prefix("id: 9\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        assert!(!data.contains('\n'), "{data}");
        serde_json::from_str(data).unwrap()
    }

    #[test]
    fn an_event_is_one_line_of_json() {
        let sent = sent(PayloadRef::Json("{\r\n\"a\": [1,\n2]}"), r#"{"correlation_id":"c"}"#);
        let id = MessageId::from_u128(1).to_string();
        let expected = json!({
            "type": "learning.course_published", "stream": "course/17", "version": 2, "position": 9,
            "recorded_at": "1970-01-01T00:00:00Z",
            "metadata": { "id": id, "tenant": "acme", "correlation_id": "c" },
            "data": { "a": [1, 2] },
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn what_was_erased_and_what_is_no_json_is_said_to_be_so() {
        let erased = sent(PayloadRef::Erased, "{}");
        assert_eq!((&erased["data"], &erased["erased"]), (&Value::Null, &json!(true)));
        let image = sent(PayloadRef::Binary { content_type: "image/png", bytes: b"\x89" }, "{}");
        assert_eq!((&image["data"], &image["content_type"]), (&Value::Null, &json!("image/png")));
    }
}
