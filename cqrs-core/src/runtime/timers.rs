//! Timers of sagas: those that are due become messages to their instances, on one node at a time.

use std::sync::Arc;

use crate::error::{Conflict, ErrorKind, Result};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::payload::{Json, Payload};
use crate::message::timestamp::Timestamp;
use crate::port::commit::{Commit, Fence, Settled};
use crate::port::outgoing::{AnswerTo, Outgoing, OutgoingKind};
use crate::port::timer::{FindTimers, Timer};
use crate::runtime::backoff;
use crate::runtime::leases::Claim;
use crate::runtime::node::{Node, Quit};
use crate::runtime::partition::is_lost;
use crate::runtime::saga::plan::lane;

/// The lease under which timers are fired.
const LEASE: &str = "cqrs.timers/0";

/// Timers that are fired in one commit.
const AT_ONCE: u32 = 128;

/// The first id of all those of timers that fired.
const FIRED: MessageId = MessageId::from_u128(0x8c1f_5d62_9a4e_5b7f_8d3a_60e2_71b4_c905);

/// Fires the timers of these sagas as they fall due, until it is told to quit.
pub(crate) async fn run(node: Arc<Node>, sagas: Vec<&'static str>, quit: Quit) {
    if sagas.is_empty() {
        return;
    }
    let mut claim = node.leases.claim(LEASE, true);
    let mut failures = 0;
    while !quit.is_set() {
        let lease = tokio::select! {
            lease = claim.granted() => lease,
            () = quit.set() => break,
        };
        let mut firing = Firing { node: &node, sagas: &sagas, fence: lease.fence() };
        match firing.run(&mut claim, &quit).await {
            Ok(()) => {
                failures = 0;
                give_back(&node).await;
            }
            Err(error) if is_lost(&error) => node.leases.forget(LEASE),
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, "timers cannot be fired; trying again");
                tokio::select! {
                    () = tokio::time::sleep(backoff(failures)) => {}
                    () = quit.set() => {}
                }
            }
        }
    }
    give_back(&node).await;
}

async fn give_back(node: &Node) {
    if let Err(error) = node.leases.release(&*node.store, LEASE).await {
        tracing::warn!(%error, "the lease of timers could not be given back; it will run out");
    }
}

struct Firing<'a> {
    node: &'a Node,
    sagas: &'a [&'static str],
    fence: Fence,
}

impl Firing<'_> {
    async fn run(&mut self, claim: &mut Claim<'_>, quit: &Quit) -> Result<()> {
        loop {
            if quit.is_set() || !claim.holds(self.fence.token) {
                return Ok(());
            }
            let next = {
                let _busy = self.node.activity.begin();
                self.fire_all().await?
            };
            let due = async {
                match next {
                    Some(due) => self.node.clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.node.timers_changed.notified() => {}
                // Another node may have set one.
                () = tokio::time::sleep(self.node.settings.poll) => {}
                () = quit.set() => {}
                () = claim.lost(self.fence.token) => {}
            }
        }
    }

    /// Fires what is due. When the next one is.
    async fn fire_all(&self) -> Result<Option<Timestamp>> {
        let mut next: Option<Timestamp> = None;
        for saga in self.sagas {
            loop {
                let due = self.find(saga, self.node.clock.now(), AT_ONCE).await?;
                if due.is_empty() {
                    break;
                }
                self.fire(&due).await?;
            }
            let first = self.find(saga, Timestamp::MAX, 1).await?;
            next = next.into_iter().chain(first.first().map(|timer| timer.due)).min();
        }
        Ok(next)
    }

    async fn find(&self, saga: &str, due_by: Timestamp, limit: u32) -> Result<Vec<Timer>> {
        self.node.store.timers(FindTimers { owner: saga.to_owned(), due_by, limit }).await
    }

    async fn fire(&self, timers: &[Timer]) -> Result<()> {
        match self.commit(timers).await {
            Err(error) if is_changed(&error) && timers.len() > 1 => {
                for timer in timers {
                    match self.commit(std::slice::from_ref(timer)).await {
                        Err(error) if is_changed(&error) => {}
                        other => other?,
                    }
                }
                Ok(())
            }
            // It was set anew or cancelled: it is not found as it was any more.
            Err(error) if is_changed(&error) => Ok(()),
            other => other,
        }
    }

    async fn commit(&self, timers: &[Timer]) -> Result<()> {
        let commit = Commit {
            fences: vec![self.fence.clone()],
            outgoing: timers.iter().map(fired).collect(),
            settled: timers.iter().cloned().map(Settled::Timer).collect(),
            ..Commit::default()
        };
        self.node.store.commit(commit).await.map(drop)
    }
}

/// The message of a timer that has fired.
fn fired(timer: &Timer) -> Outgoing {
    let Timer { owner, tenant, key, name, generation, due } = timer;
    let tenant_name = tenant.as_deref().unwrap_or_default();
    // With the time: an instance that was removed and started anew counts from the beginning.
    let parts = [owner, tenant_name, key, name, &generation.to_string(), &due.to_string()];
    let id = FIRED.derived(&parts.join("\u{1f}"), 0);
    let mut metadata = Metadata::of(id);
    if let Some(tenant) = tenant {
        metadata = metadata.with_tenant(tenant.clone());
    }
    let body = Payload::Json(Json::trusted("null".to_owned()));
    let answer_to =
        AnswerTo { saga: owner.clone(), key: key.clone(), step: generation.to_string() };
    Outgoing {
        metadata,
        answer_to: Some(answer_to),
        ..Outgoing::new(OutgoingKind::Timer, name.clone(), lane(key, name), body)
    }
}

fn is_changed(error: &crate::Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict(Conflict::Settled { .. } | Conflict::Timer { .. }))
}
