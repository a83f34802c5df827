//! Folds the events of one partition into views, a batch at a time.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::documents;
use crate::domain::fact::Fact;
use crate::domain::projection::Projection;
use crate::error::{Error, ErrorKind, Result};
use crate::handler::HandlerError;
use crate::message::payload::Json;
use crate::port::commit::{Commit, DocumentWrite, Expected};
use crate::port::document::{Document, DocumentKey};
use crate::port::page::Recorded;
use crate::port::store::Store;
use crate::runtime::consumer::{Behind, Consumer, Handled, Handling, Stretch};
use crate::runtime::handler::of_stream;
use crate::runtime::key;
use crate::runtime::projection::keys::{guarded, keys_of};
use crate::runtime::projection::views::Views;
use crate::schema::entity::Entity;

/// Views that are read at once.
const READS: usize = 8;

/// Folds events into the views of one collection.
pub(crate) struct Folding<P: Projection> {
    store: Arc<dyn Store>,
    views: Views<P::View>,
    /// So many of the changed views were handed out.
    handed: usize,
    /// Whether there is anything to write among them.
    writes: bool,
}

/// The events of a batch that change something, and what each of them changes.
struct Batch<'a, E> {
    events: Vec<Recorded<'a, E>>,
    /// An event and a place, in the order of the log.
    steps: Vec<(u32, u32)>,
    behind: Vec<Behind>,
}

impl<P: Projection> Folding<P> {
    /// Into a collection of a store, with so many bytes of views in memory.
    pub(crate) fn new(store: Arc<dyn Store>, collection: Cow<'static, str>, bytes: usize) -> Self {
        Self { store, views: Views::new(collection, bytes), handed: 0, writes: false }
    }

    /// Decodes what is this partition's, and finds the places of its views.
    fn read<'a>(&mut self, stretch: &Stretch<'a>) -> Result<Batch<'a, P::Input>> {
        let limits = self.store.capabilities().limits;
        let mut batch = Batch {
            events: Vec::with_capacity(stretch.events.len()),
            steps: Vec::with_capacity(stretch.events.len()),
            behind: Vec::new(),
        };
        // Without other partitions and blocked keys, nobody asks for the name of a lane.
        let is_free = stretch.slice.of <= 1 && !stretch.any_blocked;
        for raw in stretch.events {
            // What was erased says nothing any more.
            let Some(event) = raw.decode::<P::Input>()? else { continue };
            let before = batch.steps.len();
            for key in keys_of::<P>(&Fact::of(&event), &limits)? {
                if !is_free {
                    let lane = key::of_tenant(event.tenant, &key);
                    if !stretch.slice.has(&lane) {
                        continue;
                    }
                    if (stretch.is_blocked)(&lane) {
                        let message = event.event_type.to_owned();
                        batch.behind.push(Behind { position: event.position, key: lane, message });
                        continue;
                    }
                }
                let at = self.views.place(event.tenant, &key);
                batch.steps.push((batch.events.len() as u32, at as u32));
            }
            if batch.steps.len() > before {
                batch.events.push(event);
            }
        }
        Ok(batch)
    }

    fn fold(&mut self, batch: &Batch<'_, P::Input>) {
        for (event, at) in &batch.steps {
            let fact = Fact::of(&batch.events[*event as usize]);
            let slot = self.views.change(*at as usize);
            slot.view = P::project(&slot.key.id, slot.view.take(), &fact);
        }
    }

    /// Reads the views that were asked for.
    async fn read_views(&mut self) -> Result<(), HandlerError> {
        let mut unread = self.views.take_unread().into_iter();
        let mut reads = FuturesUnordered::new();
        loop {
            while reads.len() < READS
                && let Some((at, key)) = unread.next()
            {
                let store = self.store.clone();
                reads.push(async move { (at, store.document(&key).await, key) });
            }
            match reads.next().await {
                None => return Ok(()),
                Some((at, document, key)) => self.fill(at, document?, &key)?,
            }
        }
    }

    fn fill(
        &mut self,
        at: usize,
        document: Option<Document>,
        key: &DocumentKey,
    ) -> Result<(), HandlerError> {
        let Some(Document { id: _, version, body }) = document else {
            self.views.fill(at, 0, None, 0);
            return Ok(());
        };
        let view = body.decode::<P::View>().map_err(|cause| {
            let error = documents::unreadable(&key.collection, &key.id, version, cause);
            HandlerError::fatal(error.and("build the projection anew"))
        })?;
        self.views.fill(at, version, Some(view), body.len());
        Ok(())
    }

    /// What is to be written of what was changed.
    fn hand_out(&mut self) -> Result<Commit> {
        let limit = self.store.capabilities().limits.payload;
        let mut views = Vec::with_capacity(self.views.changes() - self.handed);
        while let Some(slot) = self.views.changed(self.handed) {
            self.handed += 1;
            let key = &slot.key;
            let expected = match slot.version {
                0 => Expected::NoStream,
                version => Expected::Exactly(version),
            };
            match &slot.view {
                None if slot.version == 0 => {}
                None => views.push(DocumentWrite::delete(DocumentKey::clone(key), expected)),
                Some(view) => {
                    let body = encode::<P>(view, key, limit)?;
                    slot.body = body.len();
                    views.push(DocumentWrite::put(DocumentKey::clone(key), expected, body));
                }
            }
        }
        self.writes |= !views.is_empty();
        if !self.writes {
            // Views that came and went: nothing is committed, so nobody says that it was.
            self.written();
        }
        Ok(Commit { views, ..Commit::default() })
    }

    fn guarded<T>(
        &mut self,
        what: &str,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T, HandlerError> {
        guarded(what, P::NAME, || run(self)).flatten().map_err(HandlerError::fatal)
    }

    /// Events of one page, together.
    pub(crate) async fn take_in(&mut self, stretch: Stretch<'_>) -> Result<Handled, HandlerError> {
        let batch = self.guarded("keys", |this| this.read(&stretch))?;
        self.read_views().await?;
        let commit = self.guarded("project", |this| {
            this.fold(&batch);
            this.hand_out()
        })?;
        Ok(Handled { commit, sink: None, behind: batch.behind })
    }

    /// The lanes of an event.
    pub(crate) fn lanes(&self, event: &Recorded<'_>) -> Result<Vec<String>> {
        let limits = &self.store.capabilities().limits;
        let Some(decoded) = event.decode::<P::Input>()? else { return Ok(Vec::new()) };
        let keys = guarded("keys", P::NAME, || keys_of::<P>(&Fact::of(&decoded), limits))??;
        Ok(keys.into_iter().map(|key| key::of_tenant(event.tenant, &key)).collect())
    }

    /// One event, for the views of one lane.
    pub(crate) async fn take_one(
        &mut self,
        event: &Recorded<'_>,
        lane: &str,
    ) -> Result<Handled, HandlerError> {
        let limits = self.store.capabilities().limits;
        let decoded = event.decode::<P::Input>().map_err(HandlerError::fatal)?;
        let stream = of_stream(event);
        let Some(event) = decoded else { return Ok(Handled::default()) };
        let mut keys = self.guarded("keys", |_| keys_of::<P>(&Fact::of(&event), &limits))?;
        let is_of_lane = |key: &String| key::of_tenant(event.tenant, key) == lane;
        // One whose keys could not be told was set aside under its stream: now it is for all of them.
        if keys.iter().any(is_of_lane) || lane != stream {
            keys.retain(is_of_lane);
        }
        let mut batch = Batch { events: vec![event], steps: Vec::new(), behind: Vec::new() };
        for key in keys {
            let mut at = self.views.place(event_tenant(&batch), &key);
            if self.views.is_changed(at) {
                // Nobody said what became of it.
                self.forget();
                at = self.views.place(event_tenant(&batch), &key);
            }
            batch.steps.push((0, at as u32));
        }
        self.read_views().await?;
        let commit = self.guarded("project", |this| {
            this.fold(&batch);
            this.hand_out()
        })?;
        Ok(Handled::from(commit))
    }

    pub(crate) fn written(&mut self) {
        self.views.written();
        (self.handed, self.writes) = (0, false);
    }

    pub(crate) fn forget(&mut self) {
        self.views.forget();
        (self.handed, self.writes) = (0, false);
    }
}

