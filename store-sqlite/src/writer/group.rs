//! A group of commits in one transaction, each with a verdict of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{
    Commit, Committed, DocumentWrite, Expected, Position, Result, StreamId, Timestamp, Version,
};
use rusqlite::Connection;

use super::pace::Pace;
use super::sweep::Written;
use super::{KNOWN_DOCUMENTS, KNOWN_STREAMS, Pending, Writer, lock};
use crate::error::{Trouble, is_busy, translate, translate_commit};
use crate::statements::{Sql, Statements};

/// A group that takes longer is worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);

/// An open transaction of the writer, and where the log stands in it.
pub(super) struct Transaction<'c, 'w> {
    pub(super) statements: Statements<'c>,
    pub(super) writer: &'w mut Writer,
    pub(super) head: Position,
    pub(super) recorded: Timestamp,
    /// Where the log stood at the beginning.
    began: (Position, Timestamp),
    applied: usize,
    marks: usize,
}

/// What a transaction wrote.
pub(super) struct End {
    /// The head, when it moved.
    pub(super) grew_to: Option<Position>,
    /// Whether there is anything to commit.
    pub(super) changed: bool,
}

/// Why a group was not written.
enum Failed {
    /// Nobody could begin, or a statement failed: nothing was written.
    Applying(rusqlite::Error),
    /// COMMIT failed.
    Committing(rusqlite::Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Applying(error)
    }
}

impl Writer {
    /// Writes a group and answers its members. Whether another process wrote since the last one.
    pub(super) fn write(&mut self, group: &mut Vec<Pending>) -> bool {
        let started = Instant::now();
        let size = group.len();
        let conn = Arc::clone(&self.conn);
        let conn = lock(&conn);
        let known = self.data_version;
        match self.attempt(&conn, group) {
            Err(Failed::Applying(error)) if group.len() > 1 => {
                // One member broke it, by a trigger of the user's for one. The others are innocent:
                // each goes alone.
                tracing::warn!(file = %self.file, %error, size, "a group failed; one by one");
                for pending in std::mem::take(group) {
                    let mut alone = vec![pending];
                    let verdicts = self.attempt(&conn, &mut alone);
                    self.answer(&mut alone, verdicts);
                }
            }
            verdicts => {
                // As of now: who is answered may be back before anybody looks.
                self.patience.written(self.jobs.len() + size, started.elapsed());
                self.answer(group, verdicts);
            }
        }
        let took = started.elapsed();
        if took > SLOW {
            tracing::warn!(file = %self.file, commits = size, ?took, "a slow group of commits");
        }
        known.is_some() && known != self.data_version
    }

    fn answer(&self, group: &mut Vec<Pending>, verdicts: Result<Vec<Result<Committed>>, Failed>) {
        match verdicts {
            Ok(verdicts) => {
                // All are told before the first is freed: who waits is on the way sooner.
                for (pending, verdict) in group.iter_mut().zip(verdicts) {
                    pending.tell(verdict);
                }
                group.clear();
            }
            Err(failed) => {
                type Translate = fn(&Arc<rusqlite::Error>, &str) -> cqrs_core::Error;
                let (error, translate): (_, Translate) = match failed {
                    Failed::Applying(error) => (error, |e, file| translate(e, "writing", file)),
                    Failed::Committing(error) => (error, translate_commit),
                };
                let error = Arc::new(error);
                for pending in group.iter_mut() {
                    pending.tell(Err(translate(&error, &self.file)));
                }
                group.clear();
            }
        }
    }

    /// One transaction over the group. Members whose patience ends while another process holds the
    /// lock are answered and leave.
    fn attempt(
        &mut self,
        conn: &Connection,
        group: &mut Vec<Pending>,
    ) -> Result<Vec<Result<Committed>>, Failed> {
        self.begin(conn, group)?;
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let written = self.apply_all(conn, group).map_err(Failed::Applying);
        let done = written.and_then(|(verdicts, end)| {
            // Nothing to write, nothing to wait for.
            let sql = if end.changed { Sql::Commit } else { Sql::Rollback };
            let ended = conn.prepare_cached(sql.text()).and_then(|mut sql| sql.execute(()));
            ended.map_err(Failed::Committing)?;
            self.tell_of_growth(end.grew_to);
            Ok(verdicts)
        });
        if done.is_err() {
            self.roll_back(conn);
        }
        done
    }

    /// Notes the version of a stream, so that the next append to it need not look.
    pub(super) fn stands_at(&mut self, stream: &StreamId, version: Version) {
        if let Some(known) = self.versions.get_mut(stream) {
            *known = version;
            return;
        }
        if self.versions.len() >= KNOWN_STREAMS {
            self.versions.clear();
        }
        self.versions.insert(stream.clone(), version);
    }

