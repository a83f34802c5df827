//! Requests, answers and rejections of any type: what the layers around an app see.

use std::any::{Any, type_name};
use std::fmt;

use bytes::Bytes;

use crate::error::{BoxError, Error, ErrorKind, Failure, Rejection, Result};
use crate::handler::Answer;
use crate::message::envelope::{Envelope, Reply};
use crate::message::fingerprint::canonical;
use crate::message::local::Received;
use crate::message::metadata::Metadata;
use crate::message::request::{Request, RequestKind};
use crate::message::wire::FieldError;
use crate::port::Position;

/// A request of any type, on its way through the layers of an app
/// ([`AppBuilder::layer`](crate::AppBuilder::layer)): one from the process, with its type, or one
/// from outside, still encoded. Layers run before a request from outside is decoded.
///
/// ```
/// use cqrs_core::AnyRequest;
///
/// fn describe(request: &AnyRequest) -> String {
///     let actor = request.metadata.actor().unwrap_or("somebody");
///     format!("{actor} asks for {}", request.name())
/// }
/// ```
pub struct AnyRequest {
    name: &'static str,
    kind: RequestKind,
    /// Id, tenant, actor and the rest. A layer may add to it.
    pub metadata: Metadata,
    body: Body,
}

enum Body {
    Typed(Box<dyn Message>),
    Encoded { body: Bytes, version: Option<u16>, runs_again: fn(&[u8]) -> bool },
}

/// Who sent a request. See [`AnyRequest::origin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// Somebody outside, by name: over HTTP or a bus.
    Outside,
    /// Code of this process, with [`App::send`](crate::App::send) or [`App::ask`](crate::App::ask).
    Process,
    /// A handler, with its [`Mediator`](crate::Mediator) or its [`Work`](crate::Work): of a request,
    /// whoever sent that, or of an event; or a [saga](crate::Saga).
    Handler,
}

/// A mark on what a handler sends.
pub(crate) struct SentByHandler;

/// A request whose type is forgotten.
trait Message: Any + Send + Sync {
    fn again(&self) -> Option<Box<dyn Message>>;
}

impl<R: Request> Message for R {
    fn again(&self) -> Option<Box<dyn Message>> {
        Request::again(self).map(|again| Box::new(again) as _)
    }
}

impl AnyRequest {
    pub(crate) fn typed<R: Request>(request: Envelope<R>) -> Self {
        let Envelope { metadata, message } = request;
        Self { name: R::NAME, kind: R::KIND, metadata, body: Body::Typed(Box::new(message)) }
    }

    pub(crate) fn encoded<R: Request>(
        version: Option<u16>,
        metadata: Metadata,
        body: Bytes,
    ) -> Self {
        let runs_again = |body: &[u8]| decode::<R>(body, None).is_ok_and(|r| r.again().is_some());
        let body = Body::Encoded { body, version, runs_again };
        Self { name: R::NAME, kind: R::KIND, metadata, body }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Command or query.
    pub fn kind(&self) -> RequestKind {
        self.kind
    }

    /// Who sent it: so that an [`Authorizer`](crate::layer::Authorizer) can let pass what the service
    /// asks of itself.
    pub fn origin(&self) -> Origin {
        match &self.body {
            _ if self.metadata.local::<SentByHandler>().is_some() => Origin::Handler,
            Body::Encoded { .. } => Origin::Outside,
            Body::Typed(_) => Origin::Process,
        }
    }

    /// The request, when it is an `R` from inside the process.
    pub fn get<R: Request>(&self) -> Option<&R> {
        match &self.body {
            Body::Typed(message) => (&**message as &dyn Any).downcast_ref(),
            Body::Encoded { .. } => None,
        }
    }

    /// The encoded form, when it came from outside.
    pub fn body(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Typed(_) => None,
            Body::Encoded { body, .. } => Some(body),
        }
    }

    /// A copy under the same id, for another attempt. `None`: the request has no
    /// [`Request::again`]. One from outside is decoded to know.
    pub fn again(&self) -> Option<Self> {
        self.spare().filter(Self::runs_again)
    }

