//! What waits: messages to send, timers, entries set aside, and leases.

use cqrs_core::{
    AnswerTo, BoxError, Error, ErrorKind, FindOutgoing, FindParked, FindTimers, Lease,
    LeaseRequest, MessageId, Metadata, Outgoing, OutgoingKind, ParkedEntry, ParkedState,
    PendingMessage, Timer, Tries,
};
use futures_util::TryStreamExt;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Reader;
use crate::error::Trouble;
use crate::hint::Session;
use crate::row::{At, For, Text, bound, can_exist, payload, tenant_of};
use crate::statements::Sql;

/// Timers of an owner, the earliest first.
pub(crate) async fn timers(reader: &Reader, find: &FindTimers) -> Result<Vec<Timer>, Trouble> {
    if !can_exist(&find.owner) {
        return Ok(Vec::new());
    }
    let client = reader.connector.get().await?;
    let params: [&(dyn ToSql + Sync); 3] = [&find.owner, &At(find.due_by), &i64::from(find.limit)];
    let rows = reader.statements.query(&client, Sql::Timers, &params).await?;
    let timer = |row: &Row| {
        Ok(Timer {
            owner: find.owner.clone(),
            tenant: tenant_of(row.try_get(0)?),
            key: row.try_get(1)?,
            name: row.try_get(2)?,
            generation: row.try_get::<_, i64>(3)? as u64,
            due: row.try_get::<_, At>(4)?.0,
        })
    };
    rows.iter().map(timer).collect()
}

/// Messages to send, in the order of their positions. One that cannot be read is never passed over.
pub(crate) async fn outgoing(
    reader: &Reader,
    find: &FindOutgoing,
) -> Result<Vec<PendingMessage>, Trouble> {
    let client = reader.connector.get().await?;
    let (after, most) = (bound(find.after), i64::from(find.page.events.max(1)));
    let read = async {
        let rows = reader.statements.begin(&client, Sql::Outgoing, &[&after, &most]).await?;
        let mut rows = Box::pin(rows);
        let (mut found, mut bytes): (Vec<PendingMessage>, usize) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await? {
            let pending = pending(&row).map_err(|cause| {
                let name = row.try_get::<_, String>(3).unwrap_or_default();
                let position = row.try_get::<_, i64>(0).unwrap_or_default();
                unreadable(name, &format!("the outgoing message at position {position}"), cause)
            })?;
            bytes += pending.message.body.len();
            if !found.is_empty() && bytes > find.page.bytes {
                break;
            }
            found.push(pending);
        }
        Ok(found)
    };
    reader.statements.bounded(read).await
}

fn pending(row: &Row) -> Result<PendingMessage, BoxError> {
    let kind: &str = row.try_get(2)?;
    let kind = OutgoingKind::named(kind).ok_or_else(|| format!("the kind {kind:?} is unknown"))?;
    let tenant = tenant_of(row.try_get(5)?);
    let Text(metadata) = row.try_get(8)?;
    let answer_to: Option<Text<'_>> = row.try_get(12)?;
    let id = MessageId::from_uuid(row.try_get::<_, Uuid>(1)?);
    Ok(PendingMessage {
        position: row.try_get::<_, i64>(0)? as u64,
        recorded_at: row.try_get::<_, At>(6)?.0,
        message: Outgoing {
            metadata: Metadata::from_json(id, tenant.as_deref(), metadata)?,
            kind,
            name: row.try_get::<_, String>(3)?.into(),
            key: row.try_get(4)?,
            body: payload(row, 9)?,
            not_before: row.try_get::<_, Option<At>>(7)?.map(|At(at)| at),
            answer_to: answer_to
                .map(|Text(to)| serde_json::from_str::<AnswerTo>(to))
                .transpose()?,
            tries: match row.try_get::<_, Option<i64>>(13)? {
                None => Tries::Policy,
                Some(tries) => u32::try_from(tries).map_or(Tries::UntilAnswered, Tries::AtMost),
            },
        },
    })
}

