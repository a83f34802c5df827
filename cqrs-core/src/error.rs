//! The two kinds of no: a [`Rejection`] by the domain, an [`Error`] of the machinery; [`Failure`] is either.

use std::fmt;

/// Any error, boxed: what codecs and user code hand over as a cause. See [`Codec`](crate::Codec) for
/// an example.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A result whose error is the machinery's [`Error`] unless another is named. See [`Failure`] for an
/// example.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The machinery broke, or was handed something it cannot take.
///
/// [`kind`](Error::kind) is for programs, [`Display`](fmt::Display) for people (what, where, what to
/// do), [`source`](std::error::Error::source) is the driver's or codec's own error. One pointer wide,
/// so that `Result<_, Failure<E>>` stays small.
///
/// ```
/// use cqrs_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unavailable, "orders.db is locked by another process; try again");
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "orders.db is locked by another process; try again");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    source: Option<BoxError>,
}

/// What went wrong, by meaning. See [`Error`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What the commit expected does not hold; nothing was written. Load again and decide anew.
    Conflict(Conflict),
    /// The bytes of a request, a reply or a document are not the type they should be.
    Decode {
        /// Name of the message, or of the collection.
        message: String,
        /// The field to blame, where one is known.
        field: Option<String>,
    },
    /// A recorded event cannot be decoded. It is never skipped (P6).
    Undecodable {
        /// The stream, as [`StreamId`](crate::StreamId) displays it.
        stream: String,
        /// Version of the event in its stream.
        version: u64,
        /// Position of the event in the log.
        position: u64,
        /// The recorded name of its type.
        event_type: String,
    },
    /// A well-formed value that is not acceptable; nothing was written.
    Invalid {
        /// The field to blame, where one is known.
        field: Option<String>,
    },
    /// A value over one of the [`Limits`](crate::Limits); nothing was written.
    TooLarge {
        /// What is too large: the event type, or the part of the commit.
        what: String,
        /// Its size, in the unit of `limit`.
        size: usize,
        /// The limit: bytes for payloads, headers and ids, a count for lists.
        limit: usize,
    },
    /// An id that stands for something else already: a commit id, an event id or an inbox mark that
    /// was used with other content. Nothing was written (P5).
    IdReused {
        /// The id that was used before.
        id: String,
    },
    /// A position past the end of the log: the log was restored to an older state, or the position
    /// belongs to another log (P4).
    BeyondHead {
        /// The position asked for.
        position: u64,
        /// The last position of the log.
        head: u64,
    },
    /// A position of another log (P4).
    OtherLog {
        /// The log that the position belongs to.
        expected: String,
        /// The log that was asked.
        actual: String,
    },
    /// The store does not offer this part of a commit, or this way of reading.
    Unsupported {
        /// The part, named as the field of [`Capabilities`](crate::Capabilities), or `inbox`.
        part: &'static str,
    },
    /// No handler has this name.
    UnknownName,
    /// The store is busy or out of reach. Nothing was written; try again.
    Unavailable,
    /// The connection to the store broke while it committed: the commit may have been applied.
    /// Repeat it with the same id, and the store answers which (P5).
    OutcomeUnknown,
    /// The storage was written by a newer version of this code; it is left untouched.
    SchemaTooNew {
        /// The version found.
        found: u32,
        /// The newest version this code knows.
        known: u32,
    },
    /// A handler panicked. The process and the other handlers go on.
    Panicked,
    /// The app cannot be built. All its problems at once.
    Build(Vec<Problem>),
    /// None of the above: a bug, a full disk, a damaged file. The source tells.
    Internal,
}

