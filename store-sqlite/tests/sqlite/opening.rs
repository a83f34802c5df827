//! Which files are opened, made, migrated and refused.

use std::path::Path;
use std::task::{Context, Waker};

use cqrs_core::{Committed, ErrorKind, ReadLog, Store};
use rusqlite::Connection;
use store_sqlite::SqliteStore;

use crate::common::{back_to_the_first_version, collect, deposit, eventually};

fn is_about_the_path(error: &cqrs_core::Error) -> bool {
    matches!(error.kind(), ErrorKind::Invalid { field: Some(field) } if field == "path")
}

#[tokio::test]
async fn a_missing_folder_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteStore::open(folder.path().join("none/orders.db")).await.unwrap_err();
    assert!(is_about_the_path(&error), "{error:?}");
    assert!(error.to_string().contains("none"), "{error}");
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be one: ".repeat(50)).unwrap();
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();

    for path in [&text, &other] {
        let before = std::fs::read(path).unwrap();
        let error = SqliteStore::open(path).await.unwrap_err();
        assert!(is_about_the_path(&error), "{error:?}");
        assert_eq!(std::fs::read(path).unwrap(), before);
    }
    let error = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(is_about_the_path(&error), "{error:?}");
    for path in ["", ":memory:"] {
        assert!(is_about_the_path(&SqliteStore::open(path).await.unwrap_err()), "{path}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    SqliteStore::open(&path).await.unwrap().close().await.unwrap();
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::SchemaTooNew { found: 999, known: 3 });
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for _ in 0..200 {
        store.commit(deposit("17")).await.unwrap();
    }
    store.close().await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 4;
    bytes[half..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    // The damage shows when it is opened, or when it is read.
    let error = match SqliteStore::open(&path).await {
        Err(error) => error,
        Ok(store) => match collect(store.read_log(ReadLog::after(0))).await {
            Err(error) => error,
            Ok(_) => store.commit(deposit("17")).await.unwrap_err(),
        },
    };
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_open_a_fresh_file_at_once_get_one_log() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = folder.path().join(format!("{round}.db"));
        let opening = (0..12).map(|_| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = SqliteStore::open(path).await.unwrap();
                store.commit(deposit("17")).await.unwrap();
                store.head().await.unwrap().log
            })
        });
        let mut logs = Vec::new();
        for task in opening.collect::<Vec<_>>() {
            logs.push(task.await.unwrap());
        }
        logs.dedup();
        assert_eq!(logs.len(), 1);
        let head = SqliteStore::open(&path).await.unwrap().head().await.unwrap();
        assert_eq!(head.position, 12);
    }
}

/// A file as the first version of the tables left it, with an event in it.
async fn of_the_first_version(path: &Path) {
    let store = SqliteStore::open(path).await.unwrap();
    store.commit(deposit("17")).await.unwrap();
    store.close().await.unwrap();
    let file = Connection::open(path).unwrap();
    back_to_the_first_version(&file);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_migrate_a_file_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = folder.path().join(format!("{round}.db"));
        of_the_first_version(&path).await;
        let opening = (0..12).map(|_| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = SqliteStore::open(path).await.unwrap();
                store.commit(deposit("17")).await.unwrap();
            })
        });
        for task in opening.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let head = SqliteStore::open(&path).await.unwrap().head().await.unwrap();
        assert_eq!(head.position, 13);
        let file = Connection::open(&path).unwrap();
        let version = file.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
        assert_eq!(version.unwrap(), 3);
        file.execute_batch("SELECT * FROM snapshots; SELECT * FROM outgoing").unwrap();
    }
}

#[tokio::test]
async fn a_url_names_a_file_or_memory() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("orders.db").display());
    let store = SqliteStore::connect(&url).await.unwrap();
    store.commit(deposit("17")).await.unwrap();
    store.close().await.unwrap();
    let again = SqliteStore::connect(&url.replace("sqlite:", "sqlite://")).await.unwrap();
    assert_eq!(again.head().await.unwrap().position, 1);
    let memory = SqliteStore::connect("sqlite::memory:").await.unwrap();
    assert_eq!(memory.head().await.unwrap().position, 0);
    let other = SqliteStore::connect("postgres://ada:secret@localhost").await.unwrap_err();
    assert!(other.to_string().contains("\"postgres\"") && !format!("{other:?}").contains("secret"));
}

#[tokio::test]
async fn a_closed_store_has_written_everything_and_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let clone = store.clone();
    let queued = tokio::spawn(async move { clone.commit(deposit("17")).await });
    let first = store.commit(deposit("18")).await.unwrap();
    assert!(matches!(first, Committed::Now { .. }));
    let queued = queued.await.unwrap().unwrap();
    assert!(matches!(queued, Committed::Now { .. }));
    store.close().await.unwrap();
    store.close().await.unwrap();
    for error in [
        store.commit(deposit("17")).await.unwrap_err(),
        store.head().await.unwrap_err(),
        collect(store.read_log(ReadLog::after(0))).await.unwrap_err(),
    ] {
        assert_eq!(*error.kind(), ErrorKind::Unavailable);
    }
    assert!(!folder.path().join("orders.db-wal").exists());
    assert_eq!(SqliteStore::open(&path).await.unwrap().head().await.unwrap().position, 2);
}

#[tokio::test]
async fn what_is_queued_is_written_when_the_store_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut commits = (0..50).map(|_| store.commit(deposit("17"))).collect::<Vec<_>>();
    for commit in &mut commits {
        let mut context = Context::from_waker(Waker::noop());
        assert!(commit.as_mut().poll(&mut context).is_pending());
    }
    drop(commits);
    drop(store);
    let again = SqliteStore::open(&path).await.unwrap();
    eventually("all of them", async || again.head().await.unwrap().position == 50).await;
}
