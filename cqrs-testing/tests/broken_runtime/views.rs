//! Stores that lose views, or remove those that are read.

use std::sync::Mutex;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{Commit, Committed, Error, ErrorKind, Result, Store};

use crate::base::{Fault, fault};

/// Without its views, however they are written.
fn viewless(mut commit: Commit) -> Commit {
    commit.views.clear();
    commit.documents.retain(|document| !document.key.collection.starts_with("notes.page"));
    commit
}

fault! {
    /// Writes no views.
    DropsViews, commit |store, commit| {
        store.commit(viewless(commit)).await
    }
}

/// Keeps the views of a commit whose checkpoint is lost, once.
#[derive(Debug, Default)]
pub(crate) struct KeepsViewsOfALostCommit(Mutex<bool>);

#[async_trait]
impl Fault for KeepsViewsOfALostCommit {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        let has_none = commit.checkpoint.is_none() || viewless(commit.clone()) == commit;
        if has_none || std::mem::replace(&mut *self.0.lock().expect("no panic"), true) {
            return store.commit(commit).await;
        }
        store.commit(Commit { checkpoint: None, ..commit }).await?;
        Err(Error::new(ErrorKind::OutcomeUnknown, "the connection was lost"))
    }
}

/// Removes the documents of collections whose name begins so, too.
#[derive(Debug, Default)]
pub(crate) struct PurgesTooMuch;

#[async_trait]
impl Fault for PurgesTooMuch {
    async fn purge(&self, store: &MemoryStore, collection: &str, limit: u32) -> Result<u32> {
        for newer in 2..5 {
            store.purge_documents(&format!("{collection}~{newer}"), limit).await?;
        }
        store.purge_documents(collection, limit).await
    }
}

/// Says that nothing is left, and removes nothing.
#[derive(Debug, Default)]
pub(crate) struct PurgesNothing;

#[async_trait]
impl Fault for PurgesNothing {
    async fn purge(&self, _: &MemoryStore, _: &str, _: u32) -> Result<u32> {
        Ok(0)
    }
}
