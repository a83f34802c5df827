//! How the runtime works: its presets, and the settings of one subscription.

use std::time::Duration;

use crate::message::timestamp::Timestamp;
use crate::port::Position;
use crate::port::filter::Filter;
use crate::runtime::retry::RetryPolicy;

/// How the runtime of an app works. See [`AppBuilder::runtime`](crate::AppBuilder::runtime).
///
/// ```
/// use std::time::Duration;
/// use cqrs_core::RuntimeSettings;
///
/// let settings = RuntimeSettings { lease: Duration::from_secs(5), ..RuntimeSettings::production() };
/// # let _ = settings;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RuntimeSettings {
    /// Within this time another node takes over what a dead one had. Default: 10 s.
    pub lease: Duration,
    /// How often the log is looked at when no hint comes. Default: 250 ms.
    pub poll: Duration,
    /// How often a checkpoint is written where nothing else is written with it. Default: 1 s.
    pub checkpoint: Duration,
    /// Partitions of the relay, which sends what commits send. Default: 4.
    pub relay_partitions: u32,
    /// Messages that one partition of the relay sends at once, each of another key. Default: 64.
    pub relay_at_once: u32,
    /// When the relay tries again. Default: that of [`RetryPolicy`].
    pub relay_retry: RetryPolicy,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self::production()
    }
}

impl RuntimeSettings {
    /// For services: several nodes, and pauses of a second or two are no reason to take over.
    pub fn production() -> Self {
        Self {
            lease: Duration::from_secs(10),
            poll: Duration::from_millis(250),
            checkpoint: Duration::from_secs(1),
            relay_partitions: 4,
            relay_at_once: 64,
            relay_retry: RetryPolicy::default(),
        }
    }

    /// For one node that is restarted often: leases are short, and retries come soon.
    pub fn development() -> Self {
        let relay_retry = RetryPolicy { max: Duration::from_secs(2), ..RetryPolicy::default() };
        Self {
            lease: Duration::from_secs(3),
            poll: Duration::from_millis(100),
            relay_retry,
            ..Self::production()
        }
    }

    /// For tests: as in development, and one partition of the relay.
    pub fn tests() -> Self {
        Self { relay_partitions: 1, checkpoint: Duration::from_millis(100), ..Self::development() }
    }
}

/// Where a subscription begins when it runs for the first time. Later its checkpoint says where it
/// stands. See [`Subscription`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With the first event of the log.
    #[default]
    Beginning,
    /// With the first event that is recorded after it was started.
    Now,
    /// With the first event after this position.
    After(Position),
    /// With the first event that was recorded at this time or later, by the store's clock.
    Since(Timestamp),
}

/// The settings of one subscription. See
/// [`AppBuilder::subscription`](crate::AppBuilder::subscription).
///
/// ```
/// use cqrs_core::{App, AppBuilder, Start};
///
/// fn tuned(app: AppBuilder) -> AppBuilder {
///     app.subscription("shop.mailer", |mailer| mailer.partitions(16).start(Start::Now))
/// }
/// # let _ = tuned(App::builder());
/// ```
#[derive(Debug, Clone)]
pub struct Subscription {
    pub(crate) partitions: u32,
    pub(crate) start: Start,
    pub(crate) retry: RetryPolicy,
    pub(crate) batch: u32,
    pub(crate) behind: u32,
    pub(crate) filter: Filter,
    pub(crate) live: bool,
    pub(crate) replayable: bool,
}

impl Subscription {
    pub(crate) fn new(partitions: u32) -> Self {
        Self {
            partitions,
            start: Start::default(),
            retry: RetryPolicy::default(),
            batch: 1024,
            behind: 1000,
            filter: Filter::default(),
            live: false,
            replayable: false,
        }
    }

    /// How many partitions it has, and so how many keys are handled at once. Default: 4 for handlers
    /// and sagas, 1 for projections. The number is kept in the store from the first start on:
    /// changing it is an operation of its own
    /// ([`Subscriptions::repartition`](crate::Subscriptions::repartition)).
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions.clamp(1, 1024);
        self
    }

    /// Where it begins the first time. Default: at the beginning of the log.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// When it tries again.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Events that are handled together at most, where they are. Default: 1,024.
    #[must_use]
    pub fn batch(mut self, events: u32) -> Self {
        self.batch = events.max(1);
        self
    }

    /// Events that queue up behind a parked one of their key; with one more, the partition waits.
    /// Default: 1,000.
    #[must_use]
    pub fn behind(mut self, events: u32) -> Self {
        self.behind = events;
        self
    }

    /// Only the events that match as well. The types are those that its handler takes.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Without a checkpoint: on every node, from now on, and for as long as the process lives. What
    /// fails is tried again as the policy says, and then passed over, with a warning. When the answer to
    /// a commit of its own is lost, it may do its work again. For handlers of events: of a durable
    /// projection, a sink or a saga it is a [`NotLive`](crate::Problem::NotLive) when the app is built.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// It may be handed events again that it has handled: see
    /// [`Subscriptions::rebuild`](crate::Subscriptions::rebuild).
    #[must_use]
    pub fn replayable(mut self) -> Self {
        self.replayable = true;
        self
    }
}
