//! What a decision becomes: events in the form in which they are recorded, and what goes beside them
//! into their commit.

use crate::domain::aggregate::Aggregate;
use crate::error::{Error, ErrorKind, Result};
use crate::load::{self, Loaded};
use crate::message::event::Event;
use crate::message::metadata::Metadata;
use crate::port::commit::{Commit, NewEvent};
use crate::port::snapshot::SnapshotWrite;
use crate::port::store::Store;

/// The event to record, and the same event as a later load will see it: what a state takes in, so
/// that it is the same whether it was kept, snapshot or folded anew.
pub(crate) fn encode<E: Event>(event: &E, metadata: Metadata) -> Result<(NewEvent, E)> {
    let event_type = event.event_type();
    let payload = event.encode().map_err(|cause| {
        let context = format!("`{}` cannot be encoded: {cause}", event_type.name);
        Error::new(ErrorKind::Internal, context).with_source(cause)
    })?;
    // What is recorded stays for ever: an event that cannot be read again would take its stream
    // with it.
    let reason = match E::decode(event_type, payload.as_ref()) {
        Ok(back) if back.event_type() == event_type => {
            let new = NewEvent {
                metadata,
                event_type: event_type.name.into(),
                schema_version: event_type.version,
                tags: event.tags(),
                payload,
            };
            return Ok((new, back));
        }
        Ok(back) => format!("it would be read as `{}`", back.event_type().name),
        Err(cause) => cause.to_string(),
    };
    let context = format!("`{}` could not be read again: {reason}", event_type.name);
    Err(Error::new(ErrorKind::Internal, context))
}

/// Whether the state after so many more events goes into their commit.
pub(crate) fn is_wanted<A: Aggregate>(
    loaded: &Loaded<A>,
    events: usize,
    store: &dyn Store,
) -> bool {
    load::snapshots_in::<A>(store).is_some_and(|snapshots| {
        loaded.version + events as u64 >= loaded.snapshot.saturating_add(snapshots.every)
    })
}

/// Puts the state at hand into the commit of the events that led to it, where it is wanted.
pub(crate) fn put_beside<A: Aggregate>(
    commit: &mut Commit,
    loaded: &mut Loaded<A>,
    store: &dyn Store,
) {
    if !is_wanted(loaded, 0, store) {
        return;
    }
    let Some(snapshots) = load::snapshots_in::<A>(store) else { return };
    // A state that cannot be encoded has no snapshots: no reason to refuse its events.
    let Ok(body) = (snapshots.form.encode)(&loaded.state) else { return };
    commit.snapshots.retain(|write| *write.stream() != loaded.stream);
    commit.snapshots.push(SnapshotWrite::Keep {
        stream: loaded.stream.clone(),
        schema: snapshots.schema(),
        version: loaded.version,
        body,
    });
    loaded.snapshot = loaded.version;
}
