//! Commits in a transaction of one's own: applied with it, or not at all.

use std::time::{Duration, Instant};

use cqrs_core::{
    Collection, Commit, Committed, Conflict, DocumentKey, DocumentWrite, ErrorKind, Expected,
    Fence, Filter, Guard, Json, Store, StreamId,
};
use store_mongo::MongoStore;
use store_mongo::bson::{Document, doc};
use store_mongo::mongodb::{self, ClientSession};

use crate::common::{self, Database};
use crate::faults::{Failing, Fault, named};
use crate::short::{deposit, log_of, loose, paid, positions, versions};

/// What others wait at most for a transaction that is left open.
const BOUND: Duration = Duration::from_secs(5);

struct Stage {
    store: MongoStore,
    _database: Database,
}

impl Stage {
    async fn new() -> Self {
        let database = Database::new();
        let store = common::store(&database.0).connect().await.unwrap();
        Self { store, _database: database }
    }

    async fn begin(&self) -> ClientSession {
        let mut session = self.store.session().await.unwrap();
        session.start_transaction().await.unwrap();
        session
    }

    fn invoices(&self) -> mongodb::Collection<Document> {
        self.store.database().collection("invoices")
    }

    /// A write of the user's.
    async fn pay(&self, session: &mut ClientSession) {
        self.invoices().insert_one(doc! { "paid": 17 }).session(session).await.unwrap();
    }

    async fn paid(&self) -> u64 {
        self.invoices().count_documents(doc! {}).await.unwrap()
    }

    async fn versions(&self) -> Vec<u64> {
        versions(&self.store, "17").await
    }
}

#[tokio::test]
async fn a_commit_is_applied_with_the_users_writes_at_the_end_and_not_before() {
    let stage = Stage::new().await;
    let (store, commit) = (&stage.store, deposit("17", Expected::NoStream));
    let mut session = stage.begin().await;
    let committed = store.commit_in(&mut session, commit.clone()).await.unwrap();
    assert_eq!(committed, Committed::Now { position: 1 });
    stage.pay(&mut session).await;
    assert_eq!((stage.versions().await, stage.paid().await), (vec![], 0));
    assert_eq!(store.committed(commit.id).await.unwrap(), None);
    assert_eq!(store.head().await.unwrap().position, 0);
    session.commit_transaction().await.unwrap();
    assert_eq!((stage.versions().await, stage.paid().await), (vec![1], 1));
    assert_eq!(store.committed(commit.id).await.unwrap(), Some(1));
    let repeat = store.commit(commit).await.unwrap();
    assert_eq!(repeat, Committed::Before { position: 1, reply: None });
}

#[tokio::test]
async fn nothing_remains_of_a_transaction_that_its_user_gives_up() {
    let stage = Stage::new().await;
    let (store, commit) = (&stage.store, deposit("17", Expected::NoStream));
    let mut session = stage.begin().await;
    store.commit_in(&mut session, commit.clone()).await.unwrap();
    stage.pay(&mut session).await;
    session.abort_transaction().await.unwrap();
    assert_eq!((stage.versions().await, stage.paid().await), (vec![], 0));
    assert_eq!(store.committed(commit.id).await.unwrap(), None);
    // Its place is the next one's, and its id is free.
    assert_eq!(store.commit(commit).await.unwrap(), Committed::Now { position: 1 });
}

#[tokio::test]
async fn a_session_that_is_dropped_gives_up_its_transaction_at_once() {
    let stage = Stage::new().await;
    let mut session = stage.begin().await;
    stage.store.commit_in(&mut session, deposit("17", Expected::Any)).await.unwrap();
    drop(session);
    let began = Instant::now();
    stage.store.commit(deposit("17", Expected::NoStream)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(stage.versions().await, [1]);
}

#[tokio::test]
async fn a_conflict_tells_what_conflicts_and_leaves_the_transaction_as_it_was() {
    let stage = Stage::new().await;
    let store = &stage.store;
    store.declare(Collection::new("paid").unique("number")).await.unwrap();
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    store.commit(paid("1", 17)).await.unwrap();
    let stream = StreamId::new("account", "17");
    let guards = vec![Guard::Stream { stream, expected: Expected::NoStream }];
    let filter = Filter::default().event_type("bank.deposited");
    let matching = vec![Guard::NoneMatching { filter, after: 0 }];
    let fences = vec![Fence { lease: "mailer/0".to_owned(), token: 3 }];
    let account = || Conflict::Stream { stream: "account/17".to_owned(), actual: 1 };
    let mut session = stage.begin().await;
    stage.pay(&mut session).await;
    for (commit, conflict) in [
        (deposit("17", Expected::NoStream), account()),
        (Commit { guards, ..deposit("18", Expected::Any) }, account()),
        (
            Commit { guards: matching, ..deposit("18", Expected::Any) },
            Conflict::NoneMatching { after: 0, found: 1 },
        ),
        (
            Commit { fences, ..deposit("18", Expected::Any) },
            Conflict::Lease { lease: "mailer/0".to_owned(), token: 3, actual: 0 },
        ),
        (
            paid("2", 17),
            Conflict::Unique {
                collection: "paid".to_owned(),
                id: "2".to_owned(),
                field: "number".to_owned(),
            },
        ),
    ] {
        let refused = store.commit_in(&mut session, commit).await.unwrap_err();
        assert_eq!(*refused.kind(), ErrorKind::Conflict(conflict));
    }
    let used = deposit("18", Expected::Any);
    store.commit_in(&mut session, used.clone()).await.unwrap();
    let reused = Commit { id: used.id, ..deposit("19", Expected::Any) };
    let refused = store.commit_in(&mut session, reused).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::IdReused { .. }), "{refused:?}");
    let undeclared = DocumentKey::new("undeclared", "17");
    let body = Json::parse("{}").unwrap();
    let documents = vec![DocumentWrite::put(undeclared, Expected::Any, body)];
    let never = Commit { documents, ..Commit::default() };
    assert!(store.commit_in(&mut session, never).await.is_err());
    session.commit_transaction().await.unwrap();
    // What was written before and what was applied is there, in places without a gap.
    assert_eq!((stage.paid().await, versions(store, "18").await), (1, vec![1]));
    assert_eq!(positions(&log_of(store, Filter::default()).await), [1, 2]);
    assert_eq!(store.commit(loose("17", Expected::Any)).await.unwrap().position(), 3);
}

