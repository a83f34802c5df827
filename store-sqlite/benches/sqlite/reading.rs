//! Reading and decoding a log of 1,000,000 events, and loading accounts of 1,000 events.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cqrs_core::{
    Append, Commit, Event, Expected, MessageId, Metadata, NewEvent, ReadLog, Repository, Store,
    StreamId,
};
use futures_util::StreamExt;
use rusqlite::Connection;
use store_sqlite::SqliteStore;

use crate::domain::{Account, AccountEvent};
use crate::floor::{self, Loader};
use crate::{Outcome, ROUNDS, Rates};

const STREAM: usize = 1_000;

pub(crate) async fn measure(events: usize, log: bool, load: bool) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path: Arc<Path> = folder.path().join("read.db").into();
    let store = SqliteStore::open(&path).await?;
    fill(&store, events).await?;
    if log {
        read_log(&store, &path, events).await?;
    }
    if load {
        load_accounts(&store, &path, (events / STREAM) as u64).await?;
    }
    store.close().await?;
    Ok(())
}

async fn fill(store: &SqliteStore, count: usize) -> Outcome<()> {
    for first in (0..count).step_by(STREAM) {
        let events = (first..count.min(first + STREAM)).map(|n| {
            let event = AccountEvent::nth(n);
            let command =
                Metadata::default().with_actor("ada").with_correlation(format!("web-{n}"));
            Outcome::Ok(NewEvent {
                metadata: command.effect(MessageId::fresh()),
                event_type: event.event_type().name.into(),
                schema_version: 1,
                tags: Vec::new(),
                payload: event.encode()?,
            })
        });
        let append = Append {
            stream: StreamId::new("account", (first / STREAM).to_string()),
            expected: Expected::NoStream,
            events: events.collect::<Outcome<_>>()?,
        };
        store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
    }
    Ok(())
}

async fn read_log(store: &SqliteStore, path: &Arc<Path>, count: usize) -> Outcome<()> {
    let mut rates = Rates::default();
    let mut grown = 0;
    for _ in 0..ROUNDS {
        let by_hand = Arc::clone(path);
        let floor = tokio::task::spawn_blocking(move || floor::read_log(&by_hand)).await??;
        rates.floor.push(floor);
        let before = resident().unwrap_or(0);
        let (started, mut events) = (Instant::now(), 0);
        let mut pages = store.read_log(ReadLog::after(0));
        while let Some(page) = pages.next().await {
            for event in page?.iter() {
                let metadata = event.metadata()?;
                let decoded = event.decode::<AccountEvent>()?.ok_or("an event of another type")?;
                black_box((&metadata, &decoded));
                events += 1;
            }
        }
        rates.ours.push(f64::from(events) / started.elapsed().as_secs_f64());
        assert_eq!(events as usize, count);
        grown = grown.max(resident().unwrap_or(0).saturating_sub(before));
    }
    rates.report("events of the log, read and decoded", Some(0.7));
    println!("{:<46} {grown} KiB at most in a round  bar 32768", "resident memory grew");
    Ok(())
}

async fn load_accounts(store: &SqliteStore, path: &Arc<Path>, accounts: u64) -> Outcome<()> {
    let accounts = accounts.clamp(1, 200);
    let repository = Repository::<Account>::new(Arc::new(store.clone()));
    let rate = move |started: Instant| accounts as f64 / started.elapsed().as_secs_f64();
    let mut rates = Rates::default();
    for _ in 0..ROUNDS {
        let by_hand = Arc::clone(path);
        let floor = tokio::task::spawn_blocking(move || {
            let conn = Connection::open(by_hand)?;
            let mut loader = Loader::of(&conn)?;
            let started = Instant::now();
            for id in 0..accounts {
                black_box(loader.load(id)?.balance);
            }
            Outcome::Ok(rate(started))
        });
        rates.floor.push(floor.await??);
        let started = Instant::now();
        for id in 0..accounts {
            black_box(repository.load(&id).await?.balance);
        }
        rates.ours.push(rate(started));
    }
    rates.report("aggregates of 1,000 events, loaded", Some(0.7));
    Ok(())
}

/// Memory of this process in KiB, where the system tells.
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
