//! Short ways to make commits and to read everything back.

use std::error::Error as _;
use std::time::{Duration, Instant};

use cqrs_core::{
    Append, Commit, CommitId, DocumentKey, DocumentWrite, Error, Expected, Filter, Json, MessageId,
    Metadata, NewEvent, Page, Pages, Payload, Position, ReadLog, Result, Store, StreamId,
};
use futures_util::StreamExt;

pub(crate) fn event(event_type: &'static str) -> NewEvent {
    NewEvent::new(event_type, Payload::Json(Json::parse(r#"{"amount":7}"#).unwrap()))
}

pub(crate) fn append(stream: &str, expected: Expected, events: Vec<NewEvent>) -> Append {
    Append { stream: StreamId::new("account", stream), expected, events }
}

/// One event for a stream. Its id is derived from that of the commit, as those of a repository are.
pub(crate) fn deposit(stream: &str, expected: Expected) -> Commit {
    let id = CommitId(MessageId::fresh());
    let event = NewEvent { metadata: Metadata::of(id.event(0)), ..event("bank.deposited") };
    let appends = vec![append(stream, expected, vec![event])];
    Commit { id, appends, ..Commit::default() }
}

/// As [`deposit`], with an event that says nothing of its commit.
pub(crate) fn loose(stream: &str, expected: Expected) -> Commit {
    let appends = vec![append(stream, expected, vec![event("bank.deposited")])];
    Commit { id: CommitId(MessageId::fresh()), appends, ..Commit::default() }
}

/// A commit of one document with this number, in the collection `paid`.
pub(crate) fn paid(id: &str, number: u32) -> Commit {
    let body = Json::parse(format!("{{\"number\":{number}}}")).unwrap();
    let put = DocumentWrite::put(DocumentKey::new("paid", id), Expected::Any, body);
    Commit { documents: vec![put], ..Commit::default() }
}

pub(crate) async fn collect(mut pages: Pages) -> Result<Vec<Page>> {
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        all.push(page?);
    }
    Ok(all)
}

pub(crate) fn positions(pages: &[Page]) -> Vec<Position> {
    pages.iter().flat_map(|page| page.iter().map(|event| event.position)).collect()
}

pub(crate) async fn log_of(store: &dyn Store, filter: Filter) -> Vec<Page> {
    collect(store.read_log(ReadLog::after(0).filter(filter))).await.unwrap()
}

/// The versions of a stream, in the order of the log.
pub(crate) async fn versions(store: &dyn Store, stream: &str) -> Vec<u64> {
    let streams = vec![StreamId::new("account", stream)];
    let pages = log_of(store, Filter { streams, ..Filter::default() }).await;
    pages.iter().flat_map(|page| page.iter().map(|event| event.version)).collect()
}

/// All that can be seen of an error.
pub(crate) fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push_str(&format!("{error} {error:?}"));
        cause = error.source();
    }
    shown
}

/// Asks until it holds, for so long at most. How long it took.
pub(crate) async fn within(
    bound: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> bool,
) -> Duration {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < bound, "not in {bound:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    started.elapsed()
}
