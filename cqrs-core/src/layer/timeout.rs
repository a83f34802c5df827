//! A time for the answer: a deadline for requests that have none, and its enforcement.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::handler::{AnyAnswer, AnyRequest};
use crate::layer::surround::{Inner, Surround, Surrounded, layer};
use crate::message::request::RequestKind;
use crate::port::clock::{Clock, SystemClock};

/// Gives every request a time for its answer, and enforces the deadline that it brings along
/// ([`Metadata::deadline`](crate::Metadata::deadline)): the earlier one counts. What a handler sends
/// on has the same deadline.
///
/// A request whose deadline has passed is not begun. One that is not answered in time is given up
/// as [`DeadlineExceeded`](ErrorKind::DeadlineExceeded); a commit that is on its way may still be
/// applied, and a repeat under the same id tells.
///
/// It needs a Tokio runtime with time. See the [module](crate::layer) for an example.
#[derive(Debug, Clone)]
pub struct Timeout {
    after: Option<Duration>,
    clock: Arc<dyn Clock>,
}

impl Timeout {
    /// So much time for each request.
    pub fn after(time: Duration) -> Self {
        Self { after: Some(time), clock: Arc::new(SystemClock) }
    }

    /// Only the deadlines that requests bring along.
    pub fn deadlines() -> Self {
        Self { after: None, clock: Arc::new(SystemClock) }
    }

    /// Compares deadlines with another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

layer!(Timeout);

impl Surround for Timeout {
    async fn surround<S: Inner>(self, mut request: AnyRequest, inner: S) -> AnyAnswer {
        let now = self.clock.now();
        let asked = request.metadata.deadline().map(|deadline| deadline.duration_since(now));
        let left = match (asked, self.after) {
            (Some(asked), Some(after)) => asked.min(after),
            (Some(time), None) | (None, Some(time)) => time,
            (None, None) => return inner.run(request).await,
        };
        let (name, kind) = (request.name(), request.kind());
        if left.is_zero() {
            let context = format!("`{name}` came after its deadline: it was not begun");
            return Err(Error::new(ErrorKind::DeadlineExceeded, context).into());
        }
        request.metadata = request.metadata.with_deadline(now.saturating_add(left));
        match tokio::time::timeout(left, inner.run(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let context = match kind {
                    RequestKind::Query => format!("`{name}` was not answered in time"),
                    RequestKind::Command => format!(
                        "`{name}` was not answered in time; what it asks for may still be done"
                    ),
                };
                Err(Error::new(ErrorKind::DeadlineExceeded, context).into())
            }
        }
    }
}