/// What is set aside.
pub(crate) async fn parked(
    reader: &Reader,
    find: &FindParked,
) -> Result<Vec<ParkedEntry>, Trouble> {
    let FindParked { subscription, key, state, due_by, position, after, limit } = find;
    let names = [subscription.as_deref(), key.as_deref(), after.as_ref().map(|after| &*after.0)];
    if !names.into_iter().flatten().all(can_exist) {
        return Ok(Vec::new());
    }
    // Those after a place, or from the first of a subscription on.
    let at = position.map(bound);
    let begin = subscription.as_deref();
    let begin = begin.map(|subscription| (subscription, at.unwrap_or(i64::MIN), ""));
    let after = after.as_ref().map(|(name, position, key)| (&**name, bound(*position), &**key));
    let (after, from, last) = begin.max(after).unwrap_or(("", i64::MIN, ""));
    // No name is behind this one.
    let end = subscription.as_deref().unwrap_or("\u{10ffff}\u{10ffff}");
    let sql = match (key, due_by, state) {
        (Some(_), ..) => Sql::ParkedOfKey,
        (None, Some(_), _) => Sql::ParkedDue,
        (None, None, Some(_)) => Sql::ParkedInState,
        (None, None, None) => Sql::Parked,
    };
    let (state, due_by) = (state.map(ParkedState::name), due_by.map(At));
    let limit = i64::from(*limit);
    let client = reader.connector.get().await?;
    let params: [&(dyn ToSql + Sync); 9] =
        [&after, &from, &last, &end, &at, &limit, key, &state, &due_by];
    let rows = reader.statements.query(&client, sql, &params).await?;
    let read = |row: &Row| {
        entry(row).map_err(|cause| {
            let text = |index| row.try_get::<_, String>(index).unwrap_or_default();
            let position = row.try_get::<_, i64>(1).unwrap_or_default();
            unreadable(text(5), &format!("the parked entry {position}@{}", text(0)), cause)
        })
    };
    rows.iter().map(read).collect()
}

fn entry(row: &Row) -> Result<ParkedEntry, BoxError> {
    let state: &str = row.try_get(6)?;
    Ok(ParkedEntry {
        subscription: row.try_get(0)?,
        position: row.try_get::<_, i64>(1)? as u64,
        version: row.try_get::<_, i64>(2)? as u64,
        partition: u32::try_from(row.try_get::<_, i64>(3)?)?,
        key: row.try_get(4)?,
        message: row.try_get(5)?,
        state: ParkedState::named(state)
            .ok_or_else(|| format!("the state {state:?} is unknown"))?,
        due: row.try_get::<_, Option<At>>(7)?.map(|At(at)| at),
        cause: row.try_get(8)?,
        attempts: u32::try_from(row.try_get::<_, i64>(9)?)?,
        since: row.try_get::<_, At>(10)?.0,
        edited: row.try_get::<_, bool>(11)?.then(|| payload(row, 12)).transpose()?,
    })
}

/// Gives out leases.
pub(crate) async fn lease(
    reader: &Reader,
    lock_timeout: &str,
    session: Option<Session>,
    request: &LeaseRequest,
) -> Result<Vec<Lease>, Trouble> {
    let LeaseRequest { holder, names, term } = request;
    let (pid, since) = session.map(|Session { pid, since }| (pid, At(since))).unzip();
    let client = reader.connector.get().await?;
    let params: [&(dyn ToSql + Sync); 6] =
        [&lock_timeout, holder, names, &For(*term), &pid, &since];
    let rows = reader.statements.query(&client, Sql::Lease, &params).await?;
    rows.iter().map(lease_of).collect()
}

/// The leases that somebody holds, whose names begin so.
pub(crate) async fn leases(reader: &Reader, prefix: &str) -> Result<Vec<Lease>, Trouble> {
    if !can_exist(prefix) {
        return Ok(Vec::new());
    }
    let client = reader.connector.get().await?;
    let length = prefix.chars().count() as i32;
    let rows = reader.statements.query(&client, Sql::Leases, &[&prefix, &length]).await?;
    rows.iter().map(lease_of).collect()
}

fn lease_of(row: &Row) -> Result<Lease, Trouble> {
    Ok(Lease {
        name: row.try_get(0)?,
        holder: row.try_get(1)?,
        token: row.try_get::<_, i64>(2)? as u64,
        until: row.try_get::<_, At>(3)?.0,
        taken_over: row.try_get(4)?,
    })
}

#[cold]
fn unreadable(message: String, what: &str, cause: BoxError) -> Trouble {
    let context = format!("{what} (`{message}`) cannot be read: {cause}; repair its row");
    Error::new(ErrorKind::Decode { message, field: None }, context).with_source(cause).into()
}
