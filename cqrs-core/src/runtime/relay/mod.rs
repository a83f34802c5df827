//! The relay: sends what commits send, key by key in order, and tells sagas what came of it.
//!
//! A message is sent at least once. A command that is answered while the process dies is sent again,
//! and answered from its inbox where its handler keeps one: a command that kills the process is run
//! again by the next one, until its attempts are spent.

mod attend;
mod carry;
mod errand;
mod lanes;
pub(crate) mod partitions;
mod verdict;

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::FutureExt;
use sha2::{Digest, Sha256};

use crate::app::Inner;
use crate::error::{Error, ErrorKind, panic_text};
use crate::port::bus::Bus;
use crate::port::capabilities::Limits;
use crate::port::outgoing::Outgoing;
use crate::runtime::backoff;
use crate::runtime::key::{self, Slice};
use crate::runtime::node::{Node, Quit};
use crate::runtime::partition::Ended;
use crate::runtime::progress::{SlotId, SlotProgress, SlotState};
use crate::runtime::saga::SagaRegistry;
use attend::Attending;

/// The name under which the relay has its leases, sets things aside and shows how far it is.
pub(crate) const NAME: &str = "cqrs.relay";

/// Names of which it is told once that nobody here knows them.
const TOLD: usize = 1_000;

/// Sends what commits send.
pub(crate) struct Relay {
    app: Weak<Inner>,
    sagas: Arc<SagaRegistry>,
    /// Where messages are published; without one, they wait.
    bus: Option<Arc<dyn Bus>>,
    told: Mutex<HashSet<String>>,
}

impl Relay {
    pub(crate) fn new(
        app: Weak<Inner>,
        sagas: Arc<SagaRegistry>,
        bus: Option<Arc<dyn Bus>>,
    ) -> Self {
        Self { app, sagas, bus, told: Mutex::default() }
    }

    /// Runs one of so many partitions, whenever this node has its lease, until it is told to quit.
    pub(crate) async fn run(self: Arc<Self>, node: Arc<Node>, slice: Slice, quit: Quit) {
        let name = format!("{NAME}/{}", slice.index);
        let slot: SlotId = (NAME.to_owned(), slice.index);
        let mut claim = node.leases.claim(&name, true);
        let mut failures = 0;
        while !quit.is_set() {
            if !claim.is_had() {
                // One that failed may be another node's by now: it says how it does.
                node.progress.remove(&slot);
            }
            let lease = tokio::select! {
                lease = claim.granted() => lease,
                () = quit.set() => break,
            };
            let mut attending = Attending::new(&self, &node, slice, lease.fence());
            let run = AssertUnwindSafe(attending.run(&mut claim, &quit)).catch_unwind().await;
            let ended = run.unwrap_or_else(|panic| {
                let context = format!("the relay panicked: {}", panic_text(&*panic));
                Err(Error::new(ErrorKind::Internal, context))
            });
            match ended {
                Ok(ended) => {
                    failures = 0;
                    node.progress.remove(&slot);
                    match ended {
                        Ended::Stopped => give_back(&node, &name).await,
                        Ended::Lost => node.leases.forget(&name),
                    }
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(slot = name, %error, failures, "the relay failed; again");
                    let before = node.progress.of(&slot);
                    let position = before.map_or(0, |before| before.position);
                    let state = SlotState::Failing(error.to_string());
                    let progress = SlotProgress { position, state, blocked: 0 };
                    node.progress.report(&slot, progress);
                    tokio::select! {
                        () = tokio::time::sleep(backoff(failures)) => {}
                        () = quit.set() => {}
                    }
                }
            }
        }
        node.progress.remove(&slot);
        give_back(&node, &name).await;
    }

    /// Tells once of what this process has not. Another process with this store may.
    fn tell_unknown(&self, what: &str, name: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD && told.insert(format!("{what} {name}")) {
            match what {
                "bus" => tracing::warn!(
                    name,
                    "no bus in this app; what it publishes waits for a process that has one"
                ),
                _ => tracing::warn!(
                    name,
                    "no {what} has this name in this app; what is sent to it waits for a process \
                     that has it"
                ),
            }
        }
    }
}

async fn give_back(node: &Node, name: &str) {
    if let Err(error) = node.leases.release(&*node.store, name).await {
        tracing::warn!(slot = name, %error, "a lease could not be given back; it will run out");
    }
}

/// The lane of a message: that of its key, of its tenant.
pub(crate) fn lane_of(message: &Outgoing, limits: &Limits) -> String {
    lane(message.metadata.tenant(), &message.key, limits)
}

/// The lane of a key: the same on every node. One that is longer than an id may be is known by its
/// digest.
pub(crate) fn lane(tenant: Option<&str>, key: &str, limits: &Limits) -> String {
    let lane = key::of_tenant(tenant, key);
    if lane.len() <= limits.id {
        return lane;
    }
    let digest = Sha256::digest(lane.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