fn event_tenant<'a, E>(batch: &Batch<'a, E>) -> Option<&'a str> {
    batch.events.first().and_then(|event| event.tenant)
}

fn encode<P: Projection>(view: &P::View, key: &DocumentKey, limit: usize) -> Result<Json> {
    let id = view.id();
    if id != key.id {
        let context = format!(
            "`{}` makes a view with the id {id:?} for the key {:?}: they must be the same",
            P::NAME,
            key.id
        );
        return Err(Error::invalid_field("id", context));
    }
    let body = Json::encode(view).map_err(|cause| {
        let context = format!("`{}` makes a view that cannot be encoded, {key}: {cause}", P::NAME);
        Error::new(ErrorKind::Internal, context).with_source(cause)
    })?;
    if body.len() <= limit {
        return Ok(body);
    }
    let size = body.len();
    let what = format!("the view {key} of `{}`", P::NAME);
    let context = format!("{what}: {size} bytes, at most {limit} are taken");
    Err(Error::new(ErrorKind::TooLarge { what, size, limit }, context))
}

#[async_trait]
impl<P: Projection> Consumer for Folding<P> {
    fn batches(&self) -> bool {
        true
    }

    fn keys(&self, event: &Recorded<'_>) -> Result<Vec<String>> {
        self.lanes(event)
    }

    async fn one(&mut self, handling: Handling<'_>) -> Result<Handled, HandlerError> {
        let done = self.take_one(&handling.event, handling.key).await;
        done.inspect_err(|_| self.forget())
    }

    async fn many(&mut self, stretch: Stretch<'_>) -> Result<Handled, HandlerError> {
        let done = self.take_in(stretch).await;
        done.inspect_err(|_| self.forget())
    }

    fn written(&mut self) {
        Self::written(self);
    }

    fn forget(&mut self) {
        Self::forget(self);
    }
}