    /// A copy, for another attempt if it [`runs_again`](Self::runs_again).
    pub(crate) fn spare(&self) -> Option<Self> {
        let body = match &self.body {
            Body::Typed(message) => Body::Typed(message.again()?),
            Body::Encoded { body, version, runs_again } => {
                let (version, runs_again) = (*version, *runs_again);
                Body::Encoded { body: body.clone(), version, runs_again }
            }
        };
        Some(Self { name: self.name, kind: self.kind, metadata: self.metadata.clone(), body })
    }

    pub(crate) fn runs_again(&self) -> bool {
        match &self.body {
            // There is no spare of one that does not.
            Body::Typed(_) => true,
            Body::Encoded { body, runs_again, .. } => runs_again(body),
        }
    }

    /// The request with its type, and the form in which its answer is wanted.
    pub(super) fn open<R: Request>(self) -> Result<(Envelope<R>, Form)> {
        let mut metadata = self.metadata;
        let (message, form) = match self.body {
            Body::Typed(message) => {
                let message = (message as Box<dyn Any>).downcast::<R>();
                let message = message.map_err(|_| replaced::<R>("request"))?;
                (*message, Form::Typed)
            }
            Body::Encoded { body, version, .. } => {
                let message = decode::<R>(&body, version)?;
                // As it was received, it is the same in each repeat; encoded anew it may not be.
                if metadata.inbox().is_some() {
                    metadata = metadata.with_local(Received(canonical(&body)));
                }
                (message, Form::Encoded)
            }
        };
        Ok((Envelope { metadata, message }, form))
    }
}

/// The form in which an answer is wanted: that in which the request came.
pub(super) enum Form {
    Typed,
    Encoded,
}

impl Form {
    pub(super) fn close<R: Request>(self, answer: Answer<R>) -> AnyAnswer {
        let wire = match self {
            Self::Typed => None,
            Self::Encoded => Some(R::wire().ok_or_else(unknown::<R>)?),
        };
        match answer {
            Ok(Reply { output, position }) => {
                let output = match wire {
                    None => Value::Typed(Box::new(output)),
                    Some(wire) => {
                        let body = (wire.output.encode)(&output);
                        let body = body.map_err(|cause| unencodable::<R>("answer", cause))?;
                        Value::Encoded(Encoded { content_type: wire.content_type, body })
                    }
                };
                Ok(AnyReply { position, output })
            }
            Err(Failure::Failed(error)) => Err(Failure::Failed(error)),
            Err(Failure::Rejected(rejection)) => {
                let encoded = match wire {
                    None => None,
                    Some(wire) => {
                        let body = (wire.rejection.encode)(&rejection);
                        let body = body.map_err(|cause| unencodable::<R>("rejection", cause))?;
                        Some(Encoded { content_type: wire.content_type, body })
                    }
                };
                Err(Failure::Rejected(AnyRejection {
                    code: rejection.code(),
                    field: rejection.field().map(str::to_owned),
                    rejection: Box::new(rejection),
                    encoded,
                }))
            }
        }
    }
}

/// Something in its wire form.
pub(crate) struct Encoded {
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

enum Value {
    Typed(Box<dyn Any + Send>),
    Encoded(Encoded),
}

/// The answer to a request of any type. See [`AnyRequest`].
pub struct AnyReply {
    position: Option<Position>,
    output: Value,
}

impl AnyReply {
    /// Position of the commit; `None` when nothing was written.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The output, when the request came from inside the process and its output is a `T`.
    pub fn output<T: 'static>(&self) -> Option<&T> {
        match &self.output {
            Value::Typed(output) => output.downcast_ref(),
            Value::Encoded(_) => None,
        }
    }

    /// The encoded output, when the request came from outside.
    pub fn body(&self) -> Option<&Bytes> {
        match &self.output {
            Value::Typed(_) => None,
            Value::Encoded(encoded) => Some(&encoded.body),
        }
    }

