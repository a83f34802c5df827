//! A subscription that begins at the beginning of a long log does not read it into its memory.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use cqrs_core::{
    App, Append, Commit, Event, EventType, Expected, HandlerError, NewEvent, RuntimeSettings,
    Store, StreamId,
};
use serde::{Deserialize, Serialize};
use store_sqlite::{SqliteStore, Synchronous};

use crate::common::within;
use crate::sharing::{Killed, child};

const BACKLOG: &str = "STORE_SQLITE_BACKLOG";
const NAME: &str = "backlog.read";

const EVENTS: usize = 50_000;
const NOTE: usize = 3_000;

/// Memory may grow by so much, in KiB: less than half of what the log holds.
const BAR: u64 = 64 * 1024;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noted {
    note: String,
}

impl Event for Noted {
    const TYPES: &'static [EventType] = &[EventType::new("backlog.noted", "Noted")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

async fn read(event: Noted) -> Result<(), HandlerError> {
    assert_eq!(event.note.len(), NOTE);
    Ok(())
}

/// Not a test of its own: a process that catches up, and says by how many KiB its memory grew.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_catches_up() {
    let Ok(path) = std::env::var(BACKLOG) else { return };
    let store = SqliteStore::open(&path).await.unwrap();
    let app = App::builder()
        .store(store.clone())
        .event_handler(NAME, read)
        .subscription(NAME, |s| s.partitions(8))
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    let before = resident();
    let mut most = before;
    let running = app.start().await.unwrap();
    let subscriptions = app.subscriptions().unwrap();
    within(Duration::from_secs(100), "it catches up", async || {
        most = most.max(resident());
        subscriptions.get(NAME).await.unwrap().position >= EVENTS as u64
    })
    .await;
    running.stop(Duration::from_secs(5)).await.unwrap();
    println!("\ngrew {}", most - before);
}

/// Memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn catching_up_takes_memory_for_a_few_pages_and_not_for_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backlog.db");
    let settings = SqliteStore::builder().synchronous(Synchronous::Normal);
    let store = settings.open(&path).await.unwrap();
    let body = Noted { note: "n".repeat(NOTE) }.encode().unwrap();
    for first in (0..EVENTS).step_by(500) {
        let appends = (first..first + 500).step_by(5).map(|n| Append {
            stream: StreamId::new("note", (n / 5 % 200).to_string()),
            expected: Expected::Any,
            events: (0..5).map(|_| NewEvent::new("backlog.noted", body.clone())).collect(),
        });
        store.commit(Commit { appends: appends.collect(), ..Commit::default() }).await.unwrap();
    }
    let told = path.display().to_string();
    let grew = tokio::task::spawn_blocking(move || {
        let mut child = Killed(child("backlog::process_that_catches_up", BACKLOG, &told));
        let mut lines =
            BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let grew = lines.find_map(|line| Some(line.strip_prefix("grew ")?.parse::<u64>().unwrap()));
        grew.expect("it catches up")
    });
    let grew = grew.await.unwrap();
    println!("resident memory grew by {grew} KiB");
    assert!(grew < BAR, "{grew} KiB, and the log holds {} KiB", EVENTS * NOTE / 1024);
}
