//! Projections into the user's own tables: nobody waits for whoever writes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cqrs_core::{
    CheckpointWrite, Commit, Committed, Conflict, ErrorKind, Event, EventType, Expected,
    HandlerError, ReadLog, Recorded, Sink, SinkEvents, Store,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use store_postgres::tokio_postgres::{self, Transaction};
use store_postgres::{PostgresProjection, PostgresStore};

use crate::common::{self, Schema};
use crate::short::{deposit, plain};

/// What others may wait for a projection. Its end takes longer.
const BOUND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Deposited {
    amount: i64,
}

impl Event for Deposited {
    const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// Notes positions, in a table of which the server checks something for a while when a transaction ends.
struct Seen(String);

impl Seen {
    fn table(&self) -> String {
        format!("{}.seen", self.0)
    }
}

#[async_trait]
impl PostgresProjection for Seen {
    type Input = Deposited;

    async fn setup(&self, tx: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        let (table, schema) = (self.table(), &self.0);
        let takes = (BOUND + BOUND / 5).as_secs_f64();
        tx.batch_execute(&format!(
            "CREATE TABLE IF NOT EXISTS {table} (position bigint PRIMARY KEY);
             CREATE OR REPLACE FUNCTION {schema}.checks() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_sleep({takes}); RETURN NULL; END $$;
             DROP TRIGGER IF EXISTS checks ON {table};
             CREATE CONSTRAINT TRIGGER checks AFTER INSERT ON {table}
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {schema}.checks()"
        ))
        .await
    }

    async fn project(
        &self,
        event: &Recorded<'_, Deposited>,
        tx: &Transaction<'_>,
    ) -> Result<(), HandlerError> {
        let insert = format!("INSERT INTO {} VALUES ($1)", self.table());
        tx.execute(&insert, &[&(event.position as i64)]).await?;
        Ok(())
    }
}

fn moves(from: u64, to: u64) -> Commit {
    let subscription = "seen".to_owned();
    let checkpoint = CheckpointWrite { subscription, partition: 0, from, to, fence: None };
    Commit { checkpoint: Some(checkpoint), ..Commit::default() }
}

async fn seen(schema: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {schema}.seen");
    plain(&common::url()).await.query_one(&count, &[]).await.unwrap().get(0)
}

/// The first event, for a sink.
async fn first(store: &PostgresStore) -> SinkEvents {
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    let page = store.read_log(ReadLog::after(0)).next().await.unwrap().unwrap();
    SinkEvents::new(Arc::new(page), |position| position == 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_do_not_wait_for_the_transaction_of_a_projection() {
    let schema = Schema::new();
    let store = common::store(&schema.0).connect().await.unwrap();
    let events = first(&store).await;
    let sink = store.sink(Seen(schema.0.clone())).await.unwrap();
    let applying = tokio::spawn(async move { sink.apply(events, moves(0, 1)).await });
    let mut slowest = Duration::ZERO;
    while !applying.is_finished() {
        let started = Instant::now();
        store.commit(deposit("18", Expected::Any)).await.unwrap();
        slowest = slowest.max(started.elapsed());
    }
    applying.await.unwrap().unwrap();
    println!("a commit took {slowest:?} at most");
    assert!(slowest < BOUND, "{slowest:?}");
    assert_eq!((seen(&schema.0).await, store.checkpoint("seen", 0).await.unwrap()), (1, Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_is_refused_leaves_nothing_and_one_that_was_applied_is_not_applied_again() {
    let schema = Schema::new();
    let store = common::store(&schema.0).connect().await.unwrap();
    let events = first(&store).await;
    let sink = store.sink(Seen(schema.0.clone())).await.unwrap();
    let error = sink.apply(events.clone(), moves(0, 8)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::BeyondHead { position: 8, .. }), "{error:?}");
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    let error = sink.apply(events.clone(), moves(1, 2)).await.unwrap_err();
    let conflict =
        Conflict::Checkpoint { subscription: "seen".to_owned(), partition: 0, actual: 0 };
    assert_eq!(*error.kind(), ErrorKind::Conflict(conflict));
    assert_eq!((seen(&schema.0).await, store.checkpoint("seen", 0).await.unwrap()), (0, None));
    let commit = moves(0, 1);
    let position = sink.apply(events.clone(), commit.clone()).await.unwrap().position();
    let again = sink.apply(events, commit).await.unwrap();
    assert_eq!(again, Committed::Before { position, reply: None });
    assert_eq!(seen(&schema.0).await, 1);
}
