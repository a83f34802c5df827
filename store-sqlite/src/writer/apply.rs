//! One commit: checked as a whole, then written as a whole.

use cqrs_core::{
    Append, CheckpointWrite, Commit, Committed, Error, Fingerprint, InboxMark, NewEvent, StreamId,
    Timestamp, Version,
};
use rusqlite::{ErrorCode, params};

use super::group::Transaction;
use crate::error::Trouble;
use crate::row::{body, joined_to_json, tenant};
use crate::statements::Sql;

impl Transaction<'_, '_> {
    /// Applies a commit. After an error of ours nothing of it is left. There is no savepoint, but for tables
    /// with columns, because whatever else can be refused is found out before the first row is written
    /// (but for the claim of the commit's id, which is taken back).
    pub(super) fn apply(
        &mut self,
        commit: &Commit,
        fingerprint: Fingerprint,
    ) -> Result<Committed, Trouble> {
        let now = self.writer.clock.now();
        if let Some(before) = self.handled_before(&commit.inbox, now)? {
            return Ok(before);
        }
        let events = commit.appends.iter().map(|append| append.events.len() as u64).sum::<u64>();
        let position = self.head + events + commit.outgoing.len() as u64;
        if let Some(before) = self.claim(commit.id, fingerprint, position, now)? {
            return Ok(before);
        }
        match self.whole(commit, now) {
            Ok(()) => {
                debug_assert_eq!(self.head, position);
                self.note(commit);
                Ok(Committed::Now { position })
            }
            Err(Trouble::Ours(refused)) => {
                let id = commit.id.0.uuid();
                self.statements.get(Sql::ForgetCommit)?.execute((id.as_bytes(),))?;
                Err(refused.into())
            }
            Err(broken) => Err(broken),
        }
    }

    /// Writes a commit, or nothing of it. A table of the user's own making may have constraints that are
    /// known to SQLite alone, so what is written before is taken back.
    fn whole(&mut self, commit: &Commit, now: Timestamp) -> Result<(), Trouble> {
        let mut has_rows = false;
        for write in &*commit.all_documents() {
            let declared = self.declared(&write.key.collection)?;
            has_rows |= declared.is_some_and(|declared| declared.table.is_some());
        }
        if !has_rows {
            return self.check_and_write(commit, now);
        }
        let before = (self.head, self.recorded);
        let conn = self.statements.conn();
        conn.execute_batch(Sql::Savepoint.text())?;
        let written = self.check_and_write(commit, now);
        if let Err(Trouble::Ours(_)) = written {
            conn.execute_batch(Sql::RollbackToSavepoint.text())?;
            (self.head, self.recorded) = before;
            self.writer.forget_seen();
        }
        conn.execute_batch(Sql::ReleaseSavepoint.text())?;
        written
    }

    fn check_and_write(&mut self, commit: &Commit, now: Timestamp) -> Result<(), Trouble> {
        // No `..`: a new part does not compile here until somebody stores or refuses it.
        let Commit {
            id: _,
            fences,
            guards,
            appends,
            documents: _,
            views: _,
            snapshots,
            checkpoint,
            inbox,
            timers,
            outgoing,
            settled,
            parked,
        } = commit;
        let documents = &*commit.all_documents();
        // The clock may step back; the log's times do not.
        let recorded = self.recorded.max(now);

        let checks = !(fences.is_empty() && guards.is_empty() && settled.is_empty());
        let sends = !(outgoing.is_empty() && timers.is_empty() && parked.is_empty());
        let others = checks || sends || !documents.is_empty() || checkpoint.is_some();
        if let ([append], false) = (&appends[..], others)
            && let [event] = &append.events[..]
        {
            // The most frequent commit. Its event is the first row that is written, so that a used
            // event id is found by the index, without a look of its own.
            let version = self.check_stream(&append.stream, append.expected)?;
            self.append(&append.stream, version + 1, event, recorded).map_err(|error| {
                match is_used_event_id(&error) {
                    true => Error::id_reused("event", event.id()).into(),
                    false => Trouble::from(error),
                }
            })?;
        } else {
            let of_checkpoint = checkpoint.iter().flat_map(|checkpoint| &checkpoint.fence);
            self.check_fences(fences.iter().chain(of_checkpoint))?;
            let versions = self.check_appends(appends)?;
            for write in documents {
                self.check_document(&write.key, write.expected)?;
            }
            self.check_guards(guards)?;
            self.check_checkpoint(checkpoint.as_ref())?;
            self.check_waiting(outgoing, timers, settled, parked)?;
            let plan = self.plan_documents(documents)?;

            for (Append { stream, expected: _, events }, version) in appends.iter().zip(versions) {
                for (event, version) in events.iter().zip(version + 1..) {
                    self.append(stream, version, event, recorded)?;
                }
            }
            self.write_documents(documents, &plan)?;
            self.settle(settled)?;
            outgoing.iter().try_for_each(|message| self.send(message, recorded))?;
            timers.iter().try_for_each(|timer| self.set_timer(timer))?;
            parked.iter().try_for_each(|entry| self.park(entry, now))?;
        }
        self.write_snapshots(snapshots)?;
        let position = self.head as i64;
        for InboxMark { consumer, message, fingerprint, reply } in inbox {
            let message = message.uuid();
            self.statements.get(Sql::MarkInbox)?.execute(params![
                consumer,
                message.as_bytes(),
                fingerprint.as_bytes(),
                position,
                reply.as_deref(),
                now.as_micros(),
            ])?;
        }
        if let Some(CheckpointWrite { subscription, partition, to, .. }) = checkpoint {
            let moved = (subscription, partition, *to as i64);
            self.statements.get(Sql::MoveCheckpoint)?.execute(moved)?;
        }
        Ok(())
    }

    /// Writes one event at the next position.
    fn append(
        &mut self,
        stream: &StreamId,
        version: Version,
        event: &NewEvent,
        recorded: Timestamp,
    ) -> rusqlite::Result<()> {
        let NewEvent { metadata, event_type, schema_version, tags, payload } = event;
        let position = self.head as i64 + 1;
        let (data, content_type, bytes) = body(payload);
        self.statements.get(Sql::AppendEvent)?.execute(params![
            position,
            tenant(stream.tenant.as_deref()),
            &*stream.category,
            &*stream.id,
            version as i64,
            &**event_type,
            schema_version,
            metadata.id().uuid().as_bytes(),
            recorded.as_micros(),
            joined_to_json(tags),
            metadata.to_json(),
            data,
            content_type,
            bytes,
        ])?;
        for tag in tags {
            self.statements.get(Sql::TagEvent)?.execute((tag, position))?;
        }
        self.head = position as u64;
        self.recorded = recorded;
        self.writer.stands_at(stream, version);
        Ok(())
    }
}

/// Whether a row was refused because the log has an event of this id. The other unique columns
/// were looked at before.
fn is_used_event_id(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
        && error.to_string().contains("event_rows.id_bytes")
}
