//! Where the time comes from: the system, or a test.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::message::timestamp::Timestamp;

/// Tells the time. Domain code never asks it: what it needs to know is in its
/// [`Context`](crate::Context). See [`ManualClock`] for an example.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits until a time has come. Provided: with tokio's timer, for clocks that run as fast as time
    /// does. Cancel safety: dropping the future changes nothing.
    fn sleep_until(&self, time: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let left = time.duration_since(self.now());
                if left.is_zero() {
                    return;
                }
                // In steps: the clock may be set while nobody looks.
                tokio::time::sleep(left.min(Duration::from_secs(60))).await;
            }
        })
    }
}

/// The system's clock. See [`ManualClock`] for the other one.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that moves when it is told to. Its clones move together.
///
/// ```
/// use std::time::Duration;
/// use cqrs_core::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().as_micros(), 60_000_000);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<watch::Sender<Timestamp>>);

impl Default for ManualClock {
    /// At the Unix epoch.
    fn default() -> Self {
        Self::at(Timestamp::UNIX_EPOCH)
    }
}

impl ManualClock {
    /// A clock that stands at this moment.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(watch::Sender::new(now)))
    }

    /// Moves it, also backwards. Whoever waits for a time that has come goes on.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }

    /// Moves it forward.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now = now.saturating_add(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep_until(&self, time: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // The sender lives in this very clock.
            let _ = self.0.subscribe().wait_for(|now| *now >= time).await;
        })
    }
}
