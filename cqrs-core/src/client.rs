//! Calls another service over a bus: commands and queries of its contract, with their answers typed.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{BoxError, Error, ErrorKind, Failure, Result};
use crate::handler::Answer;
use crate::message::envelope::{Envelope, Reply};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::request::{Command, Query, Request};
use crate::port::bus::Bus;
use crate::port::clock::{Clock, SystemClock};
use crate::port::reply::{No, ReplyMessage, ReplyStatus};
use crate::port::request::OutboundRequest;

/// How long an answer is waited for, unless it is said otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Calls another service over a bus: for programs that have no [`App`](crate::App), and for calls that
/// are no handler of one ([`Remote`](crate::Remote)). The types of the requests are all that both
/// sides share. Its clones are the same client.
///
/// ```
/// use std::sync::Arc;
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{App, Never, Query, Request, RequestKind, ServiceClient, Wire};
/// use serde::{Deserialize, Serialize};
///
/// // In a crate that both services have:
/// #[derive(Serialize, Deserialize)]
/// struct Double { n: u64 }
/// impl Request for Double {
///     const NAME: &'static str = "double";
///     const KIND: RequestKind = RequestKind::Query;
///     type Output = u64;
///     type Error = Never;
///     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
/// }
/// impl Query for Double {}
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let bus = Arc::new(MemoryBus::default());
/// // One service:
/// async fn double(d: Double) -> Result<u64, Never> { Ok(d.n * 2) }
/// let app = App::builder().handler(double).build()?;
/// let serving = app.serve(bus.clone()).await?;
/// // Another one:
/// let client = ServiceClient::new(bus);
/// assert_eq!(client.ask(Double { n: 4 }).await?, 8);
/// # serving.stop(std::time::Duration::from_secs(1)).await;
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct ServiceClient {
    bus: Arc<dyn Bus>,
    patience: Duration,
    clock: Arc<dyn Clock>,
}

impl ServiceClient {
    /// A client on a bus.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus, patience: PATIENCE, clock: Arc::new(SystemClock) }
    }

    /// How long an answer is waited for. Default: 10 seconds. An earlier
    /// [deadline](Metadata::deadline) of the request counts.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Compares deadlines with another clock than the system's.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.shared_clock(Arc::new(clock))
    }

    pub(crate) fn shared_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sends a command to the service that handles it. Nothing happens until it is awaited.
    ///
    /// Sent again under the same id ([`Calling::with`]) it is applied once, when its handler there
    /// answers repeats: the second answer is the first one's. So what ends as
    /// [`DeadlineExceeded`](ErrorKind::DeadlineExceeded) or as
    /// [`OutcomeUnknown`](ErrorKind::OutcomeUnknown) is sent again until it is answered.
    ///
    /// Its errors are [`Failure::Rejected`] when the domain there said no, and [`Failure::Failed`] with what
    /// failed there, or with what [`Requester::request`](crate::Requester::request) says:
    /// [`Unroutable`](ErrorKind::Unroutable) when nobody serves it now. A conflict there is
    /// [`Unavailable`](ErrorKind::Unavailable) here: it is to be sent again as it is. Cancel safety: when
    /// the future is dropped the service is told, and the command may still be applied.
    pub fn send<C: Command>(&self, command: C) -> Calling<'_, C> {
        Calling { client: self, request: command.into(), patience: self.patience }
    }

    /// Asks a query. Nothing happens until it is awaited; errors as [`send`](Self::send).
    pub fn ask<Q: Query>(&self, query: Q) -> Calling<'_, Q> {
        Calling { client: self, request: query.into(), patience: self.patience }
    }

    /// With the patience of the client.
    pub(crate) async fn call_patiently<R: Request>(&self, request: Envelope<R>) -> Answer<R> {
        self.call(request, self.patience).await
    }

    async fn call<R: Request>(&self, request: Envelope<R>, patience: Duration) -> Answer<R> {
        let Envelope { metadata, message } = request;
        message.validate()?;
        let wire = R::wire().ok_or_else(no_wire::<R>)?;
        let body = (wire.request.encode)(&message).map_err(|cause| {
            let context = format!("`{}` cannot be encoded: {cause}", R::NAME);
            Error::new(ErrorKind::Internal, context).with_source(cause)
        })?;
        let now = self.clock.now();
        let asked = metadata.deadline().map(|deadline| deadline.duration_since(now));
        let timeout = asked.map_or(patience, |left| left.min(patience));
        if timeout.is_zero() {
            let context = format!("`{}` was not sent: its deadline has passed", R::NAME);
            return Err(Error::new(ErrorKind::DeadlineExceeded, context).into());
        }
        let id = metadata.id();
        let metadata =
            metadata.with_deadline(now.saturating_add(timeout)).with_schema_version(R::VERSION);
        let sent = OutboundRequest {
            metadata,
            kind: R::KIND,
            name: R::NAME.to_owned(),
            content_type: wire.content_type.to_owned(),
            body,
            timeout,
        };
        let ReplyMessage { status, position, body, .. } = self.bus.request(sent).await?;
        match status {
            ReplyStatus::Done => {
                let output = (wire.output.decode)(&body).map_err(unreadable::<R>("answer"))?;
                Ok(Reply { output, position })
            }
            ReplyStatus::Rejected(_) => {
                let rejection =
                    (wire.rejection.decode)(&body).map_err(unreadable::<R>("rejection"))?;
                Err(Failure::Rejected(rejection))
            }
            ReplyStatus::Failed(no) => Err(failed::<R>(no, id).into()),
        }
    }
}

