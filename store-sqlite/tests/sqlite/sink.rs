//! Projections into the user's own tables.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cqrs_core::{
    BoxError, CheckpointWrite, Commit, Committed, Conflict, Error, ErrorKind, Event, EventType,
    Expected, Fence, HandlerError, Json, LeaseRequest, NewEvent, PageSize, Payload, ReadLog,
    Recorded, Result, Sink, SinkEvents, Store,
};
use futures_util::StreamExt;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use store_sqlite::{SqliteProjection, SqliteSink, SqliteStore};

use crate::common::{append, deposit, event};
use crate::sharing::Killed;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Deposited {
    amount: i64,
}

impl Event for Deposited {
    const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// What a projection does at one position, instead of going on.
type Trap = fn(&Connection) -> Result<(), HandlerError>;

#[derive(Default)]
struct Totals {
    trap: Option<(u64, Trap)>,
    /// How many events it was handed.
    calls: Arc<AtomicU64>,
}

impl SqliteProjection for Totals {
    type Input = Deposited;

    fn setup(&self, tx: &Connection) -> rusqlite::Result<()> {
        tx.execute_batch(
            "CREATE TABLE IF NOT EXISTS totals (account TEXT PRIMARY KEY, total INTEGER);
             CREATE TABLE IF NOT EXISTS seen (position INTEGER PRIMARY KEY)",
        )
    }

    fn project(
        &self,
        event: &Recorded<'_, Deposited>,
        tx: &Connection,
    ) -> Result<(), HandlerError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut add = tx.prepare_cached(
            "INSERT INTO totals VALUES (?1, ?2)
             ON CONFLICT (account) DO UPDATE SET total = total + excluded.total",
        )?;
        add.execute((event.stream, event.data.amount))?;
        tx.prepare_cached("INSERT INTO seen VALUES (?1)")?.execute((event.position as i64,))?;
        match self.trap {
            Some((position, trap)) if position == event.position => trap(tx),
            _ => Ok(()),
        }
    }
}

const SUBSCRIPTION: &str = "totals";

/// Applies what the checkpoint has not passed, by pages.
async fn catch_up<P: SqliteProjection>(store: &SqliteStore, sink: &SqliteSink<P>) -> Result<()> {
    loop {
        let from = store.checkpoint(SUBSCRIPTION, 0).await?.unwrap_or(0);
        let read = ReadLog { page: PageSize { events: 4, bytes: 4096 }, ..ReadLog::after(from) };
        let Some(page) = store.read_log(read).next().await.transpose()? else { return Ok(()) };
        let to = page.through();
        if to == from {
            return Ok(());
        }
        sink.apply(SinkEvents::new(Arc::new(page), |_| true), moves(from, to)).await?;
    }
}

fn moves(from: u64, to: u64) -> Commit {
    let subscription = SUBSCRIPTION.to_owned();
    let checkpoint = CheckpointWrite { subscription, partition: 0, from, to, fence: None };
    Commit { checkpoint: Some(checkpoint), ..Commit::default() }
}

async fn page_of(store: &SqliteStore) -> SinkEvents {
    let page = store.read_log(ReadLog::after(0)).next().await.unwrap().unwrap();
    SinkEvents::new(Arc::new(page), |_| true)
}

/// How many events the own tables have seen, and their sum.
fn seen(path: &Path) -> (i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM seen), (SELECT coalesce(sum(total), 0) FROM totals)";
    let conn = Connection::open(path).unwrap();
    conn.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

async fn filled(path: &Path, events: usize) -> SqliteStore {
    let store = SqliteStore::open(path).await.unwrap();
    for n in 0..events {
        store.commit(deposit(&(n % 3).to_string())).await.unwrap();
    }
    store
}

