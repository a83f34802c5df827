//! MongoDB's errors by their meaning: what happened, where, and what to do.

use std::fmt;

use bson::{Bson, Document};
use cqrs_core::{Commit, Error, ErrorKind};
use mongodb::error::{
    ErrorKind as Of, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};

/// Codes of the server.
pub(crate) mod code {
    pub(crate) const UNAUTHORIZED: i32 = 13;
    pub(crate) const AUTHENTICATION_FAILED: i32 = 18;
    pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
    pub(crate) const NAMESPACE_EXISTS: i32 = 48;
    pub(crate) const MAX_TIME_EXPIRED: i32 = 50;
    pub(crate) const WRITE_CONFLICT: i32 = 112;
    pub(crate) const DOCUMENT_VALIDATION: i32 = 121;
    pub(crate) const NO_SUCH_TRANSACTION: i32 = 251;
    pub(crate) const TRANSACTION_TOO_LARGE: i32 = 257;
    pub(crate) const TRANSACTION_TOO_LARGE_FOR_CACHE: i32 = 388;
    pub(crate) const DUPLICATE_KEY: i32 = 11_000;
    pub(crate) const OUT_OF_DISK_SPACE: i32 = 14_031;
}

/// An error of ours, or one of the driver's that is still to be translated.
pub(crate) enum Trouble {
    Ours(Error),
    Mongo(mongodb::error::Error),
    /// The server refused a write, with this code.
    Refused(i32),
    /// A unique index has a value already: something was not looked at that should have been.
    Duplicate,
    /// It was not done within its time. What became of it is not known.
    TooLong,
}

/// As it may be logged: the driver's own form quotes values.
impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(error) => fmt::Debug::fmt(error, f),
            Self::Mongo(error) => f.write_str(&said(error)),
            Self::Refused(code) => write!(f, "the write was refused with {code}"),
            Self::Duplicate => f.write_str("a value of a unique index is there already"),
            Self::TooLong => f.write_str("no answer in time"),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<mongodb::error::Error> for Trouble {
    fn from(error: mongodb::error::Error) -> Self {
        match code_of(&error) {
            Some(code::DUPLICATE_KEY) => Self::Duplicate,
            _ => Self::Mongo(error),
        }
    }
}

impl Trouble {
    /// Something in the collections that this program has not written, or not so.
    pub(crate) fn damaged(what: impl fmt::Display, cause: cqrs_core::BoxError) -> Self {
        let context = format!("{what} cannot be read: {cause}; repair it, or remove it");
        Self::Ours(Error::new(ErrorKind::Internal, context).with_source(cause))
    }

    /// What an answer says of the writes of its command.
    ///
    /// # Errors
    /// One was refused.
    pub(crate) fn of_writes(answer: &Document) -> Result<(), Self> {
        let refused = answer.get_array("writeErrors").ok().and_then(|all| all.first());
        let Some(refused) = refused.and_then(Bson::as_document) else { return Ok(()) };
        Err(match refused.get_i32("code") {
            Ok(code::DUPLICATE_KEY) => Self::Duplicate,
            code => Self::Refused(code.unwrap_or_default()),
        })
    }

    /// As others see it. `doing` completes "… while"; `place` names the database.
    pub(crate) fn into_error(self, doing: &str, place: &str) -> Error {
        match self {
            Self::Ours(error) => error,
            Self::Mongo(error) => translate(&error, doing, place),
            Self::Refused(code) => {
                let context = format!("{place} refused a write with {code} while {doing}");
                Error::new(ErrorKind::Internal, context)
            }
            Self::Duplicate => {
                let context = format!(
                    "{place} has a document that stands in the way of another one while {doing}"
                );
                Error::new(ErrorKind::Internal, context)
            }
            Self::TooLong => {
                let context = format!("{place} did not answer in time while {doing}; try again");
                Error::new(ErrorKind::Unavailable, context)
            }
        }
    }

