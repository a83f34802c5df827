//! What any store refuses before it writes: parts it does not offer, sizes over its limits,
//! hostile names, and commits that contradict themselves.

use std::collections::HashSet;
use std::hash::Hash;

use crate::error::{Error, ErrorKind, Result};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::payload::Payload;
use crate::port::Position;
use crate::port::capabilities::{Capabilities, Limits, Support};
use crate::port::commit::{
    Append, CheckpointWrite, Commit, DocumentWrite, Expected, Guard, NewEvent, Settled,
};
use crate::port::document::{Collection, DocumentKey};
use crate::port::filter::Filter;
use crate::port::lease::LeaseRequest;
use crate::port::outgoing::{AnswerTo, Outgoing};
use crate::port::parked::ParkedWrite;
use crate::port::snapshot::SnapshotWrite;
use crate::port::stream_id::StreamId;
use crate::port::timer::Timer;
use crate::schema::field::Index;

impl Commit {
    /// Checks the commit against what a store offers and takes. Every adapter calls it first.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported), [`TooLarge`](ErrorKind::TooLarge) or
    /// [`Invalid`](ErrorKind::Invalid), each naming what is to blame (P24).
    pub fn check(&self, capabilities: &Capabilities) -> Result<()> {
        let Self {
            id: _,
            fences,
            guards,
            appends,
            documents,
            views,
            snapshots,
            checkpoint,
            inbox,
            timers,
            outgoing,
            settled,
            parked,
        } = self;
        let fenced = checkpoint.as_ref().is_some_and(|c| c.fence.is_some());
        offers("leases", capabilities.leases, !fences.is_empty() || fenced)?;
        offers("snapshots", capabilities.snapshots, !snapshots.is_empty())?;
        let settles = |kind: fn(&Settled) -> bool| settled.iter().any(kind);
        let fires = settles(|settled| matches!(settled, Settled::Timer(_)));
        offers("timers", capabilities.timers, !timers.is_empty() || fires)?;
        let sent = settles(|settled| matches!(settled, Settled::Outgoing(_)));
        offers("outgoing", capabilities.outgoing, !outgoing.is_empty() || sent)?;
        let unparks = settles(|settled| matches!(settled, Settled::Parked { .. }));
        offers("parked", capabilities.parked, !parked.is_empty() || unparks)?;

        let limits = &capabilities.limits;
        within(|| "the commit's parts".to_owned(), self.parts(), limits.parts)?;
        within(|| "the commit's bodies".to_owned(), self.bodies(), limits.commit)?;

        for append in appends {
            check_append(append, limits)?;
        }
        distinct(appends.iter().map(|a| &a.stream), |stream| {
            Error::invalid_field("appends", format!("two appends to {stream} in one commit"))
        })?;
        for document in documents.iter().chain(views) {
            check_document(document, limits)?;
        }
        distinct(self.all_documents().iter().map(|d| &d.key), |key| {
            Error::invalid_field("documents", format!("{key} is written twice in one commit"))
        })?;
        snapshots.iter().try_for_each(|write| check_snapshot(write, appends, limits))?;
        distinct(snapshots.iter().map(SnapshotWrite::stream), |stream| {
            let context = format!("two snapshots of {stream} in one commit");
            Error::invalid_field("snapshots", context)
        })?;
        for guard in guards {
            match guard {
                Guard::Stream { stream, .. } => check_stream(stream, limits)?,
                Guard::Document { key, .. } => check_key(key, limits)?,
                Guard::NoneMatching { filter, .. } => filter.check(limits)?,
            }
        }
        for mark in inbox {
            text("consumer", &mark.consumer, limits.id)?;
            let reply = mark.reply.as_ref().map_or(0, bytes::Bytes::len);
            within(|| format!("the reply to message {}", mark.message), reply, limits.payload)?;
        }
        distinct(inbox.iter().map(|m| (&m.consumer, m.message)), |(consumer, message)| {
            let context = format!("message {message} is marked twice for {consumer}");
            Error::invalid_field("inbox", context)
        })?;
        if let Some(checkpoint) = checkpoint {
            check_checkpoint(checkpoint, limits)?;
        }
        fences.iter().try_for_each(|fence| text("lease", &fence.lease, limits.id))?;
        for timer in timers {
            check_timer(&timer.owner, timer.tenant.as_deref(), &timer.key, &timer.name, limits)?;
        }
        distinct(timers.iter().map(|t| (&t.owner, &t.tenant, &t.key, &t.name)), |timer| {
            let context =
                format!("the timer `{}` of {} is set twice in one commit", timer.3, timer.2);
            Error::invalid_field("timers", context)
        })?;
        outgoing.iter().try_for_each(|message| check_outgoing(message, limits))?;
        for settled in settled {
            match settled {
                Settled::Outgoing(_) => {}
                Settled::Timer(timer) => {
                    let Timer { owner, tenant, key, name, .. } = timer;
                    check_timer(owner, tenant.as_deref(), key, name, limits)?;
                }
                Settled::Parked { subscription, position: _, key } => {
                    text("subscription", subscription, limits.id)?;
                    text("key", key, limits.id)?;
                }
            }
        }
        distinct(settled.iter().map(Place::of), |place| {
            let context = format!("{place:?} is settled twice in one commit");
            Error::invalid_field("settled", context)
        })?;
        parked.iter().try_for_each(|write| check_parked(write, limits))?;
        distinct(
            parked.iter().map(|p| (&p.subscription, p.position, &p.key)),
            |(subscription, position, key)| {
                let context =
                    format!("{position}@{subscription} for {key} is written twice in one commit");
                Error::invalid_field("parked", context)
            },
        )?;
        Ok(())
    }
}