/// A request to another service. Await it for the output, or [`reply`](Self::reply) for the position too. See
/// [`ServiceClient`] for an example.
#[must_use = "nothing is sent until this is awaited"]
pub struct Calling<'a, R> {
    client: &'a ServiceClient,
    request: Envelope<R>,
    patience: Duration,
}

impl<'a, R: Request> Calling<'a, R> {
    /// Sends it with this metadata: an id under which it is repeated, a tenant, a cause.
    pub fn with(mut self, metadata: Metadata) -> Self {
        self.request.metadata = metadata;
        self
    }

    /// Waits so long for the answer.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The output, and the position of the commit behind it in the log of the service.
    ///
    /// # Errors
    /// See [`ServiceClient::send`].
    pub async fn reply(self) -> Answer<R> {
        self.client.call(self.request, self.patience).await
    }
}

impl<'a, R: Request> IntoFuture for Calling<'a, R> {
    type Output = Result<R::Output, Failure<R::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.reply().await.map(|reply| reply.output) })
    }
}

fn no_wire<R: Request>() -> Error {
    let context = format!("`{}` has no wire form: it stays in its process", R::NAME);
    Error::new(ErrorKind::Unsupported { part: "wire form" }, context)
}

fn unreadable<R: Request>(what: &str) -> impl FnOnce(BoxError) -> Error {
    move |cause| {
        // Not `Decode`: whoever asked is not to blame.
        // It may quote the body, which comes from outside: escaped, and cut.
        let reason: String = cause.to_string().escape_debug().take(300).collect();
        let context = format!("the {what} to `{}` cannot be read: {reason}", R::NAME);
        Error::new(ErrorKind::Internal, context).with_source(cause)
    }
}

/// What failed over there, as an error here.
fn failed<R: Request>(no: No, id: MessageId) -> Error {
    let No { code, field, detail } = no;
    let kind = match code.as_str() {
        "decode" => ErrorKind::Decode { message: R::NAME.to_owned(), field },
        "invalid" | "too_large" => ErrorKind::Invalid { field },
        "id_reused" => ErrorKind::IdReused { id: id.to_string() },
        "unknown_name" => ErrorKind::UnknownName,
        "unroutable" => ErrorKind::Unroutable,
        // Of its state, which is to be read over there: here it is to be sent again.
        "unavailable" | "conflict" => ErrorKind::Unavailable,
        "outcome_unknown" => ErrorKind::OutcomeUnknown,
        "panicked" => ErrorKind::Panicked,
        "deadline_exceeded" => ErrorKind::DeadlineExceeded,
        "overloaded" => ErrorKind::Overloaded,
        "in_flight" => ErrorKind::InFlight,
        "unauthenticated" => ErrorKind::Unauthenticated,
        "forbidden" => ErrorKind::Forbidden,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("the service that handles `{}` says {code}: {detail}", R::NAME))
}

impl fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut client = f.debug_struct("ServiceClient");
        client.field("patience", &self.patience).finish_non_exhaustive()
    }
}

impl<R: Request> fmt::Debug for Calling<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Calling").field(&R::NAME).finish()
    }
}
