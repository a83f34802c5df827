//! What a decision becomes: events in the form in which they are recorded, and what goes beside them
//! into their commit.

use crate::documents;
use crate::domain::aggregate::Aggregate;
use crate::domain::storage::{Form, Kind, Whole};
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::load::{self, Loaded};
use crate::message::event::Event;
use crate::message::metadata::Metadata;
use crate::message::payload::Json;
use crate::port::commit::{Commit, DocumentWrite, Expected, Guard, NewEvent};
use crate::port::document::DocumentKey;
use crate::port::snapshot::SnapshotWrite;
use crate::port::store::Store;
use crate::trouble;

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
    if let Kind::Document(_) = A::storage().0 {
        return true;
    }
    load::snapshots_in::<A>(store).is_some_and(|snapshots| {
        loaded.version + events as u64 >= loaded.snapshot.saturating_add(snapshots.every)
    })
}

/// Takes in events that a unit of work gathers, and puts the state into its commit, where it is
/// wanted. After an error both are as they were.
pub(crate) fn take_in<A: Aggregate>(
    commit: &mut Commit,
    loaded: &mut Loaded<A>,
    events: &[A::Event],
    again: bool,
    store: &dyn Store,
) -> Result<()> {
    let Kind::Document(whole) = A::storage().0 else {
        loaded.take_in(events);
        return put_beside(commit, loaded, again, store);
    };
    // No aggregate need be `Clone`: its JSON is the way back.
    let before = loaded.exists.then(|| (whole.form.encode)(&loaded.state)).transpose();
    let before = before.map_err(|cause| {
        let context = format!("the state of {} cannot be encoded: {cause}", loaded.stream);
        Error::new(ErrorKind::Internal, context).with_source(cause)
    })?;
    let (version, exists) = (loaded.version, loaded.exists);
    loaded.take_in(events);
    put_document(commit, loaded, again, &whole).inspect_err(|_| {
        (loaded.version, loaded.exists) = (version, exists);
        match before.map(|body| (whole.form.decode)(body.as_str())) {
            None => loaded.state = A::default(),
            Some(Ok(state)) => loaded.state = state,
            // There is no way back: nothing more may be recorded on it.
            Some(Err(_)) => loaded.past = true,
        }
    })
}

/// Puts the state at hand into the commit of the events that led to it, where it is wanted. `again`:
/// what was put there before of this aggregate is replaced.
pub(crate) fn put_beside<A: Aggregate>(
    commit: &mut Commit,
    loaded: &mut Loaded<A>,
    again: bool,
    store: &dyn Store,
) -> Result<()> {
    if let Kind::Document(whole) = A::storage().0 {
        return put_document(commit, loaded, again, &whole);
    }
    if !is_wanted(loaded, 0, store) {
        return Ok(());
    }
    let Some(snapshots) = load::snapshots_in::<A>(store) else { return Ok(()) };
    if trouble::is_left_out::<A>() {
        return Ok(());
    }
    // A state that cannot be kept has no snapshots: no reason to refuse its events.
    let body = match snapshot_of(&loaded.state, &snapshots.form, store) {
        Ok(body) => body,
        Err(cause) => {
            trouble::with_keeping::<A>(&loaded.stream, cause);
            return Ok(());
        }
    };
    trouble::is_over::<A>();
    commit.snapshots.retain(|write| *write.stream() != loaded.stream);
    commit.snapshots.push(SnapshotWrite::Keep {
        stream: loaded.stream.clone(),
        schema: snapshots.schema(),
        version: loaded.version,
        body,
    });
    loaded.snapshot = loaded.version;
    Ok(())
}

/// A body that the store takes, and that a later load can read.
fn snapshot_of<A>(state: &A, form: &Form<A>, store: &dyn Store) -> Result<Json, BoxError> {
    let body = (form.encode)(state)?;
    let limit = store.capabilities().limits.payload;
    if body.len() > limit {
        return Err(format!("it has {} bytes, at most {limit} are taken", body.len()).into());
    }
    (form.decode)(body.as_str())?;
    Ok(body)
}

/// Everything is made and checked before anything is replaced: after an error the commit is as it
/// was.
fn put_document<A: Aggregate>(
    commit: &mut Commit,
    loaded: &mut Loaded<A>,
    again: bool,
    whole: &Whole<A>,
) -> Result<()> {
    let key = whole.key(&loaded.stream);
    let before = commit.documents.iter().position(|write| write.key == key);
    if before.is_some() && !again {
        return Err(documents::written_twice(&key));
    }
    let expected = Expected::Exactly(loaded.document);
    let write = if loaded.exists {
        let (body, state) = document_of(&loaded.state, &key, whole)?;
        loaded.state = state;
        Some(DocumentWrite::put(key.clone(), expected, body))
    } else {
        (loaded.document > 0).then(|| DocumentWrite::delete(key.clone(), expected))
    };
    if let Some(before) = before {
        commit.documents.remove(before);
    }
    match write {
        Some(write) => commit.documents.push(write),
        // One that comes and goes in one commit is not written, and must not be there, either.
        None => {
            let guard = Guard::Document { key, expected };
            if loaded.document == 0 && !commit.guards.contains(&guard) {
                commit.guards.push(guard);
            }
        }
    }
    Ok(())
}

/// What a state becomes, and the same state as a later load will see it.
pub(crate) fn document_of<A>(state: &A, key: &DocumentKey, whole: &Whole<A>) -> Result<(Json, A)> {
    let body = (whole.form.encode)(state).map_err(|cause| {
        let context = format!("the state of {key} cannot be encoded: {cause}");
        Error::new(ErrorKind::Internal, context).with_source(cause)
    })?;
    // Commands decide on what the document says: with one that cannot be read again, none could.
    let state = (whole.form.decode)(body.as_str()).map_err(|cause| {
        let context = format!("the state of {key} could not be read again: {cause}");
        Error::new(ErrorKind::Internal, context).with_source(cause)
    })?;
    let id = (whole.id)(&state);
    if id != key.id {
        let context = format!("the state of {key} has the id {id:?}: it must be the stream's");
        return Err(Error::invalid_field("id", context));
    }
    Ok((body, state))
}
