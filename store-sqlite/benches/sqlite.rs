//! Measures the store against loops written by hand over the same tables, in turns, and prints the
//! ratios: commits by 64 tasks, reading the log, loading streams. `SCALE` (default 1) sizes it; `ONLY` is `commits` or
//! `reading`.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cqrs_core::{
    Append, Commit, Committed, Expected, Json, Metadata, NewEvent, Page, Payload, PayloadRef,
    ReadLog, ReadStream, Recorded, Store, StreamId, Timestamp,
};
use futures_util::StreamExt;
use rusqlite::{Connection, params};
use serde_json::Value;
use store_sqlite::SqliteStore;
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const ROUNDS: usize = 5;
const TASKS: usize = 64;
const TYPES: [&str; 3] = ["bank.opened", "bank.deposited", "bank.withdrawn"];

fn main() -> Outcome<()> {
    let scale = match std::env::var("SCALE") {
        Ok(scale) => scale.parse::<f64>()?,
        Err(_) => 1.0,
    };
    let sized = |n: f64| (n * scale).max(1.0) as usize;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let only = std::env::var("ONLY").unwrap_or_default();
    if only != "reading" {
        runtime.block_on(commits(sized(40_000.0)))?;
    }
    if only != "commits" {
        runtime.block_on(reading(sized(1_000_000.0)))?;
    }
    Ok(())
}

/// Prints the median of the rounds, and ours as a part of the floor.
fn report(what: &str, floor: &mut [f64], ours: &mut [f64]) {
    let median = |rates: &mut [f64]| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (floor, ours) = (median(floor), median(ours));
    println!("{what:<44} floor {floor:>10.0}/s  ours {ours:>10.0}/s  ratio {:.2}", ours / floor);
}

fn body(n: usize) -> String {
    format!(r#"{{"account":"{n}","amount":{},"note":"for the {n}th time"}}"#, n * 7 % 1000)
}

async fn commits(count: usize) -> Outcome<()> {
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("floor.db");
        floor.push(tokio::task::spawn_blocking(move || commit_by_hand(&path, count)).await??);
        ours.push(commit_by_store(&folder.path().join("ours.db"), count).await?);
    }
    report("single-event commits by 64 tasks", &mut floor, &mut ours);
    Ok(())
}

