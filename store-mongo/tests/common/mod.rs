//! The replica set of the tests, and a database of its own for each of them.

use std::sync::atomic::{AtomicU32, Ordering};

use store_mongo::mongodb::Client;
use store_mongo::{MongoBuilder, MongoStore};

/// The replica set that the tests use.
pub(crate) fn url() -> String {
    std::env::var("MONGODB_URI").unwrap_or_else(|_| {
        panic!(
            "set MONGODB_URI to a replica set, or run `cargo xtask services run`, which prints one; \
             `cargo xtask test` does all of it"
        )
    })
}

/// A name that no other test has.
pub(crate) fn database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{}_{:x}_{n}", std::process::id(), uuid::Uuid::now_v7().as_u128() as u32)
}

/// A store in this database.
pub(crate) fn store(database: &str) -> MongoBuilder {
    MongoStore::builder(url()).database(database)
}

/// Removes a database when it is dropped.
pub(crate) struct Database(pub(crate) String);

impl Database {
    pub(crate) fn new() -> Self {
        Self(database())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let name = self.0.clone();
        let Ok(url) = std::env::var("MONGODB_URI") else { return };
        // Elsewhere: this may be a thread that drives a runtime.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                Client::with_uri_str(url).await?.database(&name).drop().await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        // What stays is in a database for tests.
        let _ = dropped.join();
    }
}
