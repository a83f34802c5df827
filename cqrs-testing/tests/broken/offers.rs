//! Stores that do not offer, hint or remember what they say.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Capabilities, Commit, Committed, Error, ErrorKind, FindOutgoing, FindParked, FindTimers, Hint,
    Lease, LeaseRequest, ParkedEntry, PendingMessage, Position, Result, Store, Support, Timer,
};
use tokio::sync::watch;

use crate::base::Fault;

fn nothing() -> Capabilities {
    let no = Support::No("it is a small store");
    let truth = MemoryStore::default().capabilities().clone();
    Capabilities { leases: no, timers: no, outgoing: no, parked: no, snapshots: no, ..truth }
}

fn lacks<T>(part: &'static str) -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported { part }, "it is a small store"))
}

/// A store without a fault that offers little, and refuses the rest.
#[derive(Debug)]
pub(crate) struct OffersLittle(Capabilities);

impl Default for OffersLittle {
    fn default() -> Self {
        Self(nothing())
    }
}

#[async_trait]
impl Fault for OffersLittle {
    fn capabilities(&self) -> Option<&Capabilities> {
        Some(&self.0)
    }

    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        commit.check(&self.0)?;
        store.commit(commit).await
    }

    async fn lease(&self, _: &MemoryStore, _: LeaseRequest) -> Result<Vec<Lease>> {
        lacks("leases")
    }

    async fn release(&self, _: &MemoryStore, _: &str, _: &[String]) -> Result<()> {
        lacks("leases")
    }

    async fn leases(&self, _: &MemoryStore, _: &str) -> Result<Vec<Lease>> {
        lacks("leases")
    }

    async fn timers(&self, _: &MemoryStore, _: FindTimers) -> Result<Vec<Timer>> {
        lacks("timers")
    }

    async fn outgoing(&self, _: &MemoryStore, _: FindOutgoing) -> Result<Vec<PendingMessage>> {
        lacks("outgoing")
    }

    async fn parked(&self, _: &MemoryStore, _: FindParked) -> Result<Vec<ParkedEntry>> {
        lacks("parked")
    }
}

/// Takes what it says that it does not offer, and drops it; looks for it and finds nothing.
#[derive(Debug)]
pub(crate) struct DropsWhatItDoesNotOffer(Capabilities);

impl Default for DropsWhatItDoesNotOffer {
    fn default() -> Self {
        Self(nothing())
    }
}

#[async_trait]
impl Fault for DropsWhatItDoesNotOffer {
    fn capabilities(&self) -> Option<&Capabilities> {
        Some(&self.0)
    }

    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        let Commit { id, guards, appends, documents, inbox, mut checkpoint, .. } = commit;
        checkpoint.iter_mut().for_each(|checkpoint| checkpoint.fence = None);
        let rest =
            Commit { id, guards, appends, documents, inbox, checkpoint, ..Commit::default() };
        store.commit(rest).await
    }
}

/// Gives hints that never come.
#[derive(Debug, Default)]
pub(crate) struct NeverHints;

impl Fault for NeverHints {
    fn hint(&self, _: &MemoryStore) -> Hint {
        Hint::never()
    }
}

/// Hints at events, not at messages.
#[derive(Debug, Default)]
pub(crate) struct HintsAtEventsOnly(watch::Sender<Position>);

#[async_trait]
impl Fault for HintsAtEventsOnly {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        let events = !commit.appends.is_empty();
        let committed = store.commit(commit).await?;
        if events {
            self.0.send_replace(committed.position());
        }
        Ok(committed)
    }

    fn hint(&self, _: &MemoryStore) -> Hint {
        Hint::of(self.0.subscribe())
    }
}

/// Hints once, and then no more.
#[derive(Debug)]
pub(crate) struct HintsOnce(Mutex<Option<watch::Sender<Position>>>, watch::Receiver<Position>);

impl Default for HintsOnce {
    fn default() -> Self {
        let (sender, receiver) = watch::channel(0);
        Self(Mutex::new(Some(sender)), receiver)
    }
}

#[async_trait]
impl Fault for HintsOnce {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        let committed = store.commit(commit).await?;
        if let Some(sender) = self.0.lock().expect("no panic").take() {
            sender.send_replace(committed.position());
        }
        Ok(committed)
    }

    fn hint(&self, _: &MemoryStore) -> Hint {
        Hint::of(self.1.clone())
    }
}

/// Wakes one of those who wait.
#[derive(Debug, Default)]
pub(crate) struct HintsAtOne(watch::Sender<Position>, Mutex<bool>);

#[async_trait]
impl Fault for HintsAtOne {
    async fn commit(&self, store: &MemoryStore, commit: Commit) -> Result<Committed> {
        let committed = store.commit(commit).await?;
        self.0.send_replace(committed.position());
        Ok(committed)
    }

    fn hint(&self, _: &MemoryStore) -> Hint {
        let was_given = std::mem::replace(&mut *self.1.lock().expect("no panic"), true);
        if was_given { Hint::never() } else { Hint::of(self.0.subscribe()) }
    }
}

const SAID: Duration = Duration::from_secs(2);

/// Keeps its inbox for a tenth of the time.
#[derive(Debug)]
pub(crate) struct ForgetsMessagesEarly(Capabilities);

impl Default for ForgetsMessagesEarly {
    fn default() -> Self {
        Self(Self::right().capabilities().clone())
    }
}

impl Fault for ForgetsMessagesEarly {
    fn store() -> MemoryStore {
        MemoryStore::default().keep_inbox(SAID / 10)
    }

    fn right() -> MemoryStore {
        MemoryStore::default().keep_inbox(SAID)
    }

    fn capabilities(&self) -> Option<&Capabilities> {
        Some(&self.0)
    }
}
