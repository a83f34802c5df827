//! SQLite's errors by their meaning: what happened, to which file, and what to do.

use std::sync::Arc;

use cqrs_core::{Error, ErrorKind};
use rusqlite::ErrorCode;

/// Why something was not done: our own no, or SQLite's.
///
/// While a group is written the difference decides: after an `Ours` nothing of the commit was
/// written and the others go on; after a `Sqlite` the whole group is rolled back.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// An error with a meaning of its own.
    Ours(Error),
    /// What SQLite said.
    Sqlite(rusqlite::Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Trouble {
    /// The error for a caller. `doing` completes "… while".
    pub(crate) fn into_error(self, doing: &str, file: &str) -> Error {
        match self {
            Self::Ours(error) => error,
            Self::Sqlite(error) => translate(&Arc::new(error), doing, file),
        }
    }
}

/// The error for a caller. The cause is shared: one failure of a group is told to all its members.
pub(crate) fn translate(error: &Arc<rusqlite::Error>, doing: &str, file: &str) -> Error {
    let (kind, context) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (ErrorKind::Unavailable, format!("{file} is locked by another process; try again"))
        }
        Some(ErrorCode::CannotOpen) => (
            ErrorKind::Unavailable,
            format!("{file} cannot be opened: check that it is a file and may be written"),
        ),
        Some(ErrorCode::NotADatabase) => (
            ErrorKind::Invalid { field: Some("path".to_owned()) },
            format!("{file} is not an SQLite database: give the path of another file"),
        ),
        Some(ErrorCode::DatabaseCorrupt) => {
            (ErrorKind::Internal, format!("{file} is damaged: restore it from a backup"))
        }
        Some(ErrorCode::DiskFull) => {
            (ErrorKind::Internal, format!("no room is left for {file}: free some and try again"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (ErrorKind::Internal, format!("{file} may not be written: check its permissions"))
        }
        _ => (ErrorKind::Internal, format!("{file} failed")),
    };
    Error::new(kind, format!("{context} (while {doing}: {error})")).with_source(Arc::clone(error))
}

/// The error of a COMMIT that failed. When the disk failed under it, the commit may be in the
/// write-ahead log nevertheless, to be found when the file is opened the next time.
pub(crate) fn translate_commit(error: &Arc<rusqlite::Error>, file: &str) -> Error {
    if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
        let context = format!(
            "writing to {file} failed in the middle of a commit: repeat it with the same id to \
             know what became of it ({error})"
        );
        return Error::new(ErrorKind::OutcomeUnknown, context).with_source(Arc::clone(error));
    }
    translate(error, "committing", file)
}

/// Whether SQLite says that somebody else holds the lock.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// The error of a store that was closed.
pub(crate) fn closed(file: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the store on {file} is closed: open it again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn said(code: std::ffi::c_int) -> Arc<rusqlite::Error> {
        Arc::new(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
    }

    #[test]
    fn a_locked_file_may_be_tried_again_and_is_named() {
        let error = translate(&said(ffi::SQLITE_BUSY), "beginning", "orders.db");
        assert!(error.is_retryable());
        assert!(error.to_string().contains("orders.db"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn only_a_failing_disk_leaves_the_outcome_of_a_commit_open() {
        let kind = |code| translate_commit(&said(code), "orders.db").kind().clone();
        assert_eq!(kind(ffi::SQLITE_IOERR_FSYNC), ErrorKind::OutcomeUnknown);
        assert_eq!(kind(ffi::SQLITE_FULL), ErrorKind::Internal);
        assert_eq!(kind(ffi::SQLITE_BUSY), ErrorKind::Unavailable);
    }
}
