//! The collections: made by many at once, left alone when they are newer, and kept when a program comes again.

use std::time::Duration;

use cqrs_core::{
    Collection, Commit, Committed, DocumentKey, ErrorKind, Expected, Fingerprint, InboxMark,
    MessageId, Store,
};
use store_mongo::bson::{Bson, Document, doc};
use store_mongo::mongodb::{Client, Database as Db};
use tokio::task::JoinSet;

use crate::common::{self, Database};
use crate::short::{deposit, paid, versions, within};

async fn plain(database: &Database) -> Db {
    Client::with_uri_str(common::url()).await.unwrap().database(&database.0)
}

/// Everything that a database has but documents, and the document of the log.
async fn all_of(db: &Db) -> Vec<String> {
    let mut all = Vec::new();
    let mut names = db.list_collection_names().await.unwrap();
    names.sort();
    for name in names {
        let options = doc! { "listCollections": 1, "filter": { "name": &name } };
        let of = db.run_command(options).await.unwrap();
        let of = of.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0].clone();
        let of = of.as_document().unwrap();
        all.push(format!("{name} {}", of.get_document("options").unwrap()));
        let indexes = db.run_command(doc! { "listIndexes": &name }).await.unwrap();
        let indexes = indexes.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        all.extend(indexes.iter().map(|index| format!("{name} {index}")));
    }
    let log = db.collection::<Document>("cqrs_log").find_one(doc! {}).await.unwrap();
    all.extend(log.map(|log| log.to_string()));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_come_to_an_empty_database_at_once_make_the_collections_once() {
    for nodes in [2, 8] {
        let database = Database::new();
        let mut coming = JoinSet::new();
        for _ in 0..nodes {
            let builder = common::store(&database.0);
            coming.spawn(async move {
                let store = builder.connect().await.unwrap();
                store.commit(deposit("17", Expected::Any)).await.unwrap();
                store.head().await.unwrap().log
            });
        }
        let logs = coming.join_all().await;
        assert!(logs.len() == nodes && logs.iter().all(|log| *log == logs[0]), "{logs:?}");
        let store = common::store(&database.0).connect().await.unwrap();
        assert_eq!(versions(&store, "17").await, (1..=nodes as u64).collect::<Vec<_>>());
        let alone = Database::new();
        common::store(&alone.0).connect().await.unwrap().close().await;
        let (made, alone) =
            (all_of(&plain(&database).await).await, all_of(&plain(&alone).await).await);
        let but_the_log = |all: &[String]| all[..all.len() - 1].to_vec();
        assert_eq!(but_the_log(&made), but_the_log(&alone));
    }
}

#[tokio::test]
async fn collections_of_a_newer_version_are_refused_and_left_as_they_are() {
    let database = Database::new();
    common::store(&database.0).connect().await.unwrap().close().await;
    let db = plain(&database).await;
    let log = db.collection::<Document>("cqrs_log");
    log.update_one(doc! {}, doc! { "$set": { "schema": 99 } }).await.unwrap();
    db.collection::<Document>("cqrs_parked").drop().await.unwrap();
    let before = all_of(&db).await;
    for migrates in [true, false] {
        let builder = common::store(&database.0).migrate(migrates);
        let error = builder.keep_inbox(Duration::from_secs(7)).connect().await.unwrap_err();
        let is_said =
            matches!(error.kind(), ErrorKind::SchemaTooNew { found: 99, known } if *known < 99);
        assert!(is_said && error.to_string().contains("use a newer one"), "{error:?}");
    }
    assert_eq!(all_of(&db).await, before);
}

#[tokio::test]
async fn whoever_may_not_make_collections_is_told_what_to_do_and_makes_none() {
    let database = Database::new();
    let db = plain(&database).await;
    let error = common::store(&database.0).migrate(false).connect().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("migrate(true)"), "{error}");
    assert!(db.list_collection_names().await.unwrap().is_empty());
    common::store(&database.0).connect().await.unwrap().close().await;
    let made = all_of(&db).await;
    let store = common::store(&database.0).migrate(false).connect().await.unwrap();
    assert_eq!(all_of(&db).await, made);
    let committed = store.commit(deposit("17", Expected::NoStream)).await.unwrap();
    assert_eq!(committed, Committed::Now { position: 1 });
}

#[tokio::test]
async fn who_connects_again_finds_the_log_and_what_is_in_it() {
    let database = Database::new();
    let store = common::store(&database.0).connect().await.unwrap();
    store.commit(deposit("17", Expected::NoStream)).await.unwrap();
    let (head, made) = (store.head().await.unwrap(), all_of(&plain(&database).await).await);
    store.close().await;
    for migrates in [true, false, true] {
        let store = common::store(&database.0).migrate(migrates).connect().await.unwrap();
        assert_eq!(store.head().await.unwrap(), head);
        assert_eq!(versions(&store, "17").await, [1]);
        assert_eq!(all_of(&plain(&database).await).await, made);
    }
}

