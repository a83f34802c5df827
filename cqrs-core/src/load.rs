//! Folding streams into aggregates, all events or those after a snapshot; and reading those that are
//! stored as documents.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::try_join;

use crate::documents;
use crate::domain::aggregate::{Aggregate, AggregateId};
use crate::domain::snapshots::Snapshots;
use crate::domain::storage::{Form, Kind, Storage, Whole};
use crate::error::{Error, ErrorKind, Result};
use crate::message::timestamp::Timestamp;
use crate::port::Version;
use crate::port::commit::Expected;
use crate::port::page::{Page, Recorded};
use crate::port::read::ReadStream;
use crate::port::store::Store;
use crate::port::stream_id::StreamId;
use crate::trouble;

/// An aggregate as it was read: its state, its version, its stream.
///
/// It derefs to the state. See [`Repository`](crate::Repository) for an example.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    pub(crate) state: A,
    pub(crate) version: Version,
    pub(crate) stream: StreamId,
    /// Version of its newest snapshot that is known of; 0: of none.
    pub(crate) snapshot: Version,
    /// Version of its document; 0: there is none, or it is not stored as one.
    pub(crate) document: Version,
    pub(crate) exists: bool,
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

    /// Whether it has events. One that is stored as a document: whether that is there.
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// The name of its stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    pub(crate) fn expected(&self) -> Expected {
        Expected::Exactly(self.version)
    }
}

impl<A: Aggregate> Loaded<A> {
    pub(crate) fn nothing(stream: StreamId) -> Self {
        let state = A::default();
        Self { state, version: 0, stream, snapshot: 0, document: 0, exists: false, past: false }
    }

    /// What was taken in is committed. Whether it is known where the aggregate stands now: the
    /// versions of a document go on after a deletion, and nobody has asked from where.
    pub(crate) fn arrive(&mut self) -> bool {
        match A::storage().0 {
            Kind::Document(_) if self.document > 0 && self.exists => {
                self.document += 1;
                true
            }
            Kind::Document(_) => false,
            Kind::Events | Kind::Snapshots(_) => true,
        }
    }

    /// Takes in events that follow.
    pub(crate) fn take_in(&mut self, events: &[A::Event]) {
        let storage = A::storage();
        for event in events {
            self.apply(event, &storage);
            self.version += 1;
        }
    }

    /// After the event that deletes it there is nothing, whether what follows is in the same commit
    /// or in a later one.
    fn apply(&mut self, event: &A::Event, storage: &Storage<A>) {
        self.state.apply(event);
        self.exists = !storage.deletes(&self.state);
        if !self.exists {
            self.state = A::default();
        }
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
    /// ([`Metadata::occurred_at`](crate::Metadata::occurred_at)), in the order of their versions. An
    /// event without such a time occurred when it was recorded.
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
    match A::storage().0 {
        Kind::Document(whole) => load_document(store, stream, &whole).await,
        Kind::Events | Kind::Snapshots(_) => load_until(store, stream, Version::MAX).await,
    }
}

/// Takes in what came since.
pub(crate) async fn catch_up<A: Aggregate>(
    store: &Arc<dyn Store>,
    loaded: &mut Loaded<A>,
) -> Result<()> {
    if let Kind::Document(whole) = A::storage().0 {
        *loaded = load_document(store, loaded.stream.clone(), &whole).await?;
        return Ok(());
    }
    let read = ReadStream::of(loaded.stream.clone()).from(loaded.version + 1).to_fold();
    fold_newest(store, read, loaded).await
}

pub(crate) async fn load_at<A: Aggregate>(
    store: &Arc<dyn Store>,
    stream: StreamId,
    at: At,
) -> Result<Loaded<A>> {
    let mut loaded = Loaded::nothing(stream.clone());
    let read = ReadStream::of(stream);
    match at {
        At::Version(version) => loaded = load_until(store, read.stream, version).await?,
        At::Recorded(time) => {
            fold(store, read.recorded_until(time).to_fold(), &mut loaded, |_| Ok(true)).await?;
        }
        // Which events a snapshot holds is known by their versions, and not by when they occurred.
        At::Occurred(time) => {
            let had_occurred = |event: &Recorded<'_>| {
                let occurred = event.metadata()?.occurred_at();
                Ok(occurred.unwrap_or(event.recorded_at) <= time)
            };
            fold(store, read, &mut loaded, had_occurred).await?;
        }
    }
    loaded.past = true;
    Ok(loaded)
}

