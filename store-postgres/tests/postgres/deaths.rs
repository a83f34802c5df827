//! The server knows when a process has died: its connections end.

use std::time::Duration;

use cqrs_core::{Lease, LeaseRequest, Store};
use store_postgres::PostgresStore;

use crate::common::{self, Schema};
use crate::short::{plain, within};

async fn ask(store: &PostgresStore, holder: &str) -> Lease {
    let (holder, names) = (holder.to_owned(), vec!["partition".to_owned()]);
    let request = LeaseRequest { holder, names, term: Duration::from_secs(3_600) };
    store.lease(request).await.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_of_a_process_whose_connections_have_ended_are_given_out_at_once() {
    let schema = Schema::new();
    let connect = async || common::store(&schema.0).connect().await.unwrap();
    let (dying, other) = (connect().await, connect().await);
    let held = ask(&dying, "dying").await;
    assert_eq!(ask(&other, "other").await.holder, "dying", "it lives");
    dying.close().await;
    within(Duration::from_secs(10), "the lease is given to the other", async || {
        ask(&other, "other").await.holder == "other"
    })
    .await;
    assert_eq!(ask(&other, "other").await.token, held.token + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_lost_a_connection_and_asks_again_keeps_its_leases() {
    let schema = Schema::new();
    let connect = async || common::store(&schema.0).connect().await.unwrap();
    let (living, other) = (connect().await, connect().await);
    let held = ask(&living, "living").await;
    let client = plain(&common::url()).await;
    let pid = async || {
        let pid = format!("SELECT pid FROM {}.leases", schema.0);
        client.query_one(&pid, &[]).await.unwrap().get::<_, Option<i32>>(0)
    };
    let first = pid().await.expect("it tells of its death");
    client.execute("SELECT pg_terminate_backend($1)", &[&first]).await.unwrap();
    // Before it has another connection, and with that.
    for is_enough in [|_: Option<i32>| true, |pid: Option<i32>| pid.is_some()] {
        within(Duration::from_secs(10), "the lost connection is forgotten", async || {
            assert_eq!(ask(&living, "living").await.holder, "living");
            let now = pid().await;
            now != Some(first) && is_enough(now)
        })
        .await;
        assert_eq!(ask(&other, "other").await.holder, "living");
    }
    assert_eq!(ask(&living, "living").await.token, held.token);
}
