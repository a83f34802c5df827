//! Inline projections: a store that writes views in the commit of their events.

mod projection;
mod rebuild;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

pub(crate) use projection::InlineViews;

use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::message::id::MessageId;
use crate::message::timestamp::Timestamp;
use crate::port::capabilities::Capabilities;
use crate::port::clock::Clock;
use crate::port::commit::{Append, Commit, Committed, DocumentWrite, Expected};
use crate::port::document::{Collection, Document, DocumentKey, FindDocuments};
use crate::port::hint::Hint;
use crate::port::lease::{Lease, LeaseRequest};
use crate::port::outgoing::{FindOutgoing, PendingMessage};
use crate::port::page::{Page, Recorded};
use crate::port::parked::{FindParked, ParkedEntry};
use crate::port::read::{ReadLog, ReadStream};
use crate::port::store::{Head, InboxEntry, Pages, Store};
use crate::port::timer::{FindTimers, Timer};
use crate::port::{Position, Version};
use crate::retry::ConflictRetry;

/// A projection that runs in the commits of its events.
pub(crate) trait Inline: Send + Sync + 'static {
    fn name(&self) -> &'static str;

    fn types(&self) -> Vec<&'static str>;

    /// Whether a collection is the one of its views.
    fn has(&self, collection: &str) -> bool;

    /// Makes sure that its views are those of all events there are.
    ///
    /// Errors: they are not.
    fn ready<'a>(&'a self, store: &'a Arc<dyn Store>) -> BoxFuture<'a, Result<()>>;

    /// What becomes of its views.
    fn project<'a>(
        &'a self,
        store: &'a Arc<dyn Store>,
        events: &'a Arc<Page>,
    ) -> BoxFuture<'a, Result<Vec<DocumentWrite>>>;

    /// Makes its views of all events there are, while nobody writes.
    fn rebuild<'a>(&'a self, store: &'a Arc<dyn Store>) -> BoxFuture<'a, Result<()>>;
}

/// A store, and the inline projections of an app.
pub(crate) struct InlineStore {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retry: ConflictRetry,
    projections: Vec<Arc<dyn Inline>>,
    types: HashSet<&'static str>,
    /// Commits that met another one at a view take turns.
    turns: Mutex<()>,
}

impl InlineStore {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        retry: ConflictRetry,
        projections: Vec<Arc<dyn Inline>>,
    ) -> Self {
        let types = projections.iter().flat_map(|projection| projection.types()).collect();
        Self { store, clock, retry, projections, types, turns: Mutex::default() }
    }

    /// Makes sure that all views are those of all events there are.
    pub(crate) async fn ready(&self) -> Result<()> {
        for projection in &self.projections {
            projection.ready(&self.store).await?;
        }
        Ok(())
    }

    /// Makes the views of a projection anew. `None`: none of its name is inline.
    pub(crate) async fn rebuild(&self, name: &str) -> Option<Result<()>> {
        let projection = self.projections.iter().find(|projection| projection.name() == name)?;
        Some(projection.rebuild(&self.store).await)
    }

    /// The events of a commit that change views, as they will be recorded. `None`: there are none.
    fn page_of(&self, appends: &[Append], now: Timestamp) -> Result<Option<Arc<Page>>> {
        let changes = |append: &&Append| append.events.iter().any(|e| self.takes(&e.event_type));
        let mut page = Page::default();
        for append in appends.iter().filter(changes) {
            let before = version_before(append)?;
            for (event, version) in append.events.iter().zip(before + 1..) {
                if !self.takes(&event.event_type) {
                    continue;
                }
                page.push(&Recorded {
                    tenant: append.stream.tenant.as_deref(),
                    category: &append.stream.category,
                    stream: &append.stream.id,
                    version,
                    // It has none before it is committed, and no projection sees it.
                    position: 0,
                    recorded_at: now,
                    event_type: &event.event_type,
                    schema_version: event.schema_version,
                    id: event.id(),
                    joined_tags: &Page::join_tags(&event.tags),
                    metadata_json: &event.metadata.to_json(),
                    data: event.payload.as_ref(),
                });
            }
        }
        Ok((!page.is_empty()).then(|| Arc::new(page)))
    }

    fn takes(&self, event_type: &str) -> bool {
        self.types.contains(event_type)
    }

    async fn project(&self, events: &Arc<Page>) -> Result<Vec<DocumentWrite>> {
        let mut views = Vec::new();
        for projection in &self.projections {
            projection.ready(&self.store).await?;
            views.extend(projection.project(&self.store, events).await?);
        }
        Ok(views)
    }

    /// Whether another commit came first at a view, and at nothing else.
    fn is_at_a_view(&self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Conflict(
                Conflict::Document { collection, .. } | Conflict::Unique { collection, .. },
            ) => self.projections.iter().any(|projection| projection.has(collection)),
            _ => false,
        }
    }

    async fn commit_with_views(&self, commit: Commit, events: &Arc<Page>) -> Result<Committed> {
        let mut failed = 0;
        let mut turn = None;
        loop {
            let mut attempt = commit.clone();
            attempt.views.extend(self.project(events).await?);
            attempt.leave_out_snapshots(&self.capabilities().limits);
            match self.store.commit(attempt).await {
                Err(error) if self.is_at_a_view(&error) => {
                    failed += 1;
                    if !self.retry.again(&error, failed).await {
                        return Err(error);
                    }
                    if turn.is_none() {
                        turn = Some(self.turns.lock().await);
                    }
                }
                done => return done,
            }
        }
    }
}

/// The version of a stream before an append.
fn version_before(append: &Append) -> Result<Version> {
    match append.expected {
        Expected::NoStream => Ok(0),
        Expected::Exactly(version) => Ok(version),
        Expected::Any | Expected::Exists => {
            let context = format!(
                "the append to {} must expect a version: an inline projection takes its events",
                append.stream
            );
            Err(Error::invalid_field("expected", context))
        }
    }
}

impl fmt::Debug for InlineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl Store for InlineStore {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed> {
        match self.page_of(&commit.appends, self.clock.now())? {
            None => self.store.commit(commit).await,
            Some(events) => self.commit_with_views(commit, &events).await,
        }
    }

    fn read_stream(&self, read: ReadStream) -> Pages {
        self.store.read_stream(read)
    }

    fn read_log(&self, read: ReadLog) -> Pages {
        self.store.read_log(read)
    }

    async fn head(&self) -> Result<Head> {
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
        self.store.lease(request).await
    }

    async fn release(&self, holder: &str, names: &[String]) -> Result<()> {
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
        self.store.purge_documents(collection, limit).await
    }

    fn hint(&self) -> Hint {
        self.store.hint()
    }
}
