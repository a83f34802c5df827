//! Stores that keep and give snapshots wrongly.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Commit, CommitId, Committed, Error, Fingerprint, Page, Pages, ReadStream, Result,
    SnapshotWrite, Store, StreamId,
};
use futures_util::StreamExt;

use crate::base::Fault;

/// Takes snapshots, and drops them.
#[derive(Debug, Default)]
pub(crate) struct DropsSnapshots;

#[async_trait]
impl Fault for DropsSnapshots {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        commit.snapshots.retain(|write| matches!(write, SnapshotWrite::Forget { .. }));
        store.commit(commit).await
    }
}

/// Forgets nothing.
#[derive(Debug, Default)]
pub(crate) struct ForgetsNoSnapshot;

#[async_trait]
impl Fault for ForgetsNoSnapshot {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        commit.snapshots.retain(|write| matches!(write, SnapshotWrite::Keep { .. }));
        store.commit(commit).await
    }
}

/// Knows one schema only.
#[derive(Debug, Default)]
pub(crate) struct GivesAnySchema;

#[async_trait]
impl Fault for GivesAnySchema {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        for write in &mut commit.snapshots {
            if let SnapshotWrite::Keep { schema, .. } = write {
                *schema = Fingerprint::of(b"any");
            }
        }
        store.commit(commit).await
    }

    fn read_stream(&self, store: &MemoryStore, mut read: ReadStream) -> Pages {
        read.snapshot = read.snapshot.map(|_| Fingerprint::of(b"any"));
        store.read_stream(read)
    }
}

/// Keeps the first snapshot of a stream for ever.
#[derive(Debug, Default)]
pub(crate) struct KeepsTheFirstSnapshot(Mutex<Vec<(StreamId, Fingerprint)>>);

#[async_trait]
impl Fault for KeepsTheFirstSnapshot {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        commit.snapshots.retain(|write| {
            let SnapshotWrite::Keep { stream, schema, .. } = write else { return true };
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (stream.clone(), *schema);
            let first = !known.contains(&key);
            known.push(key);
            first
        });
        store.commit(commit).await
    }
}

/// Gives the events that are in the snapshot once more.
#[derive(Debug, Default)]
pub(crate) struct RepeatsWhatIsInTheSnapshot;

impl Fault for RepeatsWhatIsInTheSnapshot {
    fn read_stream(&self, store: &MemoryStore, read: ReadStream) -> Pages {
        let all = store.read_stream(ReadStream { snapshot: None, ..read.clone() });
        let first = store.read_stream(read).filter_map(async |page| {
            let page = page.ok()?;
            let snapshot = page.snapshot()?;
            let mut begun = Page::default();
            begun.begin_with(snapshot.version, snapshot.body);
            Some(Ok(begun))
        });
        first.chain(all).boxed()
    }
}

/// Looks for a snapshot in the whole stream, whatever stretch is wanted.
#[derive(Debug, Default)]
pub(crate) struct GivesSnapshotsOfTheFuture;

impl Fault for GivesSnapshotsOfTheFuture {
    fn read_stream(&self, store: &MemoryStore, read: ReadStream) -> Pages {
        match read.snapshot {
            Some(schema) => {
                store.read_stream(ReadStream::of(read.stream).with_snapshot(schema).page(1))
            }
            None => store.read_stream(read),
        }
    }
}

/// Counts a snapshot among what makes a commit a repeat.
#[derive(Debug, Default)]
pub(crate) struct ComparesSnapshots(Mutex<HashMap<CommitId, Vec<SnapshotWrite>>>);

#[async_trait]
impl Fault for ComparesSnapshots {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        let known = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(commit.id).or_insert_with(|| commit.snapshots.clone()).clone()
        };
        if known != commit.snapshots {
            return Err(Error::id_reused("commit", commit.id.0));
        }
        store.commit(commit).await
    }
}

/// Keeps the snapshots itself, before it knows whether the commit is applied, and by the id of the
/// stream alone.
#[derive(Debug, Default)]
pub(crate) struct KeepsSnapshotsBesideTheCommit(Mutex<HashMap<String, (u64, String)>>);

#[async_trait]
impl Fault for KeepsSnapshotsBesideTheCommit {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        for write in &commit.snapshots {
            if let SnapshotWrite::Keep { stream, version, body, .. } = write {
                let kept = (*version, body.as_str().to_owned());
                let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(stream.id.clone(), kept);
            }
        }
        store.commit(commit).await
    }

    fn read_stream(&self, store: &MemoryStore, read: ReadStream) -> Pages {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known.get(&read.stream.id).filter(|_| read.snapshot.is_some());
        let Some((version, body)) = kept else { return store.read_stream(read) };
        let mut begun = Page::default();
        begun.begin_with(*version, body.as_str());
        let rest = ReadStream { snapshot: None, from: version + 1, ..read };
        let first = futures_util::stream::iter([Ok(begun)]);
        first.chain(store.read_stream(rest)).boxed()
    }
}
