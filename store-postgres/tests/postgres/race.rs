//! P4 in a race: what a reader was given is final, however slow some writer is; and nobody waits for
//! whoever is slow.
//!
//! `RACE_SECONDS` makes it longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{Expected, Filter, Page, Store, StreamId};
use cqrs_testing::race::{self, Raced, Racer, Readers, Took};
use store_postgres::PostgresStore;
use store_postgres::tokio_postgres::{IsolationLevel, Transaction};
use test_servers::TestProcess;

use crate::common::{self, Schema};
use crate::short::{deposit, plain, wanted};

/// Tells a process where it writes, and its name.
const RACE: &str = "STORE_POSTGRES_RACE";

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
    let processes = ["one", "two"].map(|name| {
        let told = format!("{} {name}", schema.0);
        TestProcess::start("race::process_that_races", RACE, &told).unwrap()
    });
    let [mut one, mut two] = processes;
    let mut racers = [&mut one, &mut two].map(|process| Racer::of(&mut process.child));
    let mut filters = race::filters("one", "two");
    filters.push(Filter::default().event_type("race.blue").event_type("bank.deposited"));
    filters.push(Filter::default().stream(StreamId::new("account", "user")));
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let readers = Readers::begin(&shared, filters);
    let users = Users::begin(&schema.0, &store).await;
    racers.iter_mut().for_each(Racer::begins);

    let seconds = wanted("RACE_SECONDS", 3);
    let (started, length) = (Instant::now(), Duration::from_secs(seconds));
    // Slow for longer than anybody may wait.
    let slow = (BOUND + BOUND / 5).max(length / 10);
    let mut times = Vec::new();
    while times.is_empty() || started.elapsed() < length {
        for trouble in Trouble::ALL {
            let from = race::now();
            users.disturb(trouble, slow, &two).await;
            times.push((trouble, from, race::now()));
        }
    }
    let [of_one, of_two] = racers.map(Racer::ends);
    for process in [&mut one, &mut two] {
        assert!(process.child.wait().unwrap().success());
    }
    let log = readers.end(&store).await;
    let of_users = users.written.load(Ordering::Relaxed);
    let events = log.iter().flat_map(Page::iter);
    assert_eq!(events.filter(|event| event.stream == "user").count() as u64, of_users);
    let commits = of_one.commits + of_two.commits;
    println!("{commits} commits of 8 writers in 2 processes, {of_users} of users");
    waits(&of_one, &of_two, &times);
}

/// Not a test of its own: one of the processes of a race.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_that_races() {
    let Ok(told) = std::env::var(RACE) else { return };
    let (schema, name) = told.split_once(' ').unwrap();
    let store = common::store(schema).connect().await.unwrap();
    race::write(Arc::new(store.clone()), name).await;
    store.close().await;
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

    async fn disturb(&self, trouble: Trouble, slow: Duration, process: &TestProcess) {
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
                process.pause().unwrap();
                tokio::time::sleep(slow).await;
                process.go_on().unwrap();
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

/// How long commits took in each trouble.
fn waits(one: &Raced, two: &Raced, times: &[(Trouble, Duration, Duration)]) {
    let of = |is_meant: &dyn Fn(Trouble) -> bool| -> Vec<_> {
        let meant = times.iter().filter(|(trouble, ..)| is_meant(*trouble));
        meant.map(|(_, from, until)| (*from, *until)).collect()
    };
    let stopped = of(&|trouble| trouble.has(Trouble::Stopped));
    for trouble in Trouble::ALL {
        let took = Took::within(one, two, &of(&|other| other == trouble), &stopped);
        println!("{trouble:?}: {took}");
        assert!(took.longest < BOUND, "{trouble:?}: a commit took {:?}", took.longest);
    }
}
