//! Requests over a bus: one side asks and waits for the answer, the other side answers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;

use crate::error::{Error, ErrorKind, Result};
use crate::message::metadata::Metadata;
use crate::message::request::RequestKind;
use crate::port::bus::BusLimits;
use crate::port::cloud_event::{Attribute, Event};
use crate::port::delivery::InboundMessage;
use crate::port::publisher::{check_exact_name, check_message};
use crate::port::reply::ReplyMessage;

/// The side of a bus that asks.
///
/// An adapter implements this with [`Responder`] and [`Bus`](crate::Bus). Most programs use a
/// [`ServiceClient`](crate::ServiceClient), which knows the types.
///
/// ```
/// use std::time::Duration;
/// use futures_util::StreamExt;
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{ErrorKind, OutboundRequest, ReplyMessage, RequestKind, Requester, Responder};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let bus = MemoryBus::default();
/// let double = || OutboundRequest::new(RequestKind::Query, "double", "4", Duration::from_secs(5));
/// let error = bus.request(double()).await.unwrap_err();
/// assert_eq!(*error.kind(), ErrorKind::Unroutable); // nobody answers yet
///
/// let mut requests = bus.respond(vec!["double".into()]).await?;
/// tokio::spawn(async move {
///     while let Some(request) = requests.next().await {
///         let n: u64 = std::str::from_utf8(&request.message().body).unwrap().parse().unwrap();
///         request.reply(ReplyMessage::done((n * 2).to_string())).await.unwrap();
///     }
/// });
/// assert_eq!(bus.request(double()).await?.body, "8");
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait Requester: fmt::Debug + Send + Sync + 'static {
    /// Hands a request to one of those who answer its name, and waits for the answer for as long as
    /// it [says](OutboundRequest::timeout). What comes later is thrown away.
    ///
    /// A request is handed over at most once: when its responder dies, no answer comes. Who asks again
    /// under the same id is answered from the inbox of the service when the first was committed (P22).
    /// Requests are in no order with each other, or with messages.
    ///
    /// Cancel safety: when the future is dropped the responder is told, where it can be reached
    /// ([`InboundRequest::given_up`]). What was asked for may take effect all the same.
    ///
    /// # Errors
    /// - [`Unroutable`](crate::ErrorKind::Unroutable): nobody answers requests of this name now. It
    ///   was not handed over.
    /// - [`Unavailable`](crate::ErrorKind::Unavailable): the broker was out of reach for most of the
    ///   time, or the bus is closed. It was not handed over.
    /// - [`Overloaded`](crate::ErrorKind::Overloaded): whoever answers has no room. It was not handed
    ///   over.
    /// - [`DeadlineExceeded`](crate::ErrorKind::DeadlineExceeded): no answer came in time. It may have
    ///   been handed over, and may still take effect.
    /// - [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown): the bus was closed meanwhile.
    /// - [`Invalid`](crate::ErrorKind::Invalid), [`TooLarge`](crate::ErrorKind::TooLarge): it cannot be
    ///   taken.
    /// - [`Internal`](crate::ErrorKind::Internal): what came back is no answer.
    async fn request(&self, request: OutboundRequest) -> Result<ReplyMessage>;
}

/// The side of a bus that answers. See [`Requester`] for an example; most programs use
/// [`App::serve`](crate::App::serve).
#[async_trait]
pub trait Responder: fmt::Debug + Send + Sync + 'static {
    /// Takes requests of these names. Each goes to one of all those who take its name: they share them.
    /// After the connection to the broker was lost they come again by themselves.
    ///
    /// Who takes them has room for them, or answers that it has none: a bus holds some while they are not
    /// taken, and loses or refuses what is more.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when a name is none;
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when the bus is closed, or the broker out of reach.
    async fn respond(&self, names: Vec<String>) -> Result<Requests>;
}

/// A request that goes out. See [`Requester`] for an example.
///
/// On the wire it is a CloudEvent as an [`OutboundMessage`](crate::OutboundMessage) is, with the `kind`
/// `command` or `query`.
#[derive(Clone, PartialEq)]
pub struct OutboundRequest {
    /// Its id and the rest of its metadata. Its [deadline](Metadata::deadline) is for whoever answers; how
    /// long is waited here is its [timeout](Self::timeout).
    pub metadata: Metadata,
    /// Command or query.
    pub kind: RequestKind,
    /// Name of the request.
    pub name: String,
    /// Media type of the body.
    pub content_type: String,
    /// What it says.
    pub body: Bytes,
    /// How long its answer is waited for.
    pub timeout: Duration,
}

impl OutboundRequest {
    /// JSON with a fresh id.
    pub fn new(
        kind: RequestKind,
        name: impl Into<String>,
        body: impl Into<Bytes>,
        timeout: Duration,
    ) -> Self {
        Self {
            metadata: Metadata::default(),
            kind,
            name: name.into(),
            content_type: "application/json".to_owned(),
            body: body.into(),
            timeout,
        }
    }

