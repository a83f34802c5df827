//! Projections into the user's own collections: each event exactly once, whatever becomes of the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cqrs_core::{
    CheckpointWrite, Commit, Committed, Conflict, ErrorKind, Event, EventType, Expected, Fence,
    HandlerError, LeaseRequest, ReadLog, Recorded, Sink, SinkEvents, Store,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use store_mongo::bson::{Document, doc};
use store_mongo::mongodb::{ClientSession, Database, IndexModel, error, options::IndexOptions};
use store_mongo::{MongoProjection, MongoSink, MongoStore};
use test_servers::Proxy;

use crate::common::{self, Database as Own};
use crate::faults::{FAULTS, Failing, named};
use crate::own::{self, wanted};
use crate::short::deposit;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deposited {
    amount: u32,
}

impl Event for Deposited {
    const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// What is wrong at the second event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Fails,
    Panics,
    /// The server refuses what it writes, and ends the transaction.
    Twice,
    /// The same, and the error is told in its own words.
    TwiceInWords,
    /// It takes no notice of that.
    TwiceInSilence,
}

/// Notes positions. None is noted twice, or the server says so.
struct Seen {
    wrong: Wrong,
    calls: Arc<AtomicU64>,
}

#[async_trait]
impl MongoProjection for Seen {
    type Input = Deposited;

    async fn setup(&self, database: &Database) -> Result<(), error::Error> {
        let unique = IndexOptions::builder().unique(true).build();
        let index = IndexModel::builder().keys(doc! { "position": 1 }).options(unique).build();
        database.collection::<Document>("seen").create_index(index).await.map(drop)
    }

    async fn project(
        &self,
        event: &Recorded<'_, Deposited>,
        database: &Database,
        session: &mut ClientSession,
    ) -> Result<(), HandlerError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let seen = database.collection::<Document>("seen");
        let row = |position: u64| doc! { "position": position as i64, "amount": event.data.amount };
        let is_second = event.position == 2;
        match self.wrong {
            Wrong::Fails if is_second => return Err("no".into()),
            Wrong::Panics if is_second => panic!("no"),
            Wrong::Twice if is_second => {
                seen.insert_one(row(1)).session(&mut *session).await?;
            }
            Wrong::TwiceInWords if is_second => {
                let refused = seen.insert_one(row(1)).session(&mut *session).await.unwrap_err();
                return Err(format!("not noted: {refused}").into());
            }
            Wrong::TwiceInSilence if is_second => {
                let _ = seen.insert_one(row(1)).session(&mut *session).await;
                return Ok(());
            }
            _ => {}
        }
        seen.insert_one(row(event.position)).session(session).await?;
        Ok(())
    }
}

/// A sink, and how often it was called.
async fn sink(store: &MongoStore, wrong: Wrong) -> (MongoSink<Seen>, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    (store.sink(Seen { wrong, calls: calls.clone() }).await.unwrap(), calls)
}

fn moves(from: u64, to: u64) -> Commit {
    let subscription = "seen".to_owned();
    let checkpoint = CheckpointWrite { subscription, partition: 0, from, to, fence: None };
    Commit { checkpoint: Some(checkpoint), ..Commit::default() }
}

/// What is noted, in the order of positions.
async fn seen(store: &MongoStore) -> Vec<i64> {
    let rows = store.database().collection::<Document>("seen");
    let mut found = rows.find(doc! {}).sort(doc! { "position": 1 }).await.unwrap();
    let mut seen = Vec::new();
    while found.advance().await.unwrap() {
        seen.push(found.deserialize_current().unwrap().get_i64("position").unwrap());
    }
    seen
}

async fn checkpoint(store: &MongoStore) -> Option<u64> {
    store.checkpoint("seen", 0).await.unwrap()
}

