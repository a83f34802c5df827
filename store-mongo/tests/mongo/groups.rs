//! Commits that are written together: each has a verdict of its own.

use std::time::{Duration, Instant};

use cqrs_core::{Commit, Committed, Conflict, ErrorKind, Expected, Fence, Store};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::{self, Database};
use crate::short::deposit;

#[tokio::test]
async fn a_commit_is_not_refused_for_what_another_one_of_its_group_expects() {
    let database = Database::new();
    let open = async || common::store(&database.0).connect().await.unwrap();
    let (writes, knows_nothing) = (open().await, open().await);
    for n in 0..3 {
        writes.commit(deposit("17", Expected::Exactly(n))).await.unwrap();
    }
    // Refused for its lease, before its stream is looked at.
    let fences = vec![Fence { lease: "mailer/0".to_owned(), token: 3 }];
    let refused = Commit { fences, ..deposit("17", Expected::NoStream) };
    let right = deposit("17", Expected::Exactly(3));
    // Both are there when the writer looks.
    let (refused, right) = tokio::join!(knows_nothing.commit(refused), knows_nothing.commit(right));
    let error = refused.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict(Conflict::Lease { .. })), "{error:?}");
    assert_eq!(right.unwrap(), Committed::Now { position: 4 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_while_others_go_on_committing() {
    let database = Database::new();
    let store = common::store(&database.0).connect().await.unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut last = None;
            loop {
                match store.commit(deposit(&task.to_string(), Expected::Any)).await {
                    Ok(committed) => last = Some(committed.position()),
                    Err(error) => return (last, error),
                }
            }
        });
    }
    while store.head().await.unwrap().position < 100 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    timeout(Duration::from_secs(10), store.close()).await.unwrap();
    println!("closed within {:?}", began.elapsed());
    let reader = common::store(&database.0).connect().await.unwrap();
    let head = reader.head().await.unwrap().position;
    let ended = tasks.join_all().await;
    for (_, error) in &ended {
        assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
    // What was acknowledged is there, and nothing comes later.
    assert_eq!(ended.into_iter().filter_map(|(last, _)| last).max(), Some(head));
}
