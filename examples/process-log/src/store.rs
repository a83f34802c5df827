//! Opens the store that a URL names.

use std::sync::Arc;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{BoxError, Store};
use store_sqlite::SqliteStore;

pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) in_memory: bool,
    sqlite: Option<SqliteStore>,
}

impl Opened {
    pub(crate) async fn at(url: &str) -> Result<Self, BoxError> {
        if url == "memory:" {
            let store = Arc::new(MemoryStore::default());
            return Ok(Self { store, in_memory: true, sqlite: None });
        }
        if !url.starts_with("sqlite:") {
            // Not the URL: it may hold a password.
            let scheme: String = url.chars().take_while(|c| *c != ':').take(20).collect();
            return Err(format!("no store of the kind {scheme:?}: sqlite:PATH or memory:").into());
        }
        let sqlite = SqliteStore::connect(url).await?;
        Ok(Self { store: Arc::new(sqlite.clone()), in_memory: false, sqlite: Some(sqlite) })
    }

    pub(crate) async fn close(self) -> Result<(), BoxError> {
        if let Some(sqlite) = self.sqlite {
            sqlite.close().await?;
        }
        Ok(())
    }
}