#[tokio::test]
async fn what_a_program_has_left_half_made_is_made_to_its_end() {
    let database = Database::new();
    common::store(&database.0).connect().await.unwrap().close().await;
    let db = plain(&database).await;
    let made = all_of(&db).await;
    // It died before the end: there is no log yet.
    db.collection::<Document>("cqrs_log").drop().await.unwrap();
    db.collection::<Document>("cqrs_timers").drop().await.unwrap();
    db.collection::<Document>("cqrs_events").drop_index("tags").await.unwrap();
    let store = common::store(&database.0).connect().await.unwrap();
    store.commit(deposit("17", Expected::NoStream)).await.unwrap();
    let mut again = all_of(&db).await;
    let mut before = made;
    // But for the log, and for the order of indexes.
    for all in [&mut again, &mut before] {
        all.pop();
        all.sort();
    }
    assert_eq!(again, before);
}

async fn forgotten_after(db: &Db, collection: &str) -> i64 {
    let indexes = db.run_command(doc! { "listIndexes": collection }).await.unwrap();
    let indexes = indexes.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let at = indexes.iter().filter_map(Bson::as_document);
    let at = at.into_iter().find(|index| index.get_str("name").is_ok_and(|name| name == "at"));
    match at.unwrap().get("expireAfterSeconds").unwrap() {
        Bson::Int32(n) => (*n).into(),
        Bson::Int64(n) => *n,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_times_for_which_ids_are_kept_take_effect() {
    let database = Database::new();
    let db = plain(&database).await;
    let handled = || {
        let message = MessageId::fresh();
        let consumer = "bank".to_owned();
        let fingerprint = Fingerprint::of(b"deposit");
        let mark = InboxMark { consumer, message, fingerprint, reply: None };
        (message, Commit { inbox: vec![mark], ..paid("1", 17) })
    };
    let (days, hour) = (Duration::from_secs(7 * 24 * 60 * 60), Duration::from_secs(60 * 60));
    let (message, commit) = handled();
    let (mut longest_ids, mut longest_inbox) = (Duration::ZERO, Duration::ZERO);
    for (n, (ids, inbox)) in [(days, hour), (hour, days), (days, days)].into_iter().enumerate() {
        // Whoever keeps them for longer goes on to find them.
        (longest_ids, longest_inbox) = (longest_ids.max(ids), longest_inbox.max(inbox));
        let builder = common::store(&database.0).keep_commit_ids(ids).keep_inbox(inbox);
        let store = builder.connect().await.unwrap();
        assert_eq!(forgotten_after(&db, "cqrs_commits").await, longest_ids.as_secs() as i64 + 1);
        assert_eq!(forgotten_after(&db, "cqrs_inbox").await, longest_inbox.as_secs() as i64 + 1);
        let told = store.capabilities();
        assert_eq!((told.keeps_commit_ids, told.keeps_inbox), (ids, inbox));
        store.declare(Collection::new("paid")).await.unwrap();
        let committed = store.commit(commit.clone()).await.unwrap();
        assert_eq!(matches!(committed, Committed::Now { .. }), n == 0, "{committed:?}");
        assert!(store.inbox("bank", message).await.unwrap().is_some());
    }
    // As long as time goes on: shorter than what has passed, they are not known any more, whoever sweeps them.
    let soon = Duration::from_millis(1);
    let builder = common::store(&database.0).keep_commit_ids(soon).keep_inbox(soon);
    let store = builder.connect().await.unwrap();
    let gone = async || store.inbox("bank", message).await.unwrap().is_none();
    within(Duration::from_secs(10), "the message is forgotten", gone).await;
    let committed = store.commit(commit).await.unwrap();
    assert!(matches!(committed, Committed::Now { .. }), "{committed:?}");
    let twice = store.document(&DocumentKey::new("paid", "1")).await.unwrap();
    assert_eq!(twice.unwrap().version, 2);
    // For ever.
    let builder = common::store(&database.0).keep_commit_ids(Duration::MAX);
    let store = builder.keep_inbox(Duration::MAX).connect().await.unwrap();
    assert_eq!(forgotten_after(&db, "cqrs_inbox").await, i64::from(i32::MAX));
    let (message, commit) = handled();
    store.commit(commit.clone()).await.unwrap();
    assert!(store.inbox("bank", message).await.unwrap().is_some());
    let repeat = store.commit(commit).await.unwrap();
    assert!(matches!(repeat, Committed::Before { .. }), "{repeat:?}");
}
