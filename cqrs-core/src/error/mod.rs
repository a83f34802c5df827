//! The two kinds of no: a [`Rejection`] by the domain, an [`Error`] of the machinery; [`Failure`] is
//! either.

pub(crate) mod conflict;
pub(crate) mod failure;
pub(crate) mod problem;

use std::fmt;

pub use conflict::Conflict;
pub use failure::{Failure, Never, Rejection};
pub use problem::Problem;

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
        /// The part, named as the field of [`Capabilities`](crate::Capabilities), `inbox` or
        /// `idempotency key`.
        part: &'static str,
    },
    /// No handler has this name.
    UnknownName,
    /// No group on the bus takes this command (P17), or nobody answers this request now. It was not sent;
    /// whoever takes it may come later.
    Unroutable,
    /// The store, the bus or another service is busy or out of reach. Nothing was written; try again.
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
    /// A handler of events failed at one. Nothing after it was handled. The source tells why.
    EventNotHandled {
        /// Name of the handler.
        handler: String,
        /// The recorded name of the event's type.
        event_type: String,
        /// Position of the event in the log.
        position: u64,
        /// Whether another attempt will fail as well, as far as the handler knows.
        fatal: bool,
    },
    /// A handler panicked. The process and the other handlers go on.
    Panicked,
    /// The deadline passed before the answer came. What was asked for may still take effect.
    DeadlineExceeded,
    /// Too much is going on; this was not begun. Try again later.
    Overloaded,
    /// The same command, under the same idempotency key, is being handled right now. Try again later
    /// for its answer.
    InFlight,
    /// Who asks is not known.
    Unauthenticated,
    /// Who asks may not do this.
    Forbidden,
    /// The app cannot be built. All its problems at once.
    Build(Vec<Problem>),
    /// None of the above: a bug, a full disk, a damaged file. The source tells.
    Internal,
}

impl ErrorKind {
    /// Its name, for metrics, logs and the wire: stable, lower case with underscores.
    ///
    /// ```
    /// use cqrs_core::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::DeadlineExceeded.name(), "deadline_exceeded");
    /// ```
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "conflict",
            Self::Decode { .. } => "decode",
            Self::Undecodable { .. } => "undecodable",
            Self::Invalid { .. } => "invalid",
            Self::TooLarge { .. } => "too_large",
            Self::IdReused { .. } => "id_reused",
            Self::BeyondHead { .. } => "beyond_head",
            Self::OtherLog { .. } => "other_log",
            Self::Unsupported { .. } => "unsupported",
            Self::UnknownName => "unknown_name",
            Self::Unroutable => "unroutable",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::SchemaTooNew { .. } => "schema_too_new",
            Self::EventNotHandled { .. } => "event_not_handled",
            Self::Panicked => "panicked",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Overloaded => "overloaded",
            Self::InFlight => "in_flight",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Build(_) => "build",
            Self::Internal => "internal",
        }
    }
}

/// What a panic says.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
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

    /// Whether the same call may succeed later as it is: the store or the service was busy or out of
    /// reach, or the outcome of the commit is not known.
    pub fn is_retryable(&self) -> bool {
        use ErrorKind::{InFlight, OutcomeUnknown, Overloaded, Unavailable, Unroutable};
        matches!(
            self.0.kind,
            Unavailable
                | OutcomeUnknown
                | Overloaded
                | InFlight
                | Unroutable
                | ErrorKind::EventNotHandled { fatal: false, .. }
        )
    }

    /// The error of a handler at an event: for adapters with sinks. Its source tells why.
    pub fn event_not_handled(
        handler: &str,
        event: &crate::Recorded<'_>,
        error: impl Into<crate::HandlerError>,
    ) -> Self {
        let error = error.into();
        let kind = ErrorKind::EventNotHandled {
            handler: handler.to_owned(),
            event_type: event.event_type.to_owned(),
            position: event.position,
            fatal: error.is_fatal(),
        };
        let (event_type, position) = (event.event_type, event.position);
        let context = format!("`{handler}` failed at `{event_type}`, position {position}: {error}");
        Self::new(kind, context).with_source(error.into_cause())
    }

    /// Whether the caller is to blame, and the same call will fail again.
    pub(crate) fn is_of_the_caller(&self) -> bool {
        use ErrorKind::{
            BeyondHead, Decode, Forbidden, IdReused, Invalid, OtherLog, TooLarge, Unauthenticated,
            UnknownName,
        };
        matches!(
            self.0.kind,
            Decode { .. }
                | Invalid { .. }
                | TooLarge { .. }
                | IdReused { .. }
                | BeyondHead { .. }
                | OtherLog { .. }
                | UnknownName
                | Unauthenticated
                | Forbidden
        )
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
        match &self.0.kind {
            // What `main` prints: the problems as people read them.
            ErrorKind::Build(_) => write!(f, "Build: {self}")?,
            kind => write!(f, "{kind:?}: {}", self.0.context)?,
        }
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
