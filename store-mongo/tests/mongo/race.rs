//! P4 in a race: what a reader was given is final, whoever else writes, stops in the middle, or leaves a transaction
//! open; and nobody waits for them for long.
//!
//! `RACE_SECONDS` makes it longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{
    Commit, CommitId, ErrorKind, Expected, Filter, FindOutgoing, Page, Position, Store, StreamId,
};
use cqrs_testing::race::{self, Raced, Racer, Readers, Took};
use store_mongo::MongoStore;
use store_mongo::bson::{Document, doc};
use store_mongo::mongodb::options::ReadConcern;
use store_mongo::mongodb::{ClientSession, Collection};
use test_servers::TestProcess;
use tokio::sync::Mutex;

use crate::common::{self, Database};
use crate::own::wanted;
use crate::short::{deposit, positions};

/// Nobody waits so long for somebody who does nothing any more.
const BOUND: Duration = Duration::from_secs(5);

/// How long somebody is idle who is taken for dead, and somebody who is not.
const DEAD: Duration = Duration::from_secs(3);
const SLOW: Duration = Duration::from_millis(300);

/// Tells a process where it writes, and its name.
const RACE: &str = "STORE_MONGO_RACE";

/// What disturbs those who write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Trouble {
    None,
    /// Transactions with a commit in them are open for a while.
    Transaction,
    /// One is left open.
    Left,
    /// A snapshot is held open.
    Snapshot,
    /// One process is stopped in the middle of its commits.
    Stopped,
    /// All of them.
    All,
}

impl Trouble {
    const ALL: [Self; 6] =
        [Self::None, Self::Transaction, Self::Left, Self::Snapshot, Self::Stopped, Self::All];

    fn has(self, other: Self) -> bool {
        self == other || self == Self::All
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_reader_was_given_is_final_and_nobody_waits_for_long() {
    let database = Database::new();
    let store = common::store(&database.0).connect().await.unwrap();
    let users = Users::begin(&store).await;
    let processes = ["one", "two"].map(|name| {
        let told = format!("{} {name}", database.0);
        TestProcess::start("race::process_that_races", RACE, &told).unwrap()
    });
    let [mut one, mut two] = processes;
    let mut racers = [&mut one, &mut two].map(|process| Racer::of(&mut process.child));
    let mut filters = race::filters("one", "two");
    filters.push(Filter::default().event_type("race.blue").event_type("bank.deposited"));
    filters.push(Filter::default().stream(StreamId::new("account", "user")));
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let readers = Readers::begin(&shared, filters);
    racers.iter_mut().for_each(Racer::begins);

    let length = Duration::from_secs(wanted("RACE_SECONDS", 3));
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || started.elapsed() < length {
        for trouble in Trouble::ALL {
            let from = race::now();
            users.disturb(trouble, &two).await;
            times.push((trouble, from, race::now()));
        }
    }
    let [of_one, of_two] = racers.map(Racer::ends);
    for process in [&mut one, &mut two] {
        assert!(process.child.wait().unwrap().success());
    }
    let log = readers.end(&store).await;
    // With the places of messages there is no gap.
    let head = store.head().await.unwrap().position;
    let mut places = [positions(&log), messages(&store).await].concat();
    places.sort_unstable();
    assert!(places.iter().copied().eq(1..=head), "up to {head}: {places:?}");
    let of_users = users.check(&log).await;
    let commits = of_one.commits + of_two.commits;
    println!("{commits} commits of 8 writers in 2 processes, {of_users} of users");
    waits(&of_one, &of_two, &times);
}

/// Not a test of its own: one of the processes of a race.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_that_races() {
    let Ok(told) = std::env::var(RACE) else { return };
    let (database, name) = told.split_once(' ').unwrap();
    let store = common::store(database).connect().await.unwrap();
    race::write(Arc::new(store.clone()), name).await;
    store.close().await;
}

/// Where the messages are that are to be sent.
async fn messages(store: &MongoStore) -> Vec<Position> {
    let mut found = Vec::new();
    loop {
        let after = found.last().copied().unwrap_or_default();
        let page = store.outgoing(FindOutgoing::after(after)).await.unwrap();
        if page.is_empty() {
            return found;
        }
        found.extend(page.iter().map(|pending| pending.position));
    }
}

/// Those who have transactions of their own.
struct Users {
    store: MongoStore,
    invoices: Collection<Document>,
    /// Commits that may be there.
    staged: Mutex<Vec<CommitId>>,
}

impl Users {
    async fn begin(store: &MongoStore) -> Self {
        let invoices = store.database().collection("invoices");
        store.database().create_collection("invoices").await.unwrap();
        Self { store: store.clone(), invoices, staged: Mutex::default() }
    }

