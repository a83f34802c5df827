//! Stores that give out leases wrongly, or take commits that lost theirs.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Commit, Committed, Conflict, ErrorKind, Fence, Lease, LeaseRequest, Result, Store,
};

use crate::base::{Fault, fault};

/// How a lease stands, if somebody holds it.
async fn held(store: &MemoryStore, name: &str) -> Result<Option<Lease>> {
    Ok(store.leases(name).await?.into_iter().find(|lease| lease.name == name))
}

fn conflict(fence: &Fence, actual: u64) -> cqrs_core::Error {
    Conflict::Lease { lease: fence.lease.clone(), token: fence.token, actual }.into()
}

/// Takes leases away from whoever has them.
async fn freed(store: &MemoryStore, names: &[String]) -> Result<()> {
    for name in names {
        if let Some(lease) = held(store, name).await? {
            store.release(&lease.holder, &[lease.name]).await?;
        }
    }
    Ok(())
}

fault! {
    /// Does not look at fences.
    IgnoresFences, commit |store, commit| {
        store.commit(Commit { fences: Vec::new(), ..commit }).await
    }
}

fault! {
    /// Does not look at the fence of a checkpoint.
    IgnoresTheFenceOfACheckpoint, commit |store, commit| {
        let mut commit = commit;
        commit.checkpoint.iter_mut().for_each(|checkpoint| checkpoint.fence = None);
        store.commit(commit).await
    }
}

fault! {
    /// Looks at one fence only.
    LooksAtOneFence, commit |store, commit| {
        let mut commit = commit;
        commit.fences.truncate(1);
        store.commit(commit).await
    }
}

fault! {
    /// Takes a token that is at least the one that was given out.
    TakesTokensOfTheFuture, commit |store, commit| {
        let mut commit = commit;
        for fence in &mut commit.fences {
            if let Some(lease) = held(store, &fence.lease).await? {
                fence.token = fence.token.min(lease.token);
            }
        }
        store.commit(commit).await
    }
}

fault! {
    /// Takes a fence of a lease of which it knows nothing.
    TakesFencesOfNobody, commit |store, commit| {
        match store.commit(commit.clone()).await {
            Err(error) => match error.kind() {
                ErrorKind::Conflict(Conflict::Lease { actual: 0, .. }) => {
                    store.commit(Commit { fences: Vec::new(), ..commit }).await
                }
                _ => Err(error),
            },
            answer => answer,
        }
    }
}

fault! {
    /// Refuses a commit as soon as the term of its lease is over.
    EndsALeaseWithItsTerm, commit |store, commit| {
        for fence in &commit.fences {
            if held(store, &fence.lease).await?.is_none() {
                return Err(conflict(fence, fence.token));
            }
        }
        store.commit(commit).await
    }
}

fault! {
    /// Looks at fences before it looks for a repeat.
    FencesRepeats, commit |store, commit| {
        for fence in &commit.fences {
            let lease = held(store, &fence.lease).await?;
            if let Some(lease) = lease.filter(|lease| lease.token != fence.token) {
                return Err(conflict(fence, lease.token));
            }
        }
        store.commit(commit).await
    }
}

fault! {
    /// Gives a lease back when something was committed under it.
    ReleasesAfterACommit, commit |store, commit| {
        let names = commit.fences.iter().map(|fence| fence.lease.clone()).collect::<Vec<_>>();
        let answer = store.commit(commit).await;
        freed(store, &names).await?;
        answer
    }
}

fault! {
    /// Gives every holder the same token.
    KeepsTheToken, lease |store, request| {
        let leases = store.lease(request).await?.into_iter();
        Ok(leases.map(|lease| Lease { token: 1, ..lease }).collect())
    }
}

fault! {
    /// Gives a lease to whoever asks.
    GivesALeaseToAnybody, lease |store, request| {
        for name in &request.names {
            if held(store, name).await?.is_some_and(|lease| !lease.is_of(&request.holder)) {
                freed(store, std::slice::from_ref(name)).await?;
            }
        }
        store.lease(request).await
    }
}

fault! {
    /// Looks whether a lease is free before it gives it out, not while it does.
    LooksAtLeasesTooEarly, lease |store, request| {
        let mut free = Vec::new();
        for name in &request.names {
            if held(store, name).await?.is_none() {
                free.push(name.clone());
            }
        }
        tokio::task::yield_now().await;
        freed(store, &free).await?;
        store.lease(request).await
    }
}

fault! {
    /// Never says that a lease was not given back.
    NeverSaysTakenOver, lease |store, request| {
        let leases = store.lease(request).await?.into_iter();
        Ok(leases.map(|lease| Lease { taken_over: false, ..lease }).collect())
    }
}

fault! {
    /// Says that a lease was not given back whenever somebody had it before.
    AlwaysSaysTakenOver, lease |store, request| {
        let leases = store.lease(request).await?.into_iter();
        Ok(leases.map(|lease| Lease { taken_over: lease.token > 1, ..lease }).collect())
    }
}

fault! {
    /// Gives a new token with each renewal.
    RaisesTheTokenOnRenewal, lease |store, request| {
        store.release(&request.holder, &request.names).await?;
        store.lease(request).await
    }
}

