//! Projections in the memory of a process: from the beginning of the log, then with its end.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::domain::projection::Projection;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::MemoryStore;
use crate::port::Position;
use crate::port::commit::{Commit, DocumentWrite, Expected};
use crate::port::filter::Filter;
use crate::port::page::{Page, Recorded};
use crate::port::read::ReadLog;
use crate::port::store::Store;
use crate::runtime::backoff;
use crate::runtime::consumer::Stretch;
use crate::runtime::feed::Feed;
use crate::runtime::key::{self, Slice};
use crate::runtime::node::{Node, Quit};
use crate::runtime::progress::{SlotId, SlotProgress, SlotState};
use crate::runtime::projection::consumer::Folding;
use crate::runtime::projection::{collection, collection_name};

/// Bytes of views that are kept decoded, roughly. All of them are kept encoded.
const DECODED: usize = 4 << 20;

/// Events that are folded at once.
const BATCH: u32 = 1_024;

/// Something of every process that follows the log from its beginning.
pub(crate) trait LiveProjection: Send + Sync + 'static {
    fn name(&self) -> &'static str;

    /// Follows the log until it is told to quit.
    fn run(self: Arc<Self>, node: Arc<Node>, quit: Quit) -> BoxFuture<'static, ()>;

    /// How far it has come; `None`: it was not begun.
    fn at(&self) -> Option<Position>;

    /// Waits until it has come so far.
    fn reach(&self, position: Position) -> BoxFuture<'_, ()>;
}

/// All views of a projection, as documents of a store in memory: they are read as those of others are.
pub(crate) struct LiveViews<P> {
    memory: MemoryStore,
    at: watch::Sender<Option<Position>>,
    /// It was at the end of the log once.
    ready: OnceLock<()>,
    /// By their lane: views that are wrong, because it failed at one of their events, and why.
    broken: Mutex<HashMap<String, String>>,
    projection: PhantomData<fn() -> P>,
}

impl<P: Projection> LiveViews<P> {
    pub(crate) fn new() -> Self {
        Self {
            // Nothing is ever repeated.
            memory: MemoryStore::default().keep_commit_ids(Duration::ZERO),
            at: watch::Sender::new(None),
            ready: OnceLock::new(),
            broken: Mutex::default(),
            projection: PhantomData,
        }
    }

    /// The documents of its views, once the log was read.
    pub(crate) fn documents(&self) -> Result<Arc<dyn Store>> {
        if self.ready.get().is_some() {
            return Ok(Arc::new(self.memory.clone()));
        }
        let context = match self.at() {
            None => format!("`{}` lives in memory, and the app is not started", P::NAME),
            Some(at) => format!("`{}` reads the log, and is at position {at}", P::NAME),
        };
        Err(Error::new(ErrorKind::Unavailable, context))
    }

    /// Whether a view is what its events say.
    pub(crate) fn check(&self, tenant: Option<&str>, id: &str) -> Result<()> {
        match self.broken().get(&key::of_tenant(tenant, id)) {
            None => Ok(()),
            Some(cause) => {
                let context = format!("`{}` failed at an event of {id}: {cause}", P::NAME);
                Err(Error::new(ErrorKind::Internal, context))
            }
        }
    }

