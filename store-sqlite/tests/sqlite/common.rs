//! Short ways to make commits and to read everything back.

use std::time::{Duration, Instant};

use cqrs_core::{
    Append, Commit, Expected, Filter, Json, MessageId, Metadata, NewEvent, Page, Pages, Payload,
    Position, ReadLog, Result, Store, StreamId,
};
use futures_util::StreamExt;
use rusqlite::Connection;
use uuid::Uuid;

/// An id that is the same in every process.
pub(crate) fn id(n: u128) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn event(event_type: &'static str) -> NewEvent {
    NewEvent::new(event_type, Payload::Json(Json::parse(r#"{"amount":7}"#).unwrap()))
}

pub(crate) fn event_with_id(id: MessageId) -> NewEvent {
    NewEvent { metadata: Metadata::of(id), ..event("bank.deposited") }
}

pub(crate) fn append(stream: &str, expected: Expected, events: Vec<NewEvent>) -> Append {
    Append { stream: StreamId::new("account", stream), expected, events }
}

/// One event for a stream, whatever is there.
pub(crate) fn deposit(stream: &str) -> Commit {
    let appends = vec![append(stream, Expected::Any, vec![event("bank.deposited")])];
    Commit { appends, ..Commit::default() }
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

/// Asks until it holds, for ten seconds at most.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    within(Duration::from_secs(10), what, holds).await;
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

/// Makes the tables those of the first version, which had neither snapshots nor a runtime.
pub(crate) fn back_to_the_first_version(file: &Connection) {
    file.execute_batch(
        "DROP VIEW leases; DROP TABLE lease_rows;
         DROP VIEW parked; DROP TABLE parked_rows;
         DROP VIEW timers; DROP TABLE timer_rows;
         DROP VIEW outgoing; DROP TABLE outgoing_rows;
         DROP INDEX documents_of;
         DROP VIEW inbox; ALTER TABLE inbox_rows DROP COLUMN at_us;
         CREATE VIEW inbox AS SELECT consumer, message_bytes, position, reply FROM inbox_rows;
         DROP VIEW snapshots; DROP TABLE snapshot_rows;
         PRAGMA user_version = 1",
    )
    .unwrap();
}
