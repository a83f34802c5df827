//! Folding streams into aggregates, and events into what a store records.

use std::sync::Arc;

use futures_util::StreamExt;

use crate::domain::aggregate::{Aggregate, AggregateId};
use crate::error::{Error, ErrorKind, Result};
use crate::message::event::Event;
use crate::message::metadata::Metadata;
use crate::message::timestamp::Timestamp;
use crate::port::Version;
use crate::port::commit::{Expected, NewEvent};
use crate::port::page::Recorded;
use crate::port::read::ReadStream;
use crate::port::store::Store;
use crate::port::stream_id::StreamId;

/// An aggregate as it was read: its state, its version, its stream.
///
/// It derefs to the state. See [`Repository`](crate::Repository) for an example.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    pub(crate) state: A,
    pub(crate) version: Version,
    pub(crate) stream: StreamId,
    /// Not the state of now: nothing may be recorded on it.
    pub(crate) past: bool,
}

impl<A> Loaded<A> {
    /// The state.
    pub fn state(&self) -> &A {
        &self.state
    }

    /// The state, owned.
    pub fn into_state(self) -> A {
        self.state
    }

    /// The version of the last event in it; 0: there is none.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it has events.
    pub fn exists(&self) -> bool {
        self.version > 0
    }

    /// The name of its stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    pub(crate) fn expected(&self) -> Expected {
        Expected::Exactly(self.version)
    }
}

impl<A> std::ops::Deref for Loaded<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

/// A moment in the life of an aggregate. See [`Repository`](crate::Repository) for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// After its n-th event, or after the last one where there are fewer.
    Version(Version),
    /// As the store knew it at a time: the events recorded by then, by the store's clock.
    Recorded(Timestamp),
    /// As it was at a time: the events that had occurred by then, as their senders say
    /// ([`Metadata::occurred_at`]), in the order of their versions. An event without such a time
    /// occurred when it was recorded.
    Occurred(Timestamp),
}

/// The stream of an aggregate, under the tenant of the message that is handled.
pub(crate) fn stream_of<A: Aggregate>(id: &A::Id, tenant: Option<&str>) -> StreamId {
    let stream = StreamId::new(A::CATEGORY, id.key());
    StreamId { tenant: tenant.map(Into::into), ..stream }
}

pub(crate) async fn load<A: Aggregate>(
    store: &Arc<dyn Store>,
    stream: StreamId,
) -> Result<Loaded<A>> {
    let mut loaded = Loaded { state: A::default(), version: 0, stream, past: false };
    catch_up(store, &mut loaded).await?;
    Ok(loaded)
}

/// Takes in the events that came since.
pub(crate) async fn catch_up<A: Aggregate>(
    store: &Arc<dyn Store>,
    loaded: &mut Loaded<A>,
) -> Result<()> {
    let read = ReadStream::of(loaded.stream.clone()).from(loaded.version + 1);
    fold(store, read, loaded, |_| Ok(true)).await
}

pub(crate) async fn load_at<A: Aggregate>(
    store: &Arc<dyn Store>,
    stream: StreamId,
    at: At,
) -> Result<Loaded<A>> {
    let mut loaded = Loaded { state: A::default(), version: 0, stream: stream.clone(), past: true };
    let read = ReadStream::of(stream);
    match at {
        At::Version(version) => fold(store, read.to(version), &mut loaded, |_| Ok(true)).await?,
        At::Recorded(time) => {
            fold(store, read.recorded_until(time), &mut loaded, |_| Ok(true)).await?;
        }
        At::Occurred(time) => {
            let had_occurred = |event: &Recorded<'_>| {
                let occurred = event.metadata()?.occurred_at();
                Ok(occurred.unwrap_or(event.recorded_at) <= time)
            };
            fold(store, read, &mut loaded, had_occurred).await?;
        }
    }
    Ok(loaded)
}

/// Events of a page while an aggregate is loaded: small enough that a store reads the next one while
/// this one is decoded, large enough that few need a second.
const PAGE: u32 = 256;

async fn fold<A: Aggregate>(
    store: &Arc<dyn Store>,
    read: ReadStream,
    loaded: &mut Loaded<A>,
    wanted: impl Fn(&Recorded<'_>) -> Result<bool>,
) -> Result<()> {
    let mut last = loaded.version;
    let mut pages = store.read_stream(read.page(PAGE));
    while let Some(page) = pages.next().await {
        for event in page?.iter() {
            // A stream with a hole would give a state that never was.
            if event.version != last + 1 {
                let context = format!(
                    "the stream {} goes from version {last} to {}: events are missing",
                    loaded.stream, event.version
                );
                return Err(Error::new(ErrorKind::Internal, context));
            }
            last = event.version;
            if !wanted(&event)? {
                continue;
            }
            loaded.version = event.version;
            match event.decode::<A::Event>()? {
                Some(decoded) => loaded.state.apply(&decoded.data),
                None if event.is_erased() => {}
                None => {
                    let cause = format!("`{}` has no such event", A::CATEGORY).into();
                    return Err(event.undecodable("its type", cause));
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn encode<E: Event>(event: &E, metadata: Metadata) -> Result<NewEvent> {
    let event_type = event.event_type();
    let payload = event.encode().map_err(|cause| {
        let context = format!("`{}` cannot be encoded: {cause}", event_type.name);
        Error::new(ErrorKind::Internal, context).with_source(cause)
    })?;
    // What is recorded stays for ever: an event that cannot be read again would take its stream
    // with it.
    let unreadable = match E::decode(event_type, payload.as_ref()) {
        Ok(back) if back.event_type() == event_type => None,
        Ok(back) => Some(format!("it would be read as `{}`", back.event_type().name)),
        Err(cause) => Some(cause.to_string()),
    };
    if let Some(reason) = unreadable {
        let context = format!("`{}` could not be read again: {reason}", event_type.name);
        return Err(Error::new(ErrorKind::Internal, context));
    }
    Ok(NewEvent {
        metadata,
        event_type: event_type.name.into(),
        schema_version: event_type.version,
        tags: event.tags(),
        payload,
    })
}
