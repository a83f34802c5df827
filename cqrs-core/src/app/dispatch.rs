//! Requests by name, from bytes: what HTTP and the buses hand in.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::app::App;
use crate::error::{Error, ErrorKind, Failure, Rejection};
use crate::handler::any::{Encoded, SentByHandler};
use crate::handler::{AnyAnswer, BoxFuture, Named};
use crate::message::metadata::Metadata;
use crate::message::payload::Payload;
use crate::message::request::{RequestKind, Visibility};
use crate::port::Position;
use crate::port::outgoing::Outgoing;

/// A request as it comes from outside. See [`App::dispatch`].
#[derive(Clone)]
pub struct RawRequest {
    /// Name of the request.
    pub name: String,
    /// Version of its form; `None`: the current one.
    pub version: Option<u16>,
    /// What kind it must be; `None`: either.
    pub kind: Option<RequestKind>,
    /// Id, tenant, actor and the rest.
    pub metadata: Metadata,
    /// The request in its wire form.
    pub body: Bytes,
}

/// An answer in its wire form. See [`App::dispatch`].
#[derive(Clone, PartialEq, Eq)]
pub struct RawReply {
    /// Position of the commit; `None` when nothing was written.
    pub position: Option<Position>,
    /// Media type of the body.
    pub content_type: &'static str,
    /// The output in its wire form.
    pub body: Bytes,
}

/// A rejection in its wire form. See [`App::dispatch`].
#[derive(Clone, PartialEq, Eq)]
pub struct RawRejection {
    /// [`Rejection::code`].
    pub code: &'static str,
    /// [`Rejection::field`].
    pub field: Option<String>,
    /// What the rejection says to people.
    pub detail: String,
    /// Media type of the body.
    pub content_type: &'static str,
    /// The rejection in its wire form.
    pub body: Bytes,
}

/// What comes of a request from outside. See [`App::dispatch`].
pub type RawAnswer = Result<RawReply, Failure<RawRejection>>;

/// Who calls by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Anybody,
    /// Another service, over a bus.
    Service,
}

impl RawRequest {
    /// A request without metadata, at the current version.
    pub fn new(name: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            version: None,
            kind: None,
            metadata: Metadata::default(),
            body: body.into(),
        }
    }
}

