//! One commit: checked as a whole, then written as a whole.

use cqrs_core::{
    Append, CheckpointWrite, Commit, Committed, Error, Fingerprint, InboxMark, NewEvent,
    PayloadRef, StreamId, Timestamp, Version,
};
use rusqlite::types::Null;
use rusqlite::{ErrorCode, ToSql, params};

use super::group::Transaction;
use crate::error::Trouble;
use crate::row::{joined_to_json, tenant};
use crate::statements::Sql;

impl Transaction<'_, '_> {
    /// Applies a commit. After an error of ours nothing of it is left; there is no savepoint,
    /// because whatever can be refused is found out before the first row is written (but for the
    /// claim of the commit's id, which is taken back).
    pub(super) fn apply(
        &mut self,
        commit: &Commit,
        fingerprint: Fingerprint,
    ) -> Result<Committed, Trouble> {
        let now = self.writer.clock.now();
        if let Some(before) = self.handled_before(&commit.inbox)? {
            return Ok(before);
        }
        let events = commit.appends.iter().map(|append| append.events.len() as u64).sum::<u64>();
        let position = self.head + events;
        if let Some(before) = self.claim(commit.id, fingerprint, position, now)? {
            return Ok(before);
        }
        match self.check_and_write(commit, now) {
            Ok(()) => {
                debug_assert_eq!(self.head, position);
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

    fn check_and_write(&mut self, commit: &Commit, now: Timestamp) -> Result<(), Trouble> {
        // No `..`: a new part does not compile here until somebody stores or refuses it. Those that
        // this store does not offer were refused before.
        let Commit {
            id: _,
            fences: _,
            guards,
            appends,
            documents,
            snapshots,
            checkpoint,
            inbox,
            timers: _,
            outgoing: _,
            settled: _,
            parked: _,
        } = commit;
        // The clock may step back; the log's times do not.
        let recorded = self.recorded.max(now);

        let others = !guards.is_empty() || !documents.is_empty() || checkpoint.is_some();
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
            let versions = self.check_appends(appends)?;
            for write in documents {
                self.check_document(&write.key, write.expected)?;
            }
            self.check_guards(guards)?;
            self.check_checkpoint(checkpoint.as_ref())?;
            let fields = self.plan_fields(documents)?;

            for (Append { stream, expected: _, events }, version) in appends.iter().zip(versions) {
                for (event, version) in events.iter().zip(version + 1..) {
                    self.append(stream, version, event, recorded)?;
                }
            }
            self.write_documents(documents, &fields)?;
        }
        self.write_snapshots(snapshots)?;
        let position = self.head as i64;
        for InboxMark { consumer, message, fingerprint, reply } in inbox {
            let message = message.uuid();
            let mark = (consumer, message.as_bytes(), fingerprint.as_bytes(), position);
            let mark = params![mark.0, mark.1, mark.2, mark.3, reply.as_deref()];
            self.statements.get(Sql::MarkInbox)?.execute(mark)?;
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
        let payload = payload.as_ref();
        let (data, content_type, bytes): (&dyn ToSql, &dyn ToSql, &dyn ToSql) = match &payload {
            PayloadRef::Json(text) => (text, &Null, &Null),
            PayloadRef::Binary { content_type, bytes } => (&Null, content_type, bytes),
            PayloadRef::Erased => (&Null, &Null, &Null),
        };
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