    fn broken(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All views as of now, in a store of their own.
    pub(crate) async fn replay(log: &Arc<dyn Store>) -> Result<Arc<dyn Store>> {
        let views = Self::new();
        let mut folding = views.begin().await?;
        let mut pages = log.read_log(ReadLog::after(0).filter(Filter::of::<P::Input>()));
        while let Some(page) = pages.next().await {
            let page = Arc::new(page?);
            let events: Vec<_> = page.iter().collect();
            views.fold(&mut folding, &page, &events).await?;
        }
        match views.broken().iter().next() {
            None => Ok(Arc::new(views.memory.clone())),
            Some((key, cause)) => {
                let context = format!("`{}` failed at an event of {key}: {cause}", P::NAME);
                Err(Error::new(ErrorKind::Internal, context))
            }
        }
    }

    async fn begin(&self) -> Result<Folding<P>> {
        self.memory.declare(collection::<P>(1)).await?;
        Ok(Folding::new(Arc::new(self.memory.clone()), collection_name::<P>(1), DECODED))
    }

    /// Folds events of one page.
    async fn fold(
        &self,
        folding: &mut Folding<P>,
        page: &Arc<Page>,
        events: &[Recorded<'_>],
    ) -> Result<()> {
        if self.broken().is_empty() {
            let is_blocked = |_: &str| false;
            let slice = Slice { index: 0, of: 1 };
            let (any_blocked, is_blocked) = (false, &is_blocked);
            let replay = false;
            let stretch = Stretch { page, events, slice, replay, any_blocked, is_blocked };
            if let Ok(handled) = folding.take_in(stretch).await
                && self.memory.commit(handled.commit).await.is_ok()
            {
                folding.written();
                return Ok(());
            }
            folding.forget();
        }
        for event in events {
            for lane in folding.lanes(event)? {
                if self.broken().contains_key(&lane) {
                    continue;
                }
                let done = match folding.take_one(event, &lane).await {
                    Ok(handled) => self.memory.commit(handled.commit).await.map_err(Into::into),
                    Err(error) => Err(error),
                };
                match done {
                    Ok(_) => folding.written(),
                    Err(error) => {
                        folding.forget();
                        self.give_up(event, lane, &error.to_string()).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A view is wrong from now on, and not shown.
    async fn give_up(&self, event: &Recorded<'_>, lane: String, cause: &str) -> Result<()> {
        let (projection, position) = (P::NAME, event.position);
        tracing::warn!(projection, position, lane, cause, "a view in memory is given up");
        let id = match event.tenant {
            None => lane.as_str(),
            Some(tenant) => lane.get(tenant.len() + 1..).unwrap_or_default(),
        };
        let key = crate::documents::key::<P::View>(event.tenant, id);
        let commit =
            Commit { views: vec![DocumentWrite::delete(key, Expected::Any)], ..Commit::default() };
        self.broken().insert(lane, cause.to_owned());
        self.memory.commit(commit).await.map(drop)
    }

    async fn follow(&self, node: &Arc<Node>, quit: &Quit) -> Result<()> {
        let mut folding = self.begin().await?;
        let feed = Feed::new(Filter::of::<P::Input>(), BATCH);
        let mut tail = node.tail.watch();
        // Begun anew after a failure, it knows where it stands: everything is in memory.
        let mut at = self.at().unwrap_or(0);
        loop {
            if quit.is_set() {
                return Ok(());
            }
            self.report(node, at, SlotState::Running);
            if let Some(page) = feed.after(node, at).await? {
                let _busy = node.activity.begin();
                let wanted = |event: &Recorded<'_>| event.position > at && feed.wants(event);
                let events: Vec<_> = page.iter().filter(wanted).collect();
                for events in events.chunks(BATCH as usize) {
                    self.fold(&mut folding, &page, events).await?;
                    at = events.last().map_or(at, |last| last.position);
                    self.at.send_replace(Some(at));
                }
                at = at.max(page.through());
                self.at.send_replace(Some(at));
                continue;
            }
            self.at.send_replace(Some(at));
            self.ready.get_or_init(|| ());
            tokio::select! {
                _ = tail.wait_for(|end| *end > at) => {}
                () = quit.set() => return Ok(()),
            }
        }
    }

    fn slot() -> SlotId {
        (format!("{} (live)", P::NAME), 0)
    }

    fn report(&self, node: &Node, position: Position, state: SlotState) {
        let blocked = self.broken().len();
        let progress = SlotProgress { position, state, blocked };
        node.progress.report(&Self::slot(), progress);
    }
}

impl<P: Projection> LiveProjection for LiveViews<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn run(self: Arc<Self>, node: Arc<Node>, quit: Quit) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut failures = 0;
            while let Err(error) = self.follow(&node, &quit).await {
                failures += 1;
                // At an event that cannot be read it stands still: nobody knows whose views it
                // changes.
                tracing::warn!(projection = P::NAME, %error, failures, "a projection in memory failed; again");
                let at = self.at().unwrap_or(0);
                self.report(&node, at, SlotState::Failing(error.to_string()));
                tokio::select! {
                    () = tokio::time::sleep(backoff(failures)) => {}
                    () = quit.set() => break,
                }
            }
            node.progress.remove(&Self::slot());
        })
    }

    fn at(&self) -> Option<Position> {
        *self.at.borrow()
    }

    fn reach(&self, position: Position) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut at = self.at.subscribe();
            let is_there = |at: &Option<Position>| at.is_some_and(|at| at >= position);
            // The sender is this one's.
            let _ = at.wait_for(is_there).await;
        })
    }
}
