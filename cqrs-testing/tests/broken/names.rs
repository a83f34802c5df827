//! Stores that take names, sizes and parts for what they are not.

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Capabilities, Commit, Committed, Limits, Pages, ReadStream, Result, Store, StreamId, Support,
};

use crate::base::Fault;

/// Changes the ids of streams on their way in and out.
#[derive(Debug, Default)]
pub(crate) struct FoldsCase;

fn folded(stream: &StreamId) -> StreamId {
    StreamId { id: stream.id.to_lowercase(), ..stream.clone() }
}

#[async_trait]
impl Fault for FoldsCase {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        commit.appends.iter_mut().for_each(|append| append.stream = folded(&append.stream));
        store.commit(commit).await
    }

    fn read_stream(&self, store: &MemoryStore, mut read: ReadStream) -> Pages {
        read.stream = folded(&read.stream);
        store.read_stream(read)
    }
}

/// Cuts the ids of streams to 255 characters.
#[derive(Debug, Default)]
pub(crate) struct CutsIds;

fn cut(stream: &StreamId) -> StreamId {
    StreamId { id: stream.id.chars().take(255).collect(), ..stream.clone() }
}

#[async_trait]
impl Fault for CutsIds {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        commit.appends.iter_mut().for_each(|append| append.stream = cut(&append.stream));
        store.commit(commit).await
    }

    fn read_stream(&self, store: &MemoryStore, mut read: ReadStream) -> Pages {
        read.stream = cut(&read.stream);
        store.read_stream(read)
    }
}

/// Says that it has limits, and takes what is over them.
#[derive(Debug)]
pub(crate) struct TakesWhatIsTooLarge(Capabilities);

impl Default for TakesWhatIsTooLarge {
    fn default() -> Self {
        Self(MemoryStore::default().capabilities().clone())
    }
}

#[async_trait]
impl Fault for TakesWhatIsTooLarge {
    fn store() -> MemoryStore {
        let limits = Limits::default();
        MemoryStore::default().limits(Limits { payload: limits.payload * 2, ..limits })
    }

    fn capabilities(&self) -> Option<&Capabilities> {
        Some(&self.0)
    }
}

/// Says that it is durable.
#[derive(Debug)]
pub(crate) struct SaysThatItIsDurable(Capabilities);

impl Default for SaysThatItIsDurable {
    fn default() -> Self {
        let truth = MemoryStore::default().capabilities().clone();
        Self(Capabilities { durable: Support::Yes, ..truth })
    }
}

#[async_trait]
impl Fault for SaysThatItIsDurable {
    fn capabilities(&self) -> Option<&Capabilities> {
        Some(&self.0)
    }
}
