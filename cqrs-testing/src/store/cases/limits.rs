//! Every limit: what is exactly as large is taken, what is one larger is refused by name, and
//! nothing of it is written.

use bytes::Bytes;
use cqrs_core::{
    Collection, DocumentKey, DocumentWrite, Expected, Filter, Guard, InboxMark, Json, MessageId,
    Metadata, NewEvent, Payload, ReadLog,
};
use futures_util::StreamExt;
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "limits":
    the_payload_of_an_event_has_a_limit,
    the_body_of_a_document_has_a_limit,
    a_stored_reply_has_a_limit,
    the_headers_of_an_event_have_a_limit,
    the_id_of_a_stream_has_a_limit,
    the_id_of_a_document_has_a_limit,
    the_name_of_a_consumer_has_a_limit,
    the_name_of_a_subscription_has_a_limit,
    names_have_a_limit,
    names_of_a_collection_have_a_limit,
    the_tags_of_an_event_have_a_limit,
    the_parts_of_a_commit_have_a_limit,
    the_bodies_of_a_commit_have_a_limit,
    a_filter_has_limits,
}

/// Commits what is at the limit, then what is over it, which must be refused by name.
pub(super) async fn edge(t: &Probe, limit: usize, named: &str, commit: impl Fn(usize) -> Commit) {
    let over = t.refused(commit(limit + 1)).await;
    assert_too_large(over.kind(), limit, named);
    t.applied(commit(limit)).await;
}

/// A body of so many bytes, cheap to make.
pub(super) fn binary(len: usize) -> Payload {
    Payload::Binary { content_type: "application/octet-stream".into(), bytes: vec![7; len].into() }
}

fn one(event: NewEvent) -> Commit {
    appends(&account("1"), Expected::Any, vec![event])
}

/// JSON of so many bytes.
fn json_of(len: usize) -> Json {
    body(&json!("x".repeat(len - 2)))
}

async fn the_payload_of_an_event_has_a_limit(t: Probe) {
    let limit = t.limits().payload;
    let text = |len| one(NewEvent { payload: Payload::Json(json_of(len)), ..event("bank.json") });
    edge(&t, limit, "bank.json", text).await;
    let bytes = |len| one(NewEvent { payload: binary(len), ..event("bank.binary") });
    edge(&t, limit, "bank.binary", bytes).await;
    let seen = t.stream(&account("1")).await;
    let Body::Binary { bytes, .. } = &seen[1].body else {
        panic!("a binary body comes back as one")
    };
    assert_eq!(bytes.len(), limit, "the body at the limit comes back whole");
}

async fn the_body_of_a_document_has_a_limit(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let limit = t.limits().payload;
    let put = |len| writes(vec![DocumentWrite::put(key("17"), Expected::Any, json_of(len))]);
    edge(&t, limit, "17", put).await;
    let document = t.tutor("17").await.expect("it is there");
    assert_eq!((document.version, document.body.len()), (1, limit), "at the limit");
}

async fn a_stored_reply_has_a_limit(t: Probe) {
    let limit = t.limits().payload;
    let message = MessageId::fresh();
    let answering = |len| {
        let reply = Some(Bytes::from(vec![7; len]));
        let mark = InboxMark { reply, ..mark("payments", message, None) };
        Commit { inbox: vec![mark], ..Commit::default() }
    };
    edge(&t, limit, "reply", answering).await;
    let entry = t.inbox("payments", message).await.expect("the inbox can be read");
    let reply = entry.and_then(|entry| entry.reply).map(|reply| reply.len());
    assert_eq!(reply, Some(limit), "the reply at the limit comes back whole");
}

async fn the_headers_of_an_event_have_a_limit(t: Probe) {
    let limit = t.limits().headers;
    let headers = |len: usize| {
        let metadata = Metadata::default().with_extension("x", "y".repeat(len - 1));
        one(NewEvent { metadata, ..event("bank.opened") })
    };
    edge(&t, limit, "headers", headers).await;
    let seen = t.stream(&account("1")).await;
    assert_eq!(seen[0].metadata.size(), limit, "the headers at the limit come back whole");
}

async fn the_id_of_a_stream_has_a_limit(t: Probe) {
    let limit = t.limits().id;
    edge(&t, limit, "stream", |len| grows(&account(&"s".repeat(len)), 1)).await;
    let stream = account(&"s".repeat(limit));
    assert_eq!(t.stream(&stream).await.len(), 1, "the stream with the longest id");
    // Bytes count, not characters.
    let over = t.refused(grows(&account(&format!("{}é", "s".repeat(limit - 1))), 1)).await;
    assert_too_large(over.kind(), limit, "stream");
}

async fn the_id_of_a_document_has_a_limit(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let limit = t.limits().id;
    edge(&t, limit, "document", |len| puts(&"d".repeat(len), &json!({}))).await;
    assert!(t.tutor(&"d".repeat(limit)).await.is_some(), "the document with the longest id");
}

async fn the_name_of_a_consumer_has_a_limit(t: Probe) {
    let (limit, message) = (t.limits().id, MessageId::fresh());
    let marking = |len| {
        let mark = mark(&"c".repeat(len), message, None);
        Commit { inbox: vec![mark], ..Commit::default() }
    };
    edge(&t, limit, "consumer", marking).await;
    let entry = t.inbox(&"c".repeat(limit), message).await.expect("the inbox can be read");
    assert!(entry.is_some(), "the mark of the consumer with the longest name");
}

