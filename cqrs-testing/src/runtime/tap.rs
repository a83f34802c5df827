//! A handle on a store through which a process can die, freeze, and lose the answers to its commits.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::{
    Capabilities, Collection, Commit, Committed, Conflict, Document, DocumentKey, Error, ErrorKind,
    EventType, FindDocuments, FindOutgoing, FindParked, FindTimers, Head, Hint, InboxEntry, Lease,
    LeaseRequest, MessageId, Pages, ParkedEntry, PendingMessage, Position, ReadLog, ReadStream,
    Result, Sink, SinkEvents, Store, Timer,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;

use crate::store::waiting::until;

/// What becomes of one commit of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The process dies, and nothing is written.
    DiesBefore,
    /// It is written, and the process dies before it knows.
    DiesAfter,
    /// It is written, and the process goes on without the answer.
    AnswerLost,
    /// It is not written: the store is out of reach for a moment.
    Refused,
    /// The process is told nothing, and it is written later: at [`Fate::land`].
    Late,
    /// The process waits: it is handed to the store at [`Fate::let_go`].
    Held,
}

/// A handle on a store, as a process has it, with what becomes of that process.
#[derive(Debug)]
pub(crate) struct Tap {
    store: Arc<dyn Store>,
    fate: Fate,
}

/// A sink of such a handle, with what becomes of the process.
#[derive(Debug)]
pub(crate) struct TapSink {
    sink: Arc<dyn Sink>,
    fate: Fate,
}

/// What becomes of a process. Its clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    dead: watch::Sender<bool>,
    frozen: watch::Sender<bool>,
    held: watch::Sender<bool>,
    slow: AtomicBool,
    on_their_way: AtomicU32,
}

/// How long a slow question is on its way to the store.
const SLOW: Duration = Duration::from_millis(200);

#[derive(Default)]
struct State {
    /// What happens to the commit after so many others.
    mishap: Option<(u32, Mishap)>,
    late: Option<Write>,
    /// Commits of the runtime that the store answered: whether they were applied.
    answered: Vec<Result<(), Error>>,
    reads: u64,
    events: u64,
}

/// What a process hands to a store: a commit, and for a sink its events.
type Write = Box<dyn FnOnce() -> BoxFuture<'static, Result<Committed>> + Send>;

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("mishap", &self.mishap).finish_non_exhaustive()
    }
}

impl TapSink {
    pub(crate) fn new(sink: Arc<dyn Sink>, fate: Fate) -> Self {
        Self { sink, fate }
    }
}

impl Tap {
    pub(crate) fn new(store: Arc<dyn Store>, fate: Fate) -> Self {
        Self { store, fate }
    }
}

impl Fate {
    /// Lets this happen to the commit of the runtime that comes after so many others.
    pub(crate) fn after(&self, commits: u32, mishap: Mishap) {
        self.state().mishap = Some((commits, mishap));
    }

    /// Whether what was to happen has happened.
    pub(crate) fn has_come(&self) -> bool {
        self.state().mishap.is_none()
    }

    /// The process does nothing any more.
    pub(crate) fn kill(&self) {
        self.0.dead.send_replace(true);
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.0.dead.borrow()
    }

    /// Waits until it does.
    pub(crate) async fn died(&self) {
        let mut dead = self.0.dead.subscribe();
        // The sender is this very fate's.
        let _ = dead.wait_for(|dead| *dead).await;
    }

    /// From now on the process cannot ask for leases, as if it were paused.
    pub(crate) fn freeze(&self) {
        self.0.frozen.send_replace(true);
    }

    /// From now on, when the process asks for leases, that is long on its way.
    pub(crate) fn slow_down(&self) {
        self.0.slow.store(true, Ordering::SeqCst);
    }

    fn is_slow(&self) -> bool {
        self.0.slow.load(Ordering::SeqCst)
    }

