//! A member of a group of the memory bus, and the deliveries in its hands.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::MemoryBus;
use crate::error::Result;
use crate::message::timestamp::Timestamp;
use crate::port::delivery::{Delivery, Settle, Verdict};
use crate::port::lanes::Holder;
use crate::port::subscriber::BusSubscription;

pub(super) struct Member {
    bus: MemoryBus,
    group: Arc<str>,
    holder: Holder,
    changed: watch::Receiver<()>,
    closed: watch::Receiver<bool>,
}

impl Member {
    pub(super) fn new(
        bus: MemoryBus,
        subscription: BusSubscription,
        member: u64,
        changed: watch::Receiver<()>,
    ) -> Self {
        let BusSubscription { group, at_once, settle_within, .. } = subscription;
        let connection = bus.connection.id;
        let holder = Holder { connection, member, at_once, settle_within };
        let closed = bus.connection.closed.subscribe();
        Self { bus, group: group.into(), holder, changed, closed }
    }

    /// The next delivery; `None`: the connection was closed.
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        loop {
            // Before it looks: what changes afterwards wakes it up.
            self.changed.mark_unchanged();
            let due = match self.look()? {
                Ok(delivery) => return Some(delivery),
                Err(due) => due,
            };
            let is_due = async {
                match due {
                    Some(due) => self.bus.clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.closed.changed() => {}
                () = is_due => {}
            }
        }
    }

    /// A delivery, or when there may be one.
    fn look(&self) -> Option<Result<Delivery, Option<Timestamp>>> {
        let mut state = self.bus.state();
        if self.bus.is_closed() {
            return None;
        }
        let now = self.bus.clock.now();
        state.expire(now);
        let token = state.next();
        let group = state.group(&self.group).ok()?;
        Some(group.hand(self.holder, token, now).map(|message| {
            let unsettled =
                Unsettled { bus: self.bus.clone(), group: self.group.clone(), token, open: true };
            Delivery::new(message, unsettled)
        }))
    }
}

/// A delivery in the hands of a member. Dropped, it is handed over again.
struct Unsettled {
    bus: MemoryBus,
    group: Arc<str>,
    token: u64,
    open: bool,
}

#[async_trait]
impl Settle for Unsettled {
    async fn settle(mut self: Box<Self>, verdict: Verdict) -> Result<()> {
        self.open = false;
        let now = self.bus.clock.now();
        self.bus.state().settle(&self.group, self.token, verdict, now)
    }

    async fn extend(&self) -> Result<()> {
        let now = self.bus.clock.now();
        let mut state = self.bus.state();
        state.expire(now);
        state.group(&self.group)?.extend(self.token, now)
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if self.open {
            let now = self.bus.clock.now();
            self.bus.state().give_back(&self.group, self.token, now);
        }
    }
}