async fn the_name_of_a_subscription_has_a_limit(t: Probe) {
    let limit = t.limits().id;
    let head = t.applied(grows(&account("1"), 1)).await;
    let moving = |len| {
        let checkpoint = Some(moves(&"s".repeat(len), 0, head));
        Commit { checkpoint, ..Commit::default() }
    };
    edge(&t, limit, "subscription", moving).await;
    assert_eq!(t.stands(&"s".repeat(limit), 0).await, Some(head), "the longest name");
}

async fn names_have_a_limit(t: Probe) {
    let limit = t.limits().name;
    let tenant = |len| grows(&account("1").with_tenant("t".repeat(len)), 1);
    edge(&t, limit, "tenant", tenant).await;
    edge(&t, limit, "category", |len| grows(&StreamId::new("c".repeat(len), "1"), 1)).await;
    edge(&t, limit, "event_type", |len| one(event(&"e".repeat(len)))).await;
    edge(&t, limit, "tag", |len| one(tagged("bank.opened", &[&"t".repeat(len)]))).await;
    let content_type = |len| {
        let payload =
            Payload::Binary { content_type: "m".repeat(len).into(), bytes: Bytes::default() };
        one(NewEvent { payload, ..event("bank.opened") })
    };
    edge(&t, limit, "content_type", content_type).await;
    let log = t.log().await;
    let long = |text: &str| text.len() == limit;
    assert!(log[0].stream.tenant.as_deref().is_some_and(long), "the tenant comes back whole");
    assert!(long(&log[1].stream.category), "the category comes back whole");
    assert!(long(&log[2].event_type), "the event type comes back whole");
    assert!(long(&log[3].tags[0]), "the tag comes back whole");
}

async fn names_of_a_collection_have_a_limit(t: Probe) {
    let limit = t.limits().name;
    let named = |len| Collection::new("c".repeat(len)).indexed("f".repeat(limit));
    t.declared(named(limit)).await;
    let error = t.declare(named(limit + 1)).await.expect_err("a name over the limit");
    assert_too_large(error.kind(), limit, "collection");
    let field = Collection::new(TUTOR).indexed("f".repeat(limit + 1));
    let error = t.declare(field).await.expect_err("a field over the limit");
    assert_too_large(error.kind(), limit, "field");
    let key = DocumentKey::new("c".repeat(limit), "17");
    let put =
        DocumentWrite::put(key.clone(), Expected::Any, body(&json!({ "f".repeat(limit): 1 })));
    t.applied(writes(vec![put])).await;
    let find = FindDocuments::by("c".repeat(limit), "f".repeat(limit), 1);
    assert_eq!(t.found(find).await, ["17"], "found by the longest names");
}

async fn the_tags_of_an_event_have_a_limit(t: Probe) {
    let limit = t.limits().tags;
    let tags = |n| {
        let tags = (0..n).map(|n| format!("tag:{n:05}")).collect::<Vec<_>>();
        one(NewEvent { tags, ..event("bank.opened") })
    };
    edge(&t, limit, "tags", tags).await;
    assert_eq!(t.log().await[0].tags.len(), limit, "all tags come back");
}

async fn the_parts_of_a_commit_have_a_limit(t: Probe) {
    let limit = t.limits().parts;
    // The append counts, too.
    edge(&t, limit, "parts", |n| grows(&account("1"), n - 1)).await;
    assert_eq!(t.stream(&account("1")).await.len(), limit - 1, "all events come back");
}

async fn the_bodies_of_a_commit_have_a_limit(t: Probe) {
    let (limit, payload) = (t.limits().commit, t.limits().payload);
    let whole = binary(payload);
    let filling = |len: usize| {
        let mut events = Vec::new();
        for _ in 0..len / payload {
            events.push(NewEvent { payload: whole.clone(), ..event("bank.noted") });
        }
        if !len.is_multiple_of(payload) {
            events.push(NewEvent { payload: binary(len % payload), ..event("bank.noted") });
        }
        appends(&account("1"), Expected::Any, events)
    };
    edge(&t, limit, "bodies", filling).await;
}

async fn a_filter_has_limits(t: Probe) {
    t.applied(grows(&account("1"), 1)).await;
    let limits = t.limits();
    let types = |n: usize| (0..n).map(|n| format!("bank.{n}").into()).collect();
    let of_types = |n| Filter { types: types(n), ..Filter::default() };
    let of_tag = |n: usize| Filter { tags: vec!["t".repeat(n)], ..Filter::default() };
    let of_stream =
        |n: usize| Filter { streams: vec![account(&"s".repeat(n))], ..Filter::default() };
    let edges = [
        (limits.parts, "entries", of_types(limits.parts), of_types(limits.parts + 1)),
        (limits.name, "name", of_tag(limits.name), of_tag(limits.name + 1)),
        (limits.id, "stream", of_stream(limits.id), of_stream(limits.id + 1)),
    ];
    for (limit, named, at, over) in edges {
        let error = match t.read_log(ReadLog::after(0).filter(over.clone())).next().await {
            Some(Err(error)) => error,
            page => panic!("a filter over the limit of its {named}: {page:?}"),
        };
        assert_too_large(error.kind(), limit, named);
        let guards = vec![Guard::NoneMatching { filter: over, after: 0 }];
        let error = t.refused(Commit { guards, ..grows(&account("1"), 1) }).await;
        assert_too_large(error.kind(), limit, named);
        let seen = t.log_of(ReadLog::after(0).filter(at)).await;
        assert!(seen.is_empty(), "a filter at the limit of its {named} matches nothing");
    }
}