    /// Sets [`metadata`](Self::metadata).
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Checks it against what a bus takes. Every adapter calls it first.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) or [`TooLarge`](crate::ErrorKind::TooLarge), naming what is
    /// to blame (P24).
    pub fn check(&self, limits: &BusLimits) -> Result<()> {
        check_message(&self.name, &self.metadata, &self.content_type, &self.body, limits)
    }

    /// Its attributes as a CloudEvent: for adapters. See
    /// [`OutboundMessage::attributes`](crate::OutboundMessage::attributes).
    pub fn attributes<'a>(&'a self, source: &'a str) -> Vec<Attribute<'a>> {
        let Self { metadata, kind, name, content_type, body: _, timeout: _ } = self;
        let (kind, key) = (kind.name(), metadata.partition_key());
        Event { metadata, kind, name, key, content_type, position: None }.attributes(source)
    }

    /// The error when nobody answers requests of this name: for adapters, so that all say it alike.
    pub fn unroutable(&self) -> Error {
        let context = format!("nobody answers `{}` on this bus now", self.name);
        Error::new(ErrorKind::Unroutable, context)
    }

    /// The error when no answer came in time: for adapters.
    pub fn unanswered(&self) -> Error {
        let Self { name, timeout, .. } = self;
        let context =
            format!("`{name}` was not answered within {timeout:?}; it may still take effect");
        Error::new(ErrorKind::DeadlineExceeded, context)
    }

    /// The error when the bus was closed meanwhile: for adapters.
    pub fn abandoned(&self) -> Error {
        let name = &self.name;
        let context =
            format!("the bus was closed before `{name}` was answered: it may still take effect");
        Error::new(ErrorKind::OutcomeUnknown, context)
    }

    /// The error when what came back is no answer: for adapters. Whoever asked is not to blame.
    pub fn misunderstood(&self, error: Error) -> Error {
        let context = format!("the answer to `{}` cannot be read: {error}", self.name);
        Error::new(ErrorKind::Internal, context).with_source(error)
    }
}

/// How an adapter answers one request.
#[async_trait]
pub trait Respond: Send + Sync {
    /// Sends the answer.
    ///
    /// # Errors
    /// As [`InboundRequest::reply`].
    async fn reply(self: Box<Self>, to: InboundMessage, reply: ReplyMessage) -> Result<()>;

    /// Completes when the one who asked has given up, as far as the bus can tell; otherwise never. Cancel
    /// safe.
    async fn given_up(&mut self);
}

/// A request that came in, to be answered once. See [`Requester`] for an example.
#[must_use = "whoever asked waits for the answer"]
pub struct InboundRequest {
    message: InboundMessage,
    respond: Box<dyn Respond>,
}

impl InboundRequest {
    /// A request, and how it is answered: for adapters.
    pub fn new(message: InboundMessage, respond: impl Respond + 'static) -> Self {
        Self { message, respond: Box::new(respond) }
    }

    /// What was asked: its [attempt](InboundMessage::attempt) is always 1.
    pub fn message(&self) -> &InboundMessage {
        &self.message
    }

    /// Answers. Nobody may wait any more: that is no error.
    ///
    /// # Errors
    /// [`TooLarge`](crate::ErrorKind::TooLarge): the bus takes no answer of this size, and whoever asked
    /// is told so; [`Unavailable`](crate::ErrorKind::Unavailable): the broker is out of reach, or the bus
    /// closed.
    pub async fn reply(self, reply: ReplyMessage) -> Result<()> {
        self.respond.reply(self.message, reply).await
    }

    /// Completes when the one who asked has given up, as far as the bus can tell, and whenever it is asked
    /// again; otherwise never. Cancel safe.
    pub async fn given_up(&mut self) {
        self.respond.given_up().await;
    }
}

/// Requests as they come, until the bus is closed. Dropping it ends that at once, and what has come and
/// was not taken is not answered; [`close`](Self::close) ends it in order.
pub struct Requests {
    requests: BoxStream<'static, InboundRequest>,
    close: Option<Box<dyn FnOnce() + Send>>,
}

impl Requests {
    /// Requests, and how their coming is ended: after `close` the stream gives what has come, and ends.
    /// For adapters.
    pub fn new(
        requests: BoxStream<'static, InboundRequest>,
        close: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self { requests, close: Some(Box::new(close)) }
    }

    /// Checks the names that somebody is to answer: for adapters.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid): there is none, or one is no name.
    pub fn check_names(names: &[String], limits: &BusLimits) -> Result<()> {
        if names.is_empty() {
            return Err(Error::invalid_field("names", "there is no name of a request to answer"));
        }
        names.iter().try_for_each(|name| check_exact_name(name, limits))
    }

    /// Takes no more: others get them. What has come is still given, then it ends.
    pub fn close(&mut self) {
        if let Some(close) = self.close.take() {
            close();
        }
    }
}

impl Stream for Requests {
    type Item = InboundRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.requests.as_mut().poll_next(context)
    }
}

/// Without what it says.
impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metadata, kind, name, body, timeout, .. } = self;
        let mut request = f.debug_struct("OutboundRequest");
        request.field("id", &metadata.id()).field("kind", kind).field("name", name);
        request.field("bytes", &body.len()).field("timeout", timeout).finish_non_exhaustive()
    }
}

impl fmt::Debug for InboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InboundRequest").field(&self.message).finish()
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").field("closed", &self.close.is_none()).finish_non_exhaustive()
    }
}