    /// How many such questions are on their way.
    pub(crate) fn on_their_way(&self) -> u32 {
        self.0.on_their_way.load(Ordering::SeqCst)
    }

    /// It goes on.
    pub(crate) fn thaw(&self) {
        self.0.frozen.send_replace(false);
    }

    /// Writes the commit that was late.
    pub(crate) async fn land(&self) -> Result<Committed> {
        let late = self.state().late.take();
        late.unwrap_or_else(|| panic!("no commit was late"))().await
    }

    /// Whether a commit is [held](Mishap::Held).
    pub(crate) fn holds(&self) -> bool {
        *self.0.held.borrow()
    }

    /// The commit that is [held](Mishap::Held) is handed to the store.
    pub(crate) fn let_go(&self) {
        self.0.held.send_replace(false);
    }

    /// How often the log was read, and how many events that gave.
    pub(crate) fn reads(&self) -> (u64, u64) {
        let state = self.state();
        (state.reads, state.events)
    }

    /// How many commits of the runtime the store has answered.
    pub(crate) fn answered(&self) -> usize {
        self.state().answered.len()
    }

    /// Waits for the answer to another commit of the runtime than those: `None`, it was applied.
    #[track_caller]
    pub(crate) fn answer(&self, after: usize) -> BoxFuture<'_, Option<ErrorKind>> {
        until("the answer to a commit", move || async move {
            let state = self.state();
            let answer = state.answered.get(after)?;
            Some(answer.as_ref().err().map(|error| error.kind().clone()))
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never, once the process is dead.
    async fn alive(&self) {
        if *self.0.dead.subscribe().borrow() {
            std::future::pending::<()>().await;
        }
    }

    async fn thawed(&self) {
        let mut frozen = self.0.frozen.subscribe();
        // The sender is this very fate's.
        let _ = frozen.wait_for(|frozen| !frozen).await;
    }

    /// What is to happen to this commit.
    fn next(&self) -> Option<Mishap> {
        let mut state = self.state();
        match state.mishap {
            Some((0, mishap)) => {
                state.mishap = None;
                Some(mishap)
            }
            Some((left, mishap)) => {
                state.mishap = Some((left - 1, mishap));
                None
            }
            None => None,
        }
    }

    /// Hands something to the store, or what happens instead.
    async fn write(&self, write: Write) -> Result<Committed> {
        self.alive().await;
        let answer = self.meet(write).await;
        let known = match &answer {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new(error.kind().clone(), "refused")),
        };
        self.state().answered.push(known);
        answer
    }

    async fn meet(&self, write: Write) -> Result<Committed> {
        let unknown = || Error::new(ErrorKind::OutcomeUnknown, "the answer was lost");
        match self.next() {
            None => write().await,
            Some(Mishap::Refused) => {
                Err(Error::new(ErrorKind::Unavailable, "out of reach for a moment"))
            }
            Some(Mishap::AnswerLost) => {
                write().await?;
                Err(unknown())
            }
            Some(Mishap::Late) => {
                self.state().late = Some(write);
                Err(unknown())
            }
            Some(Mishap::Held) => {
                let mut held = self.0.held.subscribe();
                self.0.held.send_replace(true);
                // The sender is this very fate's.
                let _ = held.wait_for(|held| !held).await;
                write().await
            }
            Some(Mishap::DiesBefore) => {
                self.kill();
                std::future::pending().await
            }
            Some(Mishap::DiesAfter) => {
                // A commit that is refused ends nobody.
                write().await?;
                self.kill();
                std::future::pending().await
            }
        }
    }
}

/// Whether a commit is one of the runtime's: not of what operators or the start write.
fn is_of_the_runtime(commit: &Commit) -> bool {
    let Commit { checkpoint, fences, settled, parked, inbox, timers, outgoing, .. } = commit;
    let waits = !settled.is_empty() || !parked.is_empty() || !timers.is_empty();
    let is_fenced = checkpoint.is_some() || !fences.is_empty();
    is_fenced || waits || !inbox.is_empty() || !outgoing.is_empty()
}

/// Whether a commit was refused because another node has the partition.
pub(crate) fn is_lost(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict(Conflict::Lease { .. }))
}

