//! Commits in a transaction of one's own: applied with it, or not at all, at every level of isolation.

use std::time::{Duration, Instant};

use cqrs_core::{
    Commit, Conflict, DocumentKey, DocumentWrite, ErrorKind, Expected, Fence, Filter, Guard, Json,
    Store, StreamId,
};
use store_postgres::PostgresStore;
use store_postgres::tokio_postgres::{Client, IsolationLevel, Transaction};

use crate::common::{self, Schema};
use crate::short::{append, deposit, deposit_as, event, paid, plain, versions};

/// What others may wait for an open transaction. It is open for longer.
const BOUND: Duration = Duration::from_secs(1);

struct Stage {
    store: PostgresStore,
    client: Client,
    _schema: Schema,
}

impl Stage {
    async fn new() -> Self {
        let schema = Schema::new();
        let store = common::store(&schema.0).connect().await.unwrap();
        Self { store, client: plain(&common::url()).await, _schema: schema }
    }

    async fn begin(&mut self, level: IsolationLevel) -> Transaction<'_> {
        self.client.build_transaction().isolation_level(level).start().await.unwrap()
    }

    async fn versions(&self) -> Vec<u64> {
        versions(&self.store, "17").await
    }
}

const LEVELS: [IsolationLevel; 3] =
    [IsolationLevel::ReadCommitted, IsolationLevel::RepeatableRead, IsolationLevel::Serializable];

#[tokio::test]
async fn a_commit_is_applied_at_the_end_of_its_transaction_and_not_before() {
    for level in LEVELS {
        let mut stage = Stage::new().await;
        let (store, commit) = (stage.store.clone(), deposit("17", Expected::NoStream));
        let transaction = stage.begin(level).await;
        store.commit_in(&transaction, commit.clone()).await.unwrap();
        assert_eq!(versions(&store, "17").await, [0; 0]);
        assert_eq!(store.committed(commit.id).await.unwrap(), None);
        transaction.commit().await.unwrap();
        let position = store.committed(commit.id).await.unwrap();
        assert_eq!(position, Some(store.head().await.unwrap().position));
        assert_eq!(stage.versions().await, [1]);
        let repeat = store.commit(commit).await.unwrap();
        assert!(
            matches!(repeat, cqrs_core::Committed::Before { position: p, .. } if Some(p) == position)
        );
    }
}

#[tokio::test]
async fn nothing_of_a_commit_remains_when_its_transaction_or_savepoint_is_rolled_back() {
    let mut stage = Stage::new().await;
    let store = stage.store.clone();
    let transaction = stage.begin(IsolationLevel::ReadCommitted).await;
    store.commit_in(&transaction, deposit("17", Expected::Any)).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(stage.versions().await, [0; 0]);

    let (kept, dropped) = (deposit("17", Expected::NoStream), deposit("17", Expected::NoStream));
    let mut transaction = stage.begin(IsolationLevel::ReadCommitted).await;
    let savepoint = transaction.transaction().await.unwrap();
    store.commit_in(&savepoint, dropped.clone()).await.unwrap();
    savepoint.rollback().await.unwrap();
    let savepoint = transaction.transaction().await.unwrap();
    store.commit_in(&savepoint, kept.clone()).await.unwrap();
    savepoint.commit().await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(stage.versions().await, [1]);
    assert_eq!(store.committed(dropped.id).await.unwrap(), None);
    assert!(store.committed(kept.id).await.unwrap().is_some());
    // Nothing waits for an end that has come.
    let staged = format!("SELECT count(*) FROM {}.staged_1", stage._schema.0);
    let staged: i64 = stage.client.query_one(&staged, &[]).await.unwrap().get(0);
    assert_eq!(staged, 0);
}

#[tokio::test]
async fn two_commits_in_one_transaction_are_applied_in_their_order() {
    for level in LEVELS {
        let mut stage = Stage::new().await;
        let store = stage.store.clone();
        let commits = [deposit("17", Expected::NoStream), deposit("17", Expected::Exactly(1))];
        let transaction = stage.begin(level).await;
        for commit in &commits {
            store.commit_in(&transaction, commit.clone()).await.unwrap();
        }
        transaction.commit().await.unwrap();
        assert_eq!(stage.versions().await, [1, 2]);
        let mut positions = Vec::new();
        for commit in &commits {
            positions.push(store.committed(commit.id).await.unwrap().unwrap());
        }
        assert!(positions[0] < positions[1], "{positions:?}");
    }
}

