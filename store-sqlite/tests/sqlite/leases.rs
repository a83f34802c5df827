//! Leases: terms, and holders that die.

use std::path::Path;
use std::time::Duration;

use cqrs_core::{
    CheckpointWrite, Clock, Commit, Committed, Conflict, ErrorKind, Fence, Lease, LeaseRequest,
    ManualClock, Store, Timestamp,
};
use store_sqlite::SqliteStore;

use crate::common::deposit;
use crate::sharing::Killed;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn asks(holder: &str, names: &[&str]) -> LeaseRequest {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    LeaseRequest { holder: holder.to_owned(), names, term: HOUR }
}

async fn ask(store: &SqliteStore, holder: &str, name: &str) -> Lease {
    store.lease(asks(holder, &[name])).await.unwrap().remove(0)
}

fn fenced(fence: Fence) -> Commit {
    Commit { fences: vec![fence], ..deposit("17") }
}

#[tokio::test]
async fn a_lease_is_one_holders_until_it_is_over_or_released() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
    let settings = SqliteStore::builder().clock(clock.clone());
    let file = settings.clone().open(folder.path().join("log.db")).await.unwrap();
    let memory = settings.in_memory().await.unwrap();
    for store in [file, memory] {
        let first = ask(&store, "a", "mailer/0").await;
        let until = clock.now().saturating_add(HOUR);
        let expected = Lease {
            name: "mailer/0".to_owned(),
            holder: "a".to_owned(),
            token: 1,
            until,
            taken_over: false,
        };
        assert_eq!(first, expected);
        assert_eq!(ask(&store, "b", "mailer/0").await, expected);
        clock.advance(HOUR);
        // Over, and asked for again by its holder: the same token.
        assert_eq!(ask(&store, "a", "mailer/0").await.token, 1);
        clock.advance(HOUR);
        assert!(store.leases("mailer/").await.unwrap().is_empty());
        let second = ask(&store, "b", "mailer/0").await;
        assert!(second.is_of("b") && second.token == 2 && second.taken_over);
        store.release("a", &["mailer/0".to_owned(), "none".to_owned()]).await.unwrap();
        assert_eq!(store.leases("mailer/").await.unwrap()[0].holder, "b");
        store.release("b", &["mailer/0".to_owned()]).await.unwrap();
        let third = ask(&store, "a", "mailer/0").await;
        assert!(third.is_of("a") && third.token == 3 && !third.taken_over);
        ask(&store, "b", "mailer/1").await;
        ask(&store, "b", "mailes").await;
        let held = store.leases("mailer/").await.unwrap();
        assert_eq!(
            held.iter().map(|lease| &*lease.name).collect::<Vec<_>>(),
            ["mailer/0", "mailer/1"]
        );
    }
}

#[tokio::test]
async fn a_commit_under_a_lost_lease_is_refused_with_all_its_parts() {
    let store = SqliteStore::in_memory().await.unwrap();
    let mine = ask(&store, "a", "mailer/0").await.fence();
    assert_eq!(store.commit(fenced(mine.clone())).await.unwrap(), Committed::Now { position: 1 });
    store.release("a", &["mailer/0".to_owned()]).await.unwrap();
    // Nobody has it yet.
    assert_eq!(store.commit(fenced(mine.clone())).await.unwrap(), Committed::Now { position: 2 });
    let theirs = ask(&store, "b", "mailer/0").await.fence();
    let late = fenced(mine.clone());
    let checkpoint = CheckpointWrite {
        subscription: "mailer".to_owned(),
        partition: 0,
        from: 0,
        to: 1,
        fence: Some(mine),
    };
    let late_checkpoint = Commit { checkpoint: Some(checkpoint), ..Commit::default() };
    for late in [late, late_checkpoint] {
        let error = store.commit(late).await.unwrap_err();
        let lost = Conflict::Lease { lease: "mailer/0".to_owned(), token: 1, actual: 2 };
        assert_eq!(*error.kind(), ErrorKind::Conflict(lost));
    }
    assert_eq!(store.head().await.unwrap().position, 2);
    assert_eq!(store.checkpoint("mailer", 0).await.unwrap(), None);
    assert_eq!(store.commit(fenced(theirs)).await.unwrap(), Committed::Now { position: 3 });
}