impl Commit {
    /// Leaves out the snapshots for which a store has no room: they never make a commit fail. Those
    /// to forget are no derived data, and stay.
    pub(crate) fn leave_out_snapshots(&mut self, limits: &Limits) {
        let is_kept = |write: &SnapshotWrite| matches!(write, SnapshotWrite::Keep { .. });
        if !self.snapshots.iter().any(is_kept) {
            return;
        }
        self.snapshots.retain(|write| !is_kept(write) || write.size() <= limits.payload);
        while self.parts() > limits.parts || self.bodies() > limits.commit {
            let Some(last) = self.snapshots.iter().rposition(is_kept) else { return };
            self.snapshots.remove(last);
        }
    }

    /// Whether it writes nothing, and checks nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        self.parts() == 0 && self.checkpoint.is_none()
    }

    /// How many parts it has that a store must look at.
    fn parts(&self) -> usize {
        let Self { guards, appends, documents, views, snapshots, inbox, .. } = self;
        let Self { fences, timers, outgoing, settled, parked, .. } = self;
        let events = appends.iter().map(|append| append.events.len()).sum::<usize>();
        let read = guards.len() + fences.len();
        let written = appends.len() + events + documents.len() + views.len();
        let written = written + snapshots.len() + inbox.len();
        read + written + timers.len() + outgoing.len() + settled.len() + parked.len()
    }

    /// Bytes of all its bodies: for adapters that write several commits at once.
    pub fn bodies(&self) -> usize {
        let Self { appends, documents, views, snapshots, inbox, outgoing, .. } = self;
        let bodies = appends.iter().flat_map(|a| &a.events).map(|e| e.payload.len());
        let documents = documents.iter().chain(views);
        let bodies = bodies.chain(documents.flat_map(|d| &d.body).map(crate::Json::len));
        let bodies = bodies.chain(snapshots.iter().map(SnapshotWrite::size));
        let bodies = bodies.chain(inbox.iter().flat_map(|m| &m.reply).map(bytes::Bytes::len));
        bodies.chain(outgoing.iter().map(|o| o.body.len())).sum()
    }
}

impl Collection {
    /// Checks the names of a collection and its fields. Every adapter calls it first.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) or [`TooLarge`](ErrorKind::TooLarge), naming what is to
    /// blame.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        text("collection", &self.name, limits.name)?;
        for field in &self.fields {
            text("field", &field.name, limits.name)?;
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !field.name.chars().all(plain) {
                let context = format!(
                    "`{}` of `{}` is no field name: letters, digits and _ only",
                    field.name, self.name
                );
                return Err(Error::invalid_field("field", context));
            }
        }
        distinct(self.fields.iter().map(|f| &f.name), |name| {
            Error::invalid_field("field", format!("`{name}` of `{}` is declared twice", self.name))
        })?;
        let Some(mapping) = &self.mapping else { return Ok(()) };
        mapping.check(&self.name)?;
        for field in &self.fields {
            let mapped = mapping.field(&field.name).and_then(|field| field.index);
            let wanted = if field.unique { Index::Unique } else { Index::Plain };
            if mapped != Some(wanted) {
                let (field, name) = (&field.name, &self.name);
                let context = format!("`{field}` of `{name}` is not indexed as its mapping says");
                return Err(Error::invalid_field(&**field, context));
            }
        }
        match mapping.fields.iter().filter(|field| field.index.is_some()).count() {
            n if n == self.fields.len() => Ok(()),
            _ => {
                let context =
                    format!("the mapping of `{}` indexes more than is declared", self.name);
                Err(Error::invalid_field("mapping", context))
            }
        }
    }
}

