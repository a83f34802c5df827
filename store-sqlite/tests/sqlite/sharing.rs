//! Several stores and several processes on one file.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cqrs_core::{Committed, ErrorKind, Expected, Filter, ReadLog, Store};
use futures_util::StreamExt;
use rusqlite::Connection;
use store_sqlite::SqliteStore;

#[cfg(target_os = "linux")]
use crate::common::eventually;
use crate::common::{append, deposit, event, log_of, positions};

/// Starts this test binary again, to run one test of it as a process of its own. What it is told is
/// its affair: its input ends with this process at the latest.
pub(crate) fn child(test: &str, variable: &str, value: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, value)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A process that is killed, at the end of a test at the latest, however that ends.
pub(crate) struct Killed(pub(crate) Child);

impl Killed {
    /// Starts one, and waits until it says this.
    pub(crate) fn when(test: &str, variable: &str, value: &str, says: &str) -> Self {
        let mut child = Self(child(test, variable, value));
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().trim() == says).unwrap().unwrap();
        child
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Stops it in the middle of whatever it does, until it [goes on](Self::go_on).
    #[cfg(target_os = "linux")]
    pub(crate) async fn pause(&self) {
        self.signal("-STOP");
        let stat = format!("/proc/{}/stat", self.0.id());
        eventually("the process stops", async || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T')
        })
        .await;
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    #[cfg(target_os = "linux")]
    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_on_one_file_see_each_other_and_both_get_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let stores = [SqliteStore::open(&path).await.unwrap(), SqliteStore::open(&path).await.unwrap()];
    let writing = stores.clone().map(|store| {
        tokio::spawn(async move {
            let (mut done, mut version) = (0, 0);
            while done < 100 {
                let expected = Expected::Exactly(version);
                let appends = vec![append("17", expected, vec![event("bank.deposited")])];
                let commit = cqrs_core::Commit { appends, ..Default::default() };
                match store.commit(commit).await.map_err(|error| error.kind().clone()) {
                    Ok(_) => (done, version) = (done + 1, version + 1),
                    Err(ErrorKind::Conflict(cqrs_core::Conflict::Stream { actual, .. })) => {
                        version = actual;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        })
    });
    for task in writing {
        task.await.unwrap();
    }
    for store in &stores {
        let pages = log_of(store, Filter::default()).await;
        let versions = pages.iter().flat_map(|p| p.iter().map(|e| e.version)).collect::<Vec<_>>();
        assert_eq!(versions, (1..=200).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_locked_file_is_an_error_in_time_and_not_a_hang() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let patience = Duration::from_millis(150);
    let store = SqliteStore::builder().busy_timeout(patience).open(&path).await.unwrap();
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let started = Instant::now();
    let commit = deposit("17");
    let error = store.commit(commit.clone()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("orders.db"), "{error}");
    let collection = cqrs_core::Collection::new("tutor");
    let error = store.declare(collection).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    let took = started.elapsed();
    assert!(took >= patience && took < Duration::from_secs(5), "{took:?}");
    // Readers are not in the way of a writer, nor it in theirs.
    assert_eq!(store.head().await.unwrap().position, 0);
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Now { position: 1 });
}

const PROCESSES: usize = 8;
const SHARED: &str = "STORE_SQLITE_SHARED";

/// Not a test of its own: one of the processes of the next one. Commits for two seconds and prints
/// how many.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_shares() {
    let Ok(path) = std::env::var(SHARED) else { return };
    let store = SqliteStore::open(&path).await.unwrap();
    println!("\nready");
    // All begin together: the parent opens the gate by a first event.
    while store.head().await.unwrap().position == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let until = Instant::now() + Duration::from_secs(2);
    let tasks = (0..4).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            let stream = format!("{}-{task}", std::process::id());
            let mut commits = 0;
            while Instant::now() < until {
                store.commit(deposit(&stream)).await.unwrap();
                commits += 1;
            }
            commits
        })
    });
    let mut commits = 0;
    for task in tasks.collect::<Vec<_>>() {
        commits += task.await.unwrap();
    }
    println!("\ncommits {commits}");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_share_a_file_and_none_starves_or_hides_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut ready = Vec::new();
    for _ in 0..PROCESSES {
        let mut child = child("sharing::process_that_shares", SHARED, &path.display().to_string());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().trim() == "ready").unwrap().unwrap();
        ready.push((child, lines));
    }
    store.commit(deposit("gate")).await.unwrap();
    let counting = tokio::task::spawn_blocking(move || {
        let mut counts = Vec::new();
        for (mut child, mut lines) in ready {
            let line = lines.find(|line| line.as_ref().unwrap().starts_with("commits "));
            let line = line.unwrap().unwrap();
            counts.push(line["commits ".len()..].trim().parse::<usize>().unwrap());
            lines.for_each(drop);
            assert!(child.wait().unwrap().success());
        }
        counts
    });

    let (mut given, mut after) = (Vec::new(), 0);
    let mut last_round = false;
    loop {
        let mut pages = store.read_log(ReadLog::after(after).page(100));
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            given.extend(page.iter().map(|event| event.position));
            after = page.through();
        }
        if last_round {
            break;
        }
        last_round = counting.is_finished();
    }
    let counts = counting.await.unwrap();
    let total = counts.iter().sum::<usize>();
    println!("commits of each process: {counts:?}");
    assert_eq!(given.len(), total + 1);
    // P4: what was never given while others wrote would be missing here.
    assert_eq!(given, positions(&log_of(&store, Filter::default()).await));
    for count in &counts {
        assert!(*count >= 10 && *count * PROCESSES * 10 >= total, "starved: {counts:?}");
    }
}
