//! A subscription that begins at the beginning of a long log: events a second, and its memory. Each
//! runs in a process of its own, which did nothing before.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{
    App, Append, Commit, Documents, Expected, HandlerError, Res, RuntimeSettings, Store, StreamId,
};
use store_sqlite::SqliteStore;

use crate::domain::AccountEvent;
use crate::latency::{Shown, event_for, show};
use crate::reading::resident;
use crate::{Outcome, ROUNDS};

const CATCHES_UP: &str = "BENCH_CATCHES_UP";
const PARTITIONS: u32 = 8;
const ACCOUNTS: usize = 1_000;

/// Events of one account that follow each other in the log.
const RUN: usize = 10;

/// Memory may grow by so much, in KiB.
const BAR: u64 = 64 * 1024;

type Seen = Arc<AtomicU64>;

async fn see(_: AccountEvent, Res(seen): Res<Seen>) -> Result<(), HandlerError> {
    seen.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

pub(crate) async fn measure(events: usize, of_work: usize) -> Outcome<()> {
    for (handler, events) in [("nothing", events), ("work", of_work)] {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("backlog.db");
        fill(&path, events).await?;
        let (mut rates, mut grown) = (Vec::new(), 0);
        for _ in 0..ROUNDS.min(3) {
            let copy = folder.path().join("copy.db");
            std::fs::copy(&path, &copy)?;
            let mut child = Command::new(std::env::current_exe()?);
            let said = child.env(CATCHES_UP, &copy).arg(handler).output()?;
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            let mut numbers = said.split_whitespace().map(str::parse::<f64>);
            let mut next = || numbers.next().ok_or_else(|| format!("it said {said:?}"));
            rates.push(next()??);
            grown = grown.max(next()?? as u64);
        }
        rates.sort_by(f64::total_cmp);
        let rate = rates[rates.len() / 2];
        let what = format!("events of a backlog, handler with {handler}");
        println!("{what:<46} ours {rate:>9.0}/s  of {events}");
        let met = if grown < BAR { "met" } else { "MISSED" };
        println!("{:<46} {grown} KiB at most in a round  bar {BAR}: {met}", "resident memory grew");
    }
    Ok(())
}

async fn fill(path: &Path, count: usize) -> Outcome<()> {
    let store = SqliteStore::open(path).await?;
    let runs = count.div_ceil(RUN);
    let mut n = 0;
    for first in (0..runs).step_by(100) {
        let mut commit = Commit::default();
        for run in first..runs.min(first + 100) {
            let account = run * 7 % ACCOUNTS;
            let events = (0..RUN).map(|k| event_for(account, n + k)).collect::<Outcome<_>>()?;
            n += RUN;
            let stream = StreamId::new("account", account.to_string());
            commit.appends.push(Append { stream, expected: Expected::Any, events });
        }
        store.commit(commit).await?;
    }
    store.close().await?;
    Ok(())
}

/// What the process is asked to catch up with, if it is one of those.
pub(crate) fn asked() -> Option<String> {
    std::env::var(CATCHES_UP).ok()
}

/// Catches up, and prints events a second and by how many KiB its memory grew.
pub(crate) async fn catch_up(path: &str, handler: &str) -> Outcome<()> {
    const NAME: &str = "bench.backlog";
    let store = SqliteStore::open(path).await?;
    let shown = Documents::<Shown>::new(Arc::new(store.clone()));
    shown.declare().await?;
    let builder = App::builder().store(store.clone()).resource(Seen::default());
    let builder = match handler {
        "work" => builder.event_handler(NAME, show),
        _ => builder.event_handler(NAME, see),
    };
    let app = builder
        .subscription(NAME, |s| s.partitions(PARTITIONS))
        .runtime(RuntimeSettings::production())
        .build()?;
    let head = store.head().await?.position;
    let before = resident().unwrap_or(0);
    let mut most = before;
    let started = Instant::now();
    let running = app.start().await?;
    let subscriptions = app.subscriptions()?;
    while subscriptions.get(NAME).await?.position < head {
        tokio::time::sleep(Duration::from_millis(5)).await;
        most = most.max(resident().unwrap_or(0));
    }
    let rate = head as f64 / started.elapsed().as_secs_f64();
    running.stop(Duration::from_secs(5)).await?;
    store.close().await?;
    println!("{rate:.1} {}", most - before);
    Ok(())
}