impl Filter {
    /// Checks the names in a filter. Every adapter calls it before it reads.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) when it lists more than [`Limits::parts`] entries or one
    /// over its limit. Names that cannot exist match nothing and are no error.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        let Self { types, categories, streams, tags, tenant: _, since: _ } = self;
        let entries = types.len() + categories.len() + streams.len() + tags.len();
        within(|| "the filter's entries".to_owned(), entries, limits.parts)?;
        let names = types.iter().chain(categories).map(AsRef::as_ref);
        for name in names.chain(tags.iter().map(String::as_str)) {
            within(|| "a name in the filter".to_owned(), name.len(), limits.name)?;
        }
        for stream in streams {
            within(|| "a stream in the filter".to_owned(), stream.id.len(), limits.id)?;
        }
        Ok(())
    }
}

fn offers(part: &'static str, support: Support, used: bool) -> Result<()> {
    match support {
        Support::No(reason) if used => {
            let context = format!("this store does not take {part}: {reason}");
            Err(Error::new(ErrorKind::Unsupported { part }, context))
        }
        _ => Ok(()),
    }
}

pub(super) fn within(what: impl FnOnce() -> String, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    let what = what();
    let context = format!("{what}: {size}, at most {limit} are taken");
    Err(Error::new(ErrorKind::TooLarge { what, size, limit }, context))
}

/// A name or an id: not empty, bounded, and without control characters, which hide in logs and
/// which not every database can store.
pub(crate) fn text(field: &str, value: &str, limit: usize) -> Result<()> {
    if value.is_empty() {
        return Err(Error::invalid_field(field, format!("the {field} is empty")));
    }
    within(|| field.to_owned(), value.len(), limit)?;
    if value.chars().any(char::is_control) {
        let context = format!("the {field} {value:?} holds a control character");
        return Err(Error::invalid_field(field, context));
    }
    Ok(())
}

fn check_stream(stream: &StreamId, limits: &Limits) -> Result<()> {
    if let Some(tenant) = &stream.tenant {
        text("tenant", tenant, limits.name)?;
    }
    text("category", &stream.category, limits.name)?;
    text("stream", &stream.id, limits.id)
}

fn check_key(key: &DocumentKey, limits: &Limits) -> Result<()> {
    if let Some(tenant) = &key.tenant {
        text("tenant", tenant, limits.name)?;
    }
    text("collection", &key.collection, limits.name)?;
    text("document", &key.id, limits.id)
}

fn check_append(append: &Append, limits: &Limits) -> Result<()> {
    check_stream(&append.stream, limits)?;
    if append.events.is_empty() {
        let context = format!("the append to {} has no events: use a guard", append.stream);
        return Err(Error::invalid_field("events", context));
    }
    append.events.iter().try_for_each(|event| check_event(event, append, limits))
}

fn check_event(event: &NewEvent, append: &Append, limits: &Limits) -> Result<()> {
    text("event_type", &event.event_type, limits.name)?;
    if event.schema_version == 0 {
        let context = format!("`{}` has version 0: versions start at 1", event.event_type);
        return Err(Error::invalid_field("schema_version", context));
    }
    check_message(&event.event_type, &event.metadata, &event.payload, limits)?;
    within(|| format!("the tags of {}", event.event_type), event.tags.len(), limits.tags)?;
    event.tags.iter().try_for_each(|tag| text("tag", tag, limits.name))?;
    match event.metadata.tenant() {
        Some(tenant) if append.stream.tenant.as_deref() != Some(tenant) => {
            let context = format!("an event of tenant {tenant} for the stream {}", append.stream);
            Err(Error::invalid_field("tenant", context))
        }
        _ => Ok(()),
    }
}

/// What events and outgoing messages have in common.
fn check_message(
    name: &str,
    metadata: &Metadata,
    payload: &Payload,
    limits: &Limits,
) -> Result<()> {
    within(|| name.to_owned(), payload.len(), limits.payload)?;
    within(|| format!("the headers of {name}"), metadata.size(), limits.headers)?;
    match payload {
        Payload::Binary { content_type, .. } => text("content_type", content_type, limits.name),
        Payload::Json(_) | Payload::Erased => Ok(()),
    }
}

fn check_outgoing(message: &Outgoing, limits: &Limits) -> Result<()> {
    text("name", &message.name, limits.name)?;
    text("key", &message.key, limits.id)?;
    if let Some(AnswerTo { saga, key, step }) = &message.answer_to {
        [saga, key, step].into_iter().try_for_each(|part| text("answer_to", part, limits.id))?;
    }
    if let Some(tenant) = message.metadata.tenant() {
        text("tenant", tenant, limits.name)?;
    }
    check_message(&message.name, &message.metadata, &message.body, limits)
}

