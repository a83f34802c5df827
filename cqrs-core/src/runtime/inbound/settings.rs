//! How messages from other services are handled.

use std::time::Duration;

use crate::port::subscriber::BusSubscription;
use crate::runtime::retry::RetryPolicy;

/// The settings of one listener: see [`AppBuilder::listener`](crate::AppBuilder::listener).
///
/// ```
/// use cqrs_core::{App, AppBuilder, RetryPolicy};
///
/// fn tuned(app: AppBuilder) -> AppBuilder {
///     app.listener("shop.mailer", |mailer| mailer.at_once(4).retry(RetryPolicy::never()))
/// }
/// # let _ = tuned(App::builder());
/// ```
#[derive(Debug, Clone)]
pub struct Listener {
    pub(crate) at_once: u32,
    pub(crate) settle_within: Duration,
    pub(crate) retry: RetryPolicy,
}

impl Default for Listener {
    fn default() -> Self {
        Self { at_once: 64, settle_within: Duration::from_secs(30), retry: RetryPolicy::default() }
    }
}

impl Listener {
    /// Messages that one node handles at once at most, each of another key. Default: 64.
    #[must_use]
    pub fn at_once(mut self, messages: u32) -> Self {
        self.at_once = messages.max(1);
        self
    }

    /// After so long without a sign of life of this node, the bus hands its messages to another. A
    /// handler may take longer: the node tells the bus that it is still at work. Default: 30 s.
    #[must_use]
    pub fn settle_within(mut self, time: Duration) -> Self {
        self.settle_within = time.max(Duration::from_millis(100));
        self
    }

    /// When it tries again. Messages of the same key wait meanwhile.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    pub(crate) fn subscription(
        &self,
        group: &str,
        names: impl IntoIterator<Item = &'static str>,
    ) -> BusSubscription {
        /// Deliveries that end without a verdict, because a node stopped or died: they are no attempts.
        const UNSETTLED: u32 = 16;
        BusSubscription {
            at_once: self.at_once,
            settle_within: self.settle_within,
            deliveries: self.retry.attempts.saturating_add(UNSETTLED),
            ..BusSubscription::to_messages(group, names)
        }
    }
}
