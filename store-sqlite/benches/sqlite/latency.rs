//! From the acknowledged commit of an event until a durable read model shows it, in an idle process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{
    App, Append, Commit, Documents, Entity, Event, Expected, HandlerError, NewEvent,
    RuntimeSettings, Store, StreamId, Work,
};
use serde::{Deserialize, Serialize};
use store_sqlite::SqliteStore;

use crate::Outcome;
use crate::domain::{AccountEvent, Movement};

const ACCOUNTS: usize = 20;

/// The 99th of 100 is to be shown within this time.
const BAR: Duration = Duration::from_millis(10);

/// What is read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shown {
    account: String,
    events: u64,
}

impl Entity for Shown {
    const COLLECTION: &'static str = "shown";

    fn id(&self) -> String {
        self.account.clone()
    }
}

pub(crate) async fn show(event: AccountEvent, work: Work) -> Result<(), HandlerError> {
    let (AccountEvent::Opened(movement)
    | AccountEvent::Deposited(movement)
    | AccountEvent::Withdrawn(movement)) = event;
    match work.get::<Shown>(&movement.account).await? {
        None => work.insert(&Shown { account: movement.account, events: 1 })?,
        Some(mut shown) => {
            shown.events += 1;
            work.save(&shown)?;
        }
    }
    Ok(())
}

/// The `n`-th event of all, for an account.
pub(crate) fn event_for(account: usize, n: usize) -> Outcome<NewEvent> {
    let movement = Movement { account: account.to_string(), ..Movement::nth(n) };
    let event = AccountEvent::Deposited(movement);
    Ok(NewEvent::new(event.event_type().name, event.encode()?))
}

pub(crate) async fn measure(commits: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    // Durable commits are the default.
    let store = SqliteStore::open(folder.path().join("latency.db")).await?;
    let shown = Documents::<Shown>::new(Arc::new(store.clone()));
    shown.declare().await?;
    let app = App::builder()
        .store(store.clone())
        .event_handler("bench.show", show)
        .runtime(RuntimeSettings {
            poll: Duration::from_millis(250),
            ..RuntimeSettings::production()
        })
        .build()?;
    let running = app.start().await?;
    running.ready().await;
    let (mut acknowledged, mut visible) = (Vec::new(), Vec::new());
    for n in 0..commits + ACCOUNTS {
        let account = n % ACCOUNTS;
        let append = Append {
            stream: StreamId::new("account", account.to_string()),
            expected: Expected::Any,
            events: vec![event_for(account, n)?],
        };
        let began = Instant::now();
        store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
        let committed = Instant::now();
        let wanted = (n / ACCOUNTS + 1) as u64;
        while shown.get(&account.to_string()).await?.is_none_or(|shown| shown.events < wanted) {}
        // The first of each account is there to warm up.
        if n >= ACCOUNTS {
            acknowledged.push(committed - began);
            visible.push(committed.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(2..40))).await;
    }
    running.stop(Duration::from_secs(5)).await?;
    store.close().await?;
    report("commits, acknowledged after", acknowledged, None);
    report("events in a read model, after that", visible, Some(BAR));
    Ok(())
}

fn report(what: &str, mut took: Vec<Duration>, bar: Option<Duration>) {
    took.sort();
    let part = |of: f64| took[((took.len() - 1) as f64 * of) as usize].as_secs_f64() * 1000.0;
    let (p50, p99, max) = (part(0.5), part(0.99), part(1.0));
    let bar = bar.map_or(String::new(), |bar| {
        let bar = bar.as_secs_f64() * 1000.0;
        format!("  bar {bar:.0} ms: {}", if p99 <= bar { "met" } else { "MISSED" })
    });
    let count = took.len();
    println!("{what:<46} p50 {p50:.2} ms  p99 {p99:.2} ms  max {max:.2} ms  of {count}{bar}");
}