#[tokio::test]
async fn a_refusal_fails_the_end_of_the_transaction_and_tells_why() {
    let mut stage = Stage::new().await;
    let store = stage.store.clone();
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    let table = format!("{}.invoices", stage._schema.0);
    let create = format!("CREATE TABLE {table} (number bigint)");
    stage.client.batch_execute(&create).await.unwrap();

    let transaction = stage.begin(IsolationLevel::ReadCommitted).await;
    transaction.batch_execute(&format!("INSERT INTO {table} VALUES (17)")).await.unwrap();
    store.commit_in(&transaction, deposit("18", Expected::NoStream)).await.unwrap();
    store.commit_in(&transaction, deposit("17", Expected::NoStream)).await.unwrap();
    let refused = store.refused(transaction.commit().await.unwrap_err());
    let conflict = Conflict::Stream { stream: "account/17".to_owned(), actual: 1 };
    assert_eq!(*refused.kind(), ErrorKind::Conflict(conflict));
    assert_eq!((stage.versions().await, versions(&store, "18").await), (vec![1], vec![]));
    let count = format!("SELECT count(*) FROM {table}");
    assert_eq!(stage.client.query_one(&count, &[]).await.unwrap().get::<_, i64>(0), 0);

    // The repeat of one that was applied is one as well.
    let commit = deposit("17", Expected::Any);
    store.commit(commit.clone()).await.unwrap();
    let transaction = stage.begin(IsolationLevel::ReadCommitted).await;
    store.commit_in(&transaction, commit).await.unwrap();
    let refused = store.refused(transaction.commit().await.unwrap_err());
    assert!(matches!(refused.kind(), ErrorKind::Conflict(Conflict::Settled { .. })), "{refused:?}");
    assert_eq!(stage.versions().await, [1, 2]);
}

#[tokio::test]
async fn a_commit_that_can_never_be_is_refused_before_the_end() {
    let mut stage = Stage::new().await;
    let store = stage.store.clone();
    let transaction = stage.begin(IsolationLevel::ReadCommitted).await;
    let key = DocumentKey::new("undeclared", "17");
    let body = Json::parse("{}").unwrap();
    let documents = vec![DocumentWrite::put(key, Expected::Any, body)];
    let commit = Commit { documents, ..Commit::default() };
    assert!(store.commit_in(&transaction, commit).await.is_err());
    // The transaction is as it was.
    store.commit_in(&transaction, deposit("17", Expected::Any)).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(stage.versions().await, [1]);
}

#[tokio::test]
async fn an_append_on_an_old_snapshot_fails_and_leaves_no_gap_and_no_duplicate() {
    for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        for expected in
            [Expected::Any, Expected::NoStream, Expected::Exactly(1), Expected::Exactly(2)]
        {
            let mut stage = Stage::new().await;
            let store = stage.store.clone();
            if !matches!(expected, Expected::NoStream) {
                store.commit(deposit("17", Expected::Any)).await.unwrap();
            }
            let transaction = stage.begin(level).await;
            transaction.batch_execute("SELECT 1").await.unwrap();
            store.commit(deposit("17", Expected::Any)).await.unwrap();
            store.commit_in(&transaction, deposit("17", expected)).await.unwrap();
            let refused = store.refused(transaction.commit().await.unwrap_err());
            let is_said = matches!(
                refused.kind(),
                ErrorKind::Unavailable | ErrorKind::Conflict(Conflict::Stream { .. })
            );
            assert!(is_said, "{level:?} {expected:?}: {refused:?}");
            store.commit(deposit("17", Expected::Any)).await.unwrap();
            let versions = stage.versions().await;
            assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>());
            assert!((2..=3).contains(&versions.len()), "{versions:?}");
        }
    }
}

#[tokio::test]
async fn an_append_to_another_stream_than_others_write_is_applied_on_an_old_snapshot() {
    for level in LEVELS {
        let mut stage = Stage::new().await;
        let store = stage.store.clone();
        let transaction = stage.begin(level).await;
        transaction.batch_execute("SELECT 1").await.unwrap();
        store.commit(deposit("18", Expected::Any)).await.unwrap();
        let commit = deposit("17", Expected::NoStream);
        store.commit_in(&transaction, commit.clone()).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(store.committed(commit.id).await.unwrap(), Some(2));
    }
}

