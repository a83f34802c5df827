//! When something that failed is tried again.

use std::time::Duration;

use crate::handler::HandlerError;

/// When something that failed is tried again: exponential backoff with full jitter
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
///
/// ```
/// use std::time::Duration;
/// use cqrs_core::RetryPolicy;
///
/// let policy = RetryPolicy { attempts: 5, first: Duration::from_millis(100), ..RetryPolicy::default() };
/// // Before the third attempt: anything from nothing to twice the first bound.
/// assert_eq!(policy.bound(2), Duration::from_millis(200));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// How often it is tried in all, from 1; then it is parked. Default: 8.
    pub attempts: u32,
    /// The longest wait before the second attempt. It doubles with each one. Default: 200 ms.
    pub first: Duration,
    /// The longest wait before any attempt. Default: 1 minute.
    pub max: Duration,
    /// What is worth another attempt; the rest is parked at once. Default: all but what is
    /// [fatal](HandlerError::is_fatal).
    pub retries: fn(&HandlerError) -> bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first: Duration::from_millis(200),
            max: Duration::from_secs(60),
            retries: |error| !error.is_fatal(),
        }
    }
}

impl RetryPolicy {
    /// One attempt: what fails is parked at once.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// The longest wait after so many attempts.
    pub fn bound(&self, attempts: u32) -> Duration {
        let doubled = 1u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.max)
    }

    /// The wait after so many attempts; `random` is from 0 to 1.
    pub fn delay(&self, attempts: u32, random: f64) -> Duration {
        self.bound(attempts).mul_f64(random.clamp(0.0, 1.0))
    }

    /// The wait after so many attempts; `None`: no further one.
    pub(crate) fn next(&self, attempts: u32, error: &HandlerError) -> Option<Duration> {
        let again = attempts < self.attempts && (self.retries)(error);
        again.then(|| self.delay(attempts, fastrand::f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_lies_between_nothing_and_its_bound(
            attempts in 1u32..1_000,
            first in 0u64..10_000,
            max in 0u64..100_000,
            random in 0.0f64..=1.0,
        ) {
            let (first, max) = (Duration::from_millis(first), Duration::from_millis(max));
            let policy = RetryPolicy { first, max, ..RetryPolicy::default() };
            prop_assert!(policy.delay(attempts, random) <= policy.bound(attempts));
            prop_assert!(policy.bound(attempts) <= max);
            prop_assert!(policy.bound(attempts) <= policy.bound(attempts + 1));
            prop_assert_eq!(policy.bound(1), first.min(max));
        }
    }

    #[test]
    fn what_is_fatal_is_not_tried_again() {
        let policy = RetryPolicy::default();
        assert!(policy.next(1, &HandlerError::from("busy")).is_some());
        assert!(policy.next(1, &HandlerError::fatal("no address")).is_none());
        assert!(policy.next(8, &HandlerError::from("busy")).is_none());
    }
}
