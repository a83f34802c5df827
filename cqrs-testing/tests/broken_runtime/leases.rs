//! Stores that give out leases wrongly, or take commits that lost theirs.

use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{Commit, Committed, Lease, LeaseRequest, Result, Store};

use crate::base::{Fault, fault};

/// Without its fences.
fn unfenced(mut commit: Commit) -> Commit {
    commit.fences.clear();
    commit.checkpoint.iter_mut().for_each(|checkpoint| checkpoint.fence = None);
    commit
}

fault! {
    /// Takes commits of nodes that lost their lease.
    IgnoresFences, commit |store, commit| {
        store.commit(unfenced(commit)).await
    }
}

/// Gives a lease to another holder under the same token.
#[derive(Debug, Default)]
pub(crate) struct KeepsTheToken;

#[async_trait]
impl Fault for KeepsTheToken {
    async fn lease(&self, store: &MemoryStore, request: LeaseRequest) -> Result<Vec<Lease>> {
        let mut leases = store.lease(request).await?;
        leases.iter_mut().for_each(|lease| lease.token = 1);
        Ok(leases)
    }

    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        store.commit(unfenced(commit)).await
    }
}

/// Tells whoever asks that the lease is theirs.
#[derive(Debug, Default)]
pub(crate) struct GivesOneLeaseToTwo;

#[async_trait]
impl Fault for GivesOneLeaseToTwo {
    async fn lease(&self, store: &MemoryStore, request: LeaseRequest) -> Result<Vec<Lease>> {
        let holder = request.holder.clone();
        let mut leases = store.lease(request).await?;
        leases.iter_mut().for_each(|lease| lease.holder.clone_from(&holder));
        Ok(leases)
    }
}

/// Gives leases out for ever.
#[derive(Debug, Default)]
pub(crate) struct NeverEnds;

#[async_trait]
impl Fault for NeverEnds {
    async fn lease(&self, store: &MemoryStore, request: LeaseRequest) -> Result<Vec<Lease>> {
        let term = Duration::from_secs(100_000);
        store.lease(LeaseRequest { term, ..request }).await
    }
}

/// Keeps what is given back.
#[derive(Debug, Default)]
pub(crate) struct TakesNothingBack;

#[async_trait]
impl Fault for TakesNothingBack {
    async fn release(&self, _: &MemoryStore, _: &str, _: &[String]) -> Result<()> {
        Ok(())
    }
}

/// Does not tell that the one before it died.
#[derive(Debug, Default)]
pub(crate) struct TellsOfNoTakeover;

#[async_trait]
impl Fault for TellsOfNoTakeover {
    async fn lease(&self, store: &MemoryStore, request: LeaseRequest) -> Result<Vec<Lease>> {
        let mut leases = store.lease(request).await?;
        leases.iter_mut().for_each(|lease| lease.taken_over = false);
        Ok(leases)
    }
}