#[tokio::test]
async fn a_living_holder_keeps_its_lease_and_a_closed_store_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let open = async || SqliteStore::open(&path).await.unwrap();
    let (one, two) = (open().await, open().await);
    ask(&one, "a", "mailer/0").await;
    ask(&one, "c", "mailer/1").await;
    // Another handle of this process, and another name on the same handle.
    assert!(ask(&two, "b", "mailer/0").await.is_of("a"));
    assert!(ask(&one, "b", "mailer/1").await.is_of("c"));
    one.close().await.unwrap();
    let taken = two.lease(asks("b", &["mailer/0", "mailer/1"])).await.unwrap();
    assert!(taken.iter().all(|lease| lease.is_of("b") && lease.taken_over && lease.token == 2));
}

#[tokio::test]
async fn no_files_stay_when_nothing_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let locks = folder.path().join("log.db-holders");
    ask(&store, "a", "mailer/0").await;
    ask(&store, "b", "mailer/0").await;
    ask(&store, "b", "mailer/1").await;
    assert_eq!(std::fs::read_dir(&locks).unwrap().count(), 2);
    store.release("a", &["mailer/0".to_owned()]).await.unwrap();
    assert_eq!(std::fs::read_dir(&locks).unwrap().count(), 1);
    store.release("b", &["mailer/1".to_owned()]).await.unwrap();
    store.close().await.unwrap();
    assert!(!locks.exists());
}

#[tokio::test]
async fn without_room_for_locks_only_terms_free_a_lease() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    std::fs::write(folder.path().join("log.db-holders"), "not a folder").unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
    let open = async || SqliteStore::builder().clock(clock.clone()).open(&path).await.unwrap();
    let one = open().await;
    assert!(ask(&one, "a", "mailer/0").await.is_of("a"));
    one.close().await.unwrap();
    let two = open().await;
    assert!(ask(&two, "b", "mailer/0").await.is_of("a"));
    clock.advance(HOUR);
    assert!(ask(&two, "b", "mailer/0").await.taken_over);
}

#[tokio::test]
async fn a_lock_file_that_is_missing_tells_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let one = SqliteStore::open(&path).await.unwrap();
    ask(&one, "a", "mailer/0").await;
    std::fs::remove_dir_all(folder.path().join("log.db-holders")).unwrap();
    let two = SqliteStore::open(&path).await.unwrap();
    assert!(ask(&two, "b", "mailer/0").await.is_of("a"));
}

const HOLDS: &str = "STORE_SQLITE_HOLDS";

/// Not a test of its own: a process that holds leases until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_holds() {
    let Ok(path) = std::env::var(HOLDS) else { return };
    let store = SqliteStore::open(&path).await.unwrap();
    let held = store.lease(asks("child", &["mailer/0", "mailer/1"])).await.unwrap();
    assert!(held.iter().all(|lease| lease.is_of("child")));
    println!("\nready");
    std::future::pending::<()>().await;
}

fn holder(path: &Path) -> Killed {
    Killed::when("leases::process_that_holds", HOLDS, &path.display().to_string(), "ready")
}

#[tokio::test]
async fn the_leases_of_a_killed_process_are_given_out_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut child = holder(&path);
    assert!(ask(&store, "b", "mailer/0").await.is_of("child"));
    child.kill();
    // Only the first finds the lock free; its file is gone then.
    for name in ["mailer/0", "mailer/1"] {
        let taken = ask(&store, "b", name).await;
        assert!(taken.is_of("b") && taken.taken_over && taken.token == 2, "{taken:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path().join("log.db-holders")).unwrap().count(), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stopped_process_keeps_its_leases_until_they_are_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let clock = ManualClock::at(Timestamp::from(std::time::SystemTime::now()));
    let store = SqliteStore::builder().clock(clock.clone()).open(&path).await.unwrap();
    let child = holder(&path);
    child.pause().await;
    assert!(ask(&store, "b", "mailer/0").await.is_of("child"));
    clock.advance(HOUR * 2);
    let taken = ask(&store, "b", "mailer/0").await;
    assert!(taken.is_of("b") && taken.taken_over, "{taken:?}");
}
