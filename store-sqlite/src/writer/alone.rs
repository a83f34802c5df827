//! A transaction of its own, for what is not grouped with commits.

use std::sync::Arc;
use std::time::Instant;

use cqrs_core::Result;
use rusqlite::Connection;

use super::group::Transaction;
use super::pace::Pace;
use super::{Writer, lock};
use crate::error::{Trouble, is_busy, translate_commit};
use crate::statements::Sql;

/// What became of a transaction's work.
pub(super) enum Done<T> {
    /// To be committed.
    Changed(T),
    /// There is nothing to commit.
    Unchanged(T),
}

/// Why it was not done.
enum Failed {
    Working(Trouble),
    Committing(rusqlite::Error),
}

impl<E: Into<Trouble>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Working(error.into())
    }
}

impl Writer {
    /// Works in a transaction of its own, and commits it. After an error nothing of it is left.
    /// `doing` completes "… while".
    pub(super) fn alone<T>(
        &mut self,
        doing: &str,
        work: impl FnOnce(&mut Transaction<'_, '_>) -> Result<Done<T>, Trouble>,
    ) -> Result<T> {
        let conn = Arc::clone(&self.conn);
        let conn = lock(&conn);
        if !conn.is_autocommit() {
            self.roll_back(&conn);
        }
        self.pace.before_group();
        let known = self.data_version;
        let done = self.try_alone(&conn, work);
        if done.is_err() {
            self.roll_back(&conn);
        }
        let others = known.is_some() && known != self.data_version;
        self.pace.after_group(others);
        done.map_err(|failed| match failed {
            Failed::Working(trouble) => trouble.into_error(doing, &self.file),
            Failed::Committing(error) => translate_commit(&Arc::new(error), &self.file),
        })
    }

    fn try_alone<T>(
        &mut self,
        conn: &Connection,
        work: impl FnOnce(&mut Transaction<'_, '_>) -> Result<Done<T>, Trouble>,
    ) -> Result<T, Failed> {
        let started = Instant::now();
        while let Err(error) = conn.execute_batch(Sql::BeginImmediate.text()) {
            if !is_busy(&error) || started.elapsed() >= self.busy_timeout {
                return Err(error.into());
            }
            Pace::wait_for_lock();
        }
        let mut transaction = self.transaction(conn)?;
        let done = work(&mut transaction)?;
        let end = transaction.end()?;
        let (done, sql) = match done {
            Done::Changed(done) => (done, Sql::Commit),
            Done::Unchanged(done) => (done, Sql::Rollback),
        };
        conn.execute_batch(sql.text()).map_err(Failed::Committing)?;
        self.tell_of_growth(end.grew_to);
        Ok(done)
    }
}