fn check_timer(
    owner: &str,
    tenant: Option<&str>,
    key: &str,
    name: &str,
    limits: &Limits,
) -> Result<()> {
    text("owner", owner, limits.id)?;
    if let Some(tenant) = tenant {
        text("tenant", tenant, limits.name)?;
    }
    text("key", key, limits.id)?;
    text("timer", name, limits.id)
}

fn check_parked(write: &ParkedWrite, limits: &Limits) -> Result<()> {
    text("subscription", &write.subscription, limits.id)?;
    text("key", &write.key, limits.id)?;
    text("message", &write.message, limits.name)?;
    within(|| "the cause of a parked message".to_owned(), write.cause.len(), limits.headers)?;
    if write.cause.contains('\0') {
        // Not every database stores it.
        let context = format!("the cause of {}@{} holds NUL", write.position, write.subscription);
        return Err(Error::invalid_field("cause", context));
    }
    let edited = write.edited.as_ref().map_or(0, Payload::len);
    within(|| write.message.clone(), edited, limits.payload)
}

impl LeaseRequest {
    /// Checks the names. Every adapter calls it first.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) or [`TooLarge`](ErrorKind::TooLarge), naming what is to
    /// blame.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        text("holder", &self.holder, limits.id)?;
        within(|| "the leases".to_owned(), self.names.len(), limits.parts)?;
        self.names.iter().try_for_each(|name| text("lease", name, limits.id))?;
        distinct(self.names.iter(), |name| {
            Error::invalid_field("lease", format!("`{name}` is asked for twice"))
        })
    }
}

/// What is settled, whatever is said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place<'a> {
    Message(MessageId),
    Timer { owner: &'a str, tenant: Option<&'a str>, key: &'a str, name: &'a str },
    Entry { subscription: &'a str, position: Position, key: &'a str },
}

impl<'a> Place<'a> {
    fn of(settled: &'a Settled) -> Self {
        match settled {
            Settled::Outgoing(id) => Self::Message(*id),
            Settled::Timer(Timer { owner, tenant, key, name, .. }) => {
                Self::Timer { owner, tenant: tenant.as_deref(), key, name }
            }
            Settled::Parked { subscription, position, key } => {
                Self::Entry { subscription, position: *position, key }
            }
        }
    }
}

fn check_checkpoint(checkpoint: &CheckpointWrite, limits: &Limits) -> Result<()> {
    let CheckpointWrite { subscription, partition: _, from, to, fence } = checkpoint;
    text("subscription", subscription, limits.id)?;
    if let Some(fence) = fence {
        text("lease", &fence.lease, limits.id)?;
    }
    if to < from {
        let context = format!("the checkpoint of `{subscription}` would go back: {from} to {to}");
        return Err(Error::invalid_field("checkpoint", context));
    }
    Ok(())
}

fn check_document(write: &DocumentWrite, limits: &Limits) -> Result<()> {
    check_key(&write.key, limits)?;
    match &write.body {
        Some(body) => within(|| write.key.to_string(), body.len(), limits.payload),
        None if matches!(write.expected, Expected::NoStream | Expected::Exactly(0)) => {
            let context = format!("{} is to be deleted and expected not to be there", write.key);
            Err(Error::invalid_field("documents", context))
        }
        None => Ok(()),
    }
}

/// A snapshot is of a version that the stream has once the commit is applied.
fn check_snapshot(write: &SnapshotWrite, appends: &[Append], limits: &Limits) -> Result<()> {
    let (stream, at) = match write {
        SnapshotWrite::Keep { stream, version, .. } => (stream, *version),
        SnapshotWrite::Forget { stream } => return check_stream(stream, limits),
    };
    let append = appends.iter().find(|append| append.stream == *stream);
    let before = append.and_then(|append| match append.expected {
        Expected::NoStream => Some(0),
        Expected::Exactly(version) => Some(version),
        Expected::Any | Expected::Exists => None,
    });
    let made = before.zip(append).is_some_and(|(before, append)| {
        // Counted from 1, so that no sum overflows.
        at.checked_sub(before).is_some_and(|n| n >= 1 && n <= append.events.len() as u64)
    });
    if !made {
        let context = format!(
            "the snapshot of {stream} is at version {at}, which no append of its commit is known \
             to make"
        );
        return Err(Error::invalid_field("snapshots", context));
    }
    within(|| format!("the snapshot of {stream}"), write.size(), limits.payload)
}

fn distinct<T: Eq + Hash + Copy>(
    items: impl ExactSizeIterator<Item = T>,
    error: impl Fn(T) -> Error,
) -> Result<()> {
    if items.len() < 2 {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(items.len());
    for item in items {
        if !seen.insert(item) {
            return Err(error(item));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