fn not_handled(error: &Error) -> (u64, bool) {
    match error.kind() {
        ErrorKind::EventNotHandled { handler, event_type, position, fatal } => {
            assert_eq!((handler.as_str(), event_type.as_str()), (SUBSCRIPTION, "bank.deposited"));
            (*position, *fatal)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_leaves_nothing_of_its_page_and_no_event_counts_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = filled(&path, 10).await;
    let traps: [(Trap, bool); 3] = [
        (|_| Err("not yet".into()), false),
        (|_| Err(HandlerError::fatal("never")), true),
        (|_| panic!("at once"), false),
    ];
    for (trap, fatal) in traps {
        let totals = Totals { trap: Some((7, trap)), ..Totals::default() };
        let sink = store.sink(totals).await.unwrap();
        let error = catch_up(&store, &sink).await.unwrap_err();
        assert_eq!(not_handled(&error), (7, fatal));
        // The first page was whole.
        assert_eq!(seen(&path), (4, 4 * 7));
        assert_eq!(store.checkpoint(SUBSCRIPTION, 0).await.unwrap(), Some(4));
        // The writer goes on.
        store.commit(deposit("0")).await.unwrap();
    }
    let sink = store.sink(Totals::default()).await.unwrap();
    catch_up(&store, &sink).await.unwrap();
    assert_eq!(seen(&path), (13, 13 * 7));
    assert_eq!(store.checkpoint(SUBSCRIPTION, 0).await.unwrap(), Some(13));
}

#[tokio::test]
async fn the_cause_of_a_failure_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = filled(&path, 1).await;
    let trap: Trap = |tx| Ok(tx.execute_batch("INSERT INTO nowhere VALUES (1)")?);
    let sink = store.sink(Totals { trap: Some((1, trap)), ..Totals::default() }).await.unwrap();
    let error = catch_up(&store, &sink).await.unwrap_err();
    assert!(error.to_string().contains("no such table: nowhere"), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("nowhere"), "{source}");
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_stops_its_page_and_others_types_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = filled(&path, 1).await;
    let broken = NewEvent::new("bank.deposited", Payload::Json(Json::parse("[]").unwrap()));
    let erased = NewEvent::new("bank.deposited", Payload::Erased);
    for event in [erased, event("bank.closed"), broken] {
        let appends = vec![append("1", Expected::Any, vec![event])];
        store.commit(Commit { appends, ..Commit::default() }).await.unwrap();
    }
    let sink = store.sink(Totals::default()).await.unwrap();
    assert_eq!(sink.types().iter().map(|t| t.name).collect::<Vec<_>>(), ["bank.deposited"]);
    let events = page_of(&store).await;
    let error = sink.apply(events.clone(), moves(0, 4)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Undecodable { position: 4, .. }), "{error:?}");
    assert_eq!(seen(&path), (0, 0));
    let page = store.read_log(ReadLog::after(0)).next().await.unwrap().unwrap();
    let first = SinkEvents::new(Arc::new(page), |position| position < 4);
    sink.apply(first, moves(0, 3)).await.unwrap();
    assert_eq!(seen(&path), (1, 7));
}

#[tokio::test]
async fn a_page_that_was_applied_or_may_not_be_is_not_projected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = filled(&path, 3).await;
    let calls = Arc::new(AtomicU64::new(0));
    let sink = store.sink(Totals { calls: Arc::clone(&calls), trap: None }).await.unwrap();
    let commit = moves(0, 3);
    let applied = sink.apply(page_of(&store).await, commit.clone()).await.unwrap();
    assert_eq!(applied, Committed::Now { position: 3 });
    let again = sink.apply(page_of(&store).await, commit).await.unwrap();
    assert_eq!(again, Committed::Before { position: 3, reply: None });
    let error = sink.apply(page_of(&store).await, moves(0, 3)).await.unwrap_err();
    let stands =
        Conflict::Checkpoint { subscription: SUBSCRIPTION.to_owned(), partition: 0, actual: 3 };
    assert_eq!(*error.kind(), ErrorKind::Conflict(stands));

    let asks = |holder: &str| LeaseRequest {
        holder: holder.to_owned(),
        names: vec!["totals/0".to_owned()],
        term: Duration::ZERO,
    };
    let mine = store.lease(asks("a")).await.unwrap()[0].fence();
    store.lease(asks("b")).await.unwrap();
    let mut late = moves(3, 3);
    let fence: Option<Fence> = Some(mine);
    late.checkpoint.as_mut().unwrap().fence = fence;
    let error = sink.apply(page_of(&store).await, late).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict(Conflict::Lease { .. })), "{error:?}");
    assert_eq!((seen(&path), calls.load(Ordering::Relaxed)), ((3, 21), 3));
}

