//! What waits: messages to send, timers, entries set aside, and leases.

use cqrs_core::{
    AnswerTo, BoxError, Error, ErrorKind, FindOutgoing, FindParked, FindTimers, Lease, MessageId,
    Metadata, Outgoing, OutgoingKind, ParkedEntry, ParkedState, PendingMessage, Timer, Timestamp,
    Tries,
};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::error::Trouble;
use crate::row::{bound, payload};
use crate::statements::Sql;

/// Timers of an owner, the earliest first.
pub(crate) fn timers(conn: &Connection, find: &FindTimers) -> Result<Vec<Timer>, Trouble> {
    let mut statement = conn.prepare_cached(Sql::FindTimers.text())?;
    let due = (&find.owner, find.due_by.as_micros(), find.limit);
    let found = statement.query_map(due, |row| {
        Ok(Timer {
            owner: find.owner.clone(),
            tenant: tenant_of(row, 0)?,
            key: row.get(1)?,
            name: row.get(2)?,
            generation: row.get::<_, i64>(3)? as u64,
            due: Timestamp::from_micros(row.get(4)?),
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Messages to send, in the order of their positions. One that cannot be read is never passed over.
pub(crate) fn outgoing(
    conn: &Connection,
    find: &FindOutgoing,
) -> Result<Vec<PendingMessage>, Trouble> {
    let mut statement = conn.prepare_cached(Sql::FindOutgoing.text())?;
    let mut rows = statement.query((bound(find.after),))?;
    let mut found: Vec<PendingMessage> = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        // Before its body is looked at: a page is cut off at every reading.
        if !found.is_empty() && found.len() >= find.page.events as usize {
            break;
        }
        let pending = pending(row).map_err(|cause| {
            let name = row.get::<_, String>(3).unwrap_or_default();
            let position = row.get::<_, i64>(0).unwrap_or_default();
            unreadable(name, &format!("the outgoing message at position {position}"), cause)
        })?;
        bytes += pending.message.body.len();
        if !found.is_empty() && bytes > find.page.bytes {
            break;
        }
        found.push(pending);
    }
    Ok(found)
}

fn pending(row: &Row<'_>) -> Result<PendingMessage, BoxError> {
    let id = MessageId::from_uuid(Uuid::from_slice(row.get_ref(1)?.as_blob()?)?);
    let kind = row.get_ref(2)?.as_str()?;
    let kind = OutgoingKind::named(kind).ok_or_else(|| format!("the kind {kind:?} is unknown"))?;
    let tenant = row.get_ref(5)?.as_str()?;
    let tenant = (!tenant.is_empty()).then_some(tenant);
    let not_before = row.get::<_, Option<i64>>(7)?.map(Timestamp::from_micros);
    let answer_to = row.get_ref(11)?.as_str_or_null()?;
    Ok(PendingMessage {
        position: row.get::<_, i64>(0)? as u64,
        recorded_at: Timestamp::from_micros(row.get(6)?),
        message: Outgoing {
            metadata: Metadata::from_json(id, tenant, row.get_ref(8)?.as_str()?)?,
            kind,
            name: row.get::<_, String>(3)?.into(),
            key: row.get(4)?,
            body: payload(row, 9, 10)?,
            not_before,
            answer_to: answer_to.map(serde_json::from_str::<AnswerTo>).transpose()?,
            tries: match row.get::<_, Option<i64>>(12)? {
                None => Tries::Policy,
                Some(tries) => u32::try_from(tries).map_or(Tries::UntilAnswered, Tries::AtMost),
            },
        },
    })
}

/// What is set aside, by the index that fits what is asked for.
pub(crate) fn parked(conn: &Connection, find: &FindParked) -> Result<Vec<ParkedEntry>, Trouble> {
    let FindParked { subscription, key, state, due_by, position, after, limit } = find;
    // Those after a place, up to the end of a subscription or of all: a BLOB is after every text.
    let at = position.map(bound);
    let begin = subscription.as_deref();
    let begin = begin.map(|subscription| (subscription, at.unwrap_or(i64::MIN), ""));
    let after = after.as_ref().map(|(name, position, key)| (&**name, bound(*position), &**key));
    let (after, from, last) = begin.max(after).unwrap_or(("", i64::MIN, ""));
    let end = ToSqlOutput::Borrowed(match subscription {
        Some(subscription) => ValueRef::Text(subscription.as_bytes()),
        None => ValueRef::Blob(b""),
    });
    let (state, due_by) = (state.map(ParkedState::name), due_by.map(Timestamp::as_micros));
    let sql = match (key, state, due_by) {
        (Some(_), ..) => Sql::FindParkedByKey,
        (None, _, Some(_)) => Sql::FindParkedDue,
        (None, Some(_), None) => Sql::FindParkedByState,
        (None, None, None) => Sql::FindParked,
    };
    let mut statement = conn.prepare_cached(sql.text())?;
    let mut rows = match (key, due_by, state) {
        (Some(key), ..) => {
            statement.query(params![after, from, last, end, at, limit, key, state, due_by])?
        }
        (None, Some(due_by), state) => {
            statement.query(params![after, from, last, end, at, limit, due_by, state])?
        }
        (None, None, Some(state)) => {
            statement.query(params![after, from, last, end, at, limit, state])?
        }
        (None, None, None) => statement.query(params![after, from, last, end, at, limit])?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(entry(row).map_err(|cause| {
            let text = |index| row.get::<_, String>(index).unwrap_or_default();
            let position = row.get::<_, i64>(1).unwrap_or_default();
            unreadable(text(5), &format!("the parked entry {position}@{}", text(0)), cause)
        })?);
    }
    Ok(found)
}

fn entry(row: &Row<'_>) -> Result<ParkedEntry, BoxError> {
    let state = row.get_ref(6)?.as_str()?;
    Ok(ParkedEntry {
        subscription: row.get(0)?,
        position: row.get::<_, i64>(1)? as u64,
        version: row.get::<_, i64>(2)? as u64,
        partition: row.get(3)?,
        key: row.get(4)?,
        message: row.get(5)?,
        state: ParkedState::named(state)
            .ok_or_else(|| format!("the state {state:?} is unknown"))?,
        due: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_micros),
        cause: row.get(8)?,
        attempts: row.get(9)?,
        since: Timestamp::from_micros(row.get(10)?),
        edited: row.get::<_, bool>(11)?.then(|| payload(row, 12, 13)).transpose()?,
    })
}

/// The leases that somebody holds, whose names begin so.
pub(crate) fn leases(
    conn: &Connection,
    prefix: &str,
    now: Timestamp,
) -> Result<Vec<Lease>, Trouble> {
    let mut statement = conn.prepare_cached(Sql::Leases.text())?;
    let mut rows = statement.query((prefix,))?;
    let mut held = Vec::new();
    while let Some(row) = rows.next()? {
        let name = row.get::<_, String>(0)?;
        if !name.starts_with(prefix) {
            break;
        }
        let lease = Lease {
            name,
            holder: row.get(1)?,
            token: row.get::<_, i64>(2)? as u64,
            until: Timestamp::from_micros(row.get(3)?),
            taken_over: false,
        };
        if !lease.holder.is_empty() && lease.until > now {
            held.push(lease);
        }
    }
    Ok(held)
}

fn tenant_of(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Box<str>>> {
    let tenant = row.get_ref(index)?.as_str()?;
    Ok((!tenant.is_empty()).then(|| tenant.into()))
}

#[cold]
fn unreadable(message: String, what: &str, cause: BoxError) -> Error {
    let context = format!("{what} (`{message}`) cannot be read: {cause}; repair its row");
    Error::new(ErrorKind::Decode { message, field: None }, context).with_source(cause)
}