    /// The same, where a commit was to be written.
    pub(crate) fn into_error_of(self, commit: &Commit, doing: &str, place: &str) -> Error {
        if !self.is_too_large() {
            return self.into_error(doing, place);
        }
        let size = commit.bodies();
        let context = format!(
            "the commit, with {size} bytes in its bodies, is more than the cache of {place} has room for in \
             one transaction: commit less at once, or give it a larger one ({self:?})"
        );
        // What it has room for is not known: less than that.
        let (what, limit) = ("the commit".to_owned(), size.saturating_sub(1));
        Error::new(ErrorKind::TooLarge { what, size, limit }, context)
    }

    /// Whether more was written in a transaction than the server has room for.
    fn is_too_large(&self) -> bool {
        let code = self.code();
        code.is_some_and(|code| TOO_LARGE.contains(&code))
    }

    /// The transaction is gone, and another attempt may get through.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Mongo(error) if error.contains_label(TRANSIENT_TRANSACTION_ERROR))
    }

    /// Whether it is not known what became of a commit.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Self::TooLong => true,
            Self::Mongo(error) => error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT),
            Self::Ours(_) | Self::Refused(_) | Self::Duplicate => false,
        }
    }

    /// Whether others were in the way.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(code::WRITE_CONFLICT)
    }

    /// Whether there is no such transaction any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.code() == Some(code::NO_SUCH_TRANSACTION)
    }

    /// Whether it may pass by itself.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Ours(error) => *error.kind() == ErrorKind::Unavailable,
            Self::TooLong => true,
            Self::Refused(_) | Self::Duplicate => false,
            Self::Mongo(error) => is_passing(error),
        }
    }

    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            Self::Mongo(error) => code_of(error),
            Self::Refused(code) => Some(*code),
            _ => None,
        }
    }
}

fn code_of(error: &mongodb::error::Error) -> Option<i32> {
    match &*error.kind {
        Of::Command(refused) => Some(refused.code),
        Of::Write(WriteFailure::WriteError(refused)) => Some(refused.code),
        Of::Write(WriteFailure::WriteConcernError(refused)) => Some(refused.code),
        Of::InsertMany(refused) => {
            let first = refused.write_errors.as_deref().and_then(|all| all.first());
            first.map(|refused| refused.code)
        }
        _ => None,
    }
}

/// Codes that tell that more was written in a transaction than there is room for.
const TOO_LARGE: [i32; 2] = [code::TRANSACTION_TOO_LARGE, code::TRANSACTION_TOO_LARGE_FOR_CACHE];

/// Codes that tell that a member is no primary now, or goes down, from the driver's specification "Server Discovery
/// And Monitoring"; and that others were in the way.
const PASSING: [i32; 19] = [
    6,
    7,
    89,
    91,
    189,
    262,
    9_001,
    10_107,
    11_600,
    11_602,
    13_388,
    13_435,
    13_436,
    code::MAX_TIME_EXPIRED,
    code::WRITE_CONFLICT,
    code::NO_SUCH_TRANSACTION,
    // A lock was not to be had; it is going down; it waits for others in vain.
    24,
    46,
    64,
];

fn is_passing(error: &mongodb::error::Error) -> bool {
    match &*error.kind {
        Of::Io(_) | Of::ConnectionPoolCleared { .. } | Of::ServerSelection { .. } => true,
        _ => {
            error.contains_label(TRANSIENT_TRANSACTION_ERROR)
                || code_of(error).is_some_and(|code| PASSING.contains(&code))
        }
    }
}

/// What is done when the settings show that they are wrong.
pub(crate) const CONNECTING: &str = "connecting";

/// Characters of what the driver says.
const LONGEST: usize = 300;

