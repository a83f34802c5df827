//! Single-event commits by 64 tasks, every one of them durable before it is answered.

use std::path::Path;
use std::time::Instant;

use cqrs_core::{
    Append, Commit, CommitId, Committed, Event, Expected, MessageId, Metadata, NewEvent, Store,
    StreamId,
};
use store_sqlite::SqliteStore;
use uuid::Uuid;

use crate::domain::{AccountEvent, Movement, NAMES};
use crate::floor::{self, NewRow, Table};
use crate::{Outcome, ROUNDS, Rates};

const TASKS: usize = 64;

pub(crate) async fn measure(count: usize) -> Outcome<()> {
    let (mut writer, mut bare) = (Rates::default(), Rates::default());
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let bare_path = path("bare.db");
        let alone = tokio::task::spawn_blocking(move || in_a_loop(&bare_path, count)).await??;
        let by_hand = by_hand(&path("hand.db"), count).await?;
        let ours = by_store(&path("ours.db"), count).await?;
        writer.floor.push(by_hand);
        writer.ours.push(ours);
        bare.floor.push(alone);
        bare.ours.push(ours);
    }
    writer.report("commits by 64 tasks, to a writer by hand", Some(0.7));
    bare.report("commits by 64 tasks, to a bare loop of 64s", None);
    Ok(())
}

fn row(task: usize, version: usize, n: usize) -> Outcome<NewRow> {
    Ok(NewRow {
        commit: Uuid::now_v7(),
        id: Uuid::now_v7(),
        stream: task.to_string(),
        version: version as i64,
        kind: NAMES[n % 3],
        data: serde_json::to_string(&Movement::nth(n))?,
    })
}

/// No tasks, no answers: one loop that writes groups of 64.
fn in_a_loop(path: &Path, count: usize) -> Outcome<f64> {
    let mut table = Table::create(path)?;
    let started = Instant::now();
    for first in (0..count).step_by(TASKS) {
        let group = (first..count.min(first + TASKS))
            .map(|n| row(n % TASKS, n / TASKS + 1, n))
            .collect::<Outcome<Vec<_>>>()?;
        table.write(&group)?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// 64 tasks, and a thread that writes what is queued.
async fn by_hand(path: &Path, count: usize) -> Outcome<f64> {
    let (sender, thread) = floor::writer(Table::create(path)?);
    let started = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let sender = sender.clone();
        tokio::spawn(async move {
            for (version, n) in (task..count).step_by(TASKS).enumerate() {
                let (answer, answered) = tokio::sync::oneshot::channel();
                sender.send((row(task, version + 1, n)?, answer)).await?;
                answered.await?;
            }
            Outcome::Ok(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    drop(sender);
    thread.join().map_err(|_| "the writer panicked")??;
    Ok(rate)
}

async fn by_store(path: &Path, count: usize) -> Outcome<f64> {
    let store = SqliteStore::open(path).await?;
    let started = Instant::now();
    let tasks = (0..TASKS).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for (version, n) in (task..count).step_by(TASKS).enumerate() {
                let event = AccountEvent::nth(n);
                let event = NewEvent {
                    metadata: Metadata::default(),
                    event_type: event.event_type().name.into(),
                    schema_version: 1,
                    tags: Vec::new(),
                    payload: event.encode()?,
                };
                let commit = Commit {
                    id: CommitId(MessageId::fresh()),
                    appends: vec![Append {
                        stream: StreamId::new("account", task.to_string()),
                        expected: Expected::Exactly(version as u64),
                        events: vec![event],
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