fault! {
    /// Gives no more time to whoever has a lease.
    RenewsNothing, lease |store, request| {
        let mut leases = Vec::new();
        for name in request.names {
            let mine = held(store, &name).await?.filter(|lease| lease.is_of(&request.holder));
            match mine {
                Some(lease) => leases.push(lease),
                None => {
                    let one = LeaseRequest {
                        names: vec![name],
                        holder: request.holder.clone(),
                        term: request.term,
                    };
                    leases.extend(store.lease(one).await?);
                }
            }
        }
        Ok(leases)
    }
}

fault! {
    /// Takes a holder that asks late for another one.
    ForgetsALateHolder, lease |store, request| {
        for name in &request.names {
            if held(store, name).await?.is_none() {
                store.release(&request.holder, std::slice::from_ref(name)).await?;
            }
        }
        store.lease(request).await
    }
}

fault! {
    /// Answers in the order of the names' bytes.
    AnswersLeasesInAnyOrder, lease |store, request| {
        let mut leases = store.lease(request).await?;
        leases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(leases)
    }
}

fault! {
    /// Takes a request that names a lease twice.
    TakesADoubleRequest, lease |store, request| {
        let mut request = request;
        request.names.sort();
        request.names.dedup();
        store.lease(request).await
    }
}

fault! {
    /// Gives leases for as long as it likes.
    IgnoresTheTerm, lease |store, request| {
        let term = request.term + Duration::from_secs(5);
        store.lease(LeaseRequest { term, ..request }).await
    }
}

/// A fault of `release`, with what it does instead.
macro_rules! release_fault {
    ($(#[$doc:meta])* $name:ident, |$store:ident, $names:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        #[async_trait]
        impl Fault for $name {
            async fn release(
                &self,
                $store: &MemoryStore,
                _: &str,
                $names: &[String],
            ) -> Result<()> {
                $body
            }
        }
    };
}

release_fault! {
    /// Takes nothing back.
    IgnoresRelease, |_store, _names| Ok(())
}

release_fault! {
    /// Takes a lease back from whoever asks.
    ReleasesForAnybody, |store, names| freed(store, names).await
}

/// Never gives a lease to another unless it was given back; and lists what is over.
#[derive(Debug, Default)]
pub(crate) struct NeverForgetsAHolder(Mutex<BTreeMap<String, Lease>>);

#[async_trait]
impl Fault for NeverForgetsAHolder {
    async fn lease(&self, store: &MemoryStore, request: LeaseRequest) -> Result<Vec<Lease>> {
        let holder = request.holder.clone();
        let leases = store.lease(request).await?;
        let mut known = self.0.lock().expect("no panic");
        let told = leases.into_iter().map(|lease| match known.get(&lease.name) {
            Some(first) if !first.is_of(&holder) => first.clone(),
            _ => {
                known.insert(lease.name.clone(), lease.clone());
                lease
            }
        });
        Ok(told.collect())
    }

    async fn release(&self, store: &MemoryStore, holder: &str, names: &[String]) -> Result<()> {
        self.0.lock().expect("no panic").retain(|name, _| !names.contains(name));
        store.release(holder, names).await
    }

    async fn leases(&self, _: &MemoryStore, prefix: &str) -> Result<Vec<Lease>> {
        let known = self.0.lock().expect("no panic");
        Ok(known.values().filter(|lease| lease.name.starts_with(prefix)).cloned().collect())
    }
}

/// Lists leases by a pattern of SQL.
#[derive(Debug, Default)]
pub(crate) struct ListsLeasesByPattern;

fn is_like(text: &str, pattern: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '%' => {
            let mut tails = text.char_indices().map(|(n, _)| &text[n..]).chain([""]);
            tails.any(|tail| is_like(tail, rest))
        }
        _ => text
            .chars()
            .next()
            .is_some_and(|c| (first == '_' || c == first) && is_like(&text[c.len_utf8()..], rest)),
    }
}

#[async_trait]
impl Fault for ListsLeasesByPattern {
    async fn leases(&self, store: &MemoryStore, prefix: &str) -> Result<Vec<Lease>> {
        let mut all = store.leases("").await?;
        all.retain(|lease| is_like(&lease.name, &format!("{prefix}%")));
        Ok(all)
    }
}

/// Lists the newest lease first.
#[derive(Debug, Default)]
pub(crate) struct ListsLeasesBackwards;

#[async_trait]
impl Fault for ListsLeasesBackwards {
    async fn leases(&self, store: &MemoryStore, prefix: &str) -> Result<Vec<Lease>> {
        Ok(store.leases(prefix).await?.into_iter().rev().collect())
    }
}

/// Takes names in capitals for the same as others.
#[derive(Debug, Default)]
pub(crate) struct FoldsNamesOfLeases;

#[async_trait]
impl Fault for FoldsNamesOfLeases {
    async fn lease(&self, store: &MemoryStore, request: LeaseRequest) -> Result<Vec<Lease>> {
        let names = request.names.clone();
        let folded = names.iter().map(|name| name.to_lowercase()).collect();
        let leases = store.lease(LeaseRequest { names: folded, ..request }).await?;
        Ok(leases.into_iter().zip(names).map(|(lease, name)| Lease { name, ..lease }).collect())
    }
}
