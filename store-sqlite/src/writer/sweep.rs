//! Forgetting old commit ids, a few at a time.

use cqrs_core::Timestamp;
use rusqlite::OptionalExtension;

use crate::statements::{Sql, Statements};

/// Looks through the ids in small stretches, in their order, round and round. An index over times
/// would cost every commit a write; this costs it one row to look at. What is past its time is
/// unknown to repeats at once, swept or not.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    commits: usize,
    after: Vec<u8>,
}

/// A stretch for every so many commits; it is twice as long, so that the sweep catches up.
const EVERY: usize = 256;
const STRETCH: usize = 2 * EVERY;

/// After every id.
const END: [u8; 17] = [0xff; 17];

impl Sweep {
    /// Notes commits; sweeps a stretch when it is time. Whether anything was deleted.
    pub(super) fn after(
        &mut self,
        commits: usize,
        forget_before: Timestamp,
        statements: &mut Statements<'_>,
    ) -> rusqlite::Result<bool> {
        self.commits += commits;
        if self.commits < EVERY {
            return Ok(false);
        }
        self.commits = 0;
        let end = statements
            .get(Sql::SweepEnd)?
            .query_row((&self.after, STRETCH as i64 - 1), |row| row.get::<_, Vec<u8>>(0))
            .optional()?;
        let until = end.as_deref().unwrap_or(&END);
        let sweep = (&self.after, until, forget_before.as_micros());
        let deleted = statements.get(Sql::SweepCommits)?.execute(sweep)?;
        self.after = end.unwrap_or_default();
        Ok(deleted > 0)
    }
}
