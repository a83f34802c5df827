//! A node that dies or stops while it has the turn: the others write again.

use std::time::{Duration, Instant};

use cqrs_core::{Committed, Expected, Store};

use crate::common::{self, Database};
use crate::short::deposit;

/// Within this time others write again.
const BOUND: Duration = Duration::from_secs(5);

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
