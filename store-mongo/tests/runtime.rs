//! The runtime suite.

mod common;

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use common::Database as Own;
use cqrs_core::{HandlerError, Recorded, Sink, Store};
use cqrs_testing::{Noted, SinkHand, SinkUnderTest, StoreUnderTest, runtime_suite};
use store_mongo::bson::{Document, doc};
use store_mongo::mongodb::{ClientSession, Database, error};
use store_mongo::{MongoProjection, MongoStore};

/// Where the rows are.
const ROWS: &str = "rows";

fn main() -> ExitCode {
    runtime_suite("mongo", || async { OneDatabase(Own::new()) }).main()
}

/// A database of its own.
struct OneDatabase(Own);

impl OneDatabase {
    async fn store(&self) -> MongoStore {
        common::store(&self.0.0).connect().await.expect("the store connects")
    }
}

#[async_trait]
impl StoreUnderTest for OneDatabase {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn sinks(&self) -> Result<&dyn SinkUnderTest, &'static str> {
        Ok(self)
    }
}

#[async_trait]
impl SinkUnderTest for OneDatabase {
    async fn open_sink(&self, hand: SinkHand) -> (Arc<dyn Store>, Arc<dyn Sink>) {
        let store = self.store().await;
        let sink = store.sink(Rows { hand }).await;
        (Arc::new(store), Arc::new(sink.expect("the collection is made")))
    }

    async fn rows(&self) -> Vec<Noted> {
        let store = self.store().await;
        let rows = store.database().collection::<Document>(ROWS);
        let mut found = rows.find(doc! {}).sort(doc! { "place": 1 }).await.expect("rows are read");
        let mut noted = Vec::new();
        while found.advance().await.expect("rows are read") {
            let row = found.deserialize_current().expect("a row");
            noted.push(Noted {
                key: row.get_str("key").expect("a key").to_owned(),
                n: row.get_i64("n").ok().and_then(|n| n.try_into().ok()).expect("a number"),
            });
        }
        noted
    }
}

/// A row for each note.
struct Rows {
    hand: SinkHand,
}

#[async_trait]
impl MongoProjection for Rows {
    type Input = Noted;

    async fn setup(&self, database: &Database) -> Result<(), error::Error> {
        match database.create_collection(ROWS).await {
            // It is there.
            Err(error) if error.to_string().contains("already exists") => Ok(()),
            made => made,
        }
    }

    async fn project(
        &self,
        event: &Recorded<'_, Noted>,
        database: &Database,
        session: &mut ClientSession,
    ) -> Result<(), HandlerError> {
        let place = i64::try_from(event.position)?;
        let row = doc! { "place": place, "key": &event.data.key, "n": i64::from(event.data.n) };
        database.collection::<Document>(ROWS).insert_one(row).session(session).await?;
        self.hand.take(&event.data)
    }
}
