//! Tasks that repeat a commit under its id until it is answered, and what must then be there: for tests that kill
//! servers, or cut connections to them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cqrs_core::{
    Append, Collection, Commit, CommitId, Committed, DocumentKey, DocumentWrite, ErrorKind,
    Expected, Fingerprint, InboxMark, Json, MessageId, Metadata, NewEvent, Page, Payload, Position,
    ReadLog, Result, Store, StreamId,
};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// Events of a commit.
const EVENTS: u32 = 2;

/// Tasks on each store.
const TASKS: usize = 3;

/// No call may take so long.
const HANGS: Duration = Duration::from_secs(60);

/// Whether the `n`-th commit only appends.
fn is_plain(n: u64) -> bool {
    n % 3 == 1
}

fn json(text: String) -> Json {
    match Json::parse(text) {
        Ok(json) => json,
        Err(error) => panic!("a body is JSON: {error}"),
    }
}

fn event(id: MessageId) -> NewEvent {
    let body = Payload::Json(json(r#"{"amount":7}"#.to_owned()));
    NewEvent { metadata: Metadata::of(id), ..NewEvent::new("bank.deposited", body) }
}

/// The `n`-th commit of a task: events, and often a document, and then sometimes an inbox mark.
fn commit(task: u128, n: u64) -> Commit {
    let id = commit_id(task, n);
    let appends = vec![Append {
        stream: StreamId::new("account", task.to_string()),
        expected: Expected::Exactly(n * u64::from(EVENTS)),
        events: (0..EVENTS).map(|k| event(id.derived("event", k))).collect(),
    }];
    if is_plain(n) {
        return Commit { id: CommitId(id), appends, ..Commit::default() };
    }
    let body = json(format!(r#"{{"n":{n}}}"#));
    let mark = InboxMark {
        consumer: "load".to_owned(),
        message: id,
        fingerprint: Fingerprint::of(b"load"),
        reply: Some("done".into()),
    };
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
    Committed::Before { position, reply: has_mark.then(|| "done".into()) }
}

fn commit_id(task: u128, n: u64) -> MessageId {
    MessageId::from_uuid(Uuid::from_u128(task << 64 | u128::from(n + 1)))
}

fn document(task: u128) -> DocumentKey {
    DocumentKey::new("progress", task.to_string())
}

/// What a task was told.
struct Task {
    number: u128,
    answered: Arc<AtomicU64>,
    running: JoinHandle<Vec<Position>>,
}

/// Tells what a server is doing.
type Activity = Box<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// Tasks that commit, and a reader that follows the log, while something happens to the server. Three tasks on each
/// store repeat a commit under its id until it is answered.
///
/// ```no_run
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use cqrs_core::Store;
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_testing::Load;
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::default()); // one on a server
/// let load = Load::begin(&[store.clone()]).await;
/// // Here the server is killed.
/// load.goes_on(10, Duration::from_secs(10)).await;
/// println!("{}", load.end(&*store).await);
/// # });
/// ```
pub struct Load {
    stops: Arc<AtomicBool>,
    repeated: Arc<AtomicU64>,
    tasks: Vec<Task>,
    follower: JoinHandle<Vec<Position>>,
    activity: Option<Activity>,
}

impl Load {
    /// Begins, with three tasks on each store; all are of one log. The first one is followed.
    ///
    /// # Panics
    /// When nothing can be declared.
    pub async fn begin(stores: &[Arc<dyn Store>]) -> Self {
        if let Err(error) = stores[0].declare(Collection::new("progress")).await {
            panic!("a collection is declared: {error:?}");
        }
        let (stops, repeated) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let task = |(number, store): (usize, &Arc<dyn Store>)| {
            let (number, store, stops) = (number as u128 + 1, store.clone(), stops.clone());
            let answered = Arc::<AtomicU64>::default();
            let (repeated, counts) = (repeated.clone(), answered.clone());
            let running = tokio::spawn(async move {
                let mut told = Vec::new();
                while !stops.load(Ordering::Relaxed) {
                    let n = told.len() as u64;
                    told.push(until_answered(&*store, &commit(number, n), &repeated).await);
                    counts.fetch_add(1, Ordering::Relaxed);
                }
                told
            });
            Task { number, answered, running }
        };
        let tasks =
            stores.iter().cycle().take(TASKS * stores.len()).enumerate().map(task).collect();
        let follower = tokio::spawn(follow(stores[0].clone(), stops.clone()));
        Self { stops, repeated, tasks, follower, activity: None }
    }

    /// What is printed of the server when commits do not go on.
    #[must_use]
    pub fn told_by(
        mut self,
        activity: impl Fn() -> BoxFuture<'static, String> + Send + Sync + 'static,
    ) -> Self {
        self.activity = Some(Box::new(activity));
        self
    }

    /// Waits until each task was answered so often from now on. How long it took.
    ///
    /// # Panics
    /// When it takes longer than the bound, or something else was answered than should be.
    pub async fn goes_on(&self, times: u64, bound: Duration) -> Duration {
        let now = |task: &Task| task.answered.load(Ordering::Relaxed);
        let before: Vec<u64> = self.tasks.iter().map(now).collect();
        let (started, mut is_told) = (Instant::now(), false);
        loop {
            let is_dead = self.tasks.iter().any(|task| task.running.is_finished());
            assert!(!is_dead && !self.follower.is_finished(), "a task has ended");
            if self.tasks.iter().zip(&before).all(|(task, before)| now(task) >= before + times) {
                return started.elapsed();
            }
            if let Some(activity) = self.activity.as_ref().filter(|_| !is_told)
                && started.elapsed() > bound.mul_f32(0.8)
            {
                is_told = true;
                println!("commits do not go on; the server:\n{}", activity().await);
            }
            assert!(started.elapsed() < bound, "commits do not go on within {bound:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends it, and looks for everything. What was done.
    ///
    /// # Panics
    /// When something is missing, or there twice.
    pub async fn end(self, store: &dyn Store) -> String {
        self.stops.store(true, Ordering::Relaxed);
        let given = ended(self.follower).await;
        let mut tasks = Vec::new();
        for Task { number, running, .. } in self.tasks {
            tasks.push((number, ended(running).await));
        }
        let log = log_of(store).await;
        let positions: Vec<_> =
            log.iter().flat_map(|page| page.iter().map(|event| event.position)).collect();
        assert_eq!(given, positions[..given.len()], "what was read is not what is there");
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
                assert!(found.contains_key(&id.derived("event", 0)), "half of a commit");
                let repeat = answered(store.commit(commit(number, n)).await);
                assert_eq!(repeat, before(n, *position), "the repeat of commit {n} of {number}");
            }
            let document = answered(store.document(&document(number)).await);
            let written = (0..told.len() as u64).filter(|n| !is_plain(*n)).count();
            assert_eq!(document.map_or(0, |found| found.version), written as u64);
            commits += told.len();
        }
        assert_eq!(found.len(), commits * EVENTS as usize, "events of nobody");
        let repeated = self.repeated.load(Ordering::Relaxed);
        format!("{commits} commits, {repeated} repeats")
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

pub(crate) fn answered<T>(answer: Result<T>) -> T {
    answer.unwrap_or_else(|error| panic!("the store answers: {error:?}"))
}

pub(crate) async fn ended<T>(task: JoinHandle<T>) -> T {
    task.await.unwrap_or_else(|error| panic!("a task has panicked: {error}"))
}

pub(crate) async fn log_of(store: &dyn Store) -> Vec<Page> {
    store.read_log(ReadLog::after(0)).map(answered).collect().await
}

/// Repeats a commit until it is answered.
async fn until_answered(store: &dyn Store, commit: &Commit, repeated: &AtomicU64) -> Position {
    let started = Instant::now();
    loop {
        let error = match timeout(HANGS, store.commit(commit.clone())).await {
            Ok(Ok(committed)) => return committed.position(),
            Ok(Err(error)) => error,
            Err(_) => panic!("a commit hangs"),
        };
        let may_pass = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown);
        assert!(may_pass, "{error:?}");
        assert!(started.elapsed() < HANGS, "never answered: {error}");
        repeated.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(5)).await;
    }
}

/// Follows the log until it is told to stop. What it was given.
async fn follow(store: Arc<dyn Store>, stops: Arc<AtomicBool>) -> Vec<Position> {
    let (mut given, mut after) = (Vec::new(), 0);
    while !stops.load(Ordering::Relaxed) {
        let mut pages = store.read_log(ReadLog::after(after).page(50));
        loop {
            match timeout(HANGS, pages.next()).await {
                Ok(Some(Ok(page))) => {
                    given.extend(page.iter().map(|event| event.position));
                    after = page.through();
                }
                Ok(Some(Err(error))) => {
                    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
                    break;
                }
                Ok(None) => break,
                Err(_) => panic!("a reading hangs"),
            }
        }
        sleep(Duration::from_millis(2)).await;
    }
    given
}
