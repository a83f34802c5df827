//! Groups, repeats, times and ids.

use std::time::Duration;

use cqrs_core::{
    Clock, Collection, Commit, CommitId, Committed, Conflict, DocumentKey, DocumentWrite,
    ErrorKind, Expected, Filter, FindDocuments, Json, ManualClock, Store, Timestamp,
};
use futures_util::future::join_all;
use rusqlite::Connection;
use store_sqlite::SqliteStore;

use crate::common::{append, deposit, event, event_with_id, id, log_of, positions};

fn tutor(id: &str, email: &str) -> DocumentWrite {
    let body = Json::parse(format!(r#"{{"email":"{email}"}}"#)).unwrap();
    DocumentWrite::put(DocumentKey::new("tutor", id), Expected::Any, body)
}

fn writes(documents: Vec<DocumentWrite>) -> Commit {
    Commit { documents, ..Commit::default() }
}

/// Polled together, the commits are queued before the writer's first group ends.
async fn at_once(store: &SqliteStore, commits: Vec<Commit>) -> Vec<cqrs_core::Result<Committed>> {
    join_all(commits.into_iter().map(|commit| store.commit(commit))).await
}

#[tokio::test]
async fn one_refused_member_leaves_the_rest_of_its_group_alone() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.declare(Collection::new("tutor").unique("email")).await.unwrap();
    let mut half = writes(vec![tutor("3", "c"), tutor("4", "a")]);
    half.appends.push(append("half", Expected::Any, vec![event_with_id(id(1))]));
    let missing = append("none", Expected::Exists, vec![event_with_id(id(2))]);
    let commits = vec![
        deposit("17"),
        writes(vec![tutor("1", "a")]),
        writes(vec![tutor("2", "a")]),
        half,
        Commit { appends: vec![missing], ..Commit::default() },
        writes(vec![tutor("2", "b")]),
        deposit("17"),
    ];
    let verdicts = at_once(&store, commits).await;
    let is_unique = |n: usize| match verdicts[n].as_ref().unwrap_err().kind() {
        ErrorKind::Conflict(Conflict::Unique { field, .. }) => field == "email",
        _ => false,
    };
    assert!(is_unique(2) && is_unique(3), "{verdicts:?}");
    assert!(verdicts[4].as_ref().unwrap_err().is_conflict());
    for n in [0, 1, 5, 6] {
        assert!(matches!(verdicts[n], Ok(Committed::Now { .. })), "{n}: {:?}", verdicts[n]);
    }
    let tutors = store.find_documents(FindDocuments::all("tutor")).await.unwrap();
    assert_eq!(tutors.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(positions(&log_of(&store, Filter::default()).await), [1, 2]);
}

#[tokio::test]
async fn a_repeat_in_the_same_group_is_told_so() {
    let store = SqliteStore::in_memory().await.unwrap();
    let commit = deposit("17");
    let other = Commit { id: commit.id, ..deposit("18") };
    let verdicts = at_once(&store, vec![commit.clone(), commit, other]).await;
    assert_eq!(*verdicts[0].as_ref().unwrap(), Committed::Now { position: 1 });
    assert_eq!(*verdicts[1].as_ref().unwrap(), Committed::Before { position: 1, reply: None });
    assert!(matches!(verdicts[2].as_ref().unwrap_err().kind(), ErrorKind::IdReused { .. }));
}

#[tokio::test]
async fn a_refused_commit_may_come_again_under_its_id() {
    let store = SqliteStore::in_memory().await.unwrap();
    let appends = vec![append("17", Expected::Exists, vec![event_with_id(id(1))])];
    let commit = Commit { appends, ..Commit::default() };
    assert!(store.commit(commit.clone()).await.unwrap_err().is_conflict());
    store.commit(deposit("17")).await.unwrap();
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Now { position: 2 });
}

#[tokio::test]
async fn unique_values_may_be_swapped_in_one_commit() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.declare(Collection::new("tutor").unique("email")).await.unwrap();
    store.commit(writes(vec![tutor("1", "a"), tutor("2", "b")])).await.unwrap();
    store.commit(writes(vec![tutor("1", "b"), tutor("2", "a")])).await.unwrap();
    let found = store.find_documents(FindDocuments::by("tutor", "email", "a")).await.unwrap();
    assert_eq!((found.len(), found[0].id.as_str()), (1, "2"));
}

