//! P4 in a race: what a reader was given is final, whoever else writes, stops in the middle, or leaves a transaction
//! open; and nobody waits for them for long.
//!
//! `RACE_SECONDS` makes it longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{
    Commit, CommitId, ErrorKind, Expected, Filter, FindOutgoing, Page, Position, ReadLog, Store,
    StreamId,
};
use futures_util::StreamExt;
use store_mongo::MongoStore;
use store_mongo::bson::{Document, doc};
use store_mongo::mongodb::options::ReadConcern;
use store_mongo::mongodb::{ClientSession, Collection};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::common::{self, Database};
use crate::own::wanted;
use crate::race_child::{Racer, Waited, now};
use crate::short::{deposit, log_of, positions};

/// Nobody waits so long for somebody who does nothing any more.
const BOUND: Duration = Duration::from_secs(5);

/// How long somebody is idle who is taken for dead, and somebody who is not.
const DEAD: Duration = Duration::from_secs(3);
const SLOW: Duration = Duration::from_millis(300);

/// Readings from the beginning that are kept.
const READINGS: usize = 200;

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
    let mut racers = ["one", "two"].map(|name| Racer::start(&database.0, name));
    let is_over = Arc::new(AtomicBool::new(false));
    let follow = |filter: Filter| (filter.clone(), follow(&store, filter, is_over.clone()));
    let readers: Vec<_> = filters().into_iter().map(follow).collect();
    let readings = read_again_and_again(&store, is_over.clone());
    racers.iter_mut().for_each(Racer::tell);

    let length = Duration::from_secs(wanted("RACE_SECONDS", 3));
    let (started, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || started.elapsed() < length {
        for trouble in Trouble::ALL {
            let from = now();
            users.disturb(trouble, &racers[1]).await;
            times.push((trouble, from, now()));
        }
    }
    racers.iter_mut().for_each(Racer::tell);
    let [one, two] = racers.map(Racer::ended);
    is_over.store(true, Ordering::Relaxed);

    let log = log_of(&store, Filter::default()).await;
    let all = positions(&log);
    assert!(all.is_sorted_by(|one, next| one < next));
    // With the places of messages there is no gap.
    let head = store.head().await.unwrap().position;
    let mut places = [&all[..], &messages(&store).await].concat();
    places.sort_unstable();
    assert!(places.iter().copied().eq(1..=head), "up to {head}: {places:?}");
    for (filter, reader) in readers {
        let given = reader.await.unwrap();
        assert_eq!(given, wanted_of(&log, &filter, Position::MAX), "{filter:?}");
        assert!(!given.is_empty(), "{filter:?}");
    }
    let readings = readings.await.unwrap();
    for Reading { filter, given, through } in &readings {
        assert_eq!(*given, wanted_of(&log, filter, *through), "{filter:?} up to {through}");
    }
    no_version_is_missing(&log);
    let of_users = users.check(&log).await;
    let commits = one.0 + two.0;
    println!(
        "{commits} commits of 8 writers in 2 processes, {of_users} of users, {} events, {} readings \
         from the beginning",
        all.len(),
        readings.len()
    );
    waits(&one.1, &two.1, &times);
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

fn any_size() -> u32 {
    [1, 10, 100, 1_000][fastrand::usize(..4)]
}

/// Follows the log page by page. What it was given, once all is written and it has come to the end.
fn follow(
    store: &MongoStore,
    filter: Filter,
    is_over: Arc<AtomicBool>,
) -> JoinHandle<Vec<Position>> {
    let store = store.clone();
    tokio::spawn(async move {
        let (mut given, mut after) = (Vec::new(), 0);
        loop {
            let was_over = is_over.load(Ordering::Relaxed);
            let read = ReadLog::after(after).filter(filter.clone()).page(any_size());
            let mut pages = store.read_log(read);
            while let Some(page) = pages.next().await {
                let page = page.unwrap();
                for event in page.iter() {
                    assert!(event.position > after, "{} after {after}", event.position);
                    given.push(event.position);
                }
                assert!(page.through() >= after, "{} after {after}", page.through());
                after = page.through();
                // Slower than those who write, so that others write between its pages.
                if fastrand::u8(..8) == 0 {
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(..5))).await;
                }
            }
            if was_over {
                return given;
            }
        }
    })
}

/// What somebody was given who read from the beginning.
struct Reading {
    filter: Filter,
    given: Vec<Position>,
    through: Position,
}

/// Reads from the beginning, in the middle of all that is written.
fn read_again_and_again(store: &MongoStore, is_over: Arc<AtomicBool>) -> JoinHandle<Vec<Reading>> {
    let store = store.clone();
    tokio::spawn(async move {
        let mut readings = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let filter = filters().swap_remove(fastrand::usize(..filters().len()));
            let (mut given, mut through) = (Vec::new(), 0);
            let read = ReadLog::after(0).filter(filter.clone()).page(any_size());
            let mut pages = store.read_log(read);
            while let Some(page) = pages.next().await {
                let page = page.unwrap();
                given.extend(page.iter().map(|event| event.position));
                through = page.through();
            }
            let reading = Reading { filter, given, through };
            // Of many, some.
            match readings.len() {
                READINGS => readings[fastrand::usize(..READINGS)] = reading,
                _ => readings.push(reading),
            }
        }
        readings
    })
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

    async fn disturb(&self, trouble: Trouble, racer: &Racer) {
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
                racer.process.pause().unwrap();
                tokio::time::sleep(DEAD).await;
                racer.process.go_on().unwrap();
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

/// What a filter lets through of the whole log, up to there.
fn wanted_of(log: &[Page], filter: &Filter, through: Position) -> Vec<Position> {
    let events = log.iter().flat_map(Page::iter).take_while(|event| event.position <= through);
    let wanted = events.filter(|event| {
        let Filter { types, categories, streams, tags, .. } = filter;
        (types.is_empty() || types.iter().any(|name| name == event.event_type))
            && (categories.is_empty() || categories.iter().any(|name| name == event.category))
            && (streams.is_empty() || streams.contains(&event.stream_id()))
            && tags.iter().all(|tag| event.tags().any(|has| has == tag))
    });
    wanted.map(|event| event.position).collect()
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
        println!(
            "{trouble:?}: {} commits took {median:?}, one in 100 {slow:?}, the longest {longest:?}",
            took.len()
        );
        // The one may have the turn after the other.
        let bound = if trouble == Trouble::All { BOUND * 2 } else { BOUND };
        assert!(longest < bound, "{trouble:?}: a commit took {longest:?}");
    }
}
