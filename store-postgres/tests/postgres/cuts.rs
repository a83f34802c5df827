//! Connections that break in the middle of a message, or go silent.
//!
//! `CONNECTION_CUTS` makes it longer.

use std::time::{Duration, Instant};

use cqrs_core::{
    Commit, Committed, ErrorKind, Expected, Filter, ReadLog, ReadStream, Store, StreamId,
};
use futures_util::StreamExt;
use store_postgres::PostgresStore;
use test_servers::Proxy;

use crate::load::{self, RECOVERS, patient_and_not};
use crate::short::{Own, append, collect, deposit, event, log_of, positions, wanted, within};

/// A server with a way to it that can be disturbed.
fn proxied() -> (Own, Proxy, String) {
    let own = Own::start();
    let proxy = Proxy::to(own.server.port()).unwrap();
    let url = own.server.url_on(proxy.port());
    (own, proxy, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_however_often_connections_are_cut() {
    let cuts = wanted("CONNECTION_CUTS", 20) as usize;
    let (own, proxy, url) = tokio::task::spawn_blocking(proxied).await.unwrap();
    let stores = patient_and_not(&url).await;
    let load = load::begin(&stores, own.url()).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..cuts {
        load.goes_on(fastrand::u64(1..5), Duration::from_secs(30)).await;
        match fastrand::u8(..8) {
            0 => proxy.cut_all(),
            _ => {
                let before = proxy.cuts();
                proxy.cut_after(fastrand::usize(1..20_000));
                let bound = Duration::from_secs(30);
                within(bound, "it is cut", async || proxy.cuts() > before).await;
            }
        }
        slowest = slowest.max(load.goes_on(1, RECOVERS).await);
    }
    let done = load.end(&stores[0]).await;
    println!("{cuts} cuts, {done}; commits went on within {slowest:?}");
    for store in stores {
        store.close().await;
    }
    drop(own);
}

/// A store that is not patient, with a stream in it.
async fn hasty(url: &str) -> PostgresStore {
    let store = PostgresStore::builder(url).statement_timeout(SHORT).connect_timeout(SHORT);
    let store = store.patience(SHORT).connections(2).connect().await.unwrap();
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    assert_eq!(errors(&store).await, []);
    store
}

/// How long an answer may take.
const SHORT: Duration = Duration::from_millis(500);

/// Readings are tried again for a while when there is no connection.
const AT_MOST: Duration = Duration::from_secs(8);

/// Asks for something of each kind, all at once. The errors, each in time.
async fn errors(store: &PostgresStore) -> Vec<ErrorKind> {
    let started = Instant::now();
    let read = ReadStream::of(StreamId::new("account", "17"));
    let (commit, head, log, stream, timers) = tokio::join!(
        store.commit(deposit("17", Expected::Any)),
        store.head(),
        collect(store.read_log(ReadLog::after(0))),
        collect(store.read_stream(read)),
        store.leases(""),
    );
    assert!(started.elapsed() < AT_MOST, "{:?}", started.elapsed());
    let errors = [commit.err(), head.err(), log.err(), stream.err(), timers.err()];
    errors.into_iter().flatten().map(|error| error.kind().clone()).collect()
}

/// Waits until all is well again. How long it took.
async fn recovers(store: &PostgresStore) {
    let took = within(RECOVERS, "all is well again", async || errors(store).await.is_empty()).await;
    println!("well again within {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_an_error_in_time_and_all_is_well_when_it_speaks_again() {
    let (_own, proxy, url) = tokio::task::spawn_blocking(proxied).await.unwrap();
    let store = hasty(&url).await;
    proxy.hold();
    for n in 0..3 {
        let errors = errors(&store).await;
        assert_eq!(errors.len(), 5);
        // Only the first one was sent: there is no connection for the next.
        let of_commit = [ErrorKind::OutcomeUnknown, ErrorKind::Unavailable][n.min(1)].clone();
        assert_eq!(errors[0], of_commit);
        assert!(errors[1..].iter().all(|kind| *kind == ErrorKind::Unavailable), "{errors:?}");
    }
    proxy.go_on();
    recovers(&store).await;
    let connecting = PostgresStore::builder(&url).connect_timeout(SHORT);
    proxy.hold();
    let error = connecting.connect().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_forgotten_are_given_up_for_new_ones() {
    let (_own, proxy, url) = tokio::task::spawn_blocking(proxied).await.unwrap();
    let store = hasty(&url).await;
    for _ in 0..3 {
        proxy.forget();
        recovers(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_found_again_and_applied_once() {
    let (_own, proxy, url) = tokio::task::spawn_blocking(proxied).await.unwrap();
    let store = PostgresStore::connect(&url).await.unwrap();
    for n in 0..5 {
        let commit = deposit("17", Expected::Exactly(n));
        // In the middle of the answer: it is written by then.
        proxy.cut_after_answer(10);
        let first = store.commit(commit.clone()).await.unwrap();
        let position = first.position();
        assert_eq!(first, Committed::Now { position });
        assert_eq!(proxy.cuts(), n as usize + 1);
        let repeat = store.commit(commit).await.unwrap();
        assert_eq!(repeat, Committed::Before { position, reply: None });
    }
    assert_eq!(log_of(&store, Filter::default()).await[0].len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_that_is_cut_goes_on_where_it_was_and_one_that_goes_silent_ends_in_time() {
    const COMMITS: u64 = 40;
    let (_own, proxy, url) = tokio::task::spawn_blocking(proxied).await.unwrap();
    let store = hasty(&url).await;
    for n in 0..COMMITS {
        let events = (0..100).map(|_| event("bank.deposited")).collect();
        let appends = vec![append("long", Expected::Exactly(n * 100), events)];
        store.commit(Commit { appends, ..Commit::default() }).await.unwrap();
    }
    let all = positions(&log_of(&store, Filter::default()).await);
    let stream = || ReadStream::of(StreamId::new("account", "long")).page(10);
    for read in [true, false] {
        let pages = || match read {
            true => store.read_log(ReadLog::after(0).page(10)),
            false => store.read_stream(stream()),
        };
        let whole = collect(pages()).await.unwrap();
        for _ in 0..10 {
            proxy.cut_after(fastrand::usize(1..200_000));
            let given = collect(pages()).await.unwrap();
            assert_eq!(positions(&given), positions(&whole));
        }
        proxy.cut_after(usize::MAX);
        for taken in [1, 3, 20] {
            let (mut reading, started) = (pages(), Instant::now());
            for _ in 0..taken {
                reading.next().await.unwrap().unwrap();
            }
            proxy.hold();
            let error = loop {
                match tokio::time::timeout(AT_MOST, reading.next()).await.expect("it hangs") {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            };
            let kind = error.map(|error| error.kind().clone());
            assert_eq!(kind, Some(ErrorKind::Unavailable), "after {taken} pages");
            assert!(started.elapsed() < AT_MOST, "{:?}", started.elapsed());
            proxy.go_on();
            recovers(&store).await;
        }
    }
    assert!(all.len() > 4_000);
}
