//! A process that writes as fast as it can, and remembers how long its commits took.

use std::io::{BufRead, BufReader, Write};
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cqrs_core::{
    Append, Commit, Expected, Json, NewEvent, Outgoing, OutgoingKind, Payload, Store, StreamId,
};

use test_servers::TestProcess;

use crate::common;
use crate::short::event;

const RACE: &str = "STORE_MONGO_RACE";

/// Tasks of a process.
const WRITERS: usize = 4;

/// Bytes of a large event.
const LARGE: usize = 32 << 10;

/// A commit: when it began, since 1970, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waited {
    pub(crate) began: Duration,
    pub(crate) took: Duration,
}

/// The time, since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap()
}

/// Not a test of its own: one of the processes of a race. Writes from one line of its input to the
/// next, and prints how many commits it made and how long they took.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_that_races() {
    let Ok(told) = std::env::var(RACE) else { return };
    let (database, name) = told.split_once(' ').unwrap();
    let store = common::store(database).connect().await.unwrap();
    let hear = || std::io::stdin().read_line(&mut String::new()).unwrap();
    println!("\nready");
    tokio::task::spawn_blocking(hear).await.unwrap();
    let stops = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, stops) = (store.clone(), stops.clone());
            let stream = format!("{name}-{writer}");
            tokio::spawn(async move {
                let (mut waited, mut n) = (Vec::new(), 0);
                while !stops.load(Ordering::Relaxed) {
                    let (began, started) = (now(), Instant::now());
                    store.commit(commit(&stream, n)).await.unwrap();
                    waited.push(Waited { began, took: started.elapsed() });
                    n += 1;
                }
                (n, waited)
            })
        })
        .collect();
    tokio::task::spawn_blocking(hear).await.unwrap();
    stops.store(true, Ordering::Relaxed);
    let (mut commits, mut said) = (0, String::new());
    for writer in writers {
        let (n, waited) = writer.await.unwrap();
        commits += n;
        for Waited { began, took } in waited {
            said.push_str(&format!("waited {} {}\n", began.as_micros(), took.as_micros()));
        }
    }
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{said}commits {commits}\n").as_bytes()).unwrap();
    out.flush().unwrap();
    drop(out);
    store.close().await;
}

/// The `n`-th commit of a writer: one event or three, of one stream or two, sometimes a large one, sometimes with a
/// message.
fn commit(stream: &str, n: u64) -> Commit {
    let event = || {
        let types = ["race.red", "race.green", "race.blue"];
        let tags = ["early", "late"].map(str::to_owned);
        let tags = if n.is_multiple_of(5) { vec![tags[n as usize % 2].clone()] } else { vec![] };
        let event = NewEvent { tags, ..event(types[n as usize % 3]) };
        if !n.is_multiple_of(16) {
            return event;
        }
        let large = format!("{{\"amount\":7,\"text\":\"{}\"}}", "x".repeat(LARGE));
        NewEvent { payload: Payload::Json(Json::parse(large).unwrap()), ..event }
    };
    let of = |category: &'static str, expected, events| Append {
        stream: StreamId::new(category, stream),
        expected,
        events,
    };
    let mut commit = Commit::default();
    commit.appends.push(of("account", Expected::Exactly(n), vec![event()]));
    if n.is_multiple_of(4) {
        commit.appends.push(of("ledger", Expected::Any, vec![event(), event()]));
    }
    if n.is_multiple_of(7) {
        let body = Payload::Json(Json::parse("{}").unwrap());
        commit.outgoing.push(Outgoing::new(OutgoingKind::Message, "race.told", stream, body));
    }
    commit
}

/// A process that races.
pub(crate) struct Racer {
    pub(crate) process: TestProcess,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Racer {
    /// Starts one, which waits until it is told to begin.
    pub(crate) fn start(database: &str, name: &str) -> Self {
        let told = format!("{database} {name}");
        let mut process =
            TestProcess::start("race_child::process_that_races", RACE, &told).unwrap();
        let mut lines = BufReader::new(process.child.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().trim() == "ready").unwrap().unwrap();
        Self { process, lines }
    }

    /// Lets it begin, or end.
    pub(crate) fn tell(&mut self) {
        self.process.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// How many commits it made, and how long they took. It was told to end.
    pub(crate) fn ended(mut self) -> (usize, Vec<Waited>) {
        let mut waited = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if let Some(commits) = line.strip_prefix("commits ") {
                let commits = commits.trim().parse().unwrap();
                self.lines.by_ref().for_each(drop);
                assert!(self.process.child.wait().unwrap().success());
                return (commits, waited);
            }
            if let Some(numbers) = line.strip_prefix("waited ") {
                let (began, took) = numbers.trim().split_once(' ').unwrap();
                let micros = |text: &str| Duration::from_micros(text.parse().unwrap());
                waited.push(Waited { began: micros(began), took: micros(took) });
            }
        }
        panic!("it ended without a word");
    }
}
