//! A place for one partition: waits for its lease, runs it, and begins again after a failure.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use crate::error::{Error, ErrorKind, Result, panic_text};
use crate::port::Position;
use crate::port::lease::Lease;
use crate::runtime::backoff;
use crate::runtime::consumer::Subscriber;
use crate::runtime::control::{self, Generation};
use crate::runtime::feed::Feed;
use crate::runtime::key::Slice;
use crate::runtime::leases::Claim;
use crate::runtime::node::{Node, Quit};
use crate::runtime::partition::{Ended, Partition, State, in_hand};
use crate::runtime::progress::{SlotId, SlotProgress, SlotState};
use crate::runtime::settings::Subscription;

/// What is registered under a name, and how it is run.
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    pub(crate) settings: Subscription,
    pub(crate) subscriber: Arc<dyn Subscriber>,
}

/// A place for one partition of a subscription.
pub(crate) struct Slot {
    pub(crate) node: Arc<Node>,
    pub(crate) definition: Arc<Definition>,
    pub(crate) generation: Generation,
    pub(crate) slice: Slice,
    pub(crate) feed: Arc<Feed>,
    pub(crate) stop_at: Option<Position>,
}

impl Slot {
    /// Runs until it is told to quit. What it has is given back then.
    pub(crate) async fn run(self, quit: Quit) {
        let name = self.generation.slot(self.slice.index);
        let mut claim = self.node.leases.claim(&name, true);
        let mut failures = 0;
        while !quit.is_set() {
            if !claim.is_had() {
                // One that failed may be another node's by now: it says how it does.
                self.node.progress.remove(&self.id());
            }
            let lease = tokio::select! {
                lease = claim.granted() => lease,
                () = quit.set() => break,
            };
            match self.attempt(&mut claim, &lease, &quit).await {
                Ok(Ended::Stopped) => {
                    failures = 0;
                    self.node.progress.remove(&self.id());
                    self.give_back(claim.name()).await;
                }
                Ok(Ended::Lost) => {
                    tracing::info!(slot = name, "another node has taken over");
                    self.node.progress.remove(&self.id());
                    self.node.leases.forget(&name);
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(slot = name, %error, failures, "a partition failed; again");
                    self.report(error.to_string());
                    tokio::select! {
                        () = tokio::time::sleep(backoff(failures)) => {}
                        () = quit.set() => {}
                    }
                }
            }
        }
        self.node.progress.remove(&self.id());
        self.give_back(&name).await;
    }

    async fn attempt(&self, claim: &mut Claim<'_>, lease: &Lease, quit: &Quit) -> Result<Ended> {
        let (node, generation) = (&self.node, &self.generation);
        if !self.is_wanted().await? {
            // This process does not know yet.
            tokio::select! {
                () = tokio::time::sleep(node.settings.poll) => {}
                () = quit.set() => {}
            }
            return Ok(Ended::Stopped);
        }
        let consumer = self.definition.subscriber.clone().consumer(node, generation);
        let settings = &self.definition.settings;
        let careful = if lease.taken_over { in_hand(&*consumer, settings) } else { 0 };
        let state = State::load(node, generation, self.slice, careful).await?;
        let partition = Partition {
            node,
            quit,
            settings,
            generation,
            feed: &self.feed,
            slice: self.slice,
            claim,
            fence: lease.fence(),
            consumer,
            stop_at: self.stop_at,
            state,
        };
        // Handlers are guarded each; this is for what is between them.
        let run = AssertUnwindSafe(partition.run()).catch_unwind().await;
        run.unwrap_or_else(|panic| {
            let context = format!("the runtime panicked: {}", panic_text(&*panic));
            Err(Error::new(ErrorKind::Internal, context))
        })
    }

    /// Whether the store still says that it is run so. Asked under the lease: what was said of it under
    /// an earlier one is known then.
    async fn is_wanted(&self) -> Result<bool> {
        let place = (self.generation.number, self.slice.index, self.stop_at);
        let control = control::read(&*self.node.store, self.definition.name).await?;
        Ok(control.is_some_and(|control| control.places().iter().any(|(p, _)| *p == place)))
    }

    async fn give_back(&self, name: &str) {
        if let Err(error) = self.node.leases.release(&*self.node.store, name).await {
            tracing::warn!(slot = name, %error, "a lease could not be given back; it will run out");
        }
    }

    fn id(&self) -> SlotId {
        (self.generation.checkpoint.clone(), self.slice.index)
    }

    fn report(&self, error: String) {
        let slot = self.id();
        let before = self.node.progress.of(&slot);
        let (position, blocked) = before.map_or((0, 0), |before| (before.position, before.blocked));
        let state = SlotState::Failing(error);
        self.node.progress.report(&slot, SlotProgress { position, state, blocked });
    }
}
