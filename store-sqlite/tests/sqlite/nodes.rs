//! Nodes: processes that run one app on one file, what they are given to handle, and what came of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::{
    Aggregate, App, Append, Commit, Documents, Entity, Event, EventType, Expected, FindDocuments,
    FindParked, HandlerError, NewEvent, ParkedEntry, ParkedState, ReadStream, RetryPolicy,
    RuntimeSettings, Store, StreamId, Work,
};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use store_sqlite::SqliteStore;
use tokio::task::JoinHandle;

use crate::common::{collect, within};
use crate::sharing::{Killed, child};

const NODE: &str = "STORE_SQLITE_NODE";

/// The subscription.
pub(crate) const COUNT: &str = "nodes.count";

pub(crate) const PARTITIONS: u32 = 8;

/// Within this time a node takes over what another one had.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// Keys that events are written for all the time.
const KEYS: u32 = 12;

/// Events that are not handled yet, at most: a writer waits then.
const AHEAD: u64 = 300;

/// Something to handle. The events of a key are numbered from 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noted {
    key: String,
    n: u32,
    does: Does,
}

/// What happens to whoever handles it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Does {
    Nothing,
    /// It takes a while, and says when it begins and ends.
    Takes {
        millis: u64,
    },
    /// The process ends, in the middle of it.
    Abort,
}

impl Event for Noted {
    const TYPES: &'static [EventType] = &[EventType::new("nodes.noted", "Noted")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// How often an event of a key was handled.
#[derive(Debug, Serialize, Deserialize)]
struct Tally {
    key: String,
    count: u32,
}

impl Entity for Tally {
    const COLLECTION: &'static str = "tally";

    fn id(&self) -> String {
        self.key.clone()
    }
}

/// An event of a key was handled, by this process.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Handled {
    n: u32,
    by: u32,
}

impl Event for Handled {
    const TYPES: &'static [EventType] = &[EventType::new("nodes.handled", "Handled")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// What was handled of a key.
#[derive(Debug, Default)]
struct Journal;

impl Aggregate for Journal {
    const CATEGORY: &'static str = "journal";
    type Id = String;
    type Event = Handled;

    fn apply(&mut self, _: &Handled) {}
}

async fn count(event: Noted, work: Work) -> Result<(), HandlerError> {
    let Noted { key, n, does } = event;
    let mut journal = work.load::<Journal>(&key).await?;
    match work.get::<Tally>(&key).await? {
        None => work.insert(&Tally { key: key.clone(), count: 1 })?,
        Some(mut tally) => {
            tally.count += 1;
            work.save(&tally)?;
        }
    }
    work.record(&mut journal, [Handled { n, by: std::process::id() }])?;
    match does {
        Does::Nothing => {}
        Does::Takes { millis } => {
            say(&format!("begins {key} {n}"));
            tokio::time::sleep(Duration::from_millis(millis)).await;
            say(&format!("ends {key} {n}"));
        }
        Does::Abort => std::process::abort(),
    }
    Ok(())
}

fn say(line: &str) {
    // One write: others write here as well, and it may be killed in the middle.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Not a test of its own: a node. It says how many partitions it runs, and stops when it is told
/// anything.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_is_a_node() {
    let Ok(told) = std::env::var(NODE) else { return };
    let (attempts, path) = told.split_once(' ').unwrap();
    let attempts = attempts.parse().unwrap();
    let store = SqliteStore::open(path).await.unwrap();
    let first = Duration::from_millis(50);
    let app = App::builder()
        .store(store.clone())
        .event_handler(COUNT, count)
        .subscription(COUNT, move |s| {
            s.partitions(PARTITIONS).retry(RetryPolicy { attempts, first, ..Default::default() })
        })
        .runtime(RuntimeSettings { lease: LEASE, ..RuntimeSettings::tests() })
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    let mut told = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap()
    });
    let subscriptions = app.subscriptions().unwrap();
    let mut here = None;
    while !told.is_finished() {
        let now = subscriptions.get(COUNT).await.unwrap().here;
        if here.replace(now) != Some(now) {
            say(&format!("here {now}"));
        }
        let _ = tokio::time::timeout(Duration::from_millis(20), &mut told).await;
    }
    running.stop(Duration::from_secs(10)).await.unwrap();
    say("stopped");
    store.close().await.unwrap();
}

/// A process that runs the app.
pub(crate) struct Node {
    pub(crate) process: Killed,
    input: ChildStdin,
    said: Arc<Mutex<Vec<String>>>,
}

