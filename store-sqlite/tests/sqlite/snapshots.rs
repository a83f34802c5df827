//! Snapshots as they lie in the file, and what becomes of one that somebody edited.

use cqrs_core::{
    Commit, Expected, Fingerprint, Json, Page, ReadStream, SnapshotWrite, Store, StreamId,
};
use rusqlite::Connection;
use store_sqlite::SqliteStore;

use crate::common::{append, back_to_the_first_version, collect, event};

fn schema() -> Fingerprint {
    Fingerprint::of(b"balance")
}

/// Three events, and a snapshot of the last one.
fn kept() -> Commit {
    let snapshot = SnapshotWrite::Keep {
        stream: StreamId::new("account", "17"),
        schema: schema(),
        version: 3,
        body: Json::parse(r#"{"balance":21}"#).unwrap(),
    };
    let events = (0..3).map(|_| event("bank.deposited")).collect();
    Commit {
        appends: vec![append("17", Expected::NoStream, events)],
        snapshots: vec![snapshot],
        ..Commit::default()
    }
}

async fn read(store: &SqliteStore) -> Vec<Page> {
    let read = ReadStream::of(StreamId::new("account", "17")).with_snapshot(schema());
    collect(store.read_stream(read)).await.unwrap()
}

#[tokio::test]
async fn a_snapshot_is_seen_with_plain_sql() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(kept()).await.unwrap();
    let conn = Connection::open(&path).unwrap();
    let sql = "SELECT stream, schema, version, body ->> 'balance' FROM snapshots";
    let row =
        conn.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    let row: (String, String, i64, i64) = row.unwrap();
    assert_eq!(row, ("17".to_owned(), format!("{:?}", schema()), 3, 21));
}

#[tokio::test]
async fn a_snapshot_beyond_the_end_of_its_stream_is_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(kept()).await.unwrap();
    assert_eq!(read(&store).await[0].snapshot().map(|kept| kept.version), Some(3));
    let conn = Connection::open(&path).unwrap();
    conn.execute("DELETE FROM event_rows WHERE version = 3", ()).unwrap();
    let pages = read(&store).await;
    assert_eq!((pages[0].snapshot(), pages[0].len()), (None, 2));
}

#[tokio::test]
async fn a_file_without_snapshots_is_brought_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(Commit { snapshots: Vec::new(), ..kept() }).await.unwrap();
    store.close().await.unwrap();
    let conn = Connection::open(&path).unwrap();
    back_to_the_first_version(&conn);
    drop(conn);
    let store = SqliteStore::open(&path).await.unwrap();
    let pages = read(&store).await;
    assert_eq!((pages[0].snapshot(), pages[0].len()), (None, 3));
}

#[tokio::test]
async fn snapshots_that_were_deleted_by_hand_are_missed_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(kept()).await.unwrap();
    Connection::open(&path).unwrap().execute("DELETE FROM snapshot_rows", ()).unwrap();
    let pages = read(&store).await;
    assert_eq!((pages[0].snapshot(), pages[0].len()), (None, 3));
}