/// Deposits, and the events of the log after a position, for a sink.
async fn events(store: &MongoStore, count: usize, after: u64) -> SinkEvents {
    for _ in 0..count {
        store.commit(deposit("17", Expected::Any)).await.unwrap();
    }
    let page = store.read_log(ReadLog::after(after)).next().await.unwrap().unwrap();
    SinkEvents::new(Arc::new(page), |_| true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_refused_leaves_nothing_and_one_that_was_applied_is_not_applied_again() {
    let database = Own::new();
    let store = common::store(&database.0).connect().await.unwrap();
    let page = events(&store, 2, 0).await;
    let (sink, calls) = sink(&store, Wrong::Nothing).await;
    let error = sink.apply(page.clone(), moves(0, 8)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BeyondHead { position: 8, .. }), "{error:?}");
    let error = sink.apply(page.clone(), moves(1, 2)).await.unwrap_err();
    let conflict =
        Conflict::Checkpoint { subscription: "seen".to_owned(), partition: 0, actual: 0 };
    assert_eq!(*error.kind(), ErrorKind::Conflict(conflict));
    assert_eq!((seen(&store).await, checkpoint(&store).await), (vec![], None));
    for (n, also) in [Commit::default(), deposit("18", Expected::Any)].into_iter().enumerate() {
        let n = n as u64;
        // A checkpoint alone, and one with more.
        let commit = Commit { checkpoint: moves(2 * n, 2 * n + 2).checkpoint, ..also };
        let page = match n {
            0 => page.clone(),
            _ => events(&store, 2, 2).await,
        };
        calls.store(0, Ordering::Relaxed);
        let applied = sink.apply(page.clone(), commit.clone()).await.unwrap();
        assert!(matches!(applied, Committed::Now { .. }), "{applied:?}");
        let again = sink.apply(page.clone(), commit.clone()).await.unwrap();
        assert_eq!(again, Committed::Before { position: applied.position(), reply: None });
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        // Whatever moved the checkpoint.
        let error = sink.apply(page, moves(2 * n, 2 * n + 2)).await.unwrap_err();
        let conflicts = matches!(error.kind(), ErrorKind::Conflict(Conflict::Checkpoint { .. }));
        assert!(conflicts, "{error:?}");
    }
    assert_eq!((seen(&store).await, checkpoint(&store).await), (vec![1, 2, 3, 4], Some(4)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_fails_or_panics_takes_its_page_with_it_and_is_named_at_once() {
    for wrong in
        [Wrong::Fails, Wrong::Panics, Wrong::Twice, Wrong::TwiceInWords, Wrong::TwiceInSilence]
    {
        for is_alone in [true, false] {
            let database = Own::new();
            let store = common::store(&database.0).connect().await.unwrap();
            let page = events(&store, 3, 0).await;
            let (fails, calls) = sink(&store, wrong).await;
            let also = match is_alone {
                true => Commit::default(),
                false => deposit("18", Expected::NoStream),
            };
            let commit = Commit { checkpoint: moves(0, 3).checkpoint, ..also };
            let began = Instant::now();
            let error = fails.apply(page.clone(), commit.clone()).await.unwrap_err();
            let (took, what) = (began.elapsed(), format!("{wrong:?}, alone: {is_alone}"));
            println!("{what}: {} calls in {took:?}", calls.load(Ordering::Relaxed));
            let ErrorKind::EventNotHandled { handler, position, fatal, .. } = error.kind() else {
                panic!("{what}: {error:?}");
            };
            // Where nobody has said anything, the next one finds out.
            let at = if wrong == Wrong::TwiceInSilence { 3 } else { 2 };
            assert_eq!((&**handler, *position, *fatal), ("seen", at, false), "{what}: {error}");
            assert!(took < Duration::from_secs(5), "{what}: {took:?}");
            assert_eq!((seen(&store).await, checkpoint(&store).await), (vec![], None), "{what}");
            assert_eq!(store.head().await.unwrap().position, 3, "{what}");
            // Others write meanwhile, and it goes on when it is right again.
            store.commit(deposit("17", Expected::Exactly(3))).await.unwrap();
            let (right, _) = sink(&store, Wrong::Nothing).await;
            right.apply(page, commit).await.unwrap();
            let noted = (seen(&store).await, checkpoint(&store).await);
            assert_eq!(noted, (vec![1, 2, 3], Some(3)), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_the_last_event_of_a_page_passes_over_is_told_all_the_same() {
    for is_alone in [true, false] {
        let database = Own::new();
        let store = common::store(&database.0).connect().await.unwrap();
        let page = events(&store, 2, 0).await;
        let (fails, _) = sink(&store, Wrong::TwiceInSilence).await;
        let also = match is_alone {
            true => Commit::default(),
            false => deposit("18", Expected::NoStream),
        };
        let commit = Commit { checkpoint: moves(0, 2).checkpoint, ..also };
        let began = Instant::now();
        let error = fails.apply(page, commit).await.unwrap_err();
        let ErrorKind::EventNotHandled { handler, position, fatal, .. } = error.kind() else {
            panic!("alone: {is_alone}: {error:?}");
        };
        assert_eq!((&**handler, *position, *fatal), ("seen", 2, false), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!((seen(&store).await, checkpoint(&store).await), (vec![], None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_applied_once_whichever_of_its_commands_fails() {
    let database = Own::new();
    let store = named(&database.0, "sink_fails", Duration::from_secs(20)).await;
    let failing = Failing::of("sink_fails").await;
    let (sink, _) = sink(&store, Wrong::Nothing).await;
    let mut last = 0;
    for is_alone in [true, false] {
        for command in ["findAndModify", "aggregate", "insert", "update", "commitTransaction"] {
            for fault in FAULTS.into_iter().filter(|fault| fault.befalls(command)) {
                let page = events(&store, 1, last).await;
                let to = page.iter().map(|event| event.position).max().unwrap();
                let also = match is_alone {
                    true => Commit::default(),
                    false => deposit("18", Expected::Any),
                };
                let commit = Commit { checkpoint: moves(last, to).checkpoint, ..also };
                failing.set(command, fault, 1).await;
                let applied = sink.apply(page, commit).await;
                failing.unset().await;
                let what = format!("{command} fails: {fault:?}, alone: {is_alone}");
                let applied = applied.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert!(matches!(applied, Committed::Now { .. }), "{what}: {applied:?}");
                assert_eq!(checkpoint(&store).await, Some(to), "{what}");
                last = to;
            }
        }
    }
    let noted = seen(&store).await;
    assert_eq!(noted, (1..=last as i64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_applied_once_wherever_its_connection_is_cut() {
    let own = own::Own::begin(1).await;
    let proxy = Proxy::to(own.set.port(0)).unwrap();
    let direct = MongoStore::connect(&own.url()).await.unwrap();
    let store = MongoStore::connect(&own.set.url_on(proxy.port())).await.unwrap();
    let (sink, _) = sink(&store, Wrong::Nothing).await;
    let rounds = wanted("CONNECTION_CUTS", 24);
    let mut last = 0;
    for round in 0..rounds {
        let page = events(&direct, 1, last).await;
        let to = page.iter().map(|event| event.position).max().unwrap();
        let also = match round % 2 {
            0 => Commit::default(),
            _ => deposit("18", Expected::Any),
        };
        let commit = Commit { checkpoint: moves(last, to).checkpoint, ..also };
        // Somewhere in what is said, or in the answers.
        match fastrand::bool() {
            true => proxy.cut_after_answer(fastrand::usize(1..2_500)),
            false => proxy.cut_after(fastrand::usize(1..6_000)),
        }
        let applied = sink.apply(page.clone(), commit.clone()).await.unwrap();
        assert!(matches!(applied, Committed::Now { .. }), "{applied:?}");
        let again = sink.apply(page, commit).await.unwrap();
        assert_eq!(again, Committed::Before { position: applied.position(), reply: None });
        last = to;
    }
    println!("{} cuts in {rounds} pages", proxy.cuts());
    assert_eq!(seen(&direct).await, (1..=last as i64).collect::<Vec<_>>());
    assert_eq!(checkpoint(&direct).await, Some(last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_apply_a_page_at_once_one_does() {
    let database = Own::new();
    let open = async || common::store(&database.0).connect().await.unwrap();
    let stores = [open().await, open().await];
    let (one, two) =
        (sink(&stores[0], Wrong::Nothing).await, sink(&stores[1], Wrong::Nothing).await);
    for n in 0..10_u64 {
        let page = events(&stores[0], 1, n).await;
        let (first, second) = tokio::join!(
            one.0.apply(page.clone(), moves(n, n + 1)),
            two.0.apply(page, moves(n, n + 1))
        );
        let refused = [&first, &second].into_iter().filter_map(|applied| applied.as_ref().err());
        let refused: Vec<_> = refused.collect();
        assert_eq!(refused.len(), 1, "{first:?} {second:?}");
        assert!(refused[0].is_conflict(), "{refused:?}");
    }
    assert_eq!(seen(&stores[1]).await, (1..=10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_lost_its_lease_applies_nothing() {
    let database = Own::new();
    let store = common::store(&database.0).connect().await.unwrap();
    let page = events(&store, 1, 0).await;
    let (sink, calls) = sink(&store, Wrong::Nothing).await;
    let ask = |holder: &str| LeaseRequest {
        holder: holder.to_owned(),
        names: vec!["seen/0".to_owned()],
        term: Duration::from_secs(60),
    };
    let lease = store.lease(ask("one")).await.unwrap().remove(0);
    let fence = Fence { lease: lease.name, token: lease.token };
    store.release("one", &["seen/0".to_owned()]).await.unwrap();
    store.lease(ask("two")).await.unwrap();
    let mut commit = moves(0, 1);
    commit.checkpoint.as_mut().unwrap().fence = Some(fence);
    let error = sink.apply(page, commit).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict(Conflict::Lease { .. })), "{error:?}");
    assert_eq!((seen(&store).await, calls.load(Ordering::Relaxed)), (vec![], 0));
}

/// Its setup is wrong.
struct Unready(bool);

#[async_trait]
impl MongoProjection for Unready {
    type Input = Deposited;

    async fn setup(&self, database: &Database) -> Result<(), error::Error> {
        assert!(!self.0, "no");
        database.run_command(doc! { "noSuchCommand": 1 }).await.map(drop)
    }

    async fn project(
        &self,
        _: &Recorded<'_, Deposited>,
        _: &Database,
        _: &mut ClientSession,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_setup_that_fails_or_panics_is_an_error_and_the_store_goes_on() {
    let database = Own::new();
    let store = common::store(&database.0).connect().await.unwrap();
    let failed = store.sink(Unready(false)).await.unwrap_err();
    assert_eq!(*failed.kind(), ErrorKind::Internal, "{failed:?}");
    assert!(failed.to_string().contains("setting up a projection"), "{failed}");
    let panicked = store.sink(Unready(true)).await.unwrap_err();
    assert_eq!(*panicked.kind(), ErrorKind::Panicked, "{panicked:?}");
    store.commit(deposit("17", Expected::Any)).await.unwrap();
}
