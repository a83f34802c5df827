//! Pages of the log by every plan, against the memory store; and reading while writing.

use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Clock, Commit, CommitId, Conflict, ErrorKind, Expected, Filter, Guard, ManualClock, Metadata,
    NewEvent, Page, ReadLog, ReadStream, Store, StreamId, Timestamp,
};
use futures_util::StreamExt;
use rusqlite::Connection;
use store_sqlite::SqliteStore;

use crate::common::{append, collect, deposit, event, id, log_of, positions};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// The same commits for both: a few streams, types, tenants, tags and moments.
async fn fill(store: &dyn Store, clock: &ManualClock) {
    for n in 0..300_u128 {
        let types = ["bank.opened", "bank.deposited", "bank.closed"];
        let tags = [(3, "three"), (5, "five"), (7, "seven")];
        let tags = tags.iter().filter(|(k, _)| n % k == 0).map(|(_, tag)| (*tag).to_owned());
        let event = NewEvent {
            metadata: Metadata::of(id(n)),
            tags: tags.collect(),
            ..event(types[n as usize % 3])
        };
        let mut append = append(&(n % 11).to_string(), Expected::Any, vec![event]);
        if n % 4 == 0 {
            append.stream = append.stream.with_tenant("acme");
        }
        if n % 13 == 0 {
            append.stream.category = "course".into();
        }
        clock.set(START.saturating_add(Duration::from_millis(n as u64 / 10)));
        let commit = Commit { id: CommitId(id(n)), appends: vec![append], ..Commit::default() };
        store.commit(commit).await.unwrap();
    }
}

fn filters() -> Vec<Filter> {
    let stream = |id: &str| StreamId::new("account", id);
    let tags = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
    let since = |ms| Some(START.saturating_add(Duration::from_millis(ms)));
    let none = Filter::default;
    vec![
        none(),
        Filter { types: vec!["bank.closed".into()], ..none() },
        Filter { types: vec!["no.such".into()], ..none() },
        Filter { categories: vec!["course".into()], ..none() },
        Filter { streams: vec![stream("3")], ..none() },
        Filter { streams: vec![stream("3"), stream("5"), stream("none")], ..none() },
        Filter { streams: (0..100).map(|n| stream(&n.to_string())).collect(), ..none() },
        Filter { streams: vec![stream("4").with_tenant("acme")], ..none() },
        Filter { streams: vec![stream("3"), stream("3")], types: vec!["x".into()], ..none() },
        Filter { tags: tags(&["three"]), ..none() },
        Filter { tags: tags(&["three", "five"]), ..none() },
        Filter { tags: tags(&["three", "five", "seven"]), ..none() },
        Filter { tags: tags(&["five", "none"]), ..none() },
        Filter { tags: tags(&["five", "five"]), streams: vec![stream("5")], ..none() },
        Filter { tenant: Some("acme".into()), ..none() },
        Filter { tenant: Some("".into()), ..none() },
        Filter { since: since(0), ..none() },
        Filter { since: since(15), tags: tags(&["seven"]), ..none() },
        Filter { since: since(29), streams: vec![stream("3")], ..none() },
        Filter { since: since(31), ..none() },
    ]
}

#[tokio::test]
async fn every_plan_finds_what_the_memory_store_finds() {
    let clock = ManualClock::default();
    let store = SqliteStore::builder().clock(clock.clone()).in_memory().await.unwrap();
    let memory = MemoryStore::with_clock(clock.clone());
    fill(&store, &clock).await;
    fill(&memory, &clock).await;
    for filter in filters() {
        for (after, size) in [(0, 1024), (0, 1), (0, 7), (123, 3), (299, 5), (300, 5)] {
            let read = ReadLog::after(after).filter(filter.clone()).page(size);
            let expected = collect(memory.read_log(read.clone())).await.unwrap();
            let pages = collect(store.read_log(read)).await.unwrap();
            let what = format!("{filter:?} after {after} by {size}");
            assert_eq!(positions(&pages), positions(&expected), "{what}");
            let through = pages.iter().map(Page::through).collect::<Vec<_>>();
            assert!(through.is_sorted() && through.last() == Some(&300), "{what}: {through:?}");
            assert!(pages.iter().all(|page| page.len() <= size as usize), "{what}");
        }
        let guard = Guard::NoneMatching { filter: filter.clone(), after: 200 };
        let guarded = || Commit { guards: vec![guard.clone()], ..Commit::default() };
        let found = |result: cqrs_core::Result<_>| match result.map_err(|e| e.kind().clone()) {
            Err(ErrorKind::Conflict(Conflict::NoneMatching { found, .. })) => Some(found),
            other => other.map(|_| None).unwrap(),
        };
        let expected = found(memory.commit(guarded()).await);
        assert_eq!(found(store.commit(guarded()).await), expected, "{filter:?}");
    }
    let whole = |pages: Vec<Page>| {
        pages.iter().flat_map(|p| p.iter().map(|e| format!("{e:?}"))).collect::<Vec<_>>()
    };
    let expected = whole(log_of(&memory, Filter::default()).await);
    assert_eq!(whole(log_of(&store, Filter::default()).await), expected);
}

