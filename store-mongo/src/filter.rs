//! What a reader of the log wants, as the server is asked for it.

use bson::raw::cstr;
use bson::{DateTime, RawArrayBuf, RawDocumentBuf, rawdoc};
use cqrs_core::{Filter, Position, StreamId, Timestamp};

use crate::row::{bound, can_be_tenant, tenant};

/// The condition on events after a position, up to another one. `None`: there is none that matches.
pub(crate) fn matching(filter: &Filter, after: Position, last: Position) -> Option<RawDocumentBuf> {
    let Filter { types, categories, streams, tags, tenant: whose, since } = filter;
    if !can_be_tenant(whose.as_deref()) {
        return None;
    }
    let mut condition = rawdoc! { "_id": { "$gt": bound(after), "$lte": bound(last) } };
    if let Some(names) = one_of(types.iter().map(|name| &**name)) {
        condition.append(cstr!("type"), names);
    }
    if let Some(names) = one_of(categories.iter().map(|name| &**name)) {
        condition.append(cstr!("category"), names);
    }
    if let Some(whose) = whose {
        condition.append(cstr!("tenant"), &**whose);
    }
    if !tags.is_empty() {
        condition.append(cstr!("tags"), rawdoc! { "$all": list(tags.iter().map(String::as_str)) });
    }
    if let Some(since) = since {
        condition.append(cstr!("recorded_at"), rawdoc! { "$gte": not_before(*since) });
    }
    if !streams.is_empty() {
        // Those of another tenant, or of a category that is not asked for, have nothing.
        let may_match = |stream: &&StreamId| {
            can_be_tenant(stream.tenant.as_deref())
                && whose.as_deref().is_none_or(|whose| stream.tenant.as_deref() == Some(whose))
                && (categories.is_empty() || categories.contains(&stream.category))
        };
        let of = |stream: &StreamId| {
            rawdoc! {
                "tenant": tenant(stream.tenant.as_deref()),
                "category": &*stream.category,
                "stream": stream.id.as_str(),
            }
        };
        let mut any = RawArrayBuf::new();
        streams.iter().filter(may_match).for_each(|stream| any.push(of(stream)));
        if any.is_empty() {
            return None;
        }
        condition.append(cstr!("$or"), any);
    }
    Some(condition)
}

/// A name that is one of these; `None`: any.
fn one_of<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Option<RawDocumentBuf> {
    (names.len() > 0).then(|| rawdoc! { "$in": list(names) })
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> RawArrayBuf {
    let mut list = RawArrayBuf::new();
    names.for_each(|name| list.push(name));
    list
}

/// The first time that the server can have recorded, which counts in milliseconds.
pub(crate) fn not_before(time: Timestamp) -> DateTime {
    let micros = time.as_micros();
    DateTime::from_millis(micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) > 0))
}

/// The last one.
pub(crate) fn not_after(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_micros().div_euclid(1_000))
}