    /// Notes what a write makes of a document, so that the next one need not look.
    pub(super) fn document_stands_at(&mut self, write: &DocumentWrite) {
        let version = match (&write.body, write.expected) {
            (None, _) => Some(0),
            (Some(_), Expected::Exactly(before)) if before > 0 => Some(before + 1),
            // A new one goes on where a deleted one stopped.
            (Some(_), _) => None,
        };
        match (self.documents.get_mut(&write.key), version) {
            (Some(known), Some(version)) => *known = version,
            (Some(_), None) => drop(self.documents.remove(&write.key)),
            (None, None) => {}
            (None, Some(version)) => {
                if self.documents.len() >= KNOWN_DOCUMENTS {
                    self.documents.clear();
                }
                self.documents.insert(write.key.clone(), version);
            }
        }
    }

    pub(super) fn forget_seen(&mut self) {
        self.collections.clear();
        self.versions.clear();
        self.documents.clear();
    }

    pub(super) fn roll_back(&mut self, conn: &Connection) {
        // What was seen inside may never have been.
        self.forget_seen();
        // SQLite ends the transaction by itself after some errors.
        if !conn.is_autocommit()
            && let Err(error) = conn.execute_batch(Sql::Rollback.text())
        {
            tracing::warn!(file = %self.file, %error, "a transaction could not be rolled back");
        }
    }

    /// Begins a transaction, trying again while the file is locked.
    fn begin(
        &mut self,
        conn: &Connection,
        group: &mut Vec<Pending>,
    ) -> Result<(), rusqlite::Error> {
        if !conn.is_autocommit() {
            self.roll_back(conn);
        }
        let mut begin = conn.prepare_cached(Sql::BeginImmediate.text())?;
        while !group.is_empty() {
            match begin.execute(()) {
                Err(error) if is_busy(&error) => self.dismiss_impatient(error, group),
                other => return other.map(|_| ()),
            }
            if !group.is_empty() {
                Pace::wait_for_lock();
            }
        }
        Ok(())
    }

    /// Answers those who waited long enough.
    fn dismiss_impatient(&self, busy: rusqlite::Error, group: &mut Vec<Pending>) {
        // In the order of their arrival, nearly: it is enough to look at the first.
        if group[0].since.elapsed() < self.busy_timeout {
            return;
        }
        tracing::warn!(file = %self.file, "locked by another process for too long");
        let busy = Arc::new(busy);
        let impatient = group.extract_if(.., |p| p.since.elapsed() >= self.busy_timeout);
        for mut pending in impatient {
            pending.tell(Err(translate(&busy, "waiting to write", &self.file)));
        }
    }

    /// The verdicts, and what was written.
    fn apply_all(
        &mut self,
        conn: &Connection,
        group: &[Pending],
    ) -> rusqlite::Result<(Vec<Result<Committed>>, End)> {
        let mut transaction = self.transaction(conn)?;
        let mut verdicts = Vec::with_capacity(group.len());
        for pending in group {
            match transaction.apply(&pending.commit, pending.fingerprint) {
                Ok(committed) => verdicts.push(Ok(committed)),
                Err(Trouble::Ours(refused)) => verdicts.push(Err(refused)),
                Err(Trouble::Sqlite(error)) => return Err(error),
            }
        }
        let end = transaction.end()?;
        Ok((verdicts, end))
    }

    /// Tells whoever waits that the log has grown, if it has.
    pub(super) fn tell_of_growth(&self, grew_to: Option<Position>) {
        if let Some(head) = grew_to {
            self.grown.send_replace(head);
        }
    }

    /// Looks where the log stands, after a transaction has begun.
    pub(super) fn transaction<'c, 'w>(
        &'w mut self,
        conn: &'c Connection,
    ) -> rusqlite::Result<Transaction<'c, 'w>> {
        let mut statements = Statements::of(conn);
        let version = statements.get(Sql::DataVersion)?.query_row((), |row| row.get(0))?;
        if self.data_version != Some(version) {
            self.data_version = Some(version);
            self.forget_seen();
        }
        let (head, recorded) = statements
            .get(Sql::LogState)?
            .query_row((), |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))?;
        let (head, recorded) = (head as Position, Timestamp::from_micros(recorded));
        let began = (head, recorded);
        Ok(Transaction { statements, writer: self, head, recorded, began, applied: 0, marks: 0 })
    }
}

impl Transaction<'_, '_> {
    /// Notes a commit that was applied.
    pub(super) fn note(&mut self, commit: &Commit) {
        self.applied += 1;
        self.marks += commit.inbox.len();
    }

    /// Writes where the log stands now, and forgets some of what is old.
    pub(super) fn end(&mut self) -> rusqlite::Result<End> {
        if self.began != (self.head, self.recorded) {
            let state = (self.head as i64, self.recorded.as_micros());
            self.statements.get(Sql::MoveLog)?.execute(state)?;
        }
        let now = self.writer.clock.now();
        let written = Written {
            commits: self.applied,
            marks: self.marks,
            forget_commits_before: now.saturating_sub(self.writer.keep_commit_ids),
            forget_marks_before: now.saturating_sub(self.writer.keep_inbox),
        };
        let swept = self.writer.sweep.after(written, &mut self.statements)?;
        let grew_to = (self.head > self.began.0).then_some(self.head);
        Ok(End { grew_to, changed: self.applied > 0 || swept })
    }
}