/// Why no member can be asked, by what the driver says of the members.
fn why_none(topology: &str) -> &'static str {
    let has = |text: &str| topology.contains(text);
    match () {
        () if has("invalid peer certificate") => {
            ": a certificate is not trusted, or is for another name"
        }
        () if has("Connection refused") => ": connections are refused",
        () if has("failed to lookup address") => ": nobody knows a host of this name",
        // The driver forgets whoever is of another one.
        () if has("Set Name: ") && !has("Address: ") => ": the hosts are members of another set",
        () if has("RSSecondary") => ": none of them is the primary",
        () if has("Error: ") => "",
        () => ": no answer in time",
    }
}

/// What the server said, without what it quotes: values of a document are nobody's to log.
fn said(error: &mongodb::error::Error) -> String {
    match &*error.kind {
        Of::Command(refused) => match refused.code {
            code::DUPLICATE_KEY | code::DOCUMENT_VALIDATION => {
                format!("{} {}", refused.code, refused.code_name)
            }
            _ => format!("{} {}: {}", refused.code, refused.code_name, refused.message),
        },
        Of::Write(_) | Of::InsertMany(_) | Of::BulkWrite(_) => match code_of(error) {
            Some(code) => format!("the write was refused with {code}"),
            None => "the write was refused".to_owned(),
        },
        // It may quote the URL.
        Of::Authentication { .. } => "the user or the password is refused".to_owned(),
        Of::Io(error) => error.to_string(),
        // They quote answers of the server, byte by byte.
        Of::ServerSelection { message, .. } => {
            format!("no member can be asked{}", why_none(message))
        }
        Of::ConnectionPoolCleared { .. } => "its connections were closed".to_owned(),
        kind => kind.to_string().chars().take(LONGEST).collect(),
    }
}

fn translate(error: &mongodb::error::Error, doing: &str, place: &str) -> Error {
    let said = said(error);
    let url = || ErrorKind::Invalid { field: Some("url".to_owned()) };
    let is_login = matches!(&*error.kind, Of::Authentication { .. });
    let (kind, context) = match code_of(error) {
        _ if is_login => (url(), format!("{place} refuses the user or the password")),
        Some(code::AUTHENTICATION_FAILED) => {
            (url(), format!("{place} refuses the user or the password"))
        }
        Some(code::UNAUTHORIZED) => (
            ErrorKind::Internal,
            format!(
                "{place} lacks a privilege: grant `readWrite` and `dbAdmin` to the user of the store"
            ),
        ),
        Some(code::NAMESPACE_NOT_FOUND) => (
            ErrorKind::Internal,
            format!("{place} lacks a collection of the store: connect again to make it"),
        ),
        Some(code::OUT_OF_DISK_SPACE) => {
            (ErrorKind::Internal, format!("{place} has no room left: free some and try again"))
        }
        Some(code::WRITE_CONFLICT) => (
            ErrorKind::Unavailable,
            format!("{place} is being written by others for too long; try again"),
        ),
        Some(code) if TOO_LARGE.contains(&code) => (
            ErrorKind::Internal,
            format!("the cache of {place} has no room for the transaction: give it a larger one"),
        ),
        _ if matches!(&*error.kind, Of::InvalidTlsConfig { .. }) => {
            (url(), format!("{place} cannot be connected to"))
        }
        _ if doing == CONNECTING && matches!(&*error.kind, Of::InvalidArgument { .. }) => {
            (url(), format!("{place} cannot be connected to"))
        }
        _ if is_passing(error) => (
            ErrorKind::Unavailable,
            format!("{place} is out of reach, or has no primary now; try again"),
        ),
        _ => (ErrorKind::Internal, format!("{place} refused a command")),
    };
    Error::new(kind, format!("{context} (while {doing}: {said})"))
}

/// The error for whoever asks a store that is closed.
pub(crate) fn closed(place: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the store on {place} is closed: connect again"))
}

/// It may have been written: only a repeat tells.
pub(crate) fn unknown(trouble: Trouble, place: &str) -> Error {
    let error = trouble.into_error("committing", place);
    let context = format!(
        "{place} was lost in the middle of a commit: repeat it with the same id to know what became \
         of it ({error})"
    );
    Error::new(ErrorKind::OutcomeUnknown, context).with_source(error)
}
