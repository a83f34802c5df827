//! Short ways to make commits and to read everything back.

use std::time::{Duration, Instant};

use cqrs_core::{
    Append, Commit, CommitId, DocumentKey, DocumentWrite, Expected, Filter, Json, MessageId,
    Metadata, NewEvent, Page, Pages, Payload, Position, ReadLog, Result, Store, StreamId,
};
use futures_util::StreamExt;
use store_postgres::tokio_postgres::{self, Client, NoTls};
use tempfile::TempDir;
use test_servers::{Postgres, PostgresBuilder};

pub(crate) fn event(event_type: &'static str) -> NewEvent {
    NewEvent::new(event_type, Payload::Json(Json::parse(r#"{"amount":7}"#).unwrap()))
}

pub(crate) fn event_with_id(id: MessageId) -> NewEvent {
    NewEvent { metadata: Metadata::of(id), ..event("bank.deposited") }
}

pub(crate) fn append(stream: &str, expected: Expected, events: Vec<NewEvent>) -> Append {
    Append { stream: StreamId::new("account", stream), expected, events }
}

/// One event for a stream. Its id is derived from that of the commit, as those of a repository are.
pub(crate) fn deposit(stream: &str, expected: Expected) -> Commit {
    deposit_as(CommitId(MessageId::fresh()), stream, expected)
}

/// As [`deposit`], by a commit of this id.
pub(crate) fn deposit_as(id: CommitId, stream: &str, expected: Expected) -> Commit {
    let appends = vec![append(stream, expected, vec![event_with_id(id.event(0))])];
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

/// How often or how long, as a variable says.
pub(crate) fn wanted(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |wanted| wanted.parse().unwrap())
}

/// A connection without a store.
pub(crate) async fn plain(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A server of this test's own, with the folder that it lies in.
pub(crate) struct Own {
    pub(crate) server: Postgres,
    _folder: TempDir,
}

impl Own {
    pub(crate) fn start() -> Self {
        Self::with(Postgres::builder())
    }

    pub(crate) fn with(builder: PostgresBuilder) -> Self {
        // On the disk that the build is on: a kill -9 is about what is on a disk.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = builder.start(folder.path()).unwrap_or_else(|error| panic!("{error}"));
        Self { server, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }
}
