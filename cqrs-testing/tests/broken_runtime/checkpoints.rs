//! Stores that lose parts of a commit, or take a checkpoint that they must not take.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{Commit, Committed, Error, ErrorKind, Position, Result, Store};

use crate::base::{Fault, fault};

fault! {
    /// Moves checkpoints to the end of the log.
    MovesTooEarly, commit |store, commit| {
        let mut commit = commit;
        if let Some(checkpoint) = &mut commit.checkpoint {
            let stands = store.checkpoint(&checkpoint.subscription, checkpoint.partition).await?;
            checkpoint.from = stands.unwrap_or(0);
            checkpoint.to = store.head().await?.position;
        }
        store.commit(commit).await
    }
}

/// Does not look where a checkpoint stood.
#[derive(Debug, Default)]
pub(crate) struct MovesFromAnywhere(Mutex<HashMap<(String, u32), Position>>);

#[async_trait]
impl Fault for MovesFromAnywhere {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        let checkpoint = commit.checkpoint.take();
        let committed = store.commit(commit).await?;
        if let Some(moved) = checkpoint {
            let place = (moved.subscription, moved.partition);
            self.0.lock().expect("no panic").insert(place, moved.to);
        }
        Ok(committed)
    }

    async fn checkpoint(
        &self,
        _: &MemoryStore,
        subscription: &str,
        partition: u32,
    ) -> Result<Option<Position>> {
        let place = (subscription.to_owned(), partition);
        Ok(self.0.lock().expect("no panic").get(&place).copied())
    }
}

fault! {
    /// Writes everything but the checkpoint.
    DropsCheckpoints, commit |store, commit| {
        store.commit(Commit { checkpoint: None, ..commit }).await
    }
}

fault! {
    /// Writes no documents beside a checkpoint.
    DropsDocuments, commit |store, commit| {
        let mut commit = commit;
        if commit.checkpoint.is_some() {
            commit.documents.clear();
        }
        store.commit(commit).await
    }
}

/// Takes all checkpoints for those of the first partition.
#[derive(Debug, Default)]
pub(crate) struct MixesUpPartitions;

#[async_trait]
impl Fault for MixesUpPartitions {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        commit.checkpoint.iter_mut().for_each(|checkpoint| checkpoint.partition = 0);
        store.commit(commit).await
    }

    async fn checkpoint(
        &self,
        store: &MemoryStore,
        subscription: &str,
        _: u32,
    ) -> Result<Option<Position>> {
        store.checkpoint(subscription, 0).await
    }
}

/// Writes checkpoints, and knows nothing of them later.
#[derive(Debug, Default)]
pub(crate) struct ForgetsWhereItStands;

#[async_trait]
impl Fault for ForgetsWhereItStands {
    async fn checkpoint(&self, _: &MemoryStore, _: &str, _: u32) -> Result<Option<Position>> {
        Ok(None)
    }
}

/// Keeps the documents of a commit whose checkpoint is lost, once.
#[derive(Debug, Default)]
pub(crate) struct KeepsHalfOfACommit(Mutex<bool>);

#[async_trait]
impl Fault for KeepsHalfOfACommit {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        let is_whole = commit.checkpoint.is_none() || commit.documents.is_empty();
        if is_whole || std::mem::replace(&mut *self.0.lock().expect("no panic"), true) {
            return store.commit(commit).await;
        }
        store.commit(Commit { checkpoint: None, ..commit }).await?;
        Err(Error::new(ErrorKind::OutcomeUnknown, "the connection was lost"))
    }
}

/// Says that it wrote what operators ask of subscriptions, and does not.
#[derive(Debug, Default)]
pub(crate) struct ForgetsWhatOperatorsSay;

#[async_trait]
impl Fault for ForgetsWhatOperatorsSay {
    async fn commit(&self, store: &MemoryStore, mut commit: Commit) -> Result<Committed> {
        commit.documents.retain(|document| {
            let is_of_operators = document.key.collection == "cqrs.subscriptions";
            !is_of_operators || document.expected == cqrs_core::Expected::NoStream
        });
        store.commit(commit).await
    }
}
