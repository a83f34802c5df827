//! The runtime suite.

mod common;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use common::Schema;
use cqrs_core::{HandlerError, Recorded, Sink, Store};
use cqrs_testing::{Noted, SinkHand, SinkUnderTest, StoreUnderTest, runtime_suite};
use store_postgres::tokio_postgres::{self, Transaction};
use store_postgres::{PostgresProjection, PostgresStore};

fn main() -> ExitCode {
    runtime_suite("postgres", || async { Database(Schema::new()) }).main()
}

/// A schema of its own.
struct Database(Schema);

impl Database {
    fn table(&self) -> String {
        format!("{}.rows", self.0.0)
    }

    async fn store(&self) -> PostgresStore {
        common::store(&self.0.0).connect().await.expect("the store connects")
    }
}

#[async_trait]
impl StoreUnderTest for Database {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn sinks(&self) -> Result<&dyn SinkUnderTest, &'static str> {
        Ok(self)
    }
}

#[async_trait]
impl SinkUnderTest for Database {
    async fn open_sink(&self, hand: SinkHand) -> (Arc<dyn Store>, Arc<dyn Sink>) {
        let store = self.store().await;
        let sink = store.sink(Rows { hand, table: self.table() }).await;
        (Arc::new(store), Arc::new(sink.expect("the table is there")))
    }

    async fn rows(&self) -> Vec<Noted> {
        let client = self.store().await.pool().get().await.expect("a connection");
        let select = format!("SELECT key, n FROM {} ORDER BY place", self.table());
        let rows = client.query(&select, &[]).await.expect("the table is read");
        let noted = |row: &tokio_postgres::Row| Noted {
            key: row.get(0),
            n: row.get::<_, i64>(1).try_into().expect("a number of the suite"),
        };
        rows.iter().map(noted).collect()
    }
}

/// A row for each note.
struct Rows {
    hand: SinkHand,
    table: String,
}

#[async_trait]
impl PostgresProjection for Rows {
    type Input = Noted;

    async fn setup(&self, tx: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        let columns = "place bigserial PRIMARY KEY, key text NOT NULL, n bigint NOT NULL";
        tx.batch_execute(&format!("CREATE TABLE IF NOT EXISTS {} ({columns})", self.table)).await
    }

    async fn project(
        &self,
        event: &Recorded<'_, Noted>,
        tx: &Transaction<'_>,
    ) -> Result<(), HandlerError> {
        let insert = format!("INSERT INTO {} (key, n) VALUES ($1, $2)", self.table);
        tx.execute(&insert, &[&event.data.key, &i64::from(event.data.n)]).await?;
        self.hand.take(&event.data)
    }
}
