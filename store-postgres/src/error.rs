//! PostgreSQL's errors by their meaning: what happened, where, and what to do.

use std::error::Error as _;
use std::fmt;

use cqrs_core::{Error, ErrorKind};
use tokio_postgres::error::SqlState;

/// An error of ours, or one of the driver's that is still to be translated.
pub(crate) enum Trouble {
    Ours(Error),
    /// The same, where another attempt is not worth while.
    Final(Error),
    Postgres(tokio_postgres::Error),
    /// It was not done within its time. What became of it is not known.
    TooLong,
}

/// The tables of the store: what they are to hold is looked at before it is written.
const OWN: [&str; 17] = [
    "tables",
    "log",
    "heads",
    "events",
    "commits",
    "inbox",
    "checkpoints",
    "snapshots",
    "collections",
    "documents",
    "document_fields",
    "event_tags",
    "staged_1",
    "outgoing",
    "timers",
    "parked",
    "leases",
];

/// As it may be logged: the driver's own form quotes values.
impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(error) | Self::Final(error) => fmt::Debug::fmt(error, f),
            Self::Postgres(error) => f.write_str(&said(error)),
            Self::TooLong => f.write_str("no answer in time"),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl Trouble {
    /// As others see it. `doing` completes "… while"; `place` names the database.
    pub(crate) fn into_error(self, doing: &str, place: &str) -> Error {
        match self {
            Self::Ours(error) | Self::Final(error) => error,
            Self::Postgres(error) => translate(error, doing, place),
            Self::TooLong => {
                let context = format!("{place} did not answer in time while {doing}; try again");
                Error::new(ErrorKind::Unavailable, context)
            }
        }
    }

    /// Whether the connection is of no use any more, so that what was asked may have been done.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Ours(_) | Self::Final(_) => false,
            Self::TooLong => true,
            Self::Postgres(error) => error.code().is_none_or(ends_connection),
        }
    }

    /// Whether the server refused before anything was done, and may not the next time.
    pub(crate) fn is_passing(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.code().is_some_and(is_passing)
    }

    pub(crate) fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres(error) => error.code(),
            _ => None,
        }
    }
}

/// The server says this, and closes the connection.
fn ends_connection(code: &SqlState) -> bool {
    code.code().starts_with("08")
        || [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(&code)
}

/// Nothing was done, and another attempt may get through.
fn is_passing(code: &SqlState) -> bool {
    [
        &SqlState::CANNOT_CONNECT_NOW,
        &SqlState::TOO_MANY_CONNECTIONS,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::QUERY_CANCELED,
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::READ_ONLY_SQL_TRANSACTION,
    ]
    .contains(&code)
        || ends_connection(code)
}

/// What the server said, without what it quotes: values of a row are nobody's to log.
fn said(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        // What says that a value is none quotes it.
        Some(refused) if refused.code().code().starts_with("22") => {
            format!("{}: a value is not what it should be", refused.code().code())
        }
        Some(refused) => format!("{}: {}", refused.code().code(), refused.message()),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

fn translate(error: tokio_postgres::Error, doing: &str, place: &str) -> Error {
    let said = said(&error);
    let (kind, context) = match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => (
            ErrorKind::Invalid { field: Some("url".to_owned()) },
            format!("{place} refuses the user or the password"),
        ),
        Some(&SqlState::INVALID_CATALOG_NAME) => (
            ErrorKind::Invalid { field: Some("url".to_owned()) },
            format!("{place} has no such database: create it, or name another"),
        ),
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => (
            ErrorKind::Internal,
            format!("{place} lacks a privilege: grant it to the user of the store"),
        ),
        Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_FUNCTION) => (
            ErrorKind::Internal,
            format!("{place} lacks a table or function of the store: migrate it"),
        ),
        Some(&SqlState::DISK_FULL) => {
            (ErrorKind::Internal, format!("{place} has no room left: free some and try again"))
        }
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => (
            ErrorKind::Unavailable,
            format!("{place} is read-only: it is a standby, or is being switched over; try again"),
        ),
        Some(&SqlState::LOCK_NOT_AVAILABLE) => (
            ErrorKind::Unavailable,
            format!("{place} is being written by others for too long; try again"),
        ),
        Some(code) if is_passing(code) => {
            (ErrorKind::Unavailable, format!("{place} cannot serve this now; try again"))
        }
        // A constraint that is not the store's, or a value that somebody else wrote.
        Some(code) if code.code().starts_with("23") && is_of_an_entity(&error) => {
            let refused = error.as_db_error();
            let field = refused.and_then(|refused| refused.column().or(refused.constraint()));
            let table = refused.and_then(|refused| refused.table()).unwrap_or("?");
            let field = field.unwrap_or("?").to_owned();
            let context =
                format!("`{field}` of the table `{table}` of {place} refuses what is written");
            (ErrorKind::Invalid { field: Some(field) }, context)
        }
        Some(_) => (ErrorKind::Internal, format!("{place} refused a statement")),
        None => (ErrorKind::Unavailable, format!("{place} is out of reach; try again")),
    };
    let context = format!("{context} (while {doing}: {said})");
    let translated = Error::new(kind, context);
    match error.as_db_error() {
        // All of it is said.
        Some(_) => translated,
        None => translated.with_source(error),
    }
}

/// Whether it is about a table that is not one of the store.
fn is_of_an_entity(error: &tokio_postgres::Error) -> bool {
    let table = error.as_db_error().and_then(|refused| refused.table());
    table.is_some_and(|table| !OWN.contains(&table))
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
