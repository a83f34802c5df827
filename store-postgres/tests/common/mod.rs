//! The server of the tests, and a schema of its own for each of them.

use std::sync::atomic::{AtomicU32, Ordering};

use store_postgres::tokio_postgres::{self, NoTls};
use store_postgres::{PostgresBuilder, PostgresStore};

/// The server that the tests use.
pub(crate) fn url() -> String {
    std::env::var("POSTGRES_URL").unwrap_or_else(|_| {
        panic!(
            "set POSTGRES_URL to a server, or run `cargo xtask services run`, which prints one; \
             `cargo xtask test` does all of it"
        )
    })
}

/// A name that no other test has.
pub(crate) fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{}_{:x}_{n}", std::process::id(), uuid::Uuid::now_v7().as_u128() as u32)
}

/// A store in this schema, with few connections: many tests run at once.
pub(crate) fn store(schema: &str) -> PostgresBuilder {
    PostgresStore::builder(url()).schema(schema).connections(3)
}

/// Removes a schema when it is dropped.
pub(crate) struct Schema(pub(crate) String);

impl Schema {
    pub(crate) fn new() -> Self {
        Self(schema())
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let sql = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.0);
        let Ok(url) = std::env::var("POSTGRES_URL") else { return };
        // Elsewhere: this may be a thread that drives a runtime.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
                tokio::spawn(connection);
                client.batch_execute(&sql).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        // What stays is in a database for tests.
        let _ = dropped.join();
    }
}
