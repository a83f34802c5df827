//! Requests: commands and queries, with their answers typed.

use serde::Serialize;

use crate::error::{Rejection, Result};
use crate::message::wire::Wire;

/// Whether a request changes something. See [`Request`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    /// It may change state: its type also implements [`Command`].
    Command,
    /// It only reads: its type also implements [`Query`].
    Query,
}

impl RequestKind {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Query => "query",
        }
    }
}

/// Who may call a request by its name. See [`Request::VISIBILITY`], and
/// [`App::dispatch`](crate::App::dispatch) for an example of a call by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Anybody who reaches the service.
    Public,
    /// Other services over a bus ([`App::serve`](crate::App::serve)), and code of the same app. To those who
    /// call it [by name](crate::App::dispatch) otherwise, over HTTP, it does not exist.
    Services,
    /// Only code of the same app: it is not reachable by name from outside.
    Internal,
}

/// A command or a query: one type, one name, one handler.
///
/// ```
/// use cqrs_core::{Command, Error, Never, Request, RequestKind, Result, Wire};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Rename { account: String, owner: String }
///
/// impl Request for Rename {
///     const NAME: &'static str = "bank.rename";
///     const KIND: RequestKind = RequestKind::Command;
///     type Output = ();
///     type Error = Never;
///
///     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
///
///     fn validate(&self) -> Result<()> {
///         if self.owner.is_empty() { return Err(Error::invalid_field("owner", "the owner has no name")); }
///         Ok(())
///     }
/// }
/// impl Command for Rename {}
///
/// let nobody = Rename { account: "a".into(), owner: String::new() };
/// assert!(nobody.validate().is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a request",
    note = "derive `Command` or `Query` for it, or implement `Request` and one of them"
)]
pub trait Request: Sized + Send + Sync + 'static {
    /// Its name, unique in the app and stable: `learning.publish_course`.
    const NAME: &'static str;

    /// Command or query.
    const KIND: RequestKind;

    /// Version of its encoded form. A call by name with another version is refused.
    const VERSION: u16 = 1;

    /// Whether it can be called by name from outside.
    const VISIBILITY: Visibility = Visibility::Public;

    /// What the handler answers.
    type Output: Send + 'static;

    /// How the domain refuses; [`Never`](crate::Never) when it cannot.
    type Error: Rejection;

    /// The encoded forms. `None`: the request stays in the process.
    ///
    /// A provided function in place of a bound, so that a local request needs no serde.
    fn wire() -> Option<Wire<Self>> {
        None
    }

    /// Checks what the type alone cannot, before any handler runs.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid), best with the field's name
    /// ([`Error::invalid_field`](crate::Error::invalid_field)).
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// A copy to run again when the commit of a function handler meets a conflict. `None`: the
    /// conflict is returned. A request that is `Clone` says `Some(self.clone())`.
    fn again(&self) -> Option<Self> {
        None
    }
}

/// A [`Request`] that may change state. Its [`KIND`](Request::KIND) is [`RequestKind::Command`]. See
/// [`Request`] for an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    note = "derive `Command` for it, or implement `Request` with `KIND = RequestKind::Command`, and `Command`",
    note = "a query is asked: `app.ask(..)`, `#[query_handler]`"
)]
pub trait Command: Request {}

/// A [`Request`] that only reads. Its [`KIND`](Request::KIND) is [`RequestKind::Query`]. See
/// [`Handler`](crate::Handler) for an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a query",
    note = "derive `Query` for it, or implement `Request` with `KIND = RequestKind::Query`, and `Query`",
    note = "a command is sent: `app.send(..)`, `#[command_handler]`"
)]
pub trait Query: Request {}