    pub(crate) fn into_typed<R: Request>(self) -> Result<Reply<R::Output>> {
        let Value::Typed(output) = self.output else { return Err(replaced::<R>("answer")) };
        let output = output.downcast().map_err(|_| replaced::<R>("answer"))?;
        Ok(Reply { output: *output, position: self.position })
    }

    pub(crate) fn into_encoded(self) -> Option<(Option<Position>, Encoded)> {
        match self.output {
            Value::Typed(_) => None,
            Value::Encoded(encoded) => Some((self.position, encoded)),
        }
    }
}

/// The rejection of a request of any type. See [`AnyRequest`].
pub struct AnyRejection {
    code: &'static str,
    field: Option<String>,
    rejection: BoxError,
    encoded: Option<Encoded>,
}

impl AnyRejection {
    /// The rejection, when it is an `E`.
    pub fn get<E: Rejection>(&self) -> Option<&E> {
        self.rejection.downcast_ref()
    }

    pub(crate) fn into_typed<R: Request>(self) -> Failure<R::Error> {
        match self.rejection.downcast() {
            Ok(rejection) => Failure::Rejected(*rejection),
            Err(cause) => Failure::Failed(replaced::<R>("rejection").with_source(cause)),
        }
    }

    pub(crate) fn into_encoded(self) -> Option<(&'static str, Option<String>, String, Encoded)> {
        let detail = self.rejection.to_string();
        Some((self.code, self.field, detail, self.encoded?))
    }
}

/// What comes of a request of any type. See [`AnyRequest`].
pub type AnyAnswer = Result<AnyReply, Failure<AnyRejection>>;

fn decode<R: Request>(body: &[u8], version: Option<u16>) -> Result<R> {
    let wire = R::wire().ok_or_else(unknown::<R>)?;
    let version = version.unwrap_or(R::VERSION);
    if version != R::VERSION {
        let current = R::VERSION;
        let context = format!("`{}` is at version {current}, not at version {version}", R::NAME);
        return Err(decode_error::<R>(Some("version"), context));
    }
    (wire.request.decode)(body).map_err(|cause| {
        let field = cause.downcast_ref::<FieldError>().and_then(FieldError::field);
        // They may quote the body, which comes from outside: escaped, and cut.
        let field = field.map(|field| field.escape_debug().take(200).collect::<String>());
        let reason: String = cause.to_string().escape_debug().take(300).collect();
        let context = format!("the body is no `{}`: {reason}", R::NAME);
        decode_error::<R>(field.as_deref(), context).with_source(cause)
    })
}

fn decode_error<R: Request>(field: Option<&str>, context: String) -> Error {
    let field = field.map(str::to_owned);
    Error::new(ErrorKind::Decode { message: R::NAME.to_owned(), field }, context)
}

#[cold]
fn unknown<R: Request>() -> Error {
    let context = format!("no request {:?} can be called from outside", R::NAME);
    Error::new(ErrorKind::UnknownName, context)
}

#[cold]
fn unencodable<R: Request>(what: &str, cause: BoxError) -> Error {
    let context = format!("the {what} of `{}`: {cause}", R::NAME);
    Error::new(ErrorKind::Internal, context).with_source(cause)
}

#[cold]
fn replaced<R: Request>(what: &str) -> Error {
    let context = format!("a layer put another {what} in place of that of `{}`", R::NAME);
    Error::new(ErrorKind::Internal, format!("{context} ({})", type_name::<R>()))
}

impl fmt::Display for AnyRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rejection.fmt(f)
    }
}

impl std::error::Error for AnyRejection {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.rejection.source()
    }
}

impl Rejection for AnyRejection {
    fn code(&self) -> &'static str {
        self.code
    }

    fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

/// Without what the rejection says.
impl fmt::Debug for AnyRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyRejection").field("code", &self.code).finish_non_exhaustive()
    }
}

/// Without what the request says.
impl fmt::Debug for AnyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Without what the answer says.
impl fmt::Debug for AnyReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyReply").field("position", &self.position).finish_non_exhaustive()
    }
}