#[tokio::test]
async fn the_repeat_of_an_applied_commit_is_told_so_and_the_transaction_goes_on() {
    let stage = Stage::new().await;
    let (store, commit) = (&stage.store, deposit("17", Expected::NoStream));
    store.commit(commit.clone()).await.unwrap();
    store.commit(deposit("18", Expected::Any)).await.unwrap();
    let mut session = stage.begin().await;
    let repeat = store.commit_in(&mut session, commit.clone()).await.unwrap();
    assert_eq!(repeat, Committed::Before { position: 1, reply: None });
    stage.pay(&mut session).await;
    session.commit_transaction().await.unwrap();
    assert_eq!((stage.versions().await, stage.paid().await), (vec![1], 1));
    assert_eq!(store.head().await.unwrap().position, 2);
    // Also within one transaction.
    let (mut session, commit) = (stage.begin().await, deposit("17", Expected::Any));
    let now = store.commit_in(&mut session, commit.clone()).await.unwrap();
    assert_eq!(now, Committed::Now { position: 3 });
    let repeat = store.commit_in(&mut session, commit).await.unwrap();
    assert_eq!(repeat, Committed::Before { position: 3, reply: None });
    session.commit_transaction().await.unwrap();
    assert_eq!(stage.versions().await, [1, 2]);
}

#[tokio::test]
async fn two_commits_in_one_transaction_are_applied_in_their_order() {
    let stage = Stage::new().await;
    let store = &stage.store;
    store.declare(Collection::new("paid").unique("number")).await.unwrap();
    let commits = [
        deposit("17", Expected::NoStream),
        deposit("17", Expected::Exactly(1)),
        paid("1", 17),
        loose("17", Expected::Exactly(2)),
    ];
    let mut session = stage.begin().await;
    for commit in &commits {
        store.commit_in(&mut session, commit.clone()).await.unwrap();
    }
    session.commit_transaction().await.unwrap();
    assert_eq!(stage.versions().await, [1, 2, 3]);
    let mut ends = Vec::new();
    for commit in &commits {
        ends.push(store.committed(commit.id).await.unwrap().unwrap());
    }
    assert_eq!(ends, [1, 2, 2, 3]);
    let document = store.document(&DocumentKey::new("paid", "1")).await.unwrap();
    assert_eq!(document.unwrap().version, 1);
}

#[tokio::test]
async fn a_commit_that_is_cut_off_in_the_middle_ends_its_transaction() {
    let database = Database::new();
    let store = named(&database.0, "within_fails", Duration::from_secs(20)).await;
    store.declare(Collection::new("paid").unique("number")).await.unwrap();
    let failing = Failing::of("within_fails").await;
    let commit = Commit { documents: paid("1", 17).documents, ..deposit("17", Expected::Any) };
    let mut session = store.session().await.unwrap();
    session.start_transaction().await.unwrap();
    // Its event is written then, and its document is not.
    failing.set("update", Fault::Cut, 1).await;
    let error = store.commit_in(&mut session, commit.clone()).await.unwrap_err();
    failing.unset().await;
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
    // Nobody goes on with half of it.
    let error = store.commit_in(&mut session, commit.clone()).await.unwrap_err();
    let invalid = ErrorKind::Invalid { field: Some("session".to_owned()) };
    assert_eq!(*error.kind(), invalid, "{error:?}");
    session.commit_transaction().await.unwrap_err();
    assert_eq!(store.head().await.unwrap().position, 0);
    session.start_transaction().await.unwrap();
    let again = store.commit_in(&mut session, commit).await.unwrap();
    assert_eq!(again, Committed::Now { position: 1 });
    session.commit_transaction().await.unwrap();
    assert_eq!(versions(&store, "17").await, [1]);
    let document = store.document(&DocumentKey::new("paid", "1")).await.unwrap();
    assert_eq!(document.unwrap().version, 1);
}

