//! A member of a group: its deliveries, and the right to settle each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::{Deliveries, Delivery, Error, Result, Settle, Verdict};
use futures_util::{StreamExt, stream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{closed, unavailable};
use crate::group::Ask;

/// What the actor of a group is asked through.
pub(crate) type Asks = mpsc::UnboundedSender<Ask>;

/// A delivery on its way to a member, which may not want it any more.
pub(crate) struct Handed {
    pub(crate) delivery: Delivery,
    pub(crate) token: u64,
    pub(crate) seen: Arc<Seen>,
}

/// Whether a member has seen a delivery: that, or it was withdrawn before.
#[derive(Debug, Default)]
pub(crate) struct Seen(AtomicU8);

const SEEN: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Seen {
    /// Whether it may be looked at.
    fn look(&self) -> bool {
        let looked = self.0.compare_exchange(0, SEEN, Ordering::AcqRel, Ordering::Acquire);
        looked.is_ok()
    }

    /// Whether nobody looks at it from now on.
    pub(crate) fn withdraw(&self) -> bool {
        let withdrawn = self.0.compare_exchange(0, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire);
        withdrawn != Err(SEEN)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire) == SEEN
    }
}

/// Tells that a member has left.
struct Member {
    asks: Asks,
    id: u64,
    handed: mpsc::UnboundedReceiver<Handed>,
    closed: watch::Receiver<bool>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.asks.send(Ask::Leave { member: self.id });
    }
}

/// The deliveries of a member.
pub(crate) fn deliveries(
    asks: Asks,
    id: u64,
    handed: mpsc::UnboundedReceiver<Handed>,
    closed: watch::Receiver<bool>,
) -> Deliveries {
    let member = Member { asks, id, handed, closed };
    let deliveries = stream::unfold(member, |mut member| async {
        let handed = loop {
            let handed = tokio::select! {
                biased;
                _ = member.closed.wait_for(|closed| *closed) => return None,
                handed = member.handed.recv() => handed?,
            };
            if handed.seen.look() {
                break handed;
            }
        };
        let _ = member.asks.send(Ask::Seen { token: handed.token });
        Some((Ok(handed.delivery), member))
    });
    deliveries.boxed()
}

/// The right to settle a delivery. Dropped, the message is handed over again.
pub(crate) struct Unsettled {
    pub(crate) asks: Asks,
    pub(crate) token: u64,
    pub(crate) seen: Arc<Seen>,
    /// How long the broker may take to note it.
    pub(crate) patience: Duration,
    pub(crate) open: bool,
}

impl Unsettled {
    async fn ask(&self, ask: impl FnOnce(oneshot::Sender<Result<()>>) -> Ask) -> Result<()> {
        let (answer, noted) = oneshot::channel();
        self.asks.send(ask(answer)).map_err(|_| closed())?;
        match tokio::time::timeout(self.patience, noted).await {
            Ok(Ok(noted)) => noted,
            Ok(Err(_)) => Err(closed()),
            Err(elapsed) => Err(late(elapsed)),
        }
    }
}

fn late(elapsed: tokio::time::error::Elapsed) -> Error {
    unavailable("settling a delivery, which may be handed over again", elapsed)
}

#[async_trait]
impl Settle for Unsettled {
    async fn settle(mut self: Box<Self>, verdict: Verdict) -> Result<()> {
        self.open = false;
        let token = self.token;
        self.ask(|answer| Ask::Settle { token, verdict, answer }).await
    }

    async fn extend(&self) -> Result<()> {
        let token = self.token;
        self.ask(|answer| Ask::Extend { token, answer }).await
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if self.open {
            let seen = self.seen.is_set();
            let _ = self.asks.send(Ask::GiveBack { token: self.token, seen });
        }
    }
}
