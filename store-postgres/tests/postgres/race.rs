//! P4 in a race: what a reader was given is final, however slow some writer is; and nobody waits for
//! whoever is slow.
//!
//! `RACE_SECONDS` makes it longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{Expected, Filter, Page, Position, ReadLog, Store, StreamId};
use futures_util::StreamExt;
use store_postgres::PostgresStore;
use store_postgres::tokio_postgres::{IsolationLevel, Transaction};
use tokio::task::JoinHandle;

use crate::common::{self, Schema};
use crate::race_child::{Racer, Waited, now};
use crate::short::{deposit, log_of, plain, positions, wanted};

/// Nobody may wait so long for somebody who is slow. Each is slow for longer.
const BOUND: Duration = Duration::from_millis(1_500);

/// What disturbs those who write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Trouble {
    None,
    /// A transaction with a commit in it is open.
    Transaction,
    /// A snapshot is held open.
    Snapshot,
    /// One process is stopped in the middle of its commits.
    Stopped,
    /// All of them.
    All,
}

impl Trouble {
    const ALL: [Self; 5] =
        [Self::None, Self::Transaction, Self::Snapshot, Self::Stopped, Self::All];

    fn has(self, other: Self) -> bool {
        self == other || self == Self::All
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reader_was_given_is_final_and_nobody_waits_for_whoever_is_slow() {
    let schema = Schema::new();
    let store = common::store(&schema.0).connections(8).connect().await.unwrap();
    let mut racers = ["one", "two"].map(|name| Racer::start(&schema.0, name));
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = filters()
        .into_iter()
        .map(|filter| (filter.clone(), follow(&store, filter, is_over.clone())))
        .collect();
    let users = Users::begin(&schema.0, &store).await;
    racers.iter_mut().for_each(Racer::tell);

    let seconds = wanted("RACE_SECONDS", 3);
    let (started, length) = (Instant::now(), Duration::from_secs(seconds));
    // Slow for longer than anybody may wait.
    let slow = (BOUND + BOUND / 5).max(length / 10);
    let mut times = Vec::new();
    while times.is_empty() || started.elapsed() < length {
        for trouble in Trouble::ALL {
            let from = now();
            users.disturb(trouble, slow, &racers[1]).await;
            times.push((trouble, from, now()));
        }
    }
    racers.iter_mut().for_each(Racer::tell);
    let [one, two] = racers.map(Racer::ended);
    is_over.store(true, Ordering::Relaxed);

    let log = log_of(&store, Filter::default()).await;
    let mut last = 0;
    for position in positions(&log) {
        assert!(position > last, "{position} after {last}");
        last = position;
    }
    for (filter, reader) in readers {
        let given = reader.await.unwrap();
        assert_eq!(given, wanted_of(&log, &filter), "{filter:?}");
        assert!(!given.is_empty(), "{filter:?}");
    }
    no_version_is_missing(&log);
    let of_users = users.written.load(Ordering::Relaxed);
    assert_eq!(versions_of(&log, "user").len() as u64, of_users);
    let commits = one.0 + two.0;
    println!("{commits} commits of 8 writers in 2 processes, {of_users} of users");
    waits(&one.1, &two.1, &times);
}

/// Everything, and by each kind of index.
fn filters() -> Vec<Filter> {
    let of = |category: &'static str, id: &str| StreamId::new(category, id);
    let streams = vec![of("account", "one-0"), of("ledger", "two-3"), of("account", "user")];
    let tags = vec!["early".to_owned()];
    vec![
        Filter::default(),
        Filter::default().event_type("race.red"),
        Filter::default().event_type("race.blue").event_type("bank.deposited"),
        Filter { categories: vec!["ledger".into()], ..Filter::default() },
        Filter { tags, ..Filter::default() },
        Filter { streams, ..Filter::default() },
    ]
}

/// Follows the log page by page. What it was given, once all is written and it has come to the end.
fn follow(
    store: &PostgresStore,
    filter: Filter,
    is_over: Arc<AtomicBool>,
) -> JoinHandle<Vec<Position>> {
    let store = store.clone();
    tokio::spawn(async move {
        let (mut given, mut after) = (Vec::new(), 0);
        loop {
            let was_over = is_over.load(Ordering::Relaxed);
            let size = [1, 10, 100, 1_000][fastrand::usize(..4)];
            let read = ReadLog::after(after).filter(filter.clone()).page(size);
            let mut pages = store.read_log(read);
            while let Some(page) = pages.next().await {
                let page = page.unwrap();
                for event in page.iter() {
                    assert!(event.position > after, "{} after {after}", event.position);
                    given.push(event.position);
                }
                assert!(page.through() >= after, "{} after {after}", page.through());
                after = page.through();
            }
            if was_over {
                return given;
            }
        }
    })
}

/// Those who have transactions of their own.
struct Users {
    store: PostgresStore,
    schema: String,
    /// Events that they have committed.
    written: AtomicU64,
}

impl Users {
    async fn begin(schema: &str, store: &PostgresStore) -> Self {
        let client = plain(&common::url()).await;
        let table = format!("CREATE TABLE {schema}.invoices (number bigint)");
        client.batch_execute(&table).await.unwrap();
        Self { store: store.clone(), schema: schema.to_owned(), written: AtomicU64::new(0) }
    }

    async fn disturb(&self, trouble: Trouble, slow: Duration, racer: &Racer) {
        let transaction = async {
            if trouble.has(Trouble::Transaction) {
                tokio::join!(self.commits(slow), self.gives_up(slow), self.writes(slow));
            }
        };
        let snapshot = async {
            if trouble.has(Trouble::Snapshot) {
                self.looks(slow).await;
            }
        };
        let stopped = async {
            if trouble.has(Trouble::Stopped) {
                // At a random moment, in the middle of whatever its writers do.
                tokio::time::sleep(Duration::from_micros(fastrand::u64(..20_000))).await;
                racer.process.pause().unwrap();
                tokio::time::sleep(slow).await;
                racer.process.go_on().unwrap();
            }
        };
        let calm = async {
            if trouble == Trouble::None {
                tokio::time::sleep(slow / 2).await;
            }
        };
        tokio::join!(transaction, snapshot, stopped, calm);
    }

    /// A transaction with a commit in it, which is open for so long.
    async fn commits(&self, slow: Duration) {
        let mut client = plain(&common::url()).await;
        let transaction = client.transaction().await.unwrap();
        self.store.commit_in(&transaction, deposit("user", Expected::Any)).await.unwrap();
        self.insert(&transaction).await;
        tokio::time::sleep(slow).await;
        transaction.commit().await.unwrap();
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// The same, and nothing comes of it.
    async fn gives_up(&self, slow: Duration) {
        let mut client = plain(&common::url()).await;
        let transaction = client.transaction().await.unwrap();
        self.store.commit_in(&transaction, deposit("user", Expected::Any)).await.unwrap();
        tokio::time::sleep(slow).await;
        transaction.rollback().await.unwrap();
    }

    /// A transaction that writes elsewhere.
    async fn writes(&self, slow: Duration) {
        let mut client = plain(&common::url()).await;
        let transaction = client.transaction().await.unwrap();
        self.insert(&transaction).await;
        tokio::time::sleep(slow).await;
        transaction.commit().await.unwrap();
    }

    async fn insert(&self, transaction: &Transaction<'_>) {
        let insert = format!("INSERT INTO {}.invoices VALUES (17)", self.schema);
        transaction.batch_execute(&insert).await.unwrap();
    }

    /// A snapshot that is held open, and sees the same at its end.
    async fn looks(&self, slow: Duration) {
        let mut client = plain(&common::url()).await;
        let begin = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let transaction = begin.start().await.unwrap();
        let count = format!("SELECT count(*) FROM {}.events", self.schema);
        let seen = async || transaction.query_one(&count, &[]).await.unwrap().get::<_, i64>(0);
        let before = seen().await;
        tokio::time::sleep(slow).await;
        assert_eq!(seen().await, before);
        transaction.commit().await.unwrap();
    }
}

/// What a filter lets through of the whole log.
fn wanted_of(log: &[Page], filter: &Filter) -> Vec<Position> {
    let events = log.iter().flat_map(Page::iter);
    let wanted = events.filter(|event| {
        let Filter { types, categories, streams, tags, .. } = filter;
        (types.is_empty() || types.iter().any(|name| name == event.event_type))
            && (categories.is_empty() || categories.iter().any(|name| name == event.category))
            && (streams.is_empty() || streams.contains(&event.stream_id()))
            && tags.iter().all(|tag| event.tags().any(|has| has == tag))
    });
    wanted.map(|event| event.position).collect()
}

fn versions_of(log: &[Page], stream: &str) -> Vec<u64> {
    let events = log.iter().flat_map(Page::iter);
    events.filter(|event| event.stream == stream).map(|event| event.version).collect()
}

/// Versions are 1, 2, 3 … in each stream (P3).
fn no_version_is_missing(log: &[Page]) {
    let mut last = HashMap::new();
    for event in log.iter().flat_map(Page::iter) {
        let version = last.entry(event.stream_id()).or_insert(0);
        *version += 1;
        assert_eq!(event.version, *version, "{event:?}");
    }
}

/// How long commits took in each trouble. Of the second process, those do not count that were in hand
/// while it was stopped.
fn waits(one: &[Waited], two: &[Waited], times: &[(Trouble, Duration, Duration)]) {
    let is_in = |waited: &Waited, from: &Duration, until: &Duration| {
        waited.began < *until && waited.began + waited.took > *from
    };
    let was_stopped = |waited: &&Waited| {
        times.iter().any(|(of, from, until)| of.has(Trouble::Stopped) && is_in(waited, from, until))
    };
    let all: Vec<_> = one.iter().chain(two.iter().filter(|waited| !was_stopped(waited))).collect();
    for trouble in Trouble::ALL {
        let is_then = |waited: &&&Waited| {
            times.iter().any(|(of, from, until)| *of == trouble && is_in(waited, from, until))
        };
        let mut took: Vec<_> = all.iter().filter(is_then).map(|waited| waited.took).collect();
        took.sort_unstable_by(|one, other| other.cmp(one));
        let of = |nth: usize| took.get(nth).copied().unwrap_or_default();
        let (median, slow, longest) = (of(took.len() / 2), of(took.len() / 100), of(0));
        let over = took.iter().filter(|took| **took > Duration::from_millis(50)).count();
        println!(
            "{trouble:?}: {} commits took {median:?}, one in 100 {slow:?}, the longest {longest:?}; \
             {over} more than 50 ms",
            took.len()
        );
        assert!(longest < BOUND, "{trouble:?}: a commit took {longest:?}");
    }
}
