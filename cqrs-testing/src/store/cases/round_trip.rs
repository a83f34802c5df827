//! What was written is what is read: metadata, bodies, tags, versions.

use bytes::Bytes;
use cqrs_core::{
    Expected, Json, MessageId, Metadata, NewEvent, Payload, ReadLog, ReadStream, Timestamp,
};
use serde_json::{Value, json};

use crate::store::cases::prelude::*;
use crate::store::seen::Seen;

cases! { "round_trip":
    metadata_comes_back_with_all_fields,
    empty_metadata_comes_back_empty,
    json_bodies_come_back,
    a_json_body_with_an_escaped_nul_comes_back,
    binary_bodies_come_back,
    an_erased_body_comes_back_erased,
    tags_come_back,
    versions_of_bodies_come_back,
    bodies_of_documents_come_back,
}

/// Writes an event and reads it back, from its stream and from the log.
async fn back(t: &Probe, event: NewEvent) -> Seen {
    let stream = account(&event.id().to_string());
    let position = t.applied(appends(&stream, Expected::NoStream, vec![event.clone()])).await;
    let mut of_stream = t.stream_of(ReadStream::of(stream.clone())).await;
    let of_log = t.log_of(ReadLog::after(position - 1)).await;
    assert_eq!(of_stream, of_log, "an event is the same in its stream and in the log");
    let seen = of_stream.remove(0);
    let place = (&seen.stream, seen.version, seen.position, seen.id);
    assert_eq!(place, (&stream, 1, position, event.id()), "where the event is");
    assert_eq!(seen.event_type, event.event_type, "its type");
    assert_eq!(seen.schema_version, event.schema_version, "the version of its body");
    assert_eq!(seen.metadata, event.metadata, "its metadata");
    assert_eq!(seen.body, Body::from(&event.payload), "its body");
    seen
}

fn says(payload: Payload) -> NewEvent {
    NewEvent { payload, ..event("bank.noted") }
}

async fn metadata_comes_back_with_all_fields(t: Probe) {
    let time = |text: &str| text.parse::<Timestamp>().expect("it is a time");
    let hostile = "a\"b'c\\d\0e\nf\u{1f}g🦀\u{202e}h";
    let metadata = Metadata::default()
        .with_correlation("a conversation")
        .with_causation(MessageId::fresh())
        .with_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with_actor(hostile)
        .with_partition_key("key of é")
        .with_occurred_at(time("1969-12-31T23:59:59.999999Z"))
        .with_deadline(time("2999-01-01T00:00:00.000001Z"))
        .with_extension("region", "eu")
        .with_extension("a.b$c \"d\"", hostile)
        .with_extension("", "");
    back(&t, NewEvent { metadata, ..event("bank.opened") }).await;
    let ends = Metadata::default().with_occurred_at(Timestamp::MIN).with_deadline(Timestamp::MAX);
    back(&t, NewEvent { metadata: ends, ..event("bank.opened") }).await;
}

async fn empty_metadata_comes_back_empty(t: Probe) {
    let seen = back(&t, event("bank.opened")).await;
    assert_eq!(seen.metadata.size(), 0, "nobody put anything in: {:?}", seen.metadata);
}

async fn json_bodies_come_back(t: Probe) {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(0.1),
        json!(1.0),
        json!(-1.5e300),
        json!(""),
        json!("quotes \" ' ` \\ / \u{1} \n \u{7f} é e\u{301} 🦀 \u{2028} \u{ffff}"),
        json!([]),
        json!({}),
        json!([[], {}, [null]]),
        json!({ "": 1, "$set": { "a.b": 2 }, "_id": 3, "__proto__": 4, "é": 5, "e\u{301}": 6 }),
        deep,
    ];
    for value in values {
        back(&t, says(Payload::Json(body(&value)))).await;
    }
    // White space says nothing, and the order of keys neither.
    let spaced = Json::parse("  { \"b\" : [ 1 , 2 ] ,\n \"a\" : 1e2 } ").expect("it is JSON");
    back(&t, says(Payload::Json(spaced))).await;
}

async fn a_json_body_with_an_escaped_nul_comes_back(t: Probe) {
    back(&t, says(Payload::Json(body(&json!({ "a\0": "b\0c" }))))).await;
}

async fn binary_bodies_come_back(t: Probe) {
    let all = Bytes::from((0..=255).collect::<Vec<u8>>());
    for bytes in [all, Bytes::new(), Bytes::from_static(b"{}"), Bytes::from_static(b"\0")] {
        for content_type in ["application/cbor", "text/plain; charset=\"utf-8\""] {
            let content_type = content_type.into();
            back(&t, says(Payload::Binary { content_type, bytes: bytes.clone() })).await;
        }
    }
}

async fn an_erased_body_comes_back_erased(t: Probe) {
    back(&t, says(Payload::Erased)).await;
    let mixed = vec![
        says(Payload::Json(body(&json!(1)))),
        says(Payload::Erased),
        says(Payload::Binary { content_type: "a/b".into(), bytes: Bytes::from_static(b"x") }),
        says(Payload::Erased),
        says(Payload::Json(body(&json!(2)))),
    ];
    let expected = mixed.iter().map(|event| Body::from(&event.payload)).collect::<Vec<_>>();
    t.applied(appends(&account("mixed"), Expected::Any, mixed)).await;
    let seen = t.stream(&account("mixed")).await.into_iter().map(|event| event.body);
    assert_eq!(seen.collect::<Vec<_>>(), expected, "bodies of all kinds in one stream");
}

async fn tags_come_back(t: Probe) {
    let lists: [&[&str]; 4] =
        [&[], &["red"], &["red", "blue"], &["a,b", "a b", "{a}", "\"a\"", "é"]];
    for tags in lists {
        let seen = back(&t, tagged("bank.opened", tags)).await;
        let mut expected = tags.to_vec();
        expected.sort_unstable();
        assert_eq!(seen.tags, expected, "the tags of an event");
    }
}

async fn versions_of_bodies_come_back(t: Probe) {
    for schema_version in [1, 2, u16::MAX] {
        back(&t, NewEvent { schema_version, ..event("bank.opened") }).await;
    }
}

async fn bodies_of_documents_come_back(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let values = [
        json!({}),
        json!([1, "two", null]),
        json!("text"),
        json!({ "$set": { "a.b": u64::MAX }, "_id": 1, "id": 2, "version": 3, "body": 4, "": 5 }),
        json!({ "text": "\" ' \\ é e\u{301} 🦀", "float": 0.1, "nested": [[{ "a": [] }]] }),
    ];
    for (n, value) in values.iter().enumerate() {
        t.applied(puts("17", value)).await;
        let document = t.tutor("17").await.expect("it is there");
        assert_eq!((document.id.as_str(), document.version), ("17", n as u64 + 1), "written again");
        let seen: Value = document.body.decode().expect("it is JSON");
        assert_eq!(seen, *value, "the body of a document");
        let found = t.find_documents(FindDocuments::all(TUTOR)).await.expect("they are found");
        let found = found.into_iter().map(|d| (d.version, d.body.decode().ok()));
        let expected = vec![(n as u64 + 1, Some(value.clone()))];
        assert_eq!(found.collect::<Vec<_>>(), expected, "the same when it is found");
    }
}