/// Which expectation of a commit does not hold. See [`ErrorKind::Conflict`], and
/// [`Guard`](crate::Guard) for an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// A stream is not at the expected version.
    #[error("the stream {stream} is at version {actual}, not where the commit expected it")]
    Stream {
        /// The stream, as [`StreamId`](crate::StreamId) displays it.
        stream: String,
        /// Its real version; 0: it does not exist.
        actual: u64,
    },
    /// A document is not at the expected version.
    #[error(
        "the document {collection}/{id} is at version {actual}, not where the commit expected it"
    )]
    Document {
        /// Its collection.
        collection: String,
        /// Its id.
        id: String,
        /// Its real version; 0: it does not exist.
        actual: u64,
    },
    /// Another document holds the same value in a unique field.
    #[error("`{field}` of the document {collection}/{id} holds a value that another document has")]
    Unique {
        /// The collection.
        collection: String,
        /// The id of the document that was refused.
        id: String,
        /// The field whose value is taken.
        field: String,
    },
    /// An event that should not have come, came.
    #[error("an event at position {found} matches what should not have come after {after}")]
    NoneMatching {
        /// The guard allowed no matching event after this position.
        after: u64,
        /// The first one that came.
        found: u64,
    },
    /// A checkpoint is not where the commit says it is.
    #[error(
        "the checkpoint of `{subscription}`, partition {partition}, stands at {actual}, not where the commit expected it"
    )]
    Checkpoint {
        /// The subscription.
        subscription: String,
        /// The partition.
        partition: u32,
        /// Where the checkpoint really is; 0: nowhere yet.
        actual: u64,
    },
    /// Some, not all, of the commit's inbox marks are there already.
    #[error("message {message} was handled by {consumer} before, others of this commit were not")]
    Inbox {
        /// The consumer.
        consumer: String,
        /// The first message that was handled before.
        message: String,
    },
}

/// One reason why an app cannot be built. See [`AppBuilder`](crate::AppBuilder) for an example.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A handler asks for a resource that nobody registered.
    #[error("`{handler}` needs the resource `{resource}`: add `.resource(..)`")]
    MissingResource {
        /// Name of the request whose handler asks.
        handler: String,
        /// Type of the resource.
        resource: &'static str,
    },
    /// A handler needs a store and there is none.
    #[error("`{handler}` needs a store: add `.store(..)`")]
    MissingStore {
        /// Name of the request whose handler asks.
        handler: String,
    },
    /// A request is expected and nobody handles it.
    #[error("nobody handles `{message}`: add `.decides::<A, C>()` or `.handler(f)`")]
    MissingHandler {
        /// Name of the request.
        message: &'static str,
    },
    /// The handler of a query takes [`Work`](crate::Work), which writes.
    #[error("`{query}` is a query, and its handler would write: make it a command")]
    QueryWrites {
        /// Name of the query.
        query: &'static str,
    },
    /// Two handlers for one name.
    #[error("`{name}` has more than one handler")]
    DuplicateHandler {
        /// The name.
        name: &'static str,
    },
    /// Two entries of an event's list of types share a name.
    #[error("the event type `{event_type}` is listed more than once")]
    DuplicateEventType {
        /// The name.
        event_type: &'static str,
    },
    /// A recorded version of an event that this code could not read.
    #[error(
        "`{event_type}` is at version {current}, and nothing lifts version {missing}: add an upcaster"
    )]
    BrokenUpcasters {
        /// The event type.
        event_type: &'static str,
        /// The version without an upcaster.
        missing: u16,
        /// The version this code writes.
        current: u16,
    },
    /// An upcaster that no event type of its list can use.
    #[error(
        "the upcaster of `{event_type}` from version {from} can never run: no such older version"
    )]
    UselessUpcaster {
        /// The name it is for.
        event_type: &'static str,
        /// The version it starts from.
        from: u16,
    },
}

impl Error {
    /// An error with what a person should read: what, where and what to do.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, context: context.into(), source: None }))
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Adds to the text for people.
    #[must_use]
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.0.context.push_str("; ");
        self.0.context.push_str(more);
        self
    }

    /// Whether an expectation of the commit did not hold: load again and decide anew.
    pub fn is_conflict(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Conflict(_))
    }

    /// Whether the same call may succeed later as it is: the store was busy or out of reach, or the
    /// outcome of the commit is not known.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::OutcomeUnknown)
    }

    /// An [`ErrorKind::Invalid`] that names the field. See [`Request`](crate::Request) for an example.
    pub fn invalid_field(field: impl Into<String>, context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid { field: Some(field.into()) }, context)
    }
}

impl Error {
    /// An [`ErrorKind::IdReused`] for a commit, an event or a message: for adapters, so that all
    /// say it alike.
    pub fn id_reused(what: &str, id: impl fmt::Display) -> Self {
        let id = id.to_string();
        let context = format!(
            "the {what} id {id} stands for another content already: make a new id for a new {what}"
        );
        Self::new(ErrorKind::IdReused { id }, context)
    }
}

