//! Opens the store that a URL names.

use std::sync::Arc;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{BoxError, Store};
use store_mongo::MongoStore;
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) in_memory: bool,
    kept: Kept,
}

/// Where it is kept, to be closed.
#[derive(Debug)]
enum Kept {
    InMemory,
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
    Mongo(MongoStore),
}

impl Opened {
    pub(crate) async fn at(url: &str) -> Result<Self, BoxError> {
        if url == "memory:" {
            let store = Arc::new(MemoryStore::default());
            return Ok(Self { store, in_memory: true, kept: Kept::InMemory });
        }
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let postgres = PostgresStore::connect(url).await?;
            let store = Arc::new(postgres.clone());
            return Ok(Self { store, in_memory: false, kept: Kept::Postgres(postgres) });
        }
        if url.starts_with("mongodb:") || url.starts_with("mongodb+srv:") {
            let mongo = MongoStore::connect(url).await?;
            let store = Arc::new(mongo.clone());
            return Ok(Self { store, in_memory: false, kept: Kept::Mongo(mongo) });
        }
        if !url.starts_with("sqlite:") {
            // Not the URL: it may hold a password.
            let scheme: String = url.chars().take_while(|c| *c != ':').take(20).collect();
            let known = "sqlite:PATH, postgres://…, mongodb://… or memory:";
            return Err(format!("no store of the kind {scheme:?}: {known}").into());
        }
        let sqlite = SqliteStore::connect(url).await?;
        Ok(Self { store: Arc::new(sqlite.clone()), in_memory: false, kept: Kept::Sqlite(sqlite) })
    }

    pub(crate) async fn close(self) -> Result<(), BoxError> {
        match self.kept {
            Kept::InMemory => {}
            Kept::Sqlite(sqlite) => sqlite.close().await?,
            Kept::Postgres(postgres) => postgres.close().await,
            Kept::Mongo(mongo) => mongo.close().await,
        }
        Ok(())
    }
}
