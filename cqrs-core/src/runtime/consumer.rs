//! What a subscription hands its events to: handlers, projections, sinks and sagas, behind one trait.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::handler::HandlerError;
use crate::manifest::EventHandlerManifest;
use crate::port::Position;
use crate::port::commit::Commit;
use crate::port::filter::Filter;
use crate::port::page::{Page, Recorded};
use crate::port::sink::SinkEvents;
use crate::runtime::control::Generation;
use crate::runtime::key::Slice;
use crate::runtime::node::Node;

/// What a subscription is for. See [`SubscriptionStatus`](crate::SubscriptionStatus).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubscriptionKind {
    /// It hands events to a handler.
    Handler,
    /// It keeps views as documents.
    Projection,
    /// It keeps the user's own tables.
    Sink,
    /// It runs a saga.
    Saga,
    /// It sends what commits send: there is one, called `cqrs.relay`.
    Relay,
}

/// What is registered under the name of a subscription.
pub(crate) trait Subscriber: Send + Sync + 'static {
    fn kind(&self) -> SubscriptionKind;

    fn describe(&self) -> EventHandlerManifest;

    /// The events it takes: their types at least.
    fn filter(&self) -> Filter;

    /// Version of what it makes of the events; a higher one builds it anew.
    fn version(&self) -> u16 {
        1
    }

    /// Makes it ready, once, before anything runs: declares collections.
    fn prepare<'a>(
        &'a self,
        _node: &'a Arc<Node>,
        _generation: &'a Generation,
    ) -> futures_util::future::BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What handles the events of one partition. It lives as long as the partition is this node's.
    fn consumer(self: Arc<Self>, node: &Arc<Node>, generation: &Generation) -> Box<dyn Consumer>;

    /// Removes what a generation made that nobody reads any more. Whether anything is left.
    fn purge<'a>(
        &'a self,
        _node: &'a Arc<Node>,
        _generation: &'a Generation,
    ) -> futures_util::future::BoxFuture<'a, Result<bool>> {
        Box::pin(std::future::ready(Ok(false)))
    }
}

/// Handles the events of one partition.
#[async_trait]
pub(crate) trait Consumer: Send + Sync {
    /// Whether [`many`](Self::many) handles several events in one commit.
    fn batches(&self) -> bool {
        false
    }

    /// The keys by which this event is kept in order, of all partitions, each once.
    ///
    /// # Errors
    /// When the event cannot be read: it is parked.
    fn keys(&self, event: &Recorded<'_>) -> Result<Vec<String>>;

    /// Handles an event for one of its keys; what it gives is committed with the checkpoint. It is
    /// called again when that commit meets a conflict.
    async fn one(&mut self, handling: Handling<'_>) -> Result<Handled, HandlerError>;

    /// Handles several events at once. After an error they are handled one by one.
    async fn many(&mut self, _stretch: Stretch<'_>) -> Result<Handled, HandlerError> {
        Err(HandlerError::fatal("it handles one event at a time"))
    }

    /// Whether an event goes before what its key waits for.
    async fn overtakes(&mut self, _event: &Recorded<'_>, _key: &str) -> Result<bool> {
        Ok(false)
    }

    /// Writes the commit, where that is more than to hand it to the store.
    async fn write(&mut self, _events: SinkEvents, _commit: Commit) -> Result<()> {
        Err(crate::Error::new(crate::ErrorKind::Internal, "this consumer has no tables"))
    }

    /// What it gave last was written.
    fn written(&mut self) {}

    /// What it gave last was not written, or others may have written: what it keeps in memory may be
    /// wrong.
    fn forget(&mut self) {}
}

/// An event to handle, for one of its keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handling<'a> {
    pub(crate) page: &'a Arc<Page>,
    pub(crate) event: Recorded<'a>,
    pub(crate) key: &'a str,
    /// It was handled before: effects are silent.
    pub(crate) replay: bool,
}

/// Events to handle together: those of one page, in their order.
pub(crate) struct Stretch<'a> {
    pub(crate) page: &'a Arc<Page>,
    pub(crate) events: &'a [Recorded<'a>],
    pub(crate) slice: Slice,
    /// They were handled before: effects are silent.
    pub(crate) replay: bool,
    /// Whether any key waits for something that is set aside.
    pub(crate) any_blocked: bool,
    /// Whether this one does: its events queue up.
    pub(crate) is_blocked: &'a (dyn Fn(&str) -> bool + Sync),
}

/// What came of events.
#[derive(Debug, Default)]
pub(crate) struct Handled {
    /// What is to be written with the checkpoint.
    pub(crate) commit: Commit,
    /// Events that a sink writes in the same transaction.
    pub(crate) sink: Option<SinkEvents>,
    /// Events of blocked keys: not handled, to queue up.
    pub(crate) behind: Vec<Behind>,
}

/// An event that has to wait for another one of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) position: Position,
    pub(crate) key: String,
    pub(crate) message: String,
}

impl From<Commit> for Handled {
    fn from(commit: Commit) -> Self {
        Self { commit, ..Self::default() }
    }
}

impl Handled {
    /// Adds what came of the same event for another key.
    pub(crate) fn and(&mut self, other: Self) {
        let Commit {
            id: _,
            fences,
            guards,
            appends,
            documents,
            views,
            snapshots,
            checkpoint: _,
            inbox,
            timers,
            outgoing,
            settled,
            parked,
        } = other.commit;
        self.commit.fences.extend(fences);
        self.commit.guards.extend(guards);
        self.commit.appends.extend(appends);
        self.commit.documents.extend(documents);
        self.commit.views.extend(views);
        self.commit.snapshots.extend(snapshots);
        self.commit.inbox.extend(inbox);
        self.commit.timers.extend(timers);
        self.commit.outgoing.extend(outgoing);
        self.commit.settled.extend(settled);
        self.commit.parked.extend(parked);
        self.sink = self.sink.take().or(other.sink);
        self.behind.extend(other.behind);
    }

    /// Whether there is anything to write but a checkpoint.
    pub(crate) fn is_nothing(&self) -> bool {
        self.sink.is_none() && self.behind.is_empty() && self.commit.is_nothing()
    }
}