/// The error of a violated expectation, with a text for people.
impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        let context = conflict.to_string();
        Self::new(ErrorKind::Conflict(conflict), context)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.context)?;
        match &self.0.source {
            Some(source) => write!(f, " (caused by: {source:?})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)?;
        if let ErrorKind::Build(problems) = &self.0.kind {
            for problem in problems {
                write!(f, "\n  - {problem}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

/// The domain said no.
///
/// A trait of its own, not any [`std::error::Error`]: so that `?` turns both kinds of no into a
/// [`Failure`], and so that HTTP and the buses have a code to send.
///
/// ```
/// use cqrs_core::Rejection;
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the account holds {balance}, not enough")]
/// struct Overdrawn { balance: u64 }
///
/// impl Rejection for Overdrawn {
///     fn code(&self) -> &'static str { "bank.overdrawn" }
///     fn field(&self) -> Option<&str> { Some("amount") }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rejection by the domain",
    note = "implement `Rejection` for it, or use `Never` when the request cannot be rejected"
)]
pub trait Rejection: std::error::Error + Send + Sync + 'static {
    /// Stable, for machines: `learning.course_not_published`.
    fn code(&self) -> &'static str;

    /// The field of the request that is to blame, where there is one.
    fn field(&self) -> Option<&str> {
        None
    }
}

/// The rejection of a request that the domain cannot reject: it has no value.
///
/// See [`Request`](crate::Request) for an example. (`Infallible` has no serde implementations.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl Rejection for Never {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

impl serde::Serialize for Never {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> serde::Deserialize<'de> for Never {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this request is never rejected"))
    }
}

/// Why a request was not answered: the domain said no, or the machinery broke.
///
/// `?` makes one from either side:
///
/// ```
/// use cqrs_core::{Error, ErrorKind, Failure, Never, Rejection};
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("closed")]
/// # struct Closed;
/// # impl Rejection for Closed { fn code(&self) -> &'static str { "bank.closed" } }
///
/// fn broken() -> cqrs_core::Result<()> { Err(Error::new(ErrorKind::Unavailable, "no database")) }
///
/// fn handle(open: bool) -> Result<(), Failure<Closed>> {
///     if !open { Err(Closed)? }
///     broken()?;
///     Ok(())
/// }
/// assert!(matches!(handle(false), Err(Failure::Rejected(Closed))));
/// assert!(matches!(handle(true), Err(Failure::Failed(_))));
/// ```
#[derive(Debug)]
pub enum Failure<E> {
    /// The domain said no. Asking again as it is gives the same answer.
    Rejected(E),
    /// The machinery broke, or the request was malformed.
    Failed(Error),
}

impl<E> Failure<E> {
    /// The same failure with another rejection: for a handler that sends a command whose rejection is
    /// of another type than its own.
    ///
    /// ```
    /// use cqrs_core::{Failure, Rejection};
    /// # #[derive(Debug, thiserror::Error)]
    /// # #[error("closed")]
    /// # struct Closed;
    /// # impl Rejection for Closed { fn code(&self) -> &'static str { "bank.closed" } }
    /// # #[derive(Debug, thiserror::Error)]
    /// # #[error("no payment")]
    /// # struct NoPayment;
    /// # impl Rejection for NoPayment { fn code(&self) -> &'static str { "shop.no_payment" } }
    ///
    /// fn withdraw() -> Result<(), Failure<Closed>> { Err(Closed)? }
    ///
    /// fn pay() -> Result<(), Failure<NoPayment>> {
    ///     withdraw().map_err(|failure| failure.map_rejected(|_: Closed| NoPayment))?;
    ///     Ok(())
    /// }
    /// assert!(matches!(pay(), Err(Failure::Rejected(NoPayment))));
    /// ```
    pub fn map_rejected<F>(self, map: impl FnOnce(E) -> F) -> Failure<F> {
        match self {
            Self::Rejected(rejection) => Failure::Rejected(map(rejection)),
            Self::Failed(error) => Failure::Failed(error),
        }
    }
}

impl Failure<Never> {
    /// The error, where the domain cannot say no: `app.send(c).await.map_err(Failure::into_error)?`
    /// works in every handler. See [`Failure::map_rejected`] for the other case.
    pub fn into_error(self) -> Error {
        match self {
            Self::Rejected(never) => match never {},
            Self::Failed(error) => error,
        }
    }
}

impl<E: Rejection> From<E> for Failure<E> {
    fn from(rejection: E) -> Self {
        Self::Rejected(rejection)
    }
}

impl<E: Rejection> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Failure<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(rejection) => rejection.source(),
            Self::Failed(error) => error.source(),
        }
    }
}
