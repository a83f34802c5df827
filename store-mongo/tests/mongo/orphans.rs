//! A node that dies or stops while it has the turn: the others write again.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use cqrs_core::{Committed, Expected, Store};
use test_servers::TestProcess;

use crate::common::{self, Database};
use crate::secrets::Logged;
use crate::short::deposit;

/// Within this time others write again.
const BOUND: Duration = Duration::from_secs(5);

/// Tells a process where it is to die.
const DIES: &str = "STORE_MONGO_DIES";

/// Not a test of its own: a process that has the turn until it is killed.
#[tokio::test]
async fn process_that_dies_with_the_turn() {
    let Ok(database) = std::env::var(DIES) else { return };
    let store = common::store(&database).connect().await.unwrap();
    let mut session = store.session().await.unwrap();
    session.start_transaction().await.unwrap();
    store.commit_in(&mut session, deposit("2", Expected::Any)).await.unwrap();
    println!("\nready");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn others_write_again_at_once_when_a_node_that_has_the_turn_is_killed() {
    let logged = Logged::default();
    let _here = tracing::subscriber::set_default(logged.clone());
    let database = Database::new();
    let store = common::store(&database.0).connect().await.unwrap();
    let test = "orphans::process_that_dies_with_the_turn";
    let mut process = TestProcess::start(test, DIES, &database.0).unwrap();
    let mut lines = BufReader::new(process.child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().trim() == "ready").unwrap().unwrap();
    process.child.kill().unwrap();
    process.child.wait().unwrap();
    let since = Instant::now();
    let committed = store.commit(deposit("3", Expected::Any)).await.unwrap();
    assert_eq!(committed, Committed::Now { position: 1 });
    println!("the turn was had again after {:?}", since.elapsed());
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
    // Not because it did nothing for long.
    let logged = logged.0.lock().unwrap().clone();
    assert!(logged.contains("is_dead: true"), "{logged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_again_when_a_node_stops_while_it_has_the_turn() {
    let database = Database::new();
    let open = async || common::store(&database.0).connect().await.unwrap();
    let (stopped, lives) = (open().await, open().await);
    assert!(matches!(
        lives.commit(deposit("1", Expected::Any)).await.unwrap(),
        Committed::Now { position: 1 }
    ));
    let mut session = stopped.session().await.unwrap();
    session.start_transaction().await.unwrap();
    stopped.commit_in(&mut session, deposit("2", Expected::Any)).await.unwrap();
    // From here on it does nothing any more.
    let since = Instant::now();
    let committed = lives.commit(deposit("3", Expected::Any)).await.unwrap();
    assert_eq!(committed, Committed::Now { position: 2 });
    println!("the turn was had again after {:?}", since.elapsed());
    assert!(since.elapsed() < BOUND, "{:?}", since.elapsed());
    // And what it still wanted to write is not written.
    assert!(session.commit_transaction().await.is_err());
    assert_eq!(lives.head().await.unwrap().position, 2);
}
