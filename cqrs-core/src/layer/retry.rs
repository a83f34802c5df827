//! Another attempt when the machinery failed for a moment.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Failure};
use crate::handler::{AnyAnswer, AnyRequest};
use crate::layer::surround::{Inner, Surround, Surrounded, layer};
use crate::message::request::RequestKind;

/// Tries a request again whose failure may pass ([`Error::is_retryable`]): the store is busy or out
/// of reach, too much is going on.
///
/// Queries are tried again after any such failure. Commands only when it is known that nothing was
/// written, or when the request names an [inbox](crate::Metadata::with_inbox), which tells: the
/// attempts of a command share its id. The request needs
/// [`Request::again`](crate::Request::again). Rejections and malformed requests are not tried again,
/// and conflicts have a retry of their own ([`ConflictRetry`](crate::ConflictRetry)).
///
/// Before the n-th other attempt there is a pause between zero and 10 ms × 2ⁿ, at most one second,
/// chosen evenly ("full jitter"). The pauses need a Tokio runtime with time.
///
/// See the [module](crate::layer) for an example.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    attempts: NonZeroU32,
}

impl Retry {
    /// At most so many attempts, the first one included; 0 counts as 1.
    pub fn attempts_at_most(attempts: u32) -> Self {
        Self { attempts: NonZeroU32::new(attempts).unwrap_or(NonZeroU32::MIN) }
    }
}

layer!(Retry);

impl Surround for Retry {
    async fn surround<S: Inner>(self, request: AnyRequest, inner: S) -> AnyAnswer {
        let spare = inner.clone();
        let mut again = request.spare();
        let safe = request.kind() == RequestKind::Query || request.metadata.inbox().is_some();
        let mut answer = inner.run(request).await;
        for attempt in 1..self.attempts.get() {
            let Err(Failure::Failed(error)) = &answer else { break };
            if !may_pass(error, safe) {
                break;
            }
            let Some(request) = again.take().filter(AnyRequest::runs_again) else { break };
            tokio::time::sleep(longest_pause(attempt).mul_f64(fastrand::f64())).await;
            again = request.spare();
            answer = spare.clone().run_another(request).await;
        }
        answer
    }
}

fn may_pass(error: &Error, safe: bool) -> bool {
    error.is_retryable() && (safe || *error.kind() != ErrorKind::OutcomeUnknown)
}

fn longest_pause(attempt: u32) -> Duration {
    Duration::from_millis(10 << attempt.min(7)).min(Duration::from_secs(1))
}
