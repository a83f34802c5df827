//! The runtime suite, on files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::{HandlerError, Recorded, Sink, Store};
use cqrs_testing::{Noted, SinkHand, SinkUnderTest, StoreUnderTest, runtime_suite};
use store_sqlite::rusqlite::{self, Connection, OpenFlags};
use store_sqlite::{SqliteProjection, SqliteStore};
use tempfile::TempDir;

fn main() -> ExitCode {
    let folder = || tempfile::tempdir().expect("a folder for the database");
    runtime_suite("file", move || async move { OnFile(folder()) }).main()
}

/// A database in a folder of its own.
struct OnFile(TempDir);

impl OnFile {
    fn path(&self) -> PathBuf {
        self.0.path().join("log.db")
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.path()).await.expect("the database opens")
    }
}

#[async_trait]
impl StoreUnderTest for OnFile {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store().await)
    }

    fn sinks(&self) -> Result<&dyn SinkUnderTest, &'static str> {
        Ok(self)
    }
}

#[async_trait]
impl SinkUnderTest for OnFile {
    async fn open_sink(&self, hand: SinkHand) -> (Arc<dyn Store>, Arc<dyn Sink>) {
        let store = self.store().await;
        let sink = store.sink(Rows(hand)).await.expect("the table is there");
        (Arc::new(store), Arc::new(sink))
    }

    async fn rows(&self) -> Vec<Noted> {
        let rows = || {
            let reader =
                Connection::open_with_flags(self.path(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
            let mut rows = reader.prepare("SELECT key, n FROM rows ORDER BY rowid")?;
            let noted = |row: &rusqlite::Row<'_>| Ok(Noted { key: row.get(0)?, n: row.get(1)? });
            rows.query_map((), noted)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        rows().expect("the table is read")
    }
}

/// A row for each note.
struct Rows(SinkHand);

impl SqliteProjection for Rows {
    type Input = Noted;

    fn setup(&self, tx: &Connection) -> rusqlite::Result<()> {
        tx.execute_batch("CREATE TABLE IF NOT EXISTS rows (key TEXT NOT NULL, n INTEGER NOT NULL)")
    }

    fn project(&self, event: &Recorded<'_, Noted>, tx: &Connection) -> Result<(), HandlerError> {
        let mut insert = tx.prepare_cached("INSERT INTO rows VALUES (?1, ?2)")?;
        insert.execute((&event.data.key, event.data.n))?;
        self.0.take(&event.data)
    }
}
