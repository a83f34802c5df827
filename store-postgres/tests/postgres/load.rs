//! Tasks that repeat a commit under its id until it is answered, and what must then be there.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{
    Commit, CommitId, Committed, DocumentKey, DocumentWrite, ErrorKind, Expected, Filter,
    Fingerprint, InboxMark, Json, MessageId, Page, Position, ReadLog, Store,
};
use futures_util::StreamExt;
use store_postgres::PostgresStore;
use tokio::task::JoinHandle;

use crate::short::{append, event_with_id, id, log_of, plain, positions, within};

const EVENTS: u32 = 2;

/// No call may take so long.
const HANGS: Duration = Duration::from_secs(60);

/// Within this time commits go on.
pub(crate) const RECOVERS: Duration = Duration::from_secs(5);

/// Whether the `n`-th commit only appends.
fn is_plain(n: u64) -> bool {
    n % 3 == 1
}

/// The `n`-th commit of a task: events, and often a document, and then sometimes an inbox mark.
fn commit(task: u128, n: u64) -> Commit {
    let id = commit_id(task, n);
    let events = (0..EVENTS).map(|k| event_with_id(id.derived("event", k))).collect();
    let expected = Expected::Exactly(n * u64::from(EVENTS));
    let body = Json::parse(format!(r#"{{"n":{n}}}"#)).unwrap();
    let mark = InboxMark {
        consumer: "load".to_owned(),
        message: id,
        fingerprint: Fingerprint::of(b"load"),
        reply: Some("done".into()),
    };
    let appends = vec![append(&task.to_string(), expected, events)];
    if is_plain(n) {
        return Commit { id: CommitId(id), appends, ..Commit::default() };
    }
    Commit {
        id: CommitId(id),
        appends,
        documents: vec![DocumentWrite::put(document(task), Expected::Any, body)],
        inbox: n.is_multiple_of(2).then_some(mark).into_iter().collect(),
        ..Commit::default()
    }
}

/// What its repeat is answered.
fn before(n: u64, position: Position) -> Committed {
    let has_mark = n.is_multiple_of(2) && !is_plain(n);
    let reply = has_mark.then(|| "done".into());
    Committed::Before { position, reply }
}

fn commit_id(task: u128, n: u64) -> MessageId {
    id(task << 64 | u128::from(n + 1))
}

fn document(task: u128) -> DocumentKey {
    DocumentKey::new("progress", task.to_string())
}

/// A store that tries again for a while, and one that soon leaves that to those who commit.
pub(crate) async fn patient_and_not(url: &str) -> [PostgresStore; 2] {
    let soon = PostgresStore::builder(url).patience(Duration::from_millis(20));
    [PostgresStore::connect(url).await.unwrap(), soon.connect().await.unwrap()]
}

/// What a task was told.
struct Task {
    number: u128,
    answered: Arc<AtomicU64>,
    running: JoinHandle<Vec<Position>>,
}

/// Tasks that commit, and a reader that follows the log.
pub(crate) struct Load {
    stops: Arc<AtomicBool>,
    repeated: Arc<AtomicU64>,
    tasks: Vec<Task>,
    follower: JoinHandle<Vec<Position>>,
    /// The way to the server on which nothing is cut.
    url: String,
}

impl Load {
    /// Begins with three tasks on each store.
    pub(crate) async fn begin(stores: &[PostgresStore], url: String) -> Self {
        stores[0].declare(cqrs_core::Collection::new("progress")).await.unwrap();
        let (stops, repeated) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let task = |(number, store): (usize, &PostgresStore)| {
            let (number, store, stops) = (number as u128 + 1, store.clone(), stops.clone());
            let answered = Arc::<AtomicU64>::default();
            let (repeated, counts) = (repeated.clone(), answered.clone());
            let running = tokio::spawn(async move {
                let mut told = Vec::new();
                while !stops.load(Ordering::Relaxed) {
                    let n = told.len() as u64;
                    let position = until_answered(&store, &commit(number, n), &repeated).await;
                    told.push(position);
                    counts.fetch_add(1, Ordering::Relaxed);
                }
                told
            });
            Task { number, answered, running }
        };
        let three = [stores, stores, stores].concat();
        let tasks = three.iter().enumerate().map(task).collect();
        let follower = tokio::spawn(follow(stores[0].clone(), stops.clone()));
        Self { stops, repeated, tasks, follower, url }
    }

    /// Waits until each task was answered so often from now on. How long it took.
    pub(crate) async fn goes_on(&self, times: u64, bound: Duration) -> Duration {
        let now = |task: &Task| task.answered.load(Ordering::Relaxed);
        let before: Vec<u64> = self.tasks.iter().map(now).collect();
        let goes_on = within(bound, "commits go on", async || {
            let is_dead = self.tasks.iter().any(|task| task.running.is_finished());
            assert!(!is_dead && !self.follower.is_finished(), "a task has ended");
            self.tasks.iter().zip(&before).all(|(task, before)| now(task) >= before + times)
        });
        let told = async {
            tokio::time::sleep(bound.mul_f32(0.8)).await;
            println!("commits do not go on; the server:\n{}", self.activity().await);
        };
        tokio::pin!(goes_on);
        tokio::select! {
            took = &mut goes_on => return took,
            () = told => {}
        }
        goes_on.await
    }

    /// What the server is doing, for whoever wants to know why nothing goes on.
    async fn activity(&self) -> String {
        let query = "SELECT concat_ws(' | ', pid, state, wait_event, now() - xact_start,
            pg_blocking_pids(pid), left(query, 60))
          FROM pg_stat_activity WHERE backend_type = 'client backend'";
        let rows = plain(&self.url).await.query(query, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
    }

    /// Ends it, and looks for everything. What was done.
    pub(crate) async fn end(self, store: &PostgresStore) -> String {
        self.stops.store(true, Ordering::Relaxed);
        let given = self.follower.await.unwrap();
        let mut tasks = Vec::new();
        for Task { number, running, .. } in self.tasks {
            tasks.push((number, running.await.unwrap()));
        }
        let log = log_of(store, Filter::default()).await;
        assert_eq!(given, positions(&log)[..given.len()]);
        let mut found = HashMap::new();
        for event in log.iter().flat_map(Page::iter) {
            assert_eq!(found.insert(event.id, event.position), None, "twice: {event:?}");
        }
        let mut commits = 0;
        for (number, told) in tasks {
            for (n, position) in (0..).zip(&told) {
                let id = commit_id(number, n);
                let last = found.get(&id.derived("event", EVENTS - 1));
                assert_eq!(last, Some(position), "commit {n} of {number} is lost");
                assert!(found.contains_key(&id.derived("event", 0)));
                let repeat = store.commit(commit(number, n)).await.unwrap();
                assert_eq!(repeat, before(n, *position), "the repeat of commit {n} of {number}");
            }
            let document = store.document(&document(number)).await.unwrap();
            let written = (0..told.len() as u64).filter(|n| !is_plain(*n)).count();
            assert_eq!(document.map_or(0, |found| found.version), written as u64);
            commits += told.len();
        }
        assert_eq!(found.len(), commits * EVENTS as usize);
        let repeated = self.repeated.load(Ordering::Relaxed);
        format!("{commits} commits, {repeated} repeats")
    }
}

/// Repeats a commit until it is answered.
async fn until_answered(store: &PostgresStore, commit: &Commit, repeated: &AtomicU64) -> Position {
    let started = Instant::now();
    loop {
        let answer = tokio::time::timeout(HANGS, store.commit(commit.clone())).await;
        let error = match answer.expect("a commit hangs") {
            Ok(committed) => return committed.position(),
            Err(error) => error,
        };
        let may_pass = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown);
        assert!(may_pass, "{error:?}");
        assert!(started.elapsed() < HANGS, "never answered: {error}");
        repeated.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Follows the log until it is told to stop. What it was given.
async fn follow(store: PostgresStore, stops: Arc<AtomicBool>) -> Vec<Position> {
    let (mut given, mut after) = (Vec::new(), 0);
    while !stops.load(Ordering::Relaxed) {
        let mut pages = store.read_log(ReadLog::after(after).page(50));
        loop {
            let next = tokio::time::timeout(HANGS, pages.next()).await;
            let Some(page) = next.expect("a reading hangs") else { break };
            match page {
                Ok(page) => {
                    given.extend(page.iter().map(|event| event.position));
                    after = page.through();
                }
                Err(error) => {
                    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
                    break;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    given
}