#[tokio::test]
async fn the_stores_transaction_cannot_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = filled(&path, 3).await;
    let traps: [Trap; 6] = [
        |tx| Ok(tx.execute_batch("COMMIT")?),
        |tx| Ok(tx.execute_batch("ROLLBACK")?),
        |tx| {
            let _ = tx.execute_batch("COMMIT");
            let _ = tx.execute_batch("INSERT INTO seen VALUES (100)");
            Ok(())
        },
        |tx| {
            tx.execute_batch("ROLLBACK; BEGIN; INSERT INTO seen VALUES (100)")?;
            Ok(())
        },
        |tx| {
            let _ = tx.prepare_cached("COMMIT\n")?.execute(());
            tx.execute_batch("BEGIN")?;
            Ok(())
        },
        |tx| Ok(tx.execute_batch("INSERT OR ROLLBACK INTO seen VALUES (1)")?),
    ];
    for trap in traps {
        let sink = store.sink(Totals { trap: Some((2, trap)), ..Totals::default() }).await.unwrap();
        let error = sink.apply(page_of(&store).await, moves(0, 3)).await.unwrap_err();
        assert_eq!(not_handled(&error).0, 2);
        assert_eq!(seen(&path), (0, 0), "{error}");
        assert_eq!(store.checkpoint(SUBSCRIPTION, 0).await.unwrap(), None);
    }
    // A savepoint of its own is no matter of ours.
    let trap: Trap =
        |tx| Ok(tx.execute_batch("SAVEPOINT s; DELETE FROM seen; ROLLBACK TO s; RELEASE s")?);
    let sink = store.sink(Totals { trap: Some((2, trap)), ..Totals::default() }).await.unwrap();
    sink.apply(page_of(&store).await, moves(0, 3)).await.unwrap();
    assert_eq!(seen(&path), (3, 21));
    assert_eq!(store.commit(deposit("0")).await.unwrap(), Committed::Now { position: 4 });
}

/// A projection that only sets up, with these statements.
struct SetsUp(&'static str);

impl SqliteProjection for SetsUp {
    type Input = Deposited;

    fn setup(&self, tx: &Connection) -> rusqlite::Result<()> {
        assert!(!self.0.is_empty(), "nothing to do");
        tx.execute_batch(self.0)
    }

    fn project(&self, _: &Recorded<'_, Deposited>, _: &Connection) -> Result<(), HandlerError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_setup_is_all_or_nothing_and_leaves_the_stores_own_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = filled(&path, 1).await;
    let refused = async |sql| store.sink(SetsUp(sql)).await.unwrap_err();
    let error = refused("CREATE TABLE own (a); CREATE TABLE own (a)").await;
    assert!(error.to_string().contains("already exists"), "{error}");
    let error = refused("CREATE TABLE own (a); COMMIT").await;
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error:?}");
    let error = refused("CREATE TABLE own (a); PRAGMA user_version = 1").await;
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error:?}");
    assert_eq!(*refused("").await.kind(), ErrorKind::Panicked);
    // Nothing of it was left.
    store.sink(SetsUp("CREATE TABLE own (a)")).await.unwrap();
    store.close().await.unwrap();
    let error = store.sink(SetsUp("CREATE TABLE own (a)")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable);
    SqliteStore::open(&path).await.unwrap();
}

const PROJECTS: &str = "STORE_SQLITE_PROJECTS";

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn process_that_projects() {
    let Ok(path) = std::env::var(PROJECTS) else { return };
    let store = SqliteStore::open(&path).await.unwrap();
    let sink = store.sink(Totals::default()).await.unwrap();
    let mut said = None;
    loop {
        for n in 0..5 {
            store.commit(deposit(&n.to_string())).await.unwrap();
        }
        catch_up(&store, &sink).await.unwrap();
        // Once: nobody reads on.
        said.get_or_insert_with(|| println!("\ncaught up"));
    }
}

#[tokio::test]
async fn a_killed_process_has_counted_each_event_once() -> Result<(), BoxError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let mut before = 0;
    for _ in 0..10 {
        let file = path.display().to_string();
        let mut child = Killed::when("sink::process_that_projects", PROJECTS, &file, "caught up");
        // A random moment, not a wait for something.
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..20_000)));
        child.kill();
        let store = SqliteStore::open(&path).await?;
        let checkpoint = store.checkpoint(SUBSCRIPTION, 0).await?.unwrap() as i64;
        assert!(checkpoint > before);
        assert_eq!(seen(&path), (checkpoint, checkpoint * 7));
        before = checkpoint;
        store.close().await?;
    }
    Ok(())
}