impl Node {
    pub(crate) fn start(path: &Path, attempts: u32) -> Self {
        let told = format!("{attempts} {}", path.display());
        let mut process = Killed(child("nodes::process_that_is_a_node", NODE, &told));
        let input = process.0.stdin.take().unwrap();
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let hears = said.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                hears.lock().unwrap().push(line);
            }
        });
        Self { process, input, said }
    }

    pub(crate) fn said(&self, line: &str) -> bool {
        self.said.lock().unwrap().iter().any(|said| said == line)
    }

    /// How many partitions it ran when it last said so.
    pub(crate) fn here(&self) -> u32 {
        let said = self.said.lock().unwrap();
        let here = said.iter().rev().find_map(|line| line.strip_prefix("here "));
        here.map_or(0, |here| here.parse().unwrap())
    }

    /// Forgets what it said about its partitions.
    pub(crate) fn hush(&self) {
        self.said.lock().unwrap().retain(|line| !line.starts_with("here "));
    }

    /// Stops it in the middle of whatever it does, but for a write: it would keep the file's lock,
    /// and nobody could write.
    pub(crate) async fn pause(&self, log: &Log) {
        loop {
            self.process.pause().await;
            let path = log.path.clone();
            let is_free = tokio::task::spawn_blocking(move || {
                let file = Connection::open(path).unwrap();
                file.busy_timeout(Duration::from_millis(500)).unwrap();
                file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
            });
            if is_free.await.unwrap() {
                return;
            }
            self.process.go_on();
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Tells it to stop in order.
    pub(crate) fn tell_to_stop(&mut self) {
        writeln!(self.input, "stop").unwrap();
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_some()
    }
}

/// A file that nodes share, and the one who writes events into it all the time.
pub(crate) struct Log {
    pub(crate) store: SqliteStore,
    pub(crate) path: PathBuf,
    written: Arc<Mutex<BTreeMap<String, u32>>>,
    enough: Arc<AtomicBool>,
    writer: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Log {
    pub(crate) async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes.db");
        let store = SqliteStore::open(&path).await.unwrap();
        Documents::<Tally>::new(Arc::new(store.clone())).declare().await.unwrap();
        let (written, enough) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (to, known, ends) = (store.clone(), Arc::clone(&written), enough.clone());
        let writer = tokio::spawn(async move {
            for n in 0.. {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                write(&to, &known, &format!("key-{}", n % KEYS), Does::Nothing).await;
                while !ends.load(Ordering::SeqCst) && unhandled(&to, &known).await > AHEAD {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Self { store, path, written, enough, writer, _folder: folder }
    }

    /// Writes one event more.
    pub(crate) async fn write(&self, key: &str, does: Does) {
        write(&self.store, &self.written, key, does).await;
    }

    /// How many events were handled, of all keys.
    pub(crate) async fn handled(&self) -> u64 {
        handled(&self.store).await
    }

    /// Waits until so many more were handled.
    pub(crate) async fn goes_on(&self, events: u64) {
        let enough = self.handled().await + events;
        let what = "events are handled";
        within(Duration::from_secs(30), what, async || self.handled().await >= enough).await;
    }

    /// What the nodes set aside and do not try again.
    pub(crate) async fn parked(&self) -> Vec<ParkedEntry> {
        self.aside(ParkedState::Parked).await
    }

    pub(crate) async fn aside(&self, state: ParkedState) -> Vec<ParkedEntry> {
        self.store.parked(FindParked::of(COUNT).state(state)).await.unwrap()
    }

    /// Writes no more, waits until all is handled but for the keys that wait, and checks that each
    /// event was handled once, those of a key in order. Who handled how many.
    pub(crate) async fn end(self, waiting: &[&str]) -> BTreeMap<u32, usize> {
        self.enough.store(true, Ordering::SeqCst);
        self.writer.await.unwrap();
        let written = self.written.lock().unwrap().clone();
        let free = |key: &&String| !waiting.contains(&key.as_str());
        let tallies = Documents::<Tally>::new(Arc::new(self.store.clone()));
        within(Duration::from_secs(60), "everything is handled", async || {
            for (key, count) in written.iter().filter(|(key, _)| free(key)) {
                let tally = tallies.get(key).await.unwrap();
                if tally.is_none_or(|tally| tally.count < *count) {
                    return false;
                }
            }
            true
        })
        .await;
        let mut handlers = BTreeMap::new();
        for (key, count) in written.iter().filter(|(key, _)| free(key)) {
            let stream = StreamId::new("journal", key.clone());
            let pages = collect(self.store.read_stream(ReadStream::of(stream))).await.unwrap();
            let journal = pages.iter().flat_map(cqrs_core::Page::iter);
            let journal = journal.map(|event| event.decode::<Handled>().unwrap().unwrap().data);
            let journal: Vec<Handled> = journal.collect();
            let numbers: Vec<u32> = journal.iter().map(|handled| handled.n).collect();
            assert_eq!(numbers, (0..*count).collect::<Vec<_>>(), "of {key}: {journal:?}");
            for handled in journal {
                *handlers.entry(handled.by).or_insert(0) += 1;
            }
            assert_eq!(tallies.get(key).await.unwrap().unwrap().count, *count, "of {key}");
        }
        handlers
    }
}

async fn write(store: &SqliteStore, written: &Mutex<BTreeMap<String, u32>>, key: &str, does: Does) {
    let n = written.lock().unwrap().get(key).copied().unwrap_or(0);
    let event = Noted { key: key.to_owned(), n, does };
    let append = Append {
        stream: StreamId::new("note", key.to_owned()),
        expected: Expected::Exactly(u64::from(n)),
        events: vec![NewEvent::new("nodes.noted", event.encode().unwrap())],
    };
    let commit = Commit { appends: vec![append], ..Commit::default() };
    store.commit(commit).await.unwrap();
    written.lock().unwrap().insert(key.to_owned(), n + 1);
}

async fn handled(store: &SqliteStore) -> u64 {
    let find = FindDocuments::all("tally");
    let tallies = Documents::<Tally>::new(Arc::new(store.clone())).query(find).await.unwrap();
    tallies.iter().map(|tally| u64::from(tally.count)).sum()
}

async fn unhandled(store: &SqliteStore, written: &Mutex<BTreeMap<String, u32>>) -> u64 {
    let written: u64 = written.lock().unwrap().values().map(|n| u64::from(*n)).sum();
    written.saturating_sub(handled(store).await)
}