#[tokio::test]
async fn a_transaction_on_an_old_snapshot_is_to_be_begun_again_and_gets_through_then() {
    let stage = Stage::new().await;
    let store = &stage.store;
    let mut session = stage.begin().await;
    stage.pay(&mut session).await;
    store.commit(deposit("18", Expected::Any)).await.unwrap();
    let commit = deposit("17", Expected::NoStream);
    let refused = store.commit_in(&mut session, commit.clone()).await.unwrap_err();
    assert_eq!(*refused.kind(), ErrorKind::Unavailable, "{refused:?}");
    assert!(refused.to_string().contains("begin the transaction again"), "{refused}");
    assert!(session.commit_transaction().await.is_err());
    assert_eq!((stage.versions().await, stage.paid().await), (vec![], 0));
    session.start_transaction().await.unwrap();
    store.commit_in(&mut session, commit).await.unwrap();
    stage.pay(&mut session).await;
    session.commit_transaction().await.unwrap();
    assert_eq!((stage.versions().await, stage.paid().await), (vec![1], 1));
}

#[tokio::test]
async fn a_session_without_a_transaction_is_refused_and_nothing_is_written() {
    let stage = Stage::new().await;
    let mut session = stage.store.session().await.unwrap();
    let refused = stage.store.commit_in(&mut session, deposit("17", Expected::Any)).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Invalid { .. }), "{refused:?}");
    assert!(refused.to_string().contains("start_transaction"), "{refused}");
    assert_eq!(stage.store.head().await.unwrap().position, 0);
    // It is as it was.
    session.start_transaction().await.unwrap();
    stage.store.commit_in(&mut session, deposit("17", Expected::Any)).await.unwrap();
    session.commit_transaction().await.unwrap();
    session.start_transaction().await.unwrap();
    stage.store.commit_in(&mut session, deposit("17", Expected::Any)).await.unwrap();
    session.commit_transaction().await.unwrap();
    assert_eq!(stage.versions().await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_a_transaction_open_loses_it_to_others_and_no_reader_sees_a_gap() {
    let stage = Stage::new().await;
    let store = &stage.store;
    let other = common::store(&stage._database.0).connect().await.unwrap();
    let left = loose("18", Expected::Any);
    let mut session = stage.begin().await;
    store.commit_in(&mut session, left.clone()).await.unwrap();
    stage.pay(&mut session).await;
    // Of this process and of another one.
    let (began, mut last) = (Instant::now(), 0);
    for store in [&stage.store, &other] {
        last = store.commit(deposit("17", Expected::Any)).await.unwrap().position();
    }
    let waited = began.elapsed();
    println!("others wrote again after {waited:?}");
    assert!(waited < BOUND, "{waited:?}");
    let log = log_of(&other, Filter::default()).await;
    assert_eq!((positions(&log), last), (vec![1, 2], 2));
    assert!(session.commit_transaction().await.is_err());
    assert_eq!((store.committed(left.id).await.unwrap(), stage.paid().await), (None, 0));
    assert_eq!(store.commit(left).await.unwrap(), Committed::Now { position: 3 });
    assert_eq!(positions(&log_of(&other, Filter::default()).await), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_one_open_in_a_session_of_the_driver_loses_it_as_well() {
    let stage = Stage::new().await;
    let store = &stage.store;
    let mut session = store.database().client().start_session().await.unwrap();
    for n in 0..2 {
        session.start_transaction().await.unwrap();
        store.commit_in(&mut session, deposit("18", Expected::Any)).await.unwrap();
        stage.pay(&mut session).await;
        let began = Instant::now();
        store.commit(deposit("17", Expected::Exactly(n))).await.unwrap();
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        assert!(session.commit_transaction().await.is_err());
    }
    assert_eq!((stage.versions().await, stage.paid().await), (vec![1, 2], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_as_soon_as_a_transaction_with_a_commit_in_it_ends() {
    let stage = Stage::new().await;
    let store = stage.store.clone();
    let mut session = stage.begin().await;
    store.commit_in(&mut session, deposit("18", Expected::Any)).await.unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.commit(deposit("17", Expected::Any)).await }
    });
    // Nobody reads what is not there yet, and reading waits for nobody.
    let (began, mut reads) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(500) {
        let read = Instant::now();
        assert_eq!(positions(&log_of(&store, Filter::default()).await), [0; 0]);
        assert!(read.elapsed() < BOUND / 5, "{:?}", read.elapsed());
        reads += 1;
    }
    assert!(!waiting.is_finished() && reads > 0);
    session.commit_transaction().await.unwrap();
    let ended = Instant::now();
    assert_eq!(waiting.await.unwrap().unwrap(), Committed::Now { position: 2 });
    assert!(ended.elapsed() < BOUND / 5, "{:?}", ended.elapsed());
    assert_eq!(positions(&log_of(&store, Filter::default()).await), [1, 2]);
}
