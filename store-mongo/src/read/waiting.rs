//! What waits: messages to send, timers, entries set aside; leases, checkpoints and the inbox.

use std::time::Duration;

use bson::raw::RawDocument;
use bson::{Bson, DateTime, Document, doc};
use cqrs_core::{
    AnswerTo, BoxError, CommitId, Error, ErrorKind, FindOutgoing, FindParked, FindTimers,
    InboxEntry, Lease, MessageId, Metadata, Outgoing, OutgoingKind, ParkedEntry, ParkedState,
    PendingMessage, Position, Timer, Tries,
};

use super::log::{head, surely};
use super::{Find, Reader};
use crate::error::Trouble;
use crate::names::Coll;
use crate::row::{Fields, bound, id, payload_of, tenant_of};
use crate::writer::inbox_entry;

/// Timers of an owner, the earliest first.
pub(crate) async fn timers(reader: &Reader, find: &FindTimers) -> Result<Vec<Timer>, Trouble> {
    let mut timers = Vec::new();
    if find.limit == 0 {
        return Ok(timers);
    }
    let due = doc! {
        "_id.owner": find.owner.as_str(), "due_us": { "$lte": find.due_by.as_micros() },
    };
    let order = doc! { "due_us": 1, "_id.tenant": 1, "_id.key": 1, "_id.name": 1 };
    let find = Find::new(Coll::Timers, due).sort(order).limit(find.limit.into());
    let take = |document: &RawDocument| {
        let timer = timer(&Fields(document)).map_err(|cause| Trouble::damaged("a timer", cause))?;
        timers.push(timer);
        Ok(true)
    };
    reader.each(find, take).await?;
    Ok(timers)
}

fn timer(fields: &Fields<'_>) -> Result<Timer, BoxError> {
    let id = fields.document("_id")?;
    Ok(Timer {
        owner: id.text("owner")?.to_owned(),
        tenant: tenant_of(id.text("tenant")?),
        key: id.text("key")?.to_owned(),
        name: id.text("name")?.to_owned(),
        generation: fields.count("generation")?,
        due: fields.maybe_micros("due_us")?.ok_or("it is never due")?,
    })
}

/// Messages to send, in the order of their positions. One that cannot be read is never passed over.
pub(crate) async fn outgoing(
    reader: &Reader,
    find: &FindOutgoing,
) -> Result<Vec<PendingMessage>, Trouble> {
    let end = head(reader).await?.position;
    let beyond = doc! { "_id": { "$gt": bound(find.after), "$lte": bound(end) } };
    let (page, most) = (find.page, u64::from(find.page.events.max(1)));
    let find = Find::new(Coll::Outgoing, beyond).sort(doc! { "_id": 1 }).limit(most);
    let (mut found, mut bytes): (Vec<PendingMessage>, usize) = (Vec::new(), 0);
    let take = |document: &RawDocument| {
        let fields = Fields(document);
        let pending = pending(&fields).map_err(|cause| {
            let name = fields.text("name").unwrap_or_default().to_owned();
            let position = fields.number("_id").unwrap_or_default();
            unreadable(name, &format!("the outgoing message at position {position}"), cause)
        })?;
        bytes += pending.message.body.len();
        let fits = found.is_empty() || bytes <= page.bytes;
        if fits {
            found.push(pending);
        }
        Ok(fits)
    };
    reader.each(find, take).await?;
    Ok(found)
}

