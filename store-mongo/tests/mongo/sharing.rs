//! Nodes that write at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{Expected, Store};
use tokio::task::JoinSet;

use crate::common::{self, Database};
use crate::own::wanted;
use crate::short::deposit;

const TASKS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_write_at_once_get_their_turns() {
    let database = Database::new();
    let open = async || common::store(&database.0).connect().await.unwrap();
    let stores = [open().await, open().await];
    let until = Instant::now() + Duration::from_secs(wanted("RACE_SECONDS", 3));
    let (mut tasks, longest) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    let done = [0, 1].map(|_| Arc::new(AtomicU64::new(0)));
    for (node, store) in stores.iter().enumerate() {
        for task in 0..TASKS {
            let (store, done, longest) = (store.clone(), done[node].clone(), longest.clone());
            tasks.spawn(async move {
                while Instant::now() < until {
                    let began = Instant::now();
                    store.commit(deposit(&format!("{node}-{task}"), Expected::Any)).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                    longest.fetch_max(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                }
            });
        }
    }
    tasks.join_all().await;
    let [one, two] = done.map(|done| done.load(Ordering::Relaxed));
    let longest = Duration::from_micros(longest.load(Ordering::Relaxed));
    println!("{one} and {two} commits of {TASKS} tasks each, the longest {longest:?}");
    assert!(one.min(two) * 4 > one.max(two), "one of them starves: {one} and {two}");
    let head = stores[0].head().await.unwrap().position;
    assert_eq!(head, one + two);
}
