//! What must hold before a commit is applied: in the order of the reference, the memory store.

use std::collections::HashSet;

use cqrs_core::{
    Append, CheckpointWrite, Committed, Conflict, DocumentKey, Error, Expected, Fingerprint, Guard,
    Head, InboxMark, LogId, StreamId, Timestamp, Version,
};
use rusqlite::OptionalExtension;

use super::group::Transaction;
use crate::error::Trouble;
use crate::read::first_matching;
use crate::row::{fingerprint, tenant, uuid_text};
use crate::statements::Sql;

impl Transaction<'_, '_> {
    /// The answer to a repeat of all messages; a conflict when only some were handled. What is past
    /// its time is not known.
    pub(super) fn handled_before(
        &mut self,
        marks: &[InboxMark],
        now: Timestamp,
    ) -> Result<Option<Committed>, Trouble> {
        let since = now.saturating_sub(self.writer.keep_inbox).as_micros();
        let mut known = 0;
        let mut first = None;
        for mark in marks {
            let message = mark.message.uuid();
            let key = (&mark.consumer, message.as_bytes(), since);
            let entry = self
                .statements
                .get(Sql::InboxEntry)?
                .query_row(key, |row| {
                    let reply = row.get::<_, Option<Vec<u8>>>(2)?;
                    Ok((fingerprint(row, 0)?, row.get::<_, i64>(1)?, reply))
                })
                .optional()?;
            let Some((fingerprint, position, reply)) = entry else { continue };
            if fingerprint != mark.fingerprint {
                return Err(Error::id_reused("message", mark.message).into());
            }
            known += 1;
            first.get_or_insert((mark, position, reply));
        }
        let Some((mark, position, reply)) = first else { return Ok(None) };
        if known < marks.len() {
            let (consumer, message) = (mark.consumer.clone(), mark.message.to_string());
            return Err(Error::from(Conflict::Inbox { consumer, message }).into());
        }
        let reply = reply.map(Into::into);
        Ok(Some(Committed::Before { position: position as u64, reply }))
    }

    fn stream_version(&mut self, stream: &StreamId) -> rusqlite::Result<Version> {
        if let Some(version) = self.writer.versions.get(stream) {
            return Ok(*version);
        }
        let key = (tenant(stream.tenant.as_deref()), &*stream.category, &*stream.id);
        let version = self
            .statements
            .get(Sql::StreamVersion)?
            .query_row(key, |row| row.get::<_, Option<i64>>(0))?;
        Ok(version.unwrap_or(0) as Version)
    }

    fn document_version(&mut self, key: &DocumentKey) -> rusqlite::Result<Version> {
        if let Some(version) = self.writer.documents.get(key) {
            return Ok(*version);
        }
        let key = (tenant(key.tenant.as_deref()), &*key.collection, &*key.id);
        let version = self
            .statements
            .get(Sql::DocumentVersion)?
            .query_row(key, |row| row.get::<_, i64>(0))
            .optional()?;
        Ok(version.unwrap_or(0) as Version)
    }

    /// The version at which the stream stands, as the commit expects it.
    pub(super) fn check_stream(
        &mut self,
        stream: &StreamId,
        expected: Expected,
    ) -> Result<Version, Trouble> {
        let actual = self.stream_version(stream)?;
        if expected.holds(actual) {
            return Ok(actual);
        }
        Err(Error::from(Conflict::Stream { stream: stream.to_string(), actual }).into())
    }

    pub(super) fn check_document(
        &mut self,
        key: &DocumentKey,
        expected: Expected,
    ) -> Result<(), Trouble> {
        if expected == Expected::Any {
            return Ok(());
        }
        let actual = self.document_version(key)?;
        if expected.holds(actual) {
            return Ok(());
        }
        let (collection, id) = (key.collection.clone().into_owned(), key.id.clone());
        Err(Error::from(Conflict::Document { collection, id, actual }).into())
    }

    /// The versions at which the streams of the appends stand.
    pub(super) fn check_appends(&mut self, appends: &[Append]) -> Result<Vec<Version>, Trouble> {
        let mut versions = Vec::with_capacity(appends.len());
        let mut ids = HashSet::new();
        for append in appends {
            versions.push(self.check_stream(&append.stream, append.expected)?);
            for event in &append.events {
                let id = event.id();
                let taken = self.statements.get(Sql::EventIdTaken)?;
                if taken.exists((id.uuid().as_bytes(),))? || !ids.insert(id) {
                    return Err(Error::id_reused("event", id).into());
                }
            }
        }
        Ok(versions)
    }

    pub(super) fn check_guards(&mut self, guards: &[Guard]) -> Result<(), Trouble> {
        for guard in guards {
            match guard {
                Guard::Stream { stream, expected } => {
                    self.check_stream(stream, *expected)?;
                }
                Guard::Document { key, expected } => self.check_document(key, *expected)?,
                Guard::NoneMatching { filter, after } => {
                    self.log_head()?.admits(None, *after)?;
                    let conn = self.statements.conn();
                    if let Some(found) = first_matching(conn, filter, *after, self.head)? {
                        let conflict = Conflict::NoneMatching { after: *after, found };
                        return Err(Error::from(conflict).into());
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_checkpoint(
        &mut self,
        write: Option<&CheckpointWrite>,
    ) -> Result<(), Trouble> {
        let Some(CheckpointWrite { subscription, partition, from, to, fence: _ }) = write else {
            return Ok(());
        };
        self.log_head()?.admits(None, *to)?;
        let actual = self
            .statements
            .get(Sql::Checkpoint)?
            .query_row((subscription, partition), |row| row.get::<_, i64>(0))
            .optional()?;
        let actual = actual.unwrap_or(0) as u64;
        if actual == *from {
            return Ok(());
        }
        let (subscription, partition) = (subscription.clone(), *partition);
        Err(Error::from(Conflict::Checkpoint { subscription, partition, actual }).into())
    }

    /// The head as this transaction sees it, with what its group wrote.
    fn log_head(&mut self) -> rusqlite::Result<Head> {
        let log = self.statements.get(Sql::LogHead)?.query_row((), |row| uuid_text(row, 0))?;
        Ok(Head { log: LogId(log), position: self.head })
    }

    /// Claims the commit's id; the answer to a repeat when it is known already. Written before
    /// anything is checked, because the index tells a repeat without a look of its own.
    pub(super) fn claim(
        &mut self,
        id: cqrs_core::CommitId,
        own: Fingerprint,
        position: u64,
        now: Timestamp,
    ) -> Result<Option<Committed>, Trouble> {
        let key = id.0.uuid();
        let claim = (key.as_bytes(), own.as_bytes(), position as i64, now.as_micros());
        match self.statements.get(Sql::ClaimCommit)?.execute(claim) {
            Ok(_) => return Ok(None),
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {}
            Err(error) => return Err(error.into()),
        }
        let known = self.statements.get(Sql::KnownCommit)?;
        let (known, position, at) = known.query_row((key.as_bytes(),), |row| {
            Ok((fingerprint(row, 0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        if at < now.saturating_sub(self.writer.keep_commit_ids).as_micros() {
            self.statements.get(Sql::ForgetCommit)?.execute((key.as_bytes(),))?;
            self.statements.get(Sql::ClaimCommit)?.execute(claim)?;
            return Ok(None);
        }
        if known != own {
            return Err(Error::id_reused("commit", id.0).into());
        }
        Ok(Some(Committed::Before { position: position as u64, reply: None }))
    }
}
