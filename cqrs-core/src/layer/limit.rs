//! At most so many requests at once.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::{Error, ErrorKind};
use crate::handler::{AnyAnswer, AnyRequest};
use crate::layer::surround::{Inner, Surround, Surrounded, layer};

/// Lets at most so many requests through at once; more are refused as
/// [`Overloaded`](ErrorKind::Overloaded), before anything is done for them.
///
/// Requests that a handler sends on count too, so that one may be refused within another. For a
/// limit that makes requests wait, use `tower::limit::ConcurrencyLimitLayer`, and never around
/// handlers that send on: all permits may be held by those who wait for one.
///
/// See the [module](crate::layer) for an example.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit {
    permits: Arc<Semaphore>,
    limit: usize,
}

impl ConcurrencyLimit {
    /// At most so many.
    pub fn at_most(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(limit)), limit }
    }
}

layer!(ConcurrencyLimit);

impl Surround for ConcurrencyLimit {
    async fn surround<S: Inner>(self, request: AnyRequest, inner: S) -> AnyAnswer {
        let Ok(_permit) = self.permits.try_acquire() else {
            let context = format!(
                "{} requests are being handled, `{}` was not begun: try again later",
                self.limit,
                request.name()
            );
            return Err(Error::new(ErrorKind::Overloaded, context).into());
        };
        inner.run(request).await
    }
}