/// Document and stream are read at once. They may come from two moments; whoever writes expects both
/// as they were read, and finds out.
async fn load_document<A: Aggregate>(
    store: &Arc<dyn Store>,
    stream: StreamId,
    whole: &Whole<A>,
) -> Result<Loaded<A>> {
    let key = whole.key(&stream);
    let last = ReadStream::of(stream.clone()).backwards().page(1);
    let version = async {
        let page = store.read_stream(last).next().await.transpose()?;
        Ok(page.and_then(|page| page.iter().next().map(|event| event.version)).unwrap_or(0))
    };
    let (document, version) = try_join(store.document(&key), version).await?;
    let mut loaded = Loaded { version, ..Loaded::nothing(stream) };
    if let Some(document) = document {
        let state = (whole.form.decode)(document.body.as_str());
        loaded.state = state.map_err(|cause| {
            documents::unreadable(&key.collection, &key.id, document.version, cause)
        })?;
        (loaded.document, loaded.exists) = (document.version, true);
    }
    Ok(loaded)
}

/// The snapshots of `A`, where it has some and the store keeps them.
pub(crate) fn snapshots_in<A: Aggregate>(store: &dyn Store) -> Option<Snapshots<A>> {
    match A::storage().0 {
        Kind::Snapshots(snapshots) if store.capabilities().snapshots.is_yes() => Some(snapshots),
        _ => None,
    }
}

async fn load_until<A: Aggregate>(
    store: &Arc<dyn Store>,
    stream: StreamId,
    version: Version,
) -> Result<Loaded<A>> {
    let read = ReadStream::of(stream.clone()).to(version).to_fold();
    let mut loaded = Loaded::nothing(stream);
    fold_newest(store, read, &mut loaded).await?;
    Ok(loaded)
}

/// Folds what follows: a snapshot, where there is one, and the events after it.
async fn fold_newest<A: Aggregate>(
    store: &Arc<dyn Store>,
    read: ReadStream,
    loaded: &mut Loaded<A>,
) -> Result<()> {
    if let Some(snapshots) = snapshots_in::<A>(&**store) {
        let read = read.clone().with_snapshot(snapshots.schema());
        if fold_after_snapshot(store, read, loaded, &snapshots.form).await? {
            return Ok(());
        }
    }
    fold(store, read, loaded, |_| Ok(true)).await
}

/// Events of a page while an aggregate is loaded: small enough that a store reads the next one while
/// this one is decoded, large enough that few need a second.
const PAGE: u32 = 256;

/// `false`: the snapshot cannot be read. Nothing is lost: all events are there.
async fn fold_after_snapshot<A: Aggregate>(
    store: &Arc<dyn Store>,
    read: ReadStream,
    loaded: &mut Loaded<A>,
    form: &Form<A>,
) -> Result<bool> {
    let mut pages = store.read_stream(read.page(PAGE));
    while let Some(page) = pages.next().await {
        let page = page?;
        if let Some(kept) = page.snapshot() {
            match (form.decode)(kept.body) {
                Ok(state) => loaded.state = state,
                Err(cause) => {
                    trouble::with_reading::<A>(&loaded.stream, cause);
                    return Ok(false);
                }
            }
            (loaded.version, loaded.snapshot) = (kept.version, kept.version);
            loaded.exists = true;
        }
        let mut last = loaded.version;
        fold_page(&page, loaded, &mut last, |_| Ok(true))?;
    }
    Ok(true)
}

async fn fold<A: Aggregate>(
    store: &Arc<dyn Store>,
    read: ReadStream,
    loaded: &mut Loaded<A>,
    wanted: impl Fn(&Recorded<'_>) -> Result<bool>,
) -> Result<()> {
    let mut last = loaded.version;
    let mut pages = store.read_stream(read.page(PAGE));
    while let Some(page) = pages.next().await {
        fold_page(&page?, loaded, &mut last, &wanted)?;
    }
    Ok(())
}

/// After an error, state and version still fit together.
fn fold_page<A: Aggregate>(
    page: &Page,
    loaded: &mut Loaded<A>,
    last: &mut Version,
    wanted: impl Fn(&Recorded<'_>) -> Result<bool>,
) -> Result<()> {
    let storage = A::storage();
    for event in page.iter() {
        // A stream with a hole would give a state that never was.
        if event.version != *last + 1 {
            let context = format!(
                "the stream {} goes from version {last} to {}: events are missing",
                loaded.stream, event.version
            );
            return Err(Error::new(ErrorKind::Internal, context));
        }
        *last = event.version;
        if !wanted(&event)? {
            continue;
        }
        match event.decode::<A::Event>()? {
            Some(decoded) => loaded.apply(&decoded.data, &storage),
            // Of one that may be deleted nobody knows whether it was.
            None if event.is_erased() => {
                loaded.exists |= !matches!(storage.0, Kind::Document(_));
            }
            None => {
                let cause = format!("`{}` has no such event", A::CATEGORY).into();
                return Err(event.undecodable("its type", cause));
            }
        }
        loaded.version = event.version;
    }
    Ok(())
}
