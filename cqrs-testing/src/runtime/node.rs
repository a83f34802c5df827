//! A process that runs an app, as a case sees it: until it is stopped, or dies.

use std::panic::Location;
use std::time::Duration;

use cqrs_core::{
    App, Error, ManualClock, Parked, ParkedId, Position, Reached, Readiness, Running,
    SubscriptionStatus, Subscriptions,
};
use futures_util::future::BoxFuture;

use crate::harness;
use crate::runtime::tap::Fate;

/// Longer than anything takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A process. Dropping it kills it. Its methods panic with the line of the case that called.
pub(crate) struct Node {
    pub(crate) app: App,
    pub(crate) fate: Fate,
    running: Running,
    clock: ManualClock,
}

impl Node {
    #[track_caller]
    pub(crate) fn start(
        app: App,
        fate: Fate,
        clock: ManualClock,
    ) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(async move {
            let running = app.start().await?;
            Ok(Self { app, fate, running, clock })
        })
    }

    /// Waits until nothing is left to do now.
    #[track_caller]
    pub(crate) fn settled(&self) -> BoxFuture<'_, ()> {
        let at = Location::caller();
        Box::pin(async move {
            self.running.settled().await.unwrap_or_else(|e| panic!("{at}: not settled: {e:?}"));
        })
    }

    /// Lets time pass while the app gets over a trouble of the store, until nothing is left to do.
    pub(crate) async fn recovers(&self) {
        loop {
            let settled = self.running.settled();
            match tokio::time::timeout(Duration::from_millis(100), settled).await {
                Ok(settled) => return settled.unwrap_or_else(|e| panic!("not settled: {e:?}")),
                Err(_) => self.clock.advance(Duration::from_secs(1)),
            }
        }
    }

    /// Lets time pass, in virtual time, until the process is dead. Whether it lives.
    #[track_caller]
    pub(crate) fn lives_for(&self, time: Duration) -> BoxFuture<'_, bool> {
        let at = Location::caller();
        Box::pin(async move {
            tokio::select! {
                done = harness::advance(&self.running, &self.clock, time) => {
                    done.unwrap_or_else(|e| panic!("{at}: time does not pass: {e:?}"));
                    !self.fate.is_dead()
                }
                () = self.fate.died() => false,
            }
        })
    }

    /// Lets time pass, in virtual time.
    #[track_caller]
    pub(crate) fn advance(&self, by: Duration) -> BoxFuture<'_, ()> {
        let at = Location::caller();
        Box::pin(async move {
            let done = harness::advance(&self.running, &self.clock, by).await;
            done.unwrap_or_else(|e| panic!("{at}: time does not pass: {e:?}"));
        })
    }

    /// When the next thing is due.
    #[track_caller]
    pub(crate) fn next_due(&self) -> BoxFuture<'_, Option<cqrs_core::Timestamp>> {
        let at = Location::caller();
        Box::pin(
            async move { self.running.next_due().await.unwrap_or_else(|e| panic!("{at}: {e:?}")) },
        )
    }

    /// Tells whether the stop has begun.
    pub(crate) fn readiness(&self) -> Readiness {
        self.running.readiness()
    }

    /// Waits until it has caught up.
    pub(crate) async fn ready(&self) {
        self.running.ready().await;
    }

    /// Stops in order.
    #[track_caller]
    pub(crate) fn stop(self) -> BoxFuture<'static, ()> {
        self.stop_within(PATIENCE)
    }

    /// Stops in order; what takes longer is given up.
    #[track_caller]
    pub(crate) fn stop_within(self, bound: Duration) -> BoxFuture<'static, ()> {
        let at = Location::caller();
        Box::pin(async move {
            self.running.stop(bound).await.unwrap_or_else(|e| panic!("{at}: no stop: {e:?}"));
        })
    }

    /// Stops in order, or dies in the middle of it. Whether it lived.
    #[track_caller]
    pub(crate) fn stops(self) -> BoxFuture<'static, bool> {
        let (at, fate) = (Location::caller(), self.fate.clone());
        Box::pin(async move {
            tokio::select! {
                done = self.running.stop(PATIENCE) => {
                    done.unwrap_or_else(|e| panic!("{at}: no stop: {e:?}"));
                    true
                }
                () = fate.died() => false,
            }
        })
    }

    /// Dies, and gives nothing back.
    pub(crate) fn kill(self) {
        self.fate.kill();
    }

    /// The subscriptions, for operators.
    #[track_caller]
    pub(crate) fn subscriptions(&self) -> Subscriptions {
        self.app.subscriptions().unwrap_or_else(|e| panic!("no subscriptions: {e:?}"))
    }

    /// What is set aside, for operators.
    #[track_caller]
    pub(crate) fn parked(&self) -> Parked {
        self.app.parked().unwrap_or_else(|e| panic!("nothing set aside: {e:?}"))
    }

    /// Asks for another attempt.
    #[track_caller]
    pub(crate) fn retry(&self, id: ParkedId) -> BoxFuture<'_, ()> {
        let at = Location::caller();
        Box::pin(async move {
            let done = self.parked().retry(&id).await;
            done.unwrap_or_else(|e| panic!("{at}: {id} cannot be retried: {e:?}"));
        })
    }

    /// How many partitions of a subscription it runs.
    #[track_caller]
    pub(crate) fn here(&self, name: &str) -> BoxFuture<'static, u32> {
        let status = self.status(name);
        Box::pin(async move { status.await.here })
    }

    /// How a subscription stands.
    #[track_caller]
    pub(crate) fn status(&self, name: &str) -> BoxFuture<'static, SubscriptionStatus> {
        let (at, name) = (Location::caller(), name.to_owned());
        let subscriptions = self.subscriptions();
        Box::pin(async move {
            let status = subscriptions.get(&name).await;
            status.unwrap_or_else(|e| panic!("{at}: no status of {name}: {e:?}"))
        })
    }

    /// Waits for a subscription.
    #[track_caller]
    pub(crate) fn wait_for<'a>(
        &'a self,
        name: &'a str,
        position: Position,
        patience: Duration,
    ) -> BoxFuture<'a, Reached> {
        let at = Location::caller();
        Box::pin(async move {
            let reached = self.app.wait_for(name, position, patience).await;
            reached.unwrap_or_else(|e| panic!("{at}: cannot wait for {name}: {e:?}"))
        })
    }
}