#[tokio::test]
async fn a_broken_member_does_not_break_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER picky BEFORE INSERT ON event_rows WHEN NEW.stream = 'bad'
             BEGIN SELECT raise(ABORT, 'not this one'); END",
        )
        .unwrap();
    let verdicts = at_once(&store, vec![deposit("1"), deposit("bad"), deposit("2")]).await;
    let error = verdicts[1].as_ref().unwrap_err();
    assert!(error.to_string().contains("not this one"), "{error}");
    assert!(verdicts[0].is_ok() && verdicts[2].is_ok(), "{verdicts:?}");
    assert_eq!(positions(&log_of(&store, Filter::default()).await), [1, 2]);
}

#[tokio::test]
async fn recorded_times_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let start = Timestamp::from_micros(1_700_000_000_000_000);
    let clock = ManualClock::at(start);
    let open = || SqliteStore::builder().clock(clock.clone()).open(&path);
    let store = open().await.unwrap();
    store.commit(deposit("17")).await.unwrap();
    clock.set(start.saturating_sub(Duration::from_secs(60)));
    store.commit(deposit("17")).await.unwrap();
    store.close().await.unwrap();
    let store = open().await.unwrap();
    store.commit(deposit("17")).await.unwrap();
    clock.set(start.saturating_add(Duration::from_secs(1)));
    store.commit(deposit("17")).await.unwrap();
    let pages = log_of(&store, Filter::default()).await;
    let times = pages.iter().flat_map(|p| p.iter().map(|e| e.recorded_at)).collect::<Vec<_>>();
    assert_eq!(times, [start, start, start, clock.now()]);
}

#[tokio::test]
async fn positions_are_not_given_again_after_rows_were_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let store = SqliteStore::open(&path).await.unwrap();
    for _ in 0..3 {
        store.commit(deposit("17")).await.unwrap();
    }
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("DELETE FROM event_rows WHERE position > 1").unwrap();
    assert_eq!(store.commit(deposit("18")).await.unwrap(), Committed::Now { position: 4 });
    assert_eq!(positions(&log_of(&store, Filter::default()).await), [1, 4]);
}

#[tokio::test]
async fn commit_ids_are_forgotten_in_time_and_event_ids_never() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
    let keep = Duration::from_secs(60);
    let settings = SqliteStore::builder().clock(clock.clone()).keep_commit_ids(keep);
    let store = settings.open(&path).await.unwrap();
    let empty = Commit::default();
    store.commit(empty.clone()).await.unwrap();
    clock.advance(keep);
    assert!(matches!(store.commit(empty.clone()).await.unwrap(), Committed::Before { .. }));
    clock.advance(Duration::from_secs(1));
    assert!(matches!(store.commit(empty).await.unwrap(), Committed::Now { .. }));

    let used = event_with_id(id(7));
    let commit = |n: u128| Commit {
        id: CommitId(id(n)),
        appends: vec![append("17", Expected::Any, vec![used.clone()])],
        ..Commit::default()
    };
    store.commit(commit(1)).await.unwrap();
    clock.advance(keep * 2);
    for n in [1, 2] {
        let error = store.commit(commit(n)).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::IdReused { .. }), "{error:?}");
    }

    // Sweeping takes as many commits as there are old ones, about.
    let rows = |conn: &Connection| {
        conn.query_row("SELECT count(*) FROM commits", (), |row| row.get::<_, i64>(0)).unwrap()
    };
    at_once(&store, (0..600).map(|_| Commit::default()).collect()).await;
    clock.advance(keep * 2);
    for _ in 0..10 {
        at_once(&store, (0..200).map(|_| Commit::default()).collect()).await;
    }
    let conn = Connection::open(&path).unwrap();
    let now = clock.now().as_micros();
    let old = conn
        .query_row("SELECT count(*) FROM commit_rows WHERE at_us < ?1", (now,), |row| {
            row.get::<_, i64>(0)
        })
        .unwrap();
    assert_eq!((old, rows(&conn)), (0, 2_000));
}

