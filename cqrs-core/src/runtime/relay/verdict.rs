//! What becomes of a message that did not get through.

use std::time::Duration;

use crate::error::{BoxError, Conflict, Error, ErrorKind};
use crate::handler::HandlerError;
use crate::port::outgoing::Tries;
use crate::runtime::retry::RetryPolicy;

/// What becomes of a message that did not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is tried again after this wait.
    Again(Duration),
    /// It waits for an operator.
    Park,
    /// Who waits for the answer is told that it failed.
    Tell,
}

/// After so many attempts, this one included.
pub(crate) fn verdict(
    tries: Tries,
    policy: &RetryPolicy,
    attempts: u32,
    error: &HandlerError,
    is_told: bool,
) -> Verdict {
    let wait = || policy.delay(attempts, fastrand::f64());
    match tries {
        Tries::UntilAnswered => Verdict::Again(wait()),
        Tries::AtMost(most) => match attempts < most && (policy.retries)(error) {
            true => Verdict::Again(wait()),
            false if is_told => Verdict::Tell,
            false => Verdict::Park,
        },
        Tries::Policy => policy.next(attempts, error).map_or(Verdict::Park, Verdict::Again),
    }
}

/// Whether a message that was begun so often, and never ended, may be begun once more.
pub(crate) fn may_begin(tries: Tries, policy: &RetryPolicy, attempts: u32) -> bool {
    match tries {
        Tries::UntilAnswered => true,
        Tries::AtMost(most) => attempts < most.max(1),
        Tries::Policy => attempts < policy.attempts.max(1),
    }
}

/// Whether it may pass by itself, and says nothing of the message.
pub(crate) fn is_passing(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Unavailable
        | ErrorKind::Overloaded
        | ErrorKind::InFlight
        | ErrorKind::OutcomeUnknown
        // The service that handles it is not there now.
        | ErrorKind::Unroutable => true,
        // A value that another one has, it has tomorrow as well.
        ErrorKind::Conflict(conflict) => !matches!(conflict, Conflict::Unique { .. }),
        _ => false,
    }
}

/// The error of a handler, as policies know it.
pub(crate) fn judged(error: Error) -> HandlerError {
    let is_fatal =
        error.is_of_the_caller() || matches!(error.kind(), ErrorKind::Unsupported { .. });
    let cause: BoxError = error.into();
    if is_fatal { HandlerError::fatal(cause) } else { cause.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_say_what_becomes_of_a_failure() {
        let policy = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
        let busy = || HandlerError::from("busy");
        let is_again = |verdict| matches!(verdict, Verdict::Again(_));
        assert!(is_again(verdict(Tries::Policy, &policy, 2, &busy(), true)));
        assert_eq!(verdict(Tries::Policy, &policy, 3, &busy(), true), Verdict::Park);
        assert!(is_again(verdict(Tries::AtMost(2), &policy, 1, &busy(), true)));
        assert_eq!(verdict(Tries::AtMost(2), &policy, 2, &busy(), true), Verdict::Tell);
        assert_eq!(verdict(Tries::AtMost(2), &policy, 2, &busy(), false), Verdict::Park);
        assert!(is_again(verdict(Tries::UntilAnswered, &policy, 99, &busy(), true)));
        let fatal = HandlerError::fatal("no such thing");
        assert_eq!(verdict(Tries::Policy, &policy, 1, &fatal, true), Verdict::Park);
        assert_eq!(verdict(Tries::AtMost(9), &policy, 1, &fatal, true), Verdict::Tell);
    }

    #[test]
    fn what_another_one_has_does_not_pass() {
        let taken = Conflict::Unique { collection: "c".into(), id: "1".into(), field: "f".into() };
        assert!(!is_passing(&taken.into()));
        assert!(is_passing(&Conflict::Stream { stream: "s".into(), actual: 2 }.into()));
        assert!(is_passing(&Error::new(ErrorKind::Unavailable, "busy")));
        assert!(is_passing(&Error::new(ErrorKind::Unroutable, "nobody answers")));
        assert!(!is_passing(&Error::new(ErrorKind::UnknownName, "nobody")));
    }
}
