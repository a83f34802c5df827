//! The aggregate at hand while a command is decided on: how old it is, and what it holds.

use std::sync::Arc;

use crate::domain::aggregate::Aggregate;
use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::load::{self, Loaded};
use crate::message::metadata::Metadata;
use crate::port::commit::{Append, Commit, CommitId};
use crate::port::store::Store;
use crate::port::stream_id::StreamId;
use crate::record;

/// An aggregate while a command is decided on.
pub(crate) struct AtHand<A> {
    loaded: Loaded<A>,
    /// Read since the command came: not what an earlier one left.
    is_current: bool,
    /// It holds events that are not known to be committed.
    is_ahead: bool,
}

impl<A: Aggregate> AtHand<A> {
    /// As an earlier command left it.
    pub(crate) fn kept(loaded: Loaded<A>) -> Self {
        Self { loaded, is_current: false, is_ahead: false }
    }

    /// As the store has it now.
    pub(crate) async fn read(store: &Arc<dyn Store>, stream: StreamId) -> Result<Self> {
        let loaded = load::load(store, stream).await?;
        Ok(Self { loaded, is_current: true, is_ahead: false })
    }

    pub(crate) fn loaded(&self) -> &Loaded<A> {
        &self.loaded
    }

    pub(crate) fn is_current(&self) -> bool {
        self.is_current
    }

    /// What a later command may begin with.
    pub(crate) fn into_kept(self) -> Option<Loaded<A>> {
        (!self.is_ahead).then_some(self.loaded)
    }

    /// Makes sure that it is current. Whether it was not, and is another one now.
    pub(crate) async fn renew(&mut self, store: &Arc<dyn Store>) -> Result<bool> {
        if self.is_current {
            return Ok(false);
        }
        let at = |loaded: &Loaded<A>| (loaded.version, loaded.document);
        let before = at(&self.loaded);
        load::catch_up(store, &mut self.loaded).await?;
        self.is_current = true;
        Ok(at(&self.loaded) != before)
    }

    /// The append of what was decided, and the events as a later load will see them.
    pub(crate) fn append(
        &self,
        events: &[A::Event],
        metadata: &Metadata,
        id: CommitId,
    ) -> Result<(Vec<Append>, Vec<A::Event>)> {
        if events.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let cause = metadata.for_events();
        let (mut new, mut recorded) = (Vec::with_capacity(events.len()), Vec::new());
        for (event, n) in events.iter().zip(0..) {
            let (event, back) = record::encode(event, cause.sibling(id.event(n)))?;
            new.push(event);
            recorded.push(back);
        }
        let (stream, expected) = (self.loaded.stream.clone(), self.loaded.expected());
        Ok((vec![Append { stream, expected, events: new }], recorded))
    }

    /// Takes in what is about to be committed, when the state goes into the commit.
    pub(crate) fn go_ahead(
        &mut self,
        commit: &mut Commit,
        events: &[A::Event],
        store: &dyn Store,
    ) -> Result<()> {
        if events.is_empty() || !record::is_wanted(&self.loaded, events.len(), store) {
            return Ok(());
        }
        self.is_ahead = true;
        self.loaded.take_in(events);
        record::put_beside(commit, &mut self.loaded, false, store)?;
        commit.leave_out_snapshots(&store.capabilities().limits);
        Ok(())
    }

    /// What was about to be committed, is. A commit without events wrote nothing of it: not its
    /// document, either.
    pub(crate) fn arrive(&mut self, events: &[A::Event]) {
        if events.is_empty() {
            return;
        }
        if !self.is_ahead {
            self.loaded.take_in(events);
        }
        self.is_ahead = !self.loaded.arrive();
    }

    /// Nothing was committed, because others were faster.
    pub(crate) async fn fall_back(&mut self, store: &Arc<dyn Store>, error: &Error) -> Result<()> {
        let went_back = match error.kind() {
            ErrorKind::Conflict(Conflict::Stream { actual, .. }) => *actual < self.loaded.version,
            _ => false,
        };
        if self.is_ahead || went_back {
            self.loaded = load::load(store, self.loaded.stream.clone()).await?;
            self.is_ahead = false;
        } else {
            load::catch_up(store, &mut self.loaded).await?;
        }
        self.is_current = true;
        Ok(())
    }
}
