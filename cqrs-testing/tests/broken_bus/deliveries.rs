//! Buses that hand over wrongly.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::memory::MemoryBus;
use cqrs_core::{BusSubscription, InboundMessage, Result, Verdict};

use crate::base::Fault;

/// Declares a fault that subscribes otherwise.
macro_rules! subscription_fault {
    ($(#[$doc:meta])* $name:ident, |$subscription:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl Fault for $name {
            fn subscription(&self, $subscription: BusSubscription) -> BusSubscription {
                $body
            }
        }
    };
}

/// Declares a fault that settles otherwise.
macro_rules! verdict_fault {
    ($(#[$doc:meta])* $name:ident, |$verdict:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl Fault for $name {
            fn verdict(&self, $verdict: Verdict) -> Verdict {
                $body
            }
        }
    };
}

/// Each member is a group of its own.
#[derive(Debug, Default)]
pub(crate) struct MakesGroupsOfMembers(AtomicU32);

impl Fault for MakesGroupsOfMembers {
    fn subscription(&self, subscription: BusSubscription) -> BusSubscription {
        let n = self.0.fetch_add(1, Ordering::SeqCst);
        BusSubscription { group: format!("{}-{n}", subscription.group), ..subscription }
    }
}

subscription_fault! {
    /// All groups are one.
    KnowsOneGroup, |subscription| BusSubscription { group: "all".to_owned(), ..subscription }
}

subscription_fault! {
    /// Hands over whatever there is.
    TakesAStarForEverything, |subscription| BusSubscription {
        names: ["*", "*.*", "*.*.*"].map(str::to_owned).into(),
        ..subscription
    }
}

subscription_fault! {
    /// Counts neither what a member holds nor how often it was handed over.
    HandsOverWithoutEnd, |subscription| BusSubscription {
        at_once: u32::MAX,
        deliveries: u32::MAX,
        ..subscription
    }
}

subscription_fault! {
    /// Does not notice that a member is silent.
    WaitsForever, |subscription| BusSubscription {
        settle_within: Duration::from_secs(3_600),
        ..subscription
    }
}

/// Loses the first acknowledgement of everything.
#[derive(Debug, Default)]
pub(crate) struct LosesAcknowledgements(AtomicU32);

impl Fault for LosesAcknowledgements {
    fn verdict(&self, verdict: Verdict) -> Verdict {
        match (verdict, self.0.fetch_add(1, Ordering::SeqCst)) {
            (Verdict::Ack, 0) => Verdict::Retry(Duration::from_secs(1)),
            (verdict, _) => verdict,
        }
    }
}

/// Hands over to the next one, whatever a member says.
#[derive(Debug, Default)]
pub(crate) struct GivesNoMoreTime;

impl Fault for GivesNoMoreTime {
    fn extends(&self) -> bool {
        false
    }
}

/// What is dropped is forgotten.
#[derive(Debug, Default)]
pub(crate) struct TakesADropForDone;

#[async_trait]
impl Fault for TakesADropForDone {
    fn dropped(&self) -> Option<Verdict> {
        Some(Verdict::Ack)
    }

    async fn close(&self, _: &MemoryBus) -> Result<()> {
        Ok(())
    }
}

verdict_fault! {
    /// Has no patience.
    RetriesAtOnce, |verdict| match verdict {
        Verdict::Retry(_) => Verdict::Retry(Duration::ZERO),
        verdict => verdict,
    }
}

verdict_fault! {
    /// Has no retries.
    TakesARetryForDone, |verdict| match verdict {
        Verdict::Retry(_) => Verdict::Ack,
        verdict => verdict,
    }
}

/// Says of everything that it comes for the first time.
#[derive(Debug, Default)]
pub(crate) struct CountsNoAttempts;

impl Fault for CountsNoAttempts {
    fn inbound(&self, message: InboundMessage) -> InboundMessage {
        InboundMessage { attempt: 1, ..message }
    }
}

/// Goes on as if nothing were.
#[derive(Debug, Default)]
pub(crate) struct DoesNotClose;

#[async_trait]
impl Fault for DoesNotClose {
    async fn close(&self, _: &MemoryBus) -> Result<()> {
        Ok(())
    }
}
