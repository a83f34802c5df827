//! A handle on the store with what the cases do all the time, and the place in a case to blame.

use std::ops::Deref;
use std::panic::{Location, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{
    Collection, Commit, Committed, Document, Error, FindDocuments, Head, Json, Limits, Position,
    ReadLog, ReadStream, Result, Store, StreamId, Timestamp,
};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::Barrier;

use crate::store::make::{grows, key};
use crate::store::seen::{Seen, SeenPage};

/// How often a commit is repeated when the store says that it is busy.
const PATIENCE: usize = 2_000;

/// One handle. Derefs to the [`Store`]. Its methods panic with the line of the case that called.
#[derive(Clone)]
pub(crate) struct Handle(Arc<dyn Store>);

/// All that a commit which is refused must leave as it is.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot {
    head: Head,
    log: Vec<Seen>,
}

impl Handle {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// The store, to share it.
    pub(crate) fn shared(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.capabilities().limits
    }

    /// The answer of a commit that must succeed.
    #[track_caller]
    pub(crate) fn answered(&self, commit: Commit) -> BoxFuture<'_, Committed> {
        let at = Location::caller();
        Box::pin(async move {
            let shown = shown(&commit);
            match self.settled(commit).await {
                Ok(committed) => committed,
                Err(error) => panic!("{at}: the commit must succeed: {error:?}\n{shown}"),
            }
        })
    }

    /// The position of a commit that must be applied now.
    #[track_caller]
    pub(crate) fn applied(&self, commit: Commit) -> BoxFuture<'_, Position> {
        let at = Location::caller();
        let shown = shown(&commit);
        let answered = self.answered(commit);
        Box::pin(async move {
            match answered.await {
                Committed::Now { position } => position,
                before @ Committed::Before { .. } => {
                    panic!("{at}: the commit is new, and the store says {before:?}\n{shown}")
                }
            }
        })
    }

    /// The error of a commit that must fail and must leave nothing behind in the log.
    #[track_caller]
    pub(crate) fn refused(&self, commit: Commit) -> BoxFuture<'_, Error> {
        let at = Location::caller();
        Box::pin(async move {
            let shown = shown(&commit);
            let before = self.snapshot().await;
            let error = match self.settled(commit).await {
                Err(error) => error,
                Ok(committed) => {
                    panic!(
                        "{at}: the commit must be refused, and the store says {committed:?}\n{shown}"
                    )
                }
            };
            let after = self.snapshot().await;
            assert_eq!(
                before, after,
                "{at}: a refused commit wrote something ({error:?})\n{shown}"
            );
            error
        })
    }

    /// What the store says in the end: a commit is repeated while the store is busy.
    pub(crate) async fn settled(&self, commit: Commit) -> Result<Committed> {
        patiently(|| self.commit(commit.clone())).await
    }

    /// The pages of a stretch of the log.
    #[track_caller]
    pub(crate) fn log_pages(&self, read: ReadLog) -> BoxFuture<'_, Vec<SeenPage>> {
        let at = Location::caller();
        Box::pin(async move {
            let mut pages = self.read_log(read.clone());
            let mut seen = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page
                    .unwrap_or_else(|e| panic!("{at}: the log cannot be read: {e:?}\n{read:?}"));
                seen.push(SeenPage::of(&page));
            }
            seen
        })
    }

    /// A stretch of the log.
    #[track_caller]
    pub(crate) fn log_of(&self, read: ReadLog) -> BoxFuture<'_, Vec<Seen>> {
        let pages = self.log_pages(read);
        Box::pin(async move { pages.await.into_iter().flat_map(|page| page.events).collect() })
    }

    /// The whole log.
    #[track_caller]
    pub(crate) fn log(&self) -> BoxFuture<'_, Vec<Seen>> {
        self.log_of(ReadLog::after(0))
    }

    /// The pages of a stretch of a stream.
    #[track_caller]
    pub(crate) fn stream_pages(&self, read: ReadStream) -> BoxFuture<'_, Vec<SeenPage>> {
        let at = Location::caller();
        Box::pin(async move {
            let mut pages = self.read_stream(read.clone());
            let mut seen = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page
                    .unwrap_or_else(|e| panic!("{at}: the stream cannot be read: {e:?}\n{read:?}"));
                seen.push(SeenPage::of(&page));
            }
            seen
        })
    }

    /// A stretch of a stream.
    #[track_caller]
    pub(crate) fn stream_of(&self, read: ReadStream) -> BoxFuture<'_, Vec<Seen>> {
        let pages = self.stream_pages(read);
        Box::pin(async move { pages.await.into_iter().flat_map(|page| page.events).collect() })
    }

    /// A whole stream.
    #[track_caller]
    pub(crate) fn stream(&self, stream: &StreamId) -> BoxFuture<'_, Vec<Seen>> {
        self.stream_of(ReadStream::of(stream.clone()))
    }

    /// The end of the log.
    #[track_caller]
    pub(crate) fn end(&self) -> BoxFuture<'_, Position> {
        let at = Location::caller();
        Box::pin(async move {
            let head = self.head().await;
            head.unwrap_or_else(|e| panic!("{at}: no head: {e:?}")).position
        })
    }

    /// The head and the whole log.
    #[track_caller]
    pub(crate) fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        let at = Location::caller();
        let log = self.log();
        Box::pin(async move {
            let head = self.head().await.unwrap_or_else(|e| panic!("{at}: no head: {e:?}"));
            Snapshot { head, log: log.await }
        })
    }

    /// Declares a collection.
    #[track_caller]
    pub(crate) fn declared(&self, collection: Collection) -> BoxFuture<'_, ()> {
        let at = Location::caller();
        Box::pin(async move {
            let done = self.declare(collection.clone()).await;
            done.unwrap_or_else(|e| panic!("{at}: cannot be declared: {e:?}\n{collection:?}"));
        })
    }

    /// A document of the collection that the cases use.
    #[track_caller]
    pub(crate) fn tutor(&self, id: &str) -> BoxFuture<'_, Option<Document>> {
        let (at, key) = (Location::caller(), key(id));
        Box::pin(async move {
            let found = self.document(&key).await;
            found.unwrap_or_else(|e| panic!("{at}: {key} cannot be read: {e:?}"))
        })
    }

    /// The ids of the documents that are found, in the order they come.
    #[track_caller]
    pub(crate) fn found(&self, find: FindDocuments) -> BoxFuture<'_, Vec<String>> {
        let at = Location::caller();
        Box::pin(async move {
            let found = self.find_documents(find.clone()).await;
            let found = found.unwrap_or_else(|e| panic!("{at}: cannot find: {e:?}\n{find:?}"));
            found.into_iter().map(|document| document.id).collect()
        })
    }

    /// Where a checkpoint stands.
    #[track_caller]
    pub(crate) fn stands(&self, name: &str, partition: u32) -> BoxFuture<'_, Option<Position>> {
        let (at, name) = (Location::caller(), name.to_owned());
        Box::pin(async move {
            let position = self.checkpoint(&name, partition).await;
            position.unwrap_or_else(|e| panic!("{at}: no checkpoint of {name}/{partition}: {e:?}"))
        })
    }
}

