//! Opens the store that a URL names.

use std::sync::Arc;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{BoxError, Store};
use store_sqlite::SqliteStore;

/// A store that was opened, and is closed at the end.
#[derive(Debug)]
pub struct Opened {
    store: Arc<dyn Store>,
    sqlite: Option<SqliteStore>,
}

impl Opened {
    /// The store at `sqlite:PATH` or `memory:`.
    ///
    /// # Errors
    /// When the URL names no store, or the store cannot be opened.
    pub async fn at(url: &str) -> Result<Self, BoxError> {
        if url == "memory:" {
            return Ok(Self { store: Arc::new(MemoryStore::default()), sqlite: None });
        }
        if !url.starts_with("sqlite:") {
            // Not the URL: it may hold a password.
            let scheme: String = url.chars().take_while(|c| *c != ':').take(20).collect();
            return Err(format!("no store of the kind {scheme:?}: sqlite:PATH or memory:").into());
        }
        let sqlite = SqliteStore::connect(url).await?;
        Ok(Self { store: Arc::new(sqlite.clone()), sqlite: Some(sqlite) })
    }

    /// The store, shared.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Writes what is queued, and closes the store.
    ///
    /// # Errors
    /// When it cannot be closed in order.
    pub async fn close(self) -> Result<(), BoxError> {
        if let Some(sqlite) = self.sqlite {
            sqlite.close().await?;
        }
        Ok(())
    }
}
