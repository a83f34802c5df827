//! Projections into the user's own tables: applied by the adapter, in its native transaction.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::message::event::EventType;
use crate::port::Position;
use crate::port::commit::{Commit, Committed};
use crate::port::page::{Page, Recorded};

/// A projection into the user's own tables. An adapter builds it from the user's projection and its
/// native transaction, which core never sees; the runtime hands it pages, and what to commit with
/// them.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync + 'static {
    /// The types of events that it takes.
    fn types(&self) -> Vec<EventType>;

    /// Applies events, in their order, and the commit with their checkpoint, in one transaction.
    ///
    /// # Errors
    /// Nothing is written then.
    /// [`EventNotHandled`](crate::ErrorKind::EventNotHandled): the projection failed at an event;
    /// [`Undecodable`](crate::ErrorKind::Undecodable); or as
    /// [`Store::commit`](crate::Store::commit).
    async fn apply(&self, events: SinkEvents, commit: Commit) -> Result<Committed>;
}

/// Some of the events of a page. See [`Sink`].
#[derive(Debug, Clone)]
pub struct SinkEvents {
    page: Arc<Page>,
    /// Indices into the page.
    chosen: Vec<u32>,
}

impl SinkEvents {
    /// The events of a page at these positions.
    pub fn new(page: Arc<Page>, mut wanted: impl FnMut(Position) -> bool) -> Self {
        let events = page.iter().enumerate();
        let chosen = events.filter(|(_, event)| wanted(event.position));
        let chosen = chosen.map(|(n, _)| n as u32).collect();
        Self { page, chosen }
    }

    /// The events, in the order of the log.
    pub fn iter(&self) -> impl Iterator<Item = Recorded<'_>> {
        self.chosen.iter().filter_map(|n| self.page.get(*n as usize))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }
}
