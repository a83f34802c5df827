//! What the cases write: short ways to make commits, events and documents.

use bytes::Bytes;
use cqrs_core::{
    Append, CheckpointWrite, Commit, Conflict, DocumentKey, DocumentWrite, Error, ErrorKind,
    Expected, Fingerprint, InboxMark, Json, MessageId, Metadata, NewEvent, Payload, Position,
    StreamId,
};
use serde_json::{Value, json};

/// The collection that the cases use.
pub(crate) const TUTOR: &str = "tutor";

/// A stream of the category that the cases use.
pub(crate) fn account(id: &str) -> StreamId {
    StreamId::new("account", id)
}

/// A JSON text.
pub(crate) fn body(value: &Value) -> Json {
    Json::encode(value).unwrap_or_else(|error| panic!("{error}"))
}

/// An event of a type.
pub(crate) fn event(event_type: &str) -> NewEvent {
    NewEvent::new(event_type.to_owned(), Payload::Json(body(&json!({ "amount": 1 }))))
}

/// An event with tags.
pub(crate) fn tagged(event_type: &str, tags: &[&str]) -> NewEvent {
    NewEvent { tags: tags.iter().map(|&tag| tag.to_owned()).collect(), ..event(event_type) }
}

/// So many events.
pub(crate) fn events(n: usize) -> Vec<NewEvent> {
    let numbered = |n| NewEvent {
        payload: Payload::Json(body(&json!({ "n": n }))),
        ..event("bank.deposited")
    };
    (0..n).map(numbered).collect()
}

/// An append.
pub(crate) fn append(stream: &StreamId, expected: Expected, events: Vec<NewEvent>) -> Append {
    Append { stream: stream.clone(), expected, events }
}

/// A commit with one append.
pub(crate) fn appends(stream: &StreamId, expected: Expected, events: Vec<NewEvent>) -> Commit {
    Commit { appends: vec![append(stream, expected, events)], ..Commit::default() }
}

/// A commit with so many events for a stream, whatever is there.
pub(crate) fn grows(stream: &StreamId, n: usize) -> Commit {
    appends(stream, Expected::Any, events(n))
}

/// A commit whose events have ids that are derived from its own, as those of a repository have.
pub(crate) fn named(mut commit: Commit) -> Commit {
    let events = commit.appends.iter_mut().flat_map(|append| &mut append.events);
    for (event, n) in events.zip(0..) {
        event.metadata = Metadata::of(commit.id.event(n));
    }
    commit
}

/// The key of a document.
pub(crate) fn key(id: &str) -> DocumentKey {
    DocumentKey::new(TUTOR, id)
}

/// A document to write.
pub(crate) fn put(id: &str, expected: Expected, value: &Value) -> DocumentWrite {
    DocumentWrite::put(key(id), expected, body(value))
}

/// A commit with documents.
pub(crate) fn writes(documents: Vec<DocumentWrite>) -> Commit {
    Commit { documents, ..Commit::default() }
}

/// A commit that puts one document, whatever is there.
pub(crate) fn puts(id: &str, value: &Value) -> Commit {
    writes(vec![put(id, Expected::Any, value)])
}

/// A commit that deletes one document, whatever is there.
pub(crate) fn deletes(id: &str) -> Commit {
    writes(vec![DocumentWrite::delete(key(id), Expected::Any)])
}

/// A mark: the message is handled.
pub(crate) fn mark(consumer: &str, message: MessageId, reply: Option<&'static str>) -> InboxMark {
    InboxMark {
        consumer: consumer.to_owned(),
        message,
        fingerprint: Fingerprint::of(b"what it said"),
        reply: reply.map(|reply| Bytes::from_static(reply.as_bytes())),
    }
}

/// A checkpoint.
pub(crate) fn moves(name: &str, from: Position, to: Position) -> CheckpointWrite {
    CheckpointWrite { subscription: name.to_owned(), partition: 0, from, to, fence: None }
}

/// Asserts that an error is this conflict.
#[track_caller]
pub(crate) fn assert_conflict(error: &Error, conflict: Conflict, why: &str) {
    assert_eq!(error.kind(), &ErrorKind::Conflict(conflict), "{why}: {error:?}");
}

/// Asserts that an error is the conflict of a stream at a version.
#[track_caller]
pub(crate) fn assert_stream_at(error: &Error, stream: &StreamId, actual: u64, why: &str) {
    assert_conflict(error, Conflict::Stream { stream: stream.to_string(), actual }, why);
}

/// Asserts that an error is the conflict of a document at a version.
#[track_caller]
pub(crate) fn assert_document_at(error: &Error, key: &DocumentKey, actual: u64, why: &str) {
    let (collection, id) = (key.collection.to_string(), key.id.clone());
    assert_conflict(error, Conflict::Document { collection, id, actual }, why);
}

/// Asserts that an error says that a value is not acceptable, and of which field.
#[track_caller]
pub(crate) fn assert_invalid(error: &Error, field: &str, why: &str) {
    let kind = ErrorKind::Invalid { field: Some(field.to_owned()) };
    assert_eq!(error.kind(), &kind, "{why}: {error:?}");
}

/// Asserts that an error names an id that stands for something else.
#[track_caller]
pub(crate) fn assert_reused(error: &Error, id: MessageId, why: &str) {
    assert_eq!(error.kind(), &ErrorKind::IdReused { id: id.to_string() }, "{why}: {error:?}");
}

/// Asserts that an error names what is one over a limit.
#[track_caller]
pub(crate) fn assert_too_large(kind: &ErrorKind, at: usize, named: &str) {
    let ErrorKind::TooLarge { what, size, limit } = kind else {
        panic!("{named} of {} over the limit {at} must be TooLarge, not {kind:?}", at + 1);
    };
    assert_eq!((*size, *limit), (at + 1, at), "the sizes in the error for {named}: {kind:?}");
    assert!(what.contains(named), "the error must name {named}: {kind:?}");
}