    async fn disturb(&self, trouble: Trouble, process: &TestProcess) {
        let transactions = async {
            if trouble.has(Trouble::Transaction) {
                self.commits(SLOW).await;
                self.gives_up(SLOW).await;
                self.writes(SLOW).await;
            }
        };
        let left = async {
            if trouble.has(Trouble::Left) {
                self.commits(DEAD).await;
            }
        };
        let snapshot = async {
            if trouble.has(Trouble::Snapshot) {
                self.looks(DEAD / 3).await;
            }
        };
        let stopped = async {
            if trouble.has(Trouble::Stopped) {
                // At a random moment, in the middle of whatever its writers do.
                tokio::time::sleep(Duration::from_micros(fastrand::u64(..20_000))).await;
                process.pause().unwrap();
                tokio::time::sleep(DEAD).await;
                process.go_on().unwrap();
            }
        };
        let calm = async {
            if trouble == Trouble::None {
                tokio::time::sleep(DEAD / 3).await;
            }
        };
        tokio::join!(transactions, left, snapshot, stopped, calm);
    }

    /// A transaction with a commit in it, with what its user writes beside. Others may be in the way.
    async fn stage(&self) -> (ClientSession, Commit) {
        let commit = deposit("user", Expected::Any);
        let mut session = self.store.session().await.unwrap();
        let began = Instant::now();
        loop {
            session.start_transaction().await.unwrap();
            match self.store.commit_in(&mut session, commit.clone()).await {
                Ok(_) => break,
                Err(error) if *error.kind() == ErrorKind::Unavailable => {
                    let _ = session.abort_transaction().await;
                    assert!(began.elapsed() < BOUND * 2, "never its turn: {error:?}");
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(..5))).await;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        self.insert(&mut session, &commit).await;
        (session, commit)
    }

    async fn insert(&self, session: &mut ClientSession, commit: &Commit) {
        let invoice = doc! { "of": commit.id.0.to_string() };
        self.invoices.insert_one(invoice).session(session).await.unwrap();
    }

    /// It is open for so long. Others may have ended it by then.
    async fn commits(&self, slow: Duration) {
        let (mut session, commit) = self.stage().await;
        self.staged.lock().await.push(commit.id);
        tokio::time::sleep(slow).await;
        let committed = session.commit_transaction().await;
        assert!(committed.is_ok() || slow >= DEAD, "{committed:?}");
    }

    /// The same, and nothing comes of it.
    async fn gives_up(&self, slow: Duration) {
        let (mut session, commit) = self.stage().await;
        tokio::time::sleep(slow).await;
        let _ = session.abort_transaction().await;
        assert_eq!(self.store.committed(commit.id).await.unwrap(), None);
    }

    /// A transaction that writes elsewhere.
    async fn writes(&self, slow: Duration) {
        let mut session = self.store.database().client().start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        self.insert(&mut session, &Commit::default()).await;
        tokio::time::sleep(slow).await;
        session.commit_transaction().await.unwrap();
    }

    /// A snapshot that is held open, and sees the same at its end.
    async fn looks(&self, slow: Duration) {
        let events = self.store.database().collection::<Document>("cqrs_events");
        let mut session = self.store.database().client().start_session().await.unwrap();
        session.start_transaction().read_concern(ReadConcern::snapshot()).await.unwrap();
        let before = events.count_documents(doc! {}).session(&mut session).await.unwrap();
        tokio::time::sleep(slow).await;
        let after = events.count_documents(doc! {}).session(&mut session).await.unwrap();
        assert_eq!(after, before);
        session.commit_transaction().await.unwrap();
    }

    /// Each of their commits is there with what was written beside it, or neither is. How many are.
    async fn check(&self, log: &[Page]) -> usize {
        let mut there = 0;
        for id in &*self.staged.lock().await {
            let is_there = self.store.committed(*id).await.unwrap().is_some();
            let of = doc! { "of": id.0.to_string() };
            let invoices = self.invoices.count_documents(of).await.unwrap();
            assert_eq!(invoices, u64::from(is_there), "{id:?}");
            there += usize::from(is_there);
        }
        let events = log.iter().flat_map(Page::iter);
        assert_eq!(events.filter(|event| event.stream == "user").count(), there);
        there
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
        // The one may have the turn after the other.
        let bound = if trouble == Trouble::All { BOUND * 2 } else { BOUND };
        assert!(took.longest < bound, "{trouble:?}: a commit took {:?}", took.longest);
    }
}
