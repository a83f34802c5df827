//! What a commit fences, settles, sends, sets and sets aside: checked and written.

use std::collections::HashSet;

use cqrs_core::{
    AnswerTo, Conflict, Error, Fence, MessageId, Outgoing, ParkedWrite, Settled, Timer, TimerWrite,
    Timestamp, Tries,
};
use rusqlite::{OptionalExtension, Params, params};
use serde_json::json;

use super::group::Transaction;
use crate::error::Trouble;
use crate::row::{body, tenant};
use crate::statements::Sql;

impl Transaction<'_, '_> {
    /// A number from a row that may be missing.
    fn number(&mut self, sql: Sql, key: impl Params) -> rusqlite::Result<Option<u64>> {
        let number = self.statements.get(sql)?.query_row(key, |row| row.get::<_, i64>(0));
        Ok(number.optional()?.map(|number| number as u64))
    }

    pub(super) fn check_fences<'a>(
        &mut self,
        fences: impl Iterator<Item = &'a Fence>,
    ) -> Result<(), Trouble> {
        for Fence { lease, token } in fences {
            let actual = self.number(Sql::LeaseToken, (lease,))?.unwrap_or(0);
            if actual != *token {
                let (lease, token) = (lease.clone(), *token);
                return Err(Error::from(Conflict::Lease { lease, token, actual }).into());
            }
        }
        Ok(())
    }

    pub(super) fn check_waiting(
        &mut self,
        outgoing: &[Outgoing],
        timers: &[TimerWrite],
        settled: &[Settled],
        parked: &[ParkedWrite],
    ) -> Result<(), Trouble> {
        let mut ids = HashSet::new();
        for message in outgoing {
            let id = message.metadata.id();
            if self.is_pending(id)? || !ids.insert(id) {
                return Err(Error::id_reused("message", id).into());
            }
        }
        settled.iter().try_for_each(|settled| self.check_settled(settled))?;
        timers.iter().try_for_each(|timer| self.check_timer(timer))?;
        for ParkedWrite { subscription, position, key, expected, .. } in parked {
            let actual = self.parked_version(subscription, *position, key)?.unwrap_or(0);
            if !expected.holds(actual) {
                let (subscription, position) = (subscription.clone(), *position);
                let conflict = Conflict::Parked { subscription, position, actual };
                return Err(Error::from(conflict).into());
            }
        }
        Ok(())
    }

    fn is_pending(&mut self, id: MessageId) -> rusqlite::Result<bool> {
        self.statements.get(Sql::MessagePending)?.exists((id.uuid().as_bytes(),))
    }

    fn parked_version(
        &mut self,
        subscription: &str,
        position: u64,
        key: &str,
    ) -> rusqlite::Result<Option<u64>> {
        self.number(Sql::ParkedVersion, (subscription, position as i64, key))
    }

    fn check_timer(&mut self, write: &TimerWrite) -> Result<(), Trouble> {
        let TimerWrite { owner, tenant: whose, key, name, generation, due } = write;
        let place = (owner, tenant(whose.as_deref()), key, name);
        let actual = self.number(Sql::TimerGeneration, place)?.unwrap_or(0);
        let is_late = match due {
            Some(_) => *generation <= actual,
            None => *generation < actual,
        };
        if !is_late {
            return Ok(());
        }
        let (owner, key, name) = (owner.clone(), key.clone(), name.clone());
        Err(Error::from(Conflict::Timer { owner, key, name, actual }).into())
    }

    fn check_settled(&mut self, settled: &Settled) -> Result<(), Trouble> {
        let (is_there, what) = match settled {
            Settled::Outgoing(id) => (self.is_pending(*id)?, format!("the message {id}")),
            Settled::Timer(timer) => {
                let Timer { owner, tenant: whose, key, name, generation, due: _ } = timer;
                let place = (owner, tenant(whose.as_deref()), key, name);
                let set = self.number(Sql::TimerGeneration, place)?;
                (set == Some(*generation), format!("the timer `{name}` of `{owner}`/{key}"))
            }
            Settled::Parked { subscription, position, key } => {
                let version = self.parked_version(subscription, *position, key)?;
                (version.is_some(), format!("the parked entry {position}@{subscription}"))
            }
        };
        match is_there {
            true => Ok(()),
            false => Err(Error::from(Conflict::Settled { what }).into()),
        }
    }

    /// Forgets what is settled.
    pub(super) fn settle(&mut self, settled: &[Settled]) -> rusqlite::Result<()> {
        for settled in settled {
            match settled {
                Settled::Outgoing(id) => {
                    let id = id.uuid();
                    self.statements.get(Sql::SettleMessage)?.execute((id.as_bytes(),))?;
                }
                Settled::Timer(Timer { owner, tenant: whose, key, name, .. }) => {
                    let place = (owner, tenant(whose.as_deref()), key, name);
                    self.statements.get(Sql::RemoveTimer)?.execute(place)?;
                }
                Settled::Parked { subscription, position, key } => {
                    let place = (subscription, *position as i64, key);
                    self.statements.get(Sql::SettleParked)?.execute(place)?;
                }
            }
        }
        Ok(())
    }

    /// Puts a message at the next position.
    pub(super) fn send(&mut self, message: &Outgoing, recorded: Timestamp) -> rusqlite::Result<()> {
        let Outgoing { metadata, kind, name, key, body: says, not_before, answer_to, tries } =
            message;
        let position = self.head as i64 + 1;
        let (data, content_type, bytes) = body(says);
        let answer_to = answer_to.as_ref().map(|AnswerTo { saga, key, step }| {
            json!({ "saga": saga, "key": key, "step": step }).to_string()
        });
        let tries = match tries {
            Tries::Policy => None,
            Tries::AtMost(tries) => Some(i64::from(*tries)),
            Tries::UntilAnswered => Some(-1),
        };
        self.statements.get(Sql::SendMessage)?.execute(params![
            position,
            metadata.id().uuid().as_bytes(),
            kind.name(),
            &**name,
            key,
            tenant(metadata.tenant()),
            recorded.as_micros(),
            not_before.map(Timestamp::as_micros),
            metadata.to_json(),
            data,
            content_type,
            bytes,
            answer_to,
            tries,
        ])?;
        self.head = position as u64;
        self.recorded = recorded;
        Ok(())
    }

    /// Sets a timer, or cancels it.
    pub(super) fn set_timer(&mut self, write: &TimerWrite) -> rusqlite::Result<()> {
        let TimerWrite { owner, tenant: whose, key, name, generation, due } = write;
        let whose = tenant(whose.as_deref());
        match due {
            Some(due) => {
                let set = params![owner, whose, key, name, *generation as i64, due.as_micros()];
                self.statements.get(Sql::SetTimer)?.execute(set)?;
            }
            None => {
                self.statements.get(Sql::RemoveTimer)?.execute((owner, whose, key, name))?;
            }
        }
        Ok(())
    }

    /// Sets an entry aside, or changes it.
    pub(super) fn park(&mut self, write: &ParkedWrite, now: Timestamp) -> rusqlite::Result<()> {
        let ParkedWrite { subscription, position, expected: _, partition, key, message, .. } =
            write;
        let ParkedWrite { state, due, cause, attempts, edited, .. } = write;
        let (data, content_type, bytes) = edited.as_ref().map(body).unwrap_or_default();
        self.statements.get(Sql::Park)?.execute(params![
            subscription,
            *position as i64,
            partition,
            key,
            message,
            state.name(),
            due.map(Timestamp::as_micros),
            cause,
            attempts,
            now.as_micros(),
            edited.is_some(),
            data,
            content_type,
            bytes,
        ])?;
        Ok(())
    }
}
