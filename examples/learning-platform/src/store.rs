//! Opens the store that a URL names.

use std::sync::Arc;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{BoxError, Store};
use store_mongo::MongoStore;
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

use crate::learning::tutors::by_subject::BySubject;

/// A store that was opened, and is closed at the end.
#[derive(Debug)]
pub struct Opened {
    store: Arc<dyn Store>,
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
    /// The store at `sqlite:PATH`, `postgres://…`, `mongodb://…` or `memory:`.
    ///
    /// # Errors
    /// When the URL names no store, or the store cannot be opened.
    pub async fn at(url: &str) -> Result<Self, BoxError> {
        if url == "memory:" {
            return Ok(Self { store: Arc::new(MemoryStore::default()), kept: Kept::InMemory });
        }
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let postgres = PostgresStore::connect(url).await?;
            let store = Arc::new(postgres.clone());
            return Ok(Self { store, kept: Kept::Postgres(postgres) });
        }
        if url.starts_with("mongodb:") || url.starts_with("mongodb+srv:") {
            let mongo = MongoStore::connect(url).await?;
            let store = Arc::new(mongo.clone());
            return Ok(Self { store, kept: Kept::Mongo(mongo) });
        }
        if !url.starts_with("sqlite:") {
            // Not the URL: it may hold a password.
            let scheme: String = url.chars().take_while(|c| *c != ':').take(20).collect();
            let known = "sqlite:PATH, postgres://…, mongodb://… or memory:";
            return Err(format!("no store of the kind {scheme:?}: {known}").into());
        }
        let sqlite = SqliteStore::connect(url).await?;
        Ok(Self { store: Arc::new(sqlite.clone()), kept: Kept::Sqlite(sqlite) })
    }

    /// The store, shared.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Who finds tutors in it by their subjects.
    pub fn tutors(&self) -> BySubject {
        match &self.kept {
            Kept::InMemory => BySubject::Anywhere(self.store()),
            Kept::Sqlite(sqlite) => BySubject::Sqlite(sqlite.clone()),
            Kept::Postgres(postgres) => BySubject::Postgres(postgres.clone()),
            Kept::Mongo(mongo) => BySubject::Mongo(mongo.clone()),
        }
    }

    /// Writes what is queued, and closes the store.
    ///
    /// # Errors
    /// When it cannot be closed in order.
    pub async fn close(self) -> Result<(), BoxError> {
        match self.kept {
            Kept::InMemory => {}
            Kept::Sqlite(sqlite) => sqlite.close().await?,
            Kept::Postgres(postgres) => postgres.close().await,
            Kept::Mongo(mongo) => mongo.close().await,
        }
        Ok(())
    }
}
