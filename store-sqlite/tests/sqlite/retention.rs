//! What is forgotten: messages in the inbox after their time, and documents that are purged.

use std::time::Duration;

use cqrs_core::{
    Collection, Commit, Committed, DocumentKey, DocumentWrite, Expected, FindDocuments,
    Fingerprint, InboxMark, Json, ManualClock, MessageId, Store, Timestamp,
};
use futures_util::future::join_all;
use rusqlite::Connection;
use store_sqlite::SqliteStore;

use crate::common::{back_to_the_first_version, id};

pub(crate) fn handles(message: MessageId, says: &str) -> Commit {
    let mark = InboxMark {
        consumer: "payments".to_owned(),
        message,
        fingerprint: Fingerprint::of(says.as_bytes()),
        reply: Some(says.to_owned().into()),
    };
    Commit { inbox: vec![mark], ..Commit::default() }
}

#[tokio::test]
async fn the_inbox_forgets_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
    let keep = Duration::from_secs(60);
    let settings = SqliteStore::builder().clock(clock.clone()).keep_inbox(keep);
    let store = settings.open(&path).await.unwrap();
    assert_eq!(store.capabilities().keeps_inbox, keep);
    store.commit(handles(id(1), "charged")).await.unwrap();
    clock.advance(keep);
    let before = store.commit(handles(id(1), "charged")).await.unwrap();
    assert_eq!(before, Committed::Before { position: 0, reply: Some("charged".into()) });
    assert!(store.inbox("payments", id(1)).await.unwrap().is_some());
    clock.advance(Duration::from_micros(1));
    assert!(store.inbox("payments", id(1)).await.unwrap().is_none());
    let anew = store.commit(handles(id(1), "other")).await.unwrap();
    assert_eq!(anew, Committed::Now { position: 0 });
    let entry = store.inbox("payments", id(1)).await.unwrap().unwrap();
    assert_eq!(entry.reply.unwrap(), "other");

    // Sweeping takes as many as there are old ones, about.
    let many = |from: u128, n: u128| (from..from + n).map(|n| store.commit(handles(id(n), "x")));
    join_all(many(1_000, 600)).await;
    clock.advance(keep * 2);
    for round in 0..10 {
        join_all(many(10_000 + round * 200, 200)).await;
    }
    let count =
        Connection::open(&path)
            .unwrap()
            .query_row("SELECT count(*) FROM inbox", (), |row| row.get::<_, i64>(0));
    assert_eq!(count.unwrap(), 2_000);
}

#[tokio::test]
async fn what_was_handled_before_the_migration_is_known_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(handles(id(1), "charged")).await.unwrap();
    store.close().await.unwrap();
    let file = Connection::open(&path).unwrap();
    back_to_the_first_version(&file);
    let began = Timestamp::from(std::time::SystemTime::now());
    let store = SqliteStore::open(&path).await.unwrap();
    assert!(store.inbox("payments", id(1)).await.unwrap().is_some());
    let at = file.query_row("SELECT at_us FROM inbox_rows", (), |row| row.get::<_, i64>(0));
    let at = Timestamp::from_micros(at.unwrap());
    assert!(at >= began.saturating_sub(Duration::from_secs(1)), "{at} {began}");
    // A program that does not know the column yet.
    file.execute("UPDATE inbox_rows SET at_us = NULL", ()).unwrap();
    assert!(store.inbox("payments", id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn purged_documents_have_never_been() {
    let store = SqliteStore::in_memory().await.unwrap();
    for name in ["tutor", "pupil"] {
        store.declare(Collection::new(name).unique("email")).await.unwrap();
    }
    let write = |name: &'static str, tenant: Option<&str>, id: &str| {
        let mut key = DocumentKey::new(name, id);
        key.tenant = tenant.map(Into::into);
        let body = Json::parse(format!(r#"{{"email":"{id}"}}"#)).unwrap();
        DocumentWrite::put(key, Expected::NoStream, body)
    };
    let all = || {
        let tutors = [None, Some("acme")].map(|t| [write("tutor", t, "1"), write("tutor", t, "2")]);
        let documents = tutors.into_iter().flatten().chain([write("pupil", None, "1")]);
        Commit { documents: documents.collect(), ..Commit::default() }
    };
    store.commit(all()).await.unwrap();
    let gone = DocumentWrite::delete(DocumentKey::new("tutor", "2"), Expected::Exists);
    store.commit(Commit { documents: vec![gone], ..Commit::default() }).await.unwrap();
    assert_eq!(store.purge_documents("tutor", 3).await.unwrap(), 3);
    assert_eq!(store.purge_documents("tutor", 3).await.unwrap(), 1);
    assert_eq!(store.purge_documents("tutor", 3).await.unwrap(), 0);
    assert_eq!(store.purge_documents("none", 3).await.unwrap(), 0);
    assert_eq!(store.count_documents(&FindDocuments::all("tutor")).await.unwrap(), 0);
    assert_eq!(store.count_documents(&FindDocuments::all("pupil")).await.unwrap(), 1);
    // Their unique values are free, and their versions begin anew.
    let tutors = all().documents.into_iter().take(4).collect();
    store.commit(Commit { documents: tutors, ..Commit::default() }).await.unwrap();
    let found = store.find_documents(FindDocuments::by("tutor", "email", "1")).await.unwrap();
    assert_eq!((found.len(), found[0].version), (1, 1));
}
