//! How often a decision is made anew when another commit came first, and how long to wait.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::{Conflict, Error, ErrorKind};

/// How a conflict is met: the state is loaded again and the decision made anew, so many times.
///
/// The first retry follows at once; before the n-th of the others there is a pause between zero and
/// 2ⁿ ms, at most 64 ms, chosen evenly ("full jitter", M. Brooker, *Exponential Backoff And Jitter*,
/// 2015).
///
/// A value that another document holds in a unique field is met with one retry only: a handler that
/// looks for it first then finds it, and can say no in the words of its domain.
///
/// The pauses need a Tokio runtime with time.
///
/// ```
/// use cqrs_core::ConflictRetry;
///
/// assert_eq!(ConflictRetry::default().attempts().get(), 16);
/// assert_eq!(ConflictRetry::never().attempts().get(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConflictRetry {
    attempts: NonZeroU32,
}

impl Default for ConflictRetry {
    /// 16 attempts.
    fn default() -> Self {
        Self::attempts_at_most(NonZeroU32::MIN.saturating_add(15))
    }
}

impl ConflictRetry {
    /// At most so many attempts, the first one included.
    pub const fn attempts_at_most(attempts: NonZeroU32) -> Self {
        Self { attempts }
    }

    /// One attempt: the conflict is the caller's.
    pub const fn never() -> Self {
        Self { attempts: NonZeroU32::MIN }
    }

    /// How many attempts, the first one included.
    pub const fn attempts(&self) -> NonZeroU32 {
        self.attempts
    }

    /// Waits before the next attempt, after `failed` of them. `false`: no more, or not this error.
    pub(crate) async fn again(&self, error: &Error, failed: u32) -> bool {
        let attempts = match error.kind() {
            ErrorKind::Conflict(Conflict::Unique { .. }) => self.attempts.get().min(2),
            ErrorKind::Conflict(_) => self.attempts.get(),
            _ => return false,
        };
        if failed >= attempts {
            return false;
        }
        let pause = Self::longest_pause(failed);
        if !pause.is_zero() {
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
        }
        true
    }

    fn longest_pause(failed: u32) -> Duration {
        match failed {
            0 | 1 => Duration::ZERO,
            n => Duration::from_millis(1 << (n - 1).min(6)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_immediate_and_pauses_are_bounded() {
        let pauses: Vec<_> = (1..=9).map(|n| ConflictRetry::longest_pause(n).as_millis()).collect();
        assert_eq!(pauses, [0, 2, 4, 8, 16, 32, 64, 64, 64]);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_with_the_first() {
        let retry = ConflictRetry::attempts_at_most(NonZeroU32::new(3).unwrap());
        let conflict = Error::from(Conflict::NoneMatching { after: 1, found: 2 });
        assert!(retry.again(&conflict, 1).await);
        assert!(retry.again(&conflict, 2).await);
        assert!(!retry.again(&conflict, 3).await);
        assert!(!ConflictRetry::never().again(&conflict, 1).await);
        assert!(!retry.again(&Error::new(ErrorKind::Unavailable, "busy"), 1).await);
    }
}