impl Deref for Handle {
    type Target = dyn Store;

    fn deref(&self) -> &(dyn Store + 'static) {
        &*self.0
    }
}

/// Runs so many tasks that all begin at once, and gives what they made, in their order.
pub(crate) async fn together<T, F>(tasks: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let barrier = Arc::new(Barrier::new(tasks));
    let spawned = (0..tasks).map(|n| {
        let (barrier, task) = (Arc::clone(&barrier), task(n));
        tokio::spawn(async move {
            barrier.wait().await;
            task.await
        })
    });
    let mut made = Vec::with_capacity(tasks);
    for task in spawned.collect::<Vec<_>>() {
        match task.await {
            Ok(value) => made.push(value),
            Err(failure) => match failure.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(failure) => panic!("a task was cut off: {failure}"),
            },
        }
    }
    made
}

/// Asks again while the store says that it is busy.
pub(crate) async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut patience = PATIENCE;
    loop {
        match ask().await {
            Err(error) if error.is_retryable() && patience > 0 => {
                patience -= 1;
                tokio::time::sleep(Duration::from_millis(fastrand::u64(1..10))).await;
            }
            answer => return answer,
        }
    }
}

/// A commit for a message: short, whatever its size.
fn shown(commit: &Commit) -> String {
    let events = || commit.appends.iter().flat_map(|append| &append.events);
    let bodies = events().map(|e| e.payload.len()).sum::<usize>()
        + commit.documents.iter().flat_map(|d| &d.body).map(Json::len).sum::<usize>();
    if bodies > 4_000 || events().count() > 10 {
        return format!("a commit of {} events and {bodies} bytes", events().count());
    }
    let mut text = format!("{commit:?}");
    let end = text.char_indices().nth(4_000).map_or(text.len(), |(end, _)| end);
    text.truncate(end);
    text
}

/// Commits until the store's clock has moved on, and tells how far.
pub(crate) async fn later_than(handle: &Handle, stream: &StreamId, time: Timestamp) -> Timestamp {
    for _ in 0..10_000 {
        handle.applied(grows(stream, 1)).await;
        let newest = ReadStream::of(stream.clone()).backwards().page(1);
        let page = handle.read_stream(newest).next().await;
        let page = page.and_then(Result::ok).unwrap_or_else(|| panic!("{stream} cannot be read"));
        let at = page.iter().next().map_or(time, |event| event.recorded_at);
        if at > time {
            return at;
        }
    }
    panic!("after 10,000 commits the store's clock still says {time}");
}
