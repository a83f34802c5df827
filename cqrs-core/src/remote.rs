//! A handler that has another service handle its requests, over a bus.

use std::fmt;
use std::marker::PhantomData;

use crate::client::ServiceClient;
use crate::handler::{Answer, Handler};
use crate::message::envelope::{Envelope, Reply};
use crate::message::request::Request;

/// Handles requests by sending them to the service that handles them, over a bus. To whoever sends them they
/// are requests like any other: over [`App::send`](crate::App::send), a [`Mediator`](crate::Mediator), a
/// saga's steps. [`AppBuilder::remote`](crate::AppBuilder::remote) adds one with the usual settings.
///
/// It has the id of the request go along, so what is sent again after a crash or a time-out is applied once
/// where the handler over there answers repeats. The position of an answer is `None`: its commit is in another
/// log.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{App, Never, Query, Remote, Request, RequestKind, ServiceClient, Wire};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)]
/// # struct Double { n: u64 }
/// # impl Request for Double {
/// #     const NAME: &'static str = "double";
/// #     const KIND: RequestKind = RequestKind::Query;
/// #     type Output = u64;
/// #     type Error = Never;
/// #     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
/// # }
/// # impl Query for Double {}
/// # async fn double(d: Double) -> Result<u64, Never> { Ok(d.n * 2) }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let bus = Arc::new(MemoryBus::default());
/// # let there = App::builder().handler(double).build()?;
/// # let serving = there.serve(bus.clone()).await?;
/// let client = ServiceClient::new(bus).patience(Duration::from_secs(2));
/// let app = App::builder().handler(Remote::<Double>::over(client)).build()?;
/// assert_eq!(app.ask(Double { n: 4 }).await?, 8);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Remote<R> {
    client: ServiceClient,
    request: PhantomData<fn(R)>,
}

impl<R: Request> Remote<R> {
    /// Over this client.
    pub fn over(client: ServiceClient) -> Self {
        Self { client, request: PhantomData }
    }
}

impl<R: Request> Handler<R> for Remote<R> {
    // The inbox is that of the service over there, under the same id.
    const ANSWERS_REPEATS: bool = true;
    const IS_REMOTE: bool = true;

    async fn handle(&self, request: Envelope<R>) -> Answer<R> {
        let Reply { output, .. } = self.client.call_patiently(request).await?;
        Ok(output.into())
    }
}

impl<R: Request> fmt::Debug for Remote<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&R::NAME).finish()
    }
}