#[tokio::test]
async fn plain_sql_shows_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let at = "2024-02-29T12:30:00.000042Z".parse::<Timestamp>().unwrap();
    let store = SqliteStore::builder().clock(ManualClock::at(at)).open(&path).await.unwrap();
    let mut event = event_with_id(id(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
    event.tags = vec!["course:1".to_owned(), "student:2".to_owned()];
    let appends = vec![append("17", Expected::Any, vec![event])];
    store.commit(Commit { appends, ..Commit::default() }).await.unwrap();

    let conn = Connection::open(&path).unwrap();
    let sql = "SELECT concat_ws('|', position, stream, version, type, id, recorded_at, data,
        data ->> 'amount', (SELECT group_concat(value, '+') FROM json_each(tags))) FROM events";
    let row = conn.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap();
    let expected = "1|17|1|bank.deposited|01234567-89ab-cdef-0123-456789abcdef|\
                    2024-02-29T12:30:00.000042Z|{\"amount\":7}|7|course:1+student:2";
    assert_eq!(row, expected);
    let sql = "SELECT committed_at FROM commits";
    let time = conn.query_row(sql, (), |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(time, "2024-02-29T12:30:00.000042Z");
}

/// The writer knows where documents stand. What it knows is what the file says.
#[tokio::test]
async fn what_another_store_does_to_a_document_is_known_at_the_next_commit() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = [folder.path(), folder.path()].map(|folder| folder.join("shared.db"));
    let (one, other) =
        (SqliteStore::open(&one).await.unwrap(), SqliteStore::open(&other).await.unwrap());
    one.declare(Collection::new("tutor")).await.unwrap();
    let puts = |expected| writes(vec![DocumentWrite { expected, ..tutor("17", "ada") }]);
    let at = |error: cqrs_core::Error| match error.kind() {
        ErrorKind::Conflict(Conflict::Document { actual, .. }) => *actual,
        kind => panic!("{kind:?}"),
    };
    one.commit(puts(Expected::NoStream)).await.unwrap();
    for version in 1..4 {
        one.commit(puts(Expected::Exactly(version))).await.unwrap();
    }
    other.commit(puts(Expected::Exactly(4))).await.unwrap();
    assert_eq!(at(one.commit(puts(Expected::Exactly(4))).await.unwrap_err()), 5);
    one.commit(puts(Expected::Exactly(5))).await.unwrap();
    let gone = DocumentWrite::delete(DocumentKey::new("tutor", "17"), Expected::Exactly(6));
    other.commit(writes(vec![gone])).await.unwrap();
    assert_eq!(at(one.commit(puts(Expected::Exactly(6))).await.unwrap_err()), 0);
    // Its versions go on after the deletion, and from the beginning after a purge.
    one.commit(puts(Expected::NoStream)).await.unwrap();
    one.commit(puts(Expected::Exactly(8))).await.unwrap();
    one.purge_documents("tutor", 10).await.unwrap();
    one.commit(puts(Expected::NoStream)).await.unwrap();
    one.commit(puts(Expected::Exactly(1))).await.unwrap();
    // A refused commit changes nothing of what is known.
    let refused = Commit {
        documents: vec![DocumentWrite { expected: Expected::Exactly(2), ..tutor("17", "ada") }],
        appends: vec![append("17", Expected::Exactly(9), vec![event("tutor.seen")])],
        ..Commit::default()
    };
    assert!(one.commit(refused).await.unwrap_err().is_conflict());
    one.commit(puts(Expected::Exactly(2))).await.unwrap();
    one.close().await.unwrap();
    other.close().await.unwrap();
}
