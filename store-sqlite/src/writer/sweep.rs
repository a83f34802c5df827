//! Forgetting old commit ids and handled messages, a few at a time.

use cqrs_core::Timestamp;
use rusqlite::OptionalExtension;

use crate::statements::{Sql, Statements};

/// Looks through commit ids and inbox in small stretches, in their order, round and round. An index
/// over times would cost every commit a write; this costs it one row to look at. What is past its
/// time is unknown to repeats at once, swept or not.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    commits: usize,
    /// The last commit id that was looked at.
    after: Vec<u8>,
    marks: usize,
    /// The last row of the inbox that was looked at.
    after_row: i64,
}

/// What was written, and what may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) commits: usize,
    pub(super) marks: usize,
    pub(super) forget_commits_before: Timestamp,
    pub(super) forget_marks_before: Timestamp,
}

/// A stretch for every so many; it is twice as long, so that the sweep catches up.
const EVERY: usize = 256;
const STRETCH: usize = 2 * EVERY;

/// After every id.
const END: [u8; 17] = [0xff; 17];

impl Sweep {
    /// Notes what was written; sweeps a stretch when it is time. Whether anything was deleted.
    pub(super) fn after(
        &mut self,
        written: Written,
        statements: &mut Statements<'_>,
    ) -> rusqlite::Result<bool> {
        self.commits += written.commits;
        self.marks += written.marks;
        let mut deleted = 0;
        if self.commits >= EVERY {
            self.commits = 0;
            deleted += self.sweep_commits(written.forget_commits_before, statements)?;
        }
        if self.marks >= EVERY {
            self.marks = 0;
            deleted += self.sweep_inbox(written.forget_marks_before, statements)?;
        }
        Ok(deleted > 0)
    }

    fn sweep_commits(
        &mut self,
        before: Timestamp,
        statements: &mut Statements<'_>,
    ) -> rusqlite::Result<usize> {
        let end = statements
            .get(Sql::SweepEnd)?
            .query_row((&self.after, STRETCH as i64 - 1), |row| row.get::<_, Vec<u8>>(0))
            .optional()?;
        let until = end.as_deref().unwrap_or(&END);
        let sweep = (&self.after, until, before.as_micros());
        let deleted = statements.get(Sql::SweepCommits)?.execute(sweep)?;
        self.after = end.unwrap_or_default();
        Ok(deleted)
    }

    /// By the numbers of the rows: the index over the messages does not tell their times.
    fn sweep_inbox(
        &mut self,
        before: Timestamp,
        statements: &mut Statements<'_>,
    ) -> rusqlite::Result<usize> {
        let end = statements
            .get(Sql::SweepInboxEnd)?
            .query_row((self.after_row, STRETCH as i64 - 1), |row| row.get::<_, i64>(0))
            .optional()?;
        let sweep = (self.after_row, end.unwrap_or(i64::MAX), before.as_micros());
        let deleted = statements.get(Sql::SweepInbox)?.execute(sweep)?;
        self.after_row = end.unwrap_or(0);
        Ok(deleted)
    }
}