#[async_trait]
impl Store for Tap {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        self.fate.alive().await;
        if !is_of_the_runtime(&commit) {
            return self.store.commit(commit).await;
        }
        let store = self.store.clone();
        self.fate.write(Box::new(move || Box::pin(async move { store.commit(commit).await }))).await
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        self.store.read_stream(read)
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        let (store, fate) = (self.store.clone(), self.fate.clone());
        fate.state().reads += 1;
        let alive = fate.clone();
        let pages = stream::once(async move { alive.alive().await });
        let pages = pages.flat_map(move |()| store.read_log(read.clone()));
        let counted = pages.inspect(move |page| {
            if let Ok(page) = page {
                fate.state().events += page.len() as u64;
            }
        });
        counted.boxed()
    }

    async fn head(&self) -> Result<Head> {
        self.fate.alive().await;
        self.store.head().await
    }

    async fn declare(&self, collection: Collection) -> Result<()> {
        self.store.declare(collection).await
    }

    async fn document(&self, key: &DocumentKey) -> Result<Option<Document>> {
        self.store.document(key).await
    }

    async fn find_documents(&self, find: FindDocuments) -> Result<Vec<Document>> {
        self.store.find_documents(find).await
    }

    async fn count_documents(&self, find: &FindDocuments) -> Result<u64> {
        self.store.count_documents(find).await
    }

    async fn inbox(&self, consumer: &str, message: MessageId) -> Result<Option<InboxEntry>> {
        self.store.inbox(consumer, message).await
    }

    async fn checkpoint(&self, subscription: &str, partition: u32) -> Result<Option<Position>> {
        self.store.checkpoint(subscription, partition).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Lease>> {
        self.fate.alive().await;
        self.fate.thawed().await;
        if !self.fate.is_slow() {
            return self.store.lease(request).await;
        }
        // What was sent comes to the store, whether or not anybody waits for the answer.
        let (store, fate) = (self.store.clone(), self.fate.clone());
        fate.0.on_their_way.fetch_add(1, Ordering::SeqCst);
        let sent = tokio::spawn(async move {
            tokio::time::sleep(SLOW).await;
            let answer = store.lease(request).await;
            fate.0.on_their_way.fetch_sub(1, Ordering::SeqCst);
            answer
        });
        sent.await.unwrap_or_else(|e| Err(Error::new(ErrorKind::Unavailable, e.to_string())))
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
        self.fate.alive().await;
        self.store.release(holder, names).await
    }

    async fn leases(&self, prefix: &str) -> Result<Vec<Lease>> {
        self.store.leases(prefix).await
    }

    async fn timers(&self, find: FindTimers) -> Result<Vec<Timer>> {
        self.store.timers(find).await
    }

    async fn outgoing(&self, find: FindOutgoing) -> Result<Vec<PendingMessage>> {
        self.store.outgoing(find).await
    }

    async fn parked(&self, find: FindParked) -> Result<Vec<ParkedEntry>> {
        self.store.parked(find).await
    }

    async fn purge_documents(&self, collection: &str, limit: u32) -> Result<u32> {
        self.fate.alive().await;
        self.store.purge_documents(collection, limit).await
    }

    fn hint(&self) -> Hint {
        self.store.hint()
    }
}

#[async_trait]
impl Sink for TapSink {
    fn types(&self) -> Vec<EventType> {
        self.sink.types()
    }

    async fn apply(&self, events: SinkEvents, commit: Commit) -> Result<Committed> {
        let sink = self.sink.clone();
        let write = move || -> BoxFuture<'static, Result<Committed>> {
            Box::pin(async move { sink.apply(events, commit).await })
        };
        self.fate.write(Box::new(write)).await
    }
}