impl RawRequest {
    /// The same with this metadata.
    #[must_use]
    pub fn with(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

impl App {
    /// Calls a request's handler by its name, from bytes: the same handler that
    /// [`send`](Self::send) calls.
    ///
    /// ```
    /// use cqrs_core::{App, ErrorKind, Failure, Never, Query, RawRequest, Request, RequestKind, Wire};
    /// use serde::{Deserialize, Serialize};
    ///
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
    /// async fn double(d: Double) -> Result<u64, Never> { Ok(d.n * 2) }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let app = App::builder().handler(double).build()?;
    /// let reply = app.dispatch(RawRequest::new("double", r#"{"n":4}"#)).await?;
    /// assert_eq!(&reply.body[..], b"8");
    ///
    /// let Err(Failure::Failed(error)) = app.dispatch(RawRequest::new("double", "{}")).await else { panic!() };
    /// assert!(matches!(error.kind(), ErrorKind::Decode { .. }));
    /// # Ok::<_, cqrs_core::BoxError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`Failure::Rejected`] when the domain says no. [`Failure::Failed`] with
    /// [`UnknownName`](ErrorKind::UnknownName) when no handler has the name, the request is not
    /// [public](Visibility::Public), without a wire form or of the other kind; [`TooLarge`](ErrorKind::TooLarge) when
    /// the body is over the limit of the app; [`Decode`](ErrorKind::Decode) when it is not the request, or not of its
    /// version; or as the handler says.
    pub async fn dispatch(&self, request: RawRequest) -> RawAnswer {
        self.dispatch_for(Caller::Anybody, request).await
    }

    /// The same, for somebody who reaches more or less.
    pub(super) async fn dispatch_for(&self, caller: Caller, request: RawRequest) -> RawAnswer {
        let RawRequest { name, version, kind, metadata, body } = request;
        let entry = self.0.registry.named(&name);
        let entry = entry.filter(|entry| kind.is_none_or(|kind| kind == entry.kind()));
        let entry = entry.filter(|entry| match caller {
            Caller::Anybody => entry.visibility() == Visibility::Public,
            Caller::Service => entry.is_served(),
        });
        let Some(entry) = entry else {
            // The name comes from outside: quoted, and cut.
            let name: String = name.chars().take(100).collect();
            let context = format!("no request {name:?} can be called from outside");
            return Err(Error::new(ErrorKind::UnknownName, context).into());
        };
        let (size, limit) = (body.len(), self.0.max_body);
        if size > limit {
            let context =
                format!("the body of `{name}` has {size} bytes, at most {limit} are taken");
            return Err(Error::new(ErrorKind::TooLarge { what: name, size, limit }, context).into());
        }
        let request = entry.encoded(version, metadata, body);
        encoded(self.0.service.run(request).await)
    }
}

impl App {
    /// Calls the handler of a command that a commit has sent, through the layers, also one that is
    /// internal. Its repeats are answered as the first was, where the handler can. `None`: nobody here
    /// handles it.
    pub(crate) fn relay(
        &self,
        consumer: &'static str,
        message: &Outgoing,
    ) -> Option<BoxFuture<'static, RawAnswer>> {
        let entry = self.0.registry.named(&message.name)?;
        let body = match &message.body {
            Payload::Json(json) => Bytes::copy_from_slice(json.as_str().as_bytes()),
            Payload::Binary { bytes, .. } => bytes.clone(),
            Payload::Erased => Bytes::new(),
        };
        let mut metadata = message.metadata.clone().with_local(SentByHandler);
        if self.keeps_answers_of(&message.name) {
            metadata = metadata.with_inbox(consumer);
        }
        let version = metadata.schema_version();
        let answering = self.0.service.run(entry.encoded(version, metadata, body));
        Some(Box::pin(async move { encoded(answering.await) }))
    }
}

impl App {
    /// Whether the repeats of a command are answered from an inbox here.
    pub(super) fn keeps_answers_of(&self, name: &str) -> bool {
        let keeps = |entry: &&Arc<dyn Named>| {
            entry.kind() == RequestKind::Command && entry.answers_repeats()
        };
        self.0.store.is_some() && self.0.registry.named(name).filter(keeps).is_some()
    }
}

/// What came through the layers, in its wire form.
fn encoded(answer: AnyAnswer) -> RawAnswer {
    let replaced = || Error::new(ErrorKind::Internal, "a layer put a typed answer in its place");
    match answer {
        Ok(reply) => {
            let (position, output) = reply.into_encoded().ok_or_else(replaced)?;
            let Encoded { content_type, body } = output;
            Ok(RawReply { position, content_type, body })
        }
        Err(Failure::Rejected(rejection)) => {
            let encoded = rejection.into_encoded().ok_or_else(replaced)?;
            let (code, field, detail, Encoded { content_type, body }) = encoded;
            Err(Failure::Rejected(RawRejection { code, field, detail, content_type, body }))
        }
        Err(Failure::Failed(error)) => Err(Failure::Failed(error)),
    }
}

impl fmt::Display for RawRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for RawRejection {}

impl Rejection for RawRejection {
    fn code(&self) -> &'static str {
        self.code
    }

    fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

/// Without what the request says.
impl fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, body, .. } = self;
        f.debug_struct("RawRequest").field("name", name).field("bytes", &body.len()).finish()
    }
}

/// Without what the answer says.
impl fmt::Debug for RawReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, body, .. } = self;
        f.debug_struct("RawReply").field("position", position).field("bytes", &body.len()).finish()
    }
}

/// Without what the rejection says.
impl fmt::Debug for RawRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, field, .. } = self;
        f.debug_struct("RawRejection").field("code", code).field("field", field).finish()
    }
}
