//! The digest of a commit: field by field, so that a new part is a compile error here.

use crate::message::fingerprint::{Fingerprint, Fingerprinter};
use crate::message::payload::{Json, PayloadRef};
use crate::message::timestamp::Timestamp;
use crate::port::commit::{
    Append, CheckpointWrite, Commit, DocumentWrite, Expected, Fence, Guard, InboxMark, NewEvent,
    Settled, TimerWrite,
};
use crate::port::document::DocumentKey;
use crate::port::filter::Filter;
use crate::port::outgoing::{AnswerTo, Outgoing, Tries};
use crate::port::parked::ParkedWrite;
use crate::port::snapshot::SnapshotWrite;
use crate::port::stream_id::StreamId;
use crate::port::timer::Timer;

impl Commit {
    /// A digest of everything but the id, to tell a repeat from another commit under the same id.
    pub fn fingerprint(&self) -> Fingerprint {
        let Self {
            id: _,
            fences,
            guards,
            appends,
            documents,
            // Made of the events, and maybe made anew, of what came since.
            views: _,
            snapshots,
            checkpoint,
            inbox,
            timers,
            outgoing,
            settled,
            parked,
        } = self;
        let mut f = Fingerprinter::new();
        f.each(appends, |f, Append { stream, expected, events }| {
            add_stream(f, stream);
            add_expected(f, *expected);
            f.each(events, add_event);
        });
        f.each(documents, |f, DocumentWrite { key, expected, body }| {
            add_key(f, key);
            add_expected(f, *expected);
            f.text(body.as_ref().map_or("", Json::as_str));
        });
        f.each(inbox, |f, InboxMark { consumer, message, fingerprint, reply }| {
            f.text(consumer);
            f.add(message.uuid().as_bytes());
            f.add(fingerprint.as_bytes());
            f.option(reply.as_ref(), |f, reply| f.add(reply));
        });
        f.each(guards, add_guard);
        f.each(fences, add_fence);
        f.option(checkpoint.as_ref(), |f, write| {
            let CheckpointWrite { subscription, partition, from, to, fence } = write;
            f.text(subscription);
            f.number(u64::from(*partition));
            f.number(*from);
            f.number(*to);
            f.option(fence.as_ref(), add_fence);
        });
        f.each(timers, |f, TimerWrite { owner, tenant, key, name, generation, due }| {
            f.text(owner);
            f.text(tenant.as_deref().unwrap_or_default());
            f.text(key);
            f.text(name);
            f.number(*generation);
            f.option(due.as_ref(), add_time);
        });
        f.each(outgoing, |f, message| {
            let Outgoing { metadata, kind, name, key, body, not_before, answer_to, tries } =
                message;
            metadata.fingerprint(f);
            f.text(kind.name());
            f.text(name);
            f.text(key);
            add_payload(f, body.as_ref());
            f.option(not_before.as_ref(), add_time);
            f.option(answer_to.as_ref(), |f, AnswerTo { saga, key, step }| {
                [saga, key, step].into_iter().for_each(|part| f.text(part));
            });
            f.number(match tries {
                Tries::Policy => 0,
                Tries::AtMost(tries) => 1 + u64::from(*tries),
                Tries::UntilAnswered => u64::MAX,
            });
        });
        f.each(settled, add_settled);
        add_snapshots(&mut f, snapshots);
        f.each(parked, add_parked);
        f.finish()
    }
}

/// What is to be forgotten was asked for, and counts. A snapshot that is kept says nothing that the
/// events do not say; and when the aggregate's cadence or the shape of its state was changed between
/// a commit and its repeat, the repeat is still one.
fn add_snapshots(f: &mut Fingerprinter, snapshots: &[SnapshotWrite]) {
    for write in snapshots {
        if let SnapshotWrite::Forget { stream } = write {
            add_stream(f, stream);
        }
    }
}

fn add_stream(f: &mut Fingerprinter, stream: &StreamId) {
    f.text(stream.tenant.as_deref().unwrap_or_default());
    f.text(&stream.category);
    f.text(&stream.id);
}

fn add_key(f: &mut Fingerprinter, key: &DocumentKey) {
    f.text(key.tenant.as_deref().unwrap_or_default());
    f.text(&key.collection);
    f.text(&key.id);
}

fn add_expected(f: &mut Fingerprinter, expected: Expected) {
    let (kind, version) = match expected {
        Expected::Any => (0, 0),
        Expected::Exists => (1, 0),
        Expected::NoStream => (2, 0),
        Expected::Exactly(version) => (2, version),
    };
    f.number(kind);
    f.number(version);
}

fn add_event(f: &mut Fingerprinter, event: &NewEvent) {
    let NewEvent { metadata, event_type, schema_version, tags, payload } = event;
    metadata.fingerprint(f);
    f.text(event_type);
    f.number(u64::from(*schema_version));
    f.each(tags, |f, tag| f.text(tag));
    add_payload(f, payload.as_ref());
}

fn add_payload(f: &mut Fingerprinter, payload: PayloadRef<'_>) {
    match payload {
        PayloadRef::Json(text) => {
            f.number(0);
            f.text(text);
        }
        PayloadRef::Binary { content_type, bytes } => {
            f.number(1);
            f.text(content_type);
            f.add(bytes);
        }
        PayloadRef::Erased => f.number(2),
    }
}

fn add_guard(f: &mut Fingerprinter, guard: &Guard) {
    match guard {
        Guard::Stream { stream, expected } => {
            f.number(0);
            add_stream(f, stream);
            add_expected(f, *expected);
        }
        Guard::Document { key, expected } => {
            f.number(1);
            add_key(f, key);
            add_expected(f, *expected);
        }
        Guard::NoneMatching { filter, after } => {
            let Filter { types, categories, streams, tags, tenant, since } = filter;
            f.number(2);
            f.each(types, |f, name| f.text(name));
            f.each(categories, |f, name| f.text(name));
            f.each(streams, add_stream);
            f.each(tags, |f, tag| f.text(tag));
            f.text(tenant.as_deref().unwrap_or_default());
            f.option(since.as_ref(), add_time);
            f.number(*after);
        }
    }
}

fn add_fence(f: &mut Fingerprinter, Fence { lease, token }: &Fence) {
    f.text(lease);
    f.number(*token);
}

fn add_settled(f: &mut Fingerprinter, settled: &Settled) {
    match settled {
        Settled::Outgoing(id) => {
            f.number(0);
            f.add(id.uuid().as_bytes());
        }
        Settled::Timer(Timer { owner, tenant, key, name, generation, due }) => {
            f.number(1);
            f.text(owner);
            f.text(tenant.as_deref().unwrap_or_default());
            f.text(key);
            f.text(name);
            f.number(*generation);
            add_time(f, due);
        }
        Settled::Parked { subscription, position, key } => {
            f.number(2);
            f.text(subscription);
            f.number(*position);
            f.text(key);
        }
    }
}

fn add_parked(f: &mut Fingerprinter, write: &ParkedWrite) {
    let ParkedWrite { subscription, position, expected, partition, key, message, .. } = write;
    let ParkedWrite { state, due, cause, attempts, edited, .. } = write;
    f.text(subscription);
    f.number(*position);
    add_expected(f, *expected);
    f.number(u64::from(*partition));
    f.text(key);
    f.text(message);
    f.text(state.name());
    f.option(due.as_ref(), add_time);
    f.text(cause);
    f.number(u64::from(*attempts));
    f.option(edited.as_ref(), |f, body| add_payload(f, body.as_ref()));
}

fn add_time(f: &mut Fingerprinter, time: &Timestamp) {
    f.number(time.as_micros() as u64);
}
