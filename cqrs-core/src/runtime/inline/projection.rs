//! One inline projection: whether its views are complete, and what becomes of them in a commit.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use crate::documents::{self, Versioned};
use crate::domain::projection::Projection;
use crate::error::{Error, ErrorKind, Result};
use crate::handler::HandlerError;
use crate::message::event_set::EventSet;
use crate::port::Position;
use crate::port::commit::{Commit, DocumentWrite, Expected, Guard};
use crate::port::filter::Filter;
use crate::port::page::{Page, Recorded};
use crate::port::read::ReadLog;
use crate::port::store::Store;
use crate::runtime::consumer::Stretch;
use crate::runtime::control::{self, Control};
use crate::runtime::inline::Inline;
use crate::runtime::key::Slice;
use crate::runtime::projection::consumer::Folding;
use crate::runtime::projection::{collection, collection_name};
use crate::schema::entity::Entity;

/// Bytes of views that a rebuild keeps in memory; a commit keeps none.
pub(super) const KEPT: usize = 16 << 20;

/// The views of an inline projection.
pub(crate) struct InlineViews<P> {
    /// Which generation of views is live; 0: it is not known yet.
    pub(super) views: AtomicU32,
    /// Held while it is found out, or changed.
    pub(super) changing: Mutex<()>,
    projection: PhantomData<fn() -> P>,
}

impl<P: Projection> InlineViews<P> {
    pub(crate) fn new() -> Self {
        Self { views: AtomicU32::new(0), changing: Mutex::default(), projection: PhantomData }
    }

    /// Which generation of views is live, once it is known that it is complete.
    async fn live(&self, store: &Arc<dyn Store>) -> Result<u32> {
        let _changing = self.changing.lock().await;
        let known = self.views.load(Ordering::Acquire);
        if known > 0 {
            return Ok(known);
        }
        store.declare(Control::collection()).await?;
        let views = match control::read(&**store, P::NAME).await? {
            Some(control) => complete::<P>(&control)?,
            None => begin::<P>(store).await?,
        };
        store.declare(collection::<P>(views)).await?;
        self.views.store(views, Ordering::Release);
        Ok(views)
    }
}

/// The views that a control document tells of, where they are what this program would make.
fn complete<P: Projection>(control: &Control) -> Result<u32> {
    let (stored, version) = (control.live.version, P::VERSION);
    if control.inline && stored > version {
        let context = format!(
            "`{}` was built by version {stored} of its projection, and this program has version \
             {version}: start the newer program",
            P::NAME
        );
        let (found, known) = (u32::from(stored), u32::from(version));
        return Err(Error::new(ErrorKind::SchemaTooNew { found, known }, context));
    }
    if control.inline && stored == version {
        return Ok(control.live.views);
    }
    let why = match control.inline {
        true => {
            format!("its views are of version {stored}, and this program has version {version}")
        }
        false => "it was not inline before".to_owned(),
    };
    Err(rebuild_it::<P>(&why))
}

/// Notes that it is inline from now on, if there is nothing that it missed.
async fn begin<P: Projection>(store: &Arc<dyn Store>) -> Result<u32> {
    let through = match first_event::<P>(store).await? {
        Ok(through) => through,
        Err(position) => {
            let why = format!("the log has events for it from before, the first at {position}");
            return Err(rebuild_it::<P>(&why));
        }
    };
    let control = Control { inline: true, ..Control::new(P::NAME, P::VERSION, 1, 0) };
    match write::<P>(store, None, &control, through).await {
        // Another node did the same, or an event came: whoever asks again finds out.
        Err(error) if error.is_conflict() => {
            let found = control::read(&**store, P::NAME).await?;
            found.map_or_else(|| Err(error), |control| complete::<P>(&control))
        }
        done => done.map(|()| control.live.views),
    }
}

/// `Ok`: there is no event for it up to a position; `Err`: the position of the first one.
async fn first_event<P: Projection>(store: &Arc<dyn Store>) -> Result<Result<Position, Position>> {
    let mut through = 0;
    let mut pages = store.read_log(ReadLog::after(0).filter(Filter::of::<P::Input>()));
    while let Some(page) = pages.next().await {
        let page = page?;
        if let Some(event) = page.iter().next() {
            return Ok(Err(event.position));
        }
        through = page.through();
    }
    Ok(Ok(through))
}

/// Writes what is known of it, unless events for it came after a position.
pub(super) async fn write<P: Projection>(
    store: &Arc<dyn Store>,
    before: Option<&Versioned<Control>>,
    control: &Control,
    after: Position,
) -> Result<()> {
    let expected = before.map_or(Expected::NoStream, |b| Expected::Exactly(b.version()));
    let key = documents::key::<Control>(None, P::NAME);
    let put = DocumentWrite::put(key, expected, documents::encode(control)?);
    let guard = Guard::NoneMatching { filter: Filter::of::<P::Input>(), after };
    let commit = Commit { documents: vec![put], guards: vec![guard], ..Commit::default() };
    store.commit(commit).await.map(drop)
}

fn rebuild_it<P: Projection>(why: &str) -> Error {
    let context = format!(
        "the inline projection `{}` is not complete: {why}; call `App::rebuild_inline` once, while \
         nobody writes",
        P::NAME
    );
    Error::new(ErrorKind::Invalid { field: None }, context)
}

/// Folds events of a page.
pub(super) async fn fold<P: Projection>(
    folding: &mut Folding<P>,
    page: &Arc<Page>,
    events: &[Recorded<'_>],
) -> Result<Vec<DocumentWrite>> {
    let is_blocked = |_: &str| false;
    let stretch = Stretch {
        page,
        events,
        slice: Slice { index: 0, of: 1 },
        replay: false,
        any_blocked: false,
        is_blocked: &is_blocked,
    };
    let handled = folding.take_in(stretch).await.map_err(error_of::<P>)?;
    Ok(handled.commit.views)
}

fn error_of<P: Projection>(error: HandlerError) -> Error {
    match error.into_cause().downcast::<Error>() {
        Ok(error) => *error,
        Err(cause) => {
            let context = format!("the inline projection `{}` failed: {cause}", P::NAME);
            Error::new(ErrorKind::Internal, context).with_source(cause)
        }
    }
}

impl<P: Projection> Inline for InlineViews<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn types(&self) -> Vec<&'static str> {
        P::Input::types().iter().map(|event_type| event_type.name).collect()
    }

    fn has(&self, collection: &str) -> bool {
        collection == collection_name::<P>(self.views.load(Ordering::Acquire))
    }

    fn ready<'a>(&'a self, store: &'a Arc<dyn Store>) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.views.load(Ordering::Acquire) {
                0 => self.live(store).await.map(drop),
                _ => Ok(()),
            }
        })
    }

    fn project<'a>(
        &'a self,
        store: &'a Arc<dyn Store>,
        events: &'a Arc<Page>,
    ) -> BoxFuture<'a, Result<Vec<DocumentWrite>>> {
        Box::pin(async move {
            // Others write views as well: they are read each time.
            let views = collection_name::<P>(self.views.load(Ordering::Acquire));
            let mut folding = Folding::<P>::new(store.clone(), views, 0);
            let all: Vec<_> = events.iter().collect();
            fold(&mut folding, events, &all).await
        })
    }

    fn rebuild<'a>(&'a self, store: &'a Arc<dyn Store>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.build(store))
    }
}