/// Groups of 64: an event and a commit id each, all of it durable.
fn commit_by_hand(path: &Path, count: usize) -> Outcome<f64> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch(
        "CREATE TABLE events (
            position INTEGER PRIMARY KEY, tenant TEXT NOT NULL, category TEXT NOT NULL,
            stream TEXT NOT NULL, version INTEGER NOT NULL, type TEXT NOT NULL,
            schema_version INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, recorded INTEGER NOT NULL,
            tags TEXT, metadata TEXT NOT NULL, data TEXT,
            UNIQUE (tenant, category, stream, version)) STRICT;
         CREATE TABLE commits (
            id BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, position INTEGER NOT NULL,
            at INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
    )?;
    let started = Instant::now();
    let mut event = conn.prepare(
        "INSERT INTO events VALUES (?1, '', 'account', ?2, ?3, ?4, 1, ?5, ?6, NULL, '{}', ?7)",
    )?;
    let mut commit = conn.prepare("INSERT INTO commits VALUES (?1, ?2, ?3, ?4)")?;
    for n in 0..count {
        if n % TASKS == 0 {
            conn.execute_batch("BEGIN IMMEDIATE")?;
        }
        let (stream, version) = ((n % TASKS).to_string(), (n / TASKS) as i64 + 1);
        let (id, commit_id) = (Uuid::now_v7(), Uuid::now_v7());
        let now = Timestamp::from(std::time::SystemTime::now()).as_micros();
        let position = n as i64 + 1;
        let kind = TYPES[n % 3];
        event.execute(params![position, stream, version, kind, id.as_bytes(), now, body(n)])?;
        commit.execute(params![commit_id.as_bytes(), id.as_bytes(), position, now])?;
        if n % TASKS == TASKS - 1 || n + 1 == count {
            conn.execute_batch("COMMIT")?;
        }
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

async fn commit_by_store(path: &Path, count: usize) -> Outcome<f64> {
    let store = SqliteStore::open(path).await?;
    let started = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for (version, n) in (task..count).step_by(TASKS).enumerate() {
                let payload = Payload::Json(Json::parse(body(n))?);
                let commit = Commit {
                    appends: vec![Append {
                        stream: StreamId::new("account", task.to_string()),
                        expected: Expected::Exactly(version as u64),
                        events: vec![NewEvent::new(TYPES[n % 3], payload)],
                    }],
                    ..Commit::default()
                };
                let committed = store.commit(commit).await?;
                assert!(matches!(committed, Committed::Now { .. }));
            }
            Outcome::Ok(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    store.close().await?;
    Ok(rate)
}

async fn reading(count: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path: Arc<Path> = folder.path().join("read.db").into();
    let store = SqliteStore::open(&path).await?;
    const STREAM: usize = 1_000;
    for first in (0..count).step_by(STREAM) {
        let event = |n: usize| {
            let payload = Payload::Json(Json::parse(body(n))?);
            let metadata = Metadata::default().with_actor("ada").with_correlation(n.to_string());
            Outcome::Ok(NewEvent { metadata, ..NewEvent::new(TYPES[n % 3], payload) })
        };
        let events = (first..count.min(first + STREAM)).map(event).collect::<Outcome<Vec<_>>>()?;
        let stream = StreamId::new("account", (first / STREAM).to_string());
        let append = Append { stream, expected: Expected::NoStream, events };
        store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
    }

    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let hand = Arc::clone(&path);
        let log = "SELECT position, stream, version, type, id_bytes, recorded_us, metadata, data
            FROM event_rows ORDER BY position";
        floor.push(tokio::task::spawn_blocking(move || read_by_hand(&hand, log, None)).await??);
        let before = resident();
        ours.push(read_by_store(&store, count).await?);
        if let (Some(before), Some(after)) = (before, resident()) {
            println!("  resident memory {before} -> {after} KiB");
        }
    }
    report("events of the log, read and decoded", &mut floor, &mut ours);

    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let streams = (count / STREAM).clamp(1, 200);
        let hand = Arc::clone(&path);
        let load = "SELECT position, stream, version, type, id_bytes, recorded_us, metadata, data
            FROM event_rows WHERE tenant = '' AND category = 'account' AND stream = ?1
            ORDER BY version";
        let by_hand = move || read_by_hand(&hand, load, Some((round, streams)));
        floor.push(tokio::task::spawn_blocking(by_hand).await??);
        let (started, mut events) = (Instant::now(), 0);
        for n in 0..streams {
            let stream = StreamId::new("account", ((n + round) % streams).to_string());
            let mut pages = store.read_stream(ReadStream::of(stream));
            while let Some(page) = pages.next().await {
                events += decode(&page?)?;
            }
        }
        ours.push(events as f64 / started.elapsed().as_secs_f64());
    }
    report("events of streams of 1,000, loaded", &mut floor, &mut ours);
    store.close().await?;
    Ok(())
}

/// Memory of this process in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn read_by_hand(path: &Path, sql: &str, streams: Option<(usize, usize)>) -> Outcome<f64> {
    let conn = Connection::open(path)?;
    let mut select = conn.prepare(sql)?;
    let (started, mut events) = (Instant::now(), 0);
    let (first, count) = streams.unwrap_or((0, 1));
    for n in 0..count {
        let stream = ((n + first) % count).to_string();
        let mut rows = match streams {
            Some(_) => select.query((stream,))?,
            None => select.query(())?,
        };
        while let Some(row) = rows.next()? {
            let id = Uuid::from_slice(row.get_ref(4)?.as_blob()?)?;
            let data = serde_json::from_str::<Body<'_>>(row.get_ref(7)?.as_str()?)?;
            let (position, version) = (row.get::<_, i64>(0)?, row.get::<_, i64>(2)?);
            let (stream, kind) = (row.get_ref(1)?.as_str()?, row.get_ref(3)?.as_str()?);
            let (time, metadata) = (row.get::<_, i64>(5)?, row.get_ref(6)?.as_str()?);
            black_box((position, stream, version, kind, id, time, metadata, data));
            events += 1;
        }
    }
    Ok(f64::from(events) / started.elapsed().as_secs_f64())
}

async fn read_by_store(store: &SqliteStore, count: usize) -> Outcome<f64> {
    let (started, mut events) = (Instant::now(), 0);
    let mut pages = store.read_log(ReadLog::after(0));
    while let Some(page) = pages.next().await {
        events += decode(&page?)?;
    }
    assert_eq!(events, count);
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

/// What an aggregate or a projection gets.
type Body<'a> = std::collections::BTreeMap<&'a str, Value>;

fn decode(page: &Page) -> Outcome<usize> {
    for event in page.iter() {
        let Recorded { data: PayloadRef::Json(text), .. } = event else { continue };
        black_box((serde_json::from_str::<Body<'_>>(text)?, &event));
    }
    Ok(page.len())
}
