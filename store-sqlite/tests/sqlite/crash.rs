//! A process that is killed in the middle of its commits, again and again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use cqrs_core::{
    Collection, Commit, CommitId, Committed, DocumentKey, DocumentWrite, Expected, Filter,
    Fingerprint, InboxMark, Json, MessageId, Store,
};
use store_sqlite::SqliteStore;

use crate::common::{append, event_with_id, id, log_of};
use crate::sharing::child;

const CRASH: &str = "STORE_SQLITE_CRASH";
const TASKS: u128 = 6;
const EVENTS: u32 = 3;

/// The `n`-th commit of a task: events, a document and an inbox mark. The same in both processes.
fn commit(task: u128, n: u128) -> Commit {
    let id = commit_id(task, n);
    let events = (0..EVENTS).map(|k| event_with_id(id.derived("event", k))).collect();
    let body = Json::parse(format!(r#"{{"n":{n},"key":"{task}"}}"#)).unwrap();
    Commit {
        id: CommitId(id),
        appends: vec![append(&task.to_string(), Expected::Any, events)],
        documents: vec![DocumentWrite::put(document(task), Expected::Any, body)],
        inbox: n.is_multiple_of(2).then(|| mark(id)).into_iter().collect(),
        ..Commit::default()
    }
}

fn commit_id(task: u128, n: u128) -> MessageId {
    id(task << 64 | (n + 1))
}

fn document(task: u128) -> DocumentKey {
    DocumentKey::new("progress", task.to_string())
}

fn mark(id: MessageId) -> InboxMark {
    InboxMark {
        consumer: "crash".to_owned(),
        message: id,
        fingerprint: Fingerprint::of(b"crash"),
        reply: Some("done".into()),
    }
}

/// Not a test of its own: the process that is killed. Prints each commit once it is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_crashes() {
    let Ok(path) = std::env::var(CRASH) else { return };
    let store = SqliteStore::open(&path).await.unwrap();
    store.declare(Collection::new("progress").unique("key")).await.unwrap();
    let tasks = (0..TASKS).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0_u128.. {
                let committed = store.commit(commit(task, n)).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "\nack {task} {n} {}", committed.position()).unwrap();
                out.flush().unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_and_nothing_is_half_there() {
    let rounds = std::env::var("CRASH_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let mut acknowledged = 0;
    for _ in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crash.db");
        let file = path.clone();
        let acks = tokio::task::spawn_blocking(move || run_and_kill(&file)).await.unwrap();
        acknowledged += acks.len();
        verify(&path, &acks).await;
    }
    println!("{acknowledged} acknowledged commits in {rounds} rounds");
    assert!(acknowledged > rounds);
}

/// The acknowledged commits, by task and number, with their positions.
type Acks = HashMap<(u128, u128), u64>;

fn run_and_kill(path: &Path) -> Acks {
    let path = path.display().to_string();
    let mut child = child("crash::process_that_crashes", CRASH, &path);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut child = Some(child);
    let (mut acks, mut line) = (Acks::new(), String::new());
    let mut killer = None;
    while out.read_line(&mut line).unwrap() > 0 {
        // What was cut off by the kill is no whole line: it was not said.
        if let Some(ack) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("ack ")) {
            let mut numbers = ack.split(' ').map(|n| n.parse::<u128>().unwrap());
            let mut next = || numbers.next().unwrap();
            acks.insert((next(), next()), next() as u64);
            if let Some(mut child) = child.take() {
                let after = fastrand::u64(0..60_000);
                killer = Some(std::thread::spawn(move || {
                    // A random moment, not a wait for something.
                    std::thread::sleep(Duration::from_micros(after));
                    child.kill().unwrap();
                    child.wait().unwrap()
                }));
            }
        }
        line.clear();
    }
    assert!(!killer.unwrap().join().unwrap().success());
    acks
}

async fn verify(path: &Path, acks: &Acks) {
    let store = SqliteStore::open(path).await.unwrap();
    let mut log = HashMap::<MessageId, u64>::new();
    for page in log_of(&store, Filter::default()).await {
        for event in page.iter() {
            assert_eq!(log.insert(event.id, event.position), None, "twice: {event:?}");
        }
    }
    let mut events = 0;
    for task in 0..TASKS {
        let acked = (0..).take_while(|n| acks.contains_key(&(task, *n))).count() as u128;
        assert_eq!(acks.keys().filter(|(t, _)| *t == task).count() as u128, acked);
        // At most one more was in flight.
        let mut there = 0;
        for n in 0..acked + 2 {
            let id = commit_id(task, n);
            let found = (0..EVENTS).filter(|k| log.contains_key(&id.derived("event", *k))).count();
            assert!(found == 0 || found == EVENTS as usize, "half of commit {n} of {task}");
            let whole = found > 0;
            assert!(whole || n >= acked, "commit {n} of {task} was acknowledged and is lost");
            let marked = store.inbox("crash", id).await.unwrap().is_some();
            assert_eq!(marked, whole && n.is_multiple_of(2), "the inbox of commit {n} of {task}");
            there += u128::from(whole);
        }
        assert!(there <= acked + 1);
        events += there as usize * EVENTS as usize;
        let document = store.document(&document(task)).await.unwrap();
        assert_eq!(document.map_or(0, |d| u128::from(d.version)), there, "document of {task}");
        for n in [0, acked.saturating_sub(1)] {
            let Some(position) = acks.get(&(task, n)) else { continue };
            let reply = n.is_multiple_of(2).then(|| "done".into());
            let before = Committed::Before { position: *position, reply };
            assert_eq!(store.commit(commit(task, n)).await.unwrap(), before);
        }
    }
    assert_eq!(events, log.len());
    for task in 0..TASKS {
        let acked = (0..).take_while(|n| acks.contains_key(&(task, *n))).count() as u128;
        let next = store.commit(commit(task, acked)).await.unwrap();
        let id = commit_id(task, acked).derived("event", 0);
        let was_there = log.contains_key(&id);
        assert_eq!(matches!(next, Committed::Before { .. }), was_there);
    }
    store.close().await.unwrap();
}