fn pending(fields: &Fields<'_>) -> Result<PendingMessage, BoxError> {
    let kind = fields.text("kind")?;
    let kind = OutgoingKind::named(kind).ok_or_else(|| format!("the kind {kind:?} is unknown"))?;
    let tenant = tenant_of(fields.text("tenant")?);
    let id = MessageId::from_uuid(fields.uuid("id")?);
    let answer_to = fields.maybe_document("answer_to")?.map(|to| {
        let text = |name| to.text(name).map(str::to_owned);
        Ok::<_, BoxError>(AnswerTo { saga: text("saga")?, key: text("key")?, step: text("step")? })
    });
    Ok(PendingMessage {
        position: fields.count("_id")?,
        recorded_at: fields.date("recorded_at")?,
        message: Outgoing {
            metadata: Metadata::from_json(id, tenant.as_deref(), fields.text("metadata")?)?,
            kind,
            name: fields.text("name")?.to_owned().into(),
            key: fields.text("key")?.to_owned(),
            body: payload_of(fields)?,
            not_before: fields.maybe_micros("not_before_us")?,
            answer_to: answer_to.transpose()?,
            tries: match fields.maybe_number("tries")? {
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
    let mut entries = Vec::new();
    if *limit == 0 {
        return Ok(entries);
    }
    let place = |subscription: Bson, position: Bson, key: Bson| -> Bson {
        doc! { "subscription": subscription, "position": position, "key": key }.into()
    };
    let mut ids = Document::new();
    if let Some((subscription, position, key)) = after {
        let last =
            place(subscription.as_str().into(), bound(*position).into(), key.as_str().into());
        ids.insert("$gt", last);
    }
    let mut condition = Document::new();
    if let Some(subscription) = subscription {
        let at = position.map(|position| Bson::from(bound(position)));
        let (low, high) = (at.clone().unwrap_or(Bson::MinKey), at.unwrap_or(Bson::MaxKey));
        let first = place(subscription.as_str().into(), low, Bson::MinKey);
        let last = place(subscription.as_str().into(), high, Bson::MaxKey);
        if ids.is_empty() {
            ids.insert("$gte", first);
        } else {
            condition.insert("_id.subscription", subscription.as_str());
        }
        ids.insert("$lte", last);
    }
    if !ids.is_empty() {
        condition.insert("_id", ids);
    }
    if let Some(position) = position {
        condition.insert("_id.position", bound(*position));
    }
    if let Some(key) = key {
        condition.insert("_id.key", key.as_str());
    }
    if let Some(state) = state {
        condition.insert("state", state.name());
    }
    if let Some(due_by) = due_by {
        condition.insert("due_us", doc! { "$lte": due_by.as_micros() });
    }
    let find = Find::new(Coll::Parked, condition).sort(doc! { "_id": 1 });
    let take = |document: &RawDocument| {
        let fields = Fields(document);
        let entry = entry(&fields).map_err(|cause| {
            let id = fields.document("_id").ok();
            let of = |id: &Fields<'_>| {
                let subscription = id.text("subscription").unwrap_or_default();
                format!("the parked entry {}@{subscription}", id.number("position").unwrap_or(0))
            };
            let what = id.as_ref().map_or_else(|| "a parked entry".to_owned(), of);
            let message = fields.text("message").unwrap_or_default().to_owned();
            unreadable(message, &what, cause)
        })?;
        entries.push(entry);
        Ok(true)
    };
    reader.each(find.limit((*limit).into()), take).await?;
    Ok(entries)
}

fn entry(fields: &Fields<'_>) -> Result<ParkedEntry, BoxError> {
    let id = fields.document("_id")?;
    let state = fields.text("state")?;
    Ok(ParkedEntry {
        subscription: id.text("subscription")?.to_owned(),
        position: id.count("position")?,
        version: fields.count("version")?,
        partition: u32::try_from(fields.number("partition")?)?,
        key: id.text("key")?.to_owned(),
        message: fields.text("message")?.to_owned(),
        state: ParkedState::named(state)
            .ok_or_else(|| format!("the state {state:?} is unknown"))?,
        due: fields.maybe_micros("due_us")?,
        cause: fields.text("cause")?.to_owned(),
        attempts: u32::try_from(fields.number("attempts")?)?,
        since: fields.date("since")?,
        edited: fields.flag("is_edited")?.then(|| payload_of(fields)).transpose()?,
    })
}

/// The leases that somebody holds now, by the server's clock, whose names begin so.
pub(crate) async fn leases(reader: &Reader, prefix: &str) -> Result<Vec<Lease>, Trouble> {
    let mut names = doc! { "$gte": prefix };
    if let Some(behind) = behind(prefix) {
        names.insert("$lt", behind);
    }
    let condition = doc! {
        "_id": names,
        "holder": { "$ne": "" },
        "$expr": { "$gt": ["$until", "$$NOW"] },
    };
    let find = Find::new(Coll::Leases, condition).sort(doc! { "_id": 1 });
    let mut leases = Vec::new();
    let take = |document: &RawDocument| {
        let lease = lease(&Fields(document)).map_err(|cause| Trouble::damaged("a lease", cause))?;
        let is_wanted = lease.name.starts_with(prefix);
        if is_wanted {
            leases.push(lease);
        }
        Ok(is_wanted)
    };
    reader.each(find, take).await?;
    Ok(leases)
}

/// The first text behind all that begin so, in the order of the server, which is that of the characters. `None`:
/// there is none behind them.
fn behind(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// A lease as it is kept.
pub(crate) fn lease(fields: &Fields<'_>) -> Result<Lease, BoxError> {
    Ok(Lease {
        name: fields.text("_id")?.to_owned(),
        holder: fields.text("holder")?.to_owned(),
        token: fields.count("token")?,
        until: fields.date("until")?,
        taken_over: false,
    })
}

/// Where a checkpoint stands. One that lies past the end of the log is an error.
pub(crate) async fn checkpoint(
    reader: &Reader,
    subscription: &str,
    partition: u32,
) -> Result<Option<Position>, Trouble> {
    let of = doc! {
        "_id": { "subscription": subscription, "partition": i64::from(partition) },
    };
    let found = reader.first(Find::new(Coll::Checkpoints, of)).await?;
    let position = found.map(|found| Fields(&found).count("position")).transpose();
    let position = position.map_err(|cause| Trouble::damaged("a checkpoint", cause))?;
    // The checkpoint first: the head that is read after it is no older.
    let at = position.unwrap_or_default();
    if head(reader).await?.admits(None, at).is_err() {
        surely(reader).await?.admits(None, at)?;
    }
    Ok(position)
}

/// What the inbox says of a message. What is past its time is not known.
pub(crate) async fn inbox(
    reader: &Reader,
    kept: Duration,
    consumer: &str,
    message: MessageId,
) -> Result<Option<InboxEntry>, Trouble> {
    let millis = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    let of = doc! {
        "_id": { "consumer": consumer, "message": id(message) },
        "$expr": { "$gte": [{ "$add": ["$at", millis.min(FOREVER)] }, "$$NOW"] },
    };
    let found = reader.first(Find::new(Coll::Inbox, of)).await?;
    let entry = found.map(|found| inbox_entry(&Fields(&found))).transpose();
    entry.map_err(|cause| Trouble::damaged("an entry of the inbox", cause))
}

/// Where a commit ended.
pub(crate) async fn committed(
    reader: &Reader,
    commit: CommitId,
) -> Result<Option<Position>, Trouble> {
    let of = doc! { "_id": id(commit.0) };
    let position = match reader.first(Find::new(Coll::Commits, of)).await? {
        Some(known) => Fields(&known).count("position"),
        None => {
            let told = doc! { "id": id(commit.event(0)), "fingerprint": { "$exists": true } };
            let Some(event) = reader.first(Find::new(Coll::Events, told)).await? else {
                return Ok(None);
            };
            let fields = Fields(&event);
            fields.count("_id").and_then(|at| Ok(at + fields.count("places")?.max(1) - 1))
        }
    };
    position.map(Some).map_err(|cause| Trouble::damaged("a commit", cause))
}

/// Milliseconds that can be added to a time: a thousand years.
const FOREVER: i64 = 1_000 * 365 * 24 * 60 * 60 * 1_000;

/// A time on the server, added to.
pub(crate) fn later(now: DateTime, by: Duration) -> DateTime {
    let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX).min(FOREVER);
    DateTime::from_millis(now.timestamp_millis().saturating_add(millis))
}

#[cold]
fn unreadable(message: String, what: &str, cause: BoxError) -> Trouble {
    let context = format!("{what} (`{message}`) cannot be read: {cause}; repair its document");
    Error::new(ErrorKind::Decode { message, field: None }, context).with_source(cause).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_begins_so_is_behind_it() {
        assert_eq!(behind("mailer/"), Some("mailer0".to_owned()));
        assert_eq!(behind("a\u{d7ff}"), Some("a\u{e000}".to_owned()));
        assert_eq!(behind("a\u{10ffff}\u{10ffff}"), Some("b".to_owned()));
        assert_eq!((behind("\u{10ffff}"), behind("")), (None, None));
        let all = ["a", "a\0", "aa", "a\u{10ffff}", "a\u{10ffff}z"];
        assert!(all.iter().all(|name| *name < &*behind("a").unwrap()));
    }
}