#[tokio::test]
async fn an_event_or_commit_or_document_that_others_wrote_meanwhile_is_said_to_pass() {
    for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        let mut stage = Stage::new().await;
        let store = stage.store.clone();
        store.declare(cqrs_core::Collection::new("paid").unique("number")).await.unwrap();
        let known = event("bank.deposited");
        let known = |stream: &str| Commit {
            appends: vec![append(stream, Expected::Any, vec![known.clone()])],
            ..Commit::default()
        };
        let twice = deposit("19", Expected::Any);
        let (of_event, of_document) = (deposit("20", Expected::Any), paid("4", 1));
        for (theirs, mine) in [
            // Known by what the other kind does not write.
            (of_event.clone(), Commit { id: of_event.id, ..paid("5", 2) }),
            (of_document.clone(), deposit_as(of_document.id, "20", Expected::Any)),
            (known("17"), known("18")),
            (twice.clone(), twice.clone()),
            (paid("1", 17), paid("1", 17)),
            (paid("2", 18), paid("3", 18)),
        ] {
            let transaction = stage.begin(level).await;
            transaction.batch_execute("SELECT 1").await.unwrap();
            let theirs = store.commit(theirs).await.unwrap();
            store.commit_in(&transaction, mine).await.unwrap();
            let refused = store.refused(transaction.commit().await.unwrap_err());
            let may_be = matches!(refused.kind(), ErrorKind::Unavailable | ErrorKind::Conflict(_));
            assert!(may_be, "{level:?}: {refused:?} after {theirs:?}");
        }
    }
}

#[tokio::test]
async fn guards_and_fences_are_refused_on_an_old_snapshot_and_hold_otherwise() {
    let guard = |expected| {
        let stream = StreamId::new("account", "17");
        let guards = vec![Guard::Stream { stream, expected }];
        Commit { guards, ..deposit("18", Expected::Any) }
    };
    let matching = || {
        let filter = Filter::default().event_type("bank.deposited");
        let guards = vec![Guard::NoneMatching { filter, after: 0 }];
        Commit { guards, ..deposit("18", Expected::Any) }
    };
    let fenced = || {
        let fences = vec![Fence { lease: "mailer/0".to_owned(), token: 0 }];
        Commit { fences, ..deposit("18", Expected::Any) }
    };
    for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        for commit in [guard(Expected::NoStream), matching(), fenced()] {
            let mut stage = Stage::new().await;
            let store = stage.store.clone();
            let transaction = stage.begin(level).await;
            store.commit_in(&transaction, commit).await.unwrap();
            let refused = store.refused(transaction.commit().await.unwrap_err());
            let is_said = matches!(refused.kind(), ErrorKind::Unsupported { .. });
            assert!(is_said && refused.to_string().contains("READ COMMITTED"), "{refused:?}");
            assert_eq!(store.head().await.unwrap().position, 0);
        }
    }
    let mut stage = Stage::new().await;
    let store = stage.store.clone();
    let transaction = stage.begin(IsolationLevel::ReadCommitted).await;
    store.commit_in(&transaction, guard(Expected::NoStream)).await.unwrap();
    // Written after it was staged: it is seen all the same.
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    let refused = store.refused(transaction.commit().await.unwrap_err());
    let conflict = Conflict::Stream { stream: "account/17".to_owned(), actual: 1 };
    assert_eq!(*refused.kind(), ErrorKind::Conflict(conflict));
    let transaction = stage.begin(IsolationLevel::ReadCommitted).await;
    store.commit_in(&transaction, guard(Expected::Exactly(1))).await.unwrap();
    store.commit_in(&transaction, fenced()).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(versions(&store, "18").await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_do_not_wait_for_an_open_transaction_with_a_commit_in_it() {
    for level in LEVELS {
        let mut stage = Stage::new().await;
        let store = stage.store.clone();
        let transaction = stage.begin(level).await;
        store.commit_in(&transaction, deposit("18", Expected::Any)).await.unwrap();
        let (opened, mut slowest) = (Instant::now(), Duration::ZERO);
        while opened.elapsed() < BOUND + BOUND / 5 {
            let started = Instant::now();
            store.commit(deposit("17", Expected::Any)).await.unwrap();
            store.commit(deposit("19", Expected::Any)).await.unwrap();
            slowest = slowest.max(started.elapsed());
        }
        transaction.commit().await.unwrap();
        println!("{level:?}: two commits took {slowest:?} at most");
        assert!(slowest < BOUND, "{slowest:?}");
        assert_eq!(versions(&store, "18").await, [1]);
    }
}