#[tokio::test]
async fn every_stretch_of_a_stream_is_what_the_memory_store_reads() {
    let clock = ManualClock::default();
    let store = SqliteStore::builder().clock(clock.clone()).in_memory().await.unwrap();
    let memory = MemoryStore::with_clock(clock.clone());
    fill(&store, &clock).await;
    fill(&memory, &clock).await;
    let all = || ReadStream::of(StreamId::new("account", "3"));
    let until = START.saturating_add(Duration::from_millis(15));
    let reads = [
        all(),
        all().page(4),
        all().backwards().page(5),
        all().from(3).to(9).page(2),
        all().from(3).to(9).backwards().page(2),
        all().recorded_until(until).page(3),
        all().recorded_until(until).backwards().page(3),
        all().from(0).to(0),
        all().from(u64::MAX),
        ReadStream::of(StreamId::new("account", "none")),
        ReadStream::of(StreamId::new("account", "3").with_tenant("")),
    ];
    for read in reads {
        let expected = collect(memory.read_stream(read.clone())).await.unwrap();
        let pages = collect(store.read_stream(read.clone())).await.unwrap();
        assert_eq!(positions(&pages), positions(&expected), "{read:?}");
        let lengths = |pages: &[Page]| pages.iter().map(Page::len).collect::<Vec<_>>();
        assert_eq!(lengths(&pages), lengths(&expected), "{read:?}");
    }
}

#[tokio::test]
async fn a_filter_that_matches_nothing_gets_on_by_bounded_steps() {
    let store = SqliteStore::in_memory().await.unwrap();
    for n in 0..5_u128 {
        let events = (0..9_000).map(|_| event("bank.deposited")).collect();
        let appends = vec![append(&n.to_string(), Expected::Any, events)];
        store.commit(Commit { appends, ..Commit::default() }).await.unwrap();
    }
    let filter = Filter { types: vec!["no.such".into()], ..Filter::default() };
    let pages = log_of(&store, filter).await;
    assert!(pages.iter().all(Page::is_empty));
    let steps = pages.iter().map(Page::through).collect::<Vec<_>>();
    assert!(steps.len() > 2 && steps.is_sorted(), "{steps:?}");
    assert_eq!(steps.last(), Some(&45_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_writers_gets_every_event_once_and_in_order() {
    const COUNT: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("orders.db")).await.unwrap();
    let writers = (0..4).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..COUNT / 4 {
                store.commit(deposit(&task.to_string())).await.unwrap();
            }
        })
    });
    let writers = writers.collect::<Vec<_>>();
    let (mut given, mut after) = (Vec::new(), 0);
    while given.len() < COUNT {
        let mut pages = store.read_log(ReadLog::after(after).page(7));
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            given.extend(page.iter().map(|event| event.position));
            after = page.through();
        }
    }
    assert_eq!(given, (1..=COUNT as u64).collect::<Vec<_>>());
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named_and_never_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for _ in 0..3 {
        store.commit(deposit("17")).await.unwrap();
    }
    let damage = "UPDATE event_rows SET id_bytes = x'00' WHERE position = 2";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    let stream = StreamId::new("account", "17");
    for result in [
        collect(store.read_log(ReadLog::after(0))).await,
        collect(store.read_stream(ReadStream::of(stream))).await,
    ] {
        let kind = result.unwrap_err().kind().clone();
        let ErrorKind::Undecodable { stream, version, position, event_type } = kind else {
            panic!("{kind:?}");
        };
        assert_eq!((stream.as_str(), version, position), ("account/17", 2, 2));
        assert_eq!(event_type, "bank.deposited");
    }
}

#[tokio::test]
async fn the_clock_of_the_test_is_the_clock_of_the_store() {
    let clock = ManualClock::at(START);
    let store = SqliteStore::builder().clock(clock.clone()).in_memory().await.unwrap();
    store.commit(deposit("17")).await.unwrap();
    let pages = log_of(&store, Filter::default()).await;
    assert_eq!(pages[0].iter().next().unwrap().recorded_at, clock.now());
}
