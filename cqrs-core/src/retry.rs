//! How often a decision is made anew when another commit came first, and how long to wait.

use std::num::NonZeroU32;
use std::time::Duration;

/// How a conflict is met: the state is loaded again and the decision made anew, so many times.
///
/// The first retry follows at once; before the n-th of the others there is a pause between zero and
/// 2ⁿ ms, at most 64 ms, chosen evenly ("full jitter", M. Brooker, *Exponential Backoff And Jitter*,
/// 2015).
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

    /// Waits before the next attempt, after `failed` that met a conflict. `false`: no more.
    pub(crate) async fn again(&self, failed: u32) -> bool {
        if failed >= self.attempts.get() {
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
        assert!(retry.again(1).await);
        assert!(retry.again(2).await);
        assert!(!retry.again(3).await);
        assert!(!ConflictRetry::never().again(1).await);
    }
}
