//! Views: what a projection made, read the same way whatever its life is.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::documents::{self, Versioned};
use crate::domain::fact::Fact;
use crate::domain::projection::Projection;
use crate::error::{Problem, Result};
use crate::handler::{Call, Inject, Resources};
use crate::port::document::{DocumentKey, FieldValue, FindDocuments};
use crate::port::filter::Filter;
use crate::port::page::Recorded;
use crate::port::read::ReadLog;
use crate::port::store::Store;
use crate::runtime::control;
use crate::runtime::live::LiveViews;
use crate::runtime::projection::keys::{guarded, keys_of};
use crate::runtime::projection::{Life, collection_name};
use crate::schema::entity::Entity;

/// For so long a process trusts what it knows of which generation is live. What was live before must
/// not be removed any sooner after a switch.
pub(crate) const KNOWN_FOR: Duration = Duration::from_millis(500);

/// The views of a projection: those that are live, also while others are built beside them.
///
/// A parameter of handlers, where it knows how the projection [lives](Life), and of use on its own,
/// where it reads the documents of one that is durable or inline. An app that does not have the projection
/// reads what others have made of it; where nobody runs it, there is nothing to find.
///
/// ```
/// use std::sync::Arc;
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Entity, Fact, Projection, Store, View};
/// # use cqrs_core::{Append, Commit, Event, EventType, Expected, Json, NewEvent, Payload, StreamId};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Deposited { amount: u64 }
/// # impl Event for Deposited {
/// #     const TYPES: &'static [EventType] = &[EventType::new("bank.deposited", "Deposited")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
/// # #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// # struct Balance { account: String, amount: u64 }
/// # impl Entity for Balance {
/// #     const COLLECTION: &'static str = "balance";
/// #     fn id(&self) -> String { self.account.clone() }
/// # }
///
/// struct Balances;
/// impl Projection for Balances {
///     const NAME: &'static str = "bank.balances";
///     type Input = Deposited;
///     type View = Balance;
///     fn keys(event: &Fact<'_, Deposited>) -> Vec<String> { vec![event.stream.to_owned()] }
///     fn project(key: &str, view: Option<Balance>, event: &Fact<'_, Deposited>) -> Option<Balance> {
///         let before = view.map_or(0, |view| view.amount);
///         Some(Balance { account: key.to_owned(), amount: before + event.data.amount })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let store = MemoryStore::default();
/// # let event = NewEvent::new("bank.deposited", Payload::Json(Json::parse(r#"{"amount":5}"#)?));
/// # let append = Append { stream: StreamId::new("account", "17"), expected: Expected::NoStream, events: vec![event] };
/// # store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
/// let balances = View::<Balances>::new(Arc::new(store));
/// // Whether or not it is run anywhere: folded from the log.
/// assert_eq!(balances.at_query("17").await?.unwrap().amount, 5);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub struct View<P: Projection> {
    source: Source<P>,
    tenant: Option<Box<str>>,
}

enum Source<P: Projection> {
    Documents(Arc<Documents>),
    Live(Arc<LiveViews<P>>, Arc<dyn Store>),
    Query(Arc<dyn Store>),
}

/// The documents of a projection, and which of its generations is live.
struct Documents {
    store: Arc<dyn Store>,
    known: Mutex<Option<Known>>,
}

/// Which generation was live when.
#[derive(Debug, Clone, Copy)]
struct Known {
    views: u32,
    at: Instant,
}

/// How a projection of an app lives: among its resources.
pub(crate) struct LifeOf<P: Projection> {
    pub(crate) life: Life,
    pub(crate) live: Option<Arc<LiveViews<P>>>,
}

impl<P: Projection> View<P> {
    /// The views in a store, of a projection that is durable or inline.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let documents = Documents { store, known: Mutex::default() };
        Self { source: Source::Documents(Arc::new(documents)), tenant: None }
    }

    pub(crate) fn living(store: Arc<dyn Store>, life: Option<&LifeOf<P>>) -> Self {
        let source = match life {
            Some(LifeOf { live: Some(live), .. }) => Source::Live(live.clone(), store),
            Some(LifeOf { life: Life::Query, .. }) => Source::Query(store),
            Some(_) | None => return Self::new(store),
        };
        Self { source, tenant: None }
    }

    /// Those of a tenant.
    #[must_use]
    pub fn of_tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// One of them; `None` when there is none.
    ///
    /// # Errors
    /// [`Decode`](crate::ErrorKind::Decode) when its document is no such view; when the store cannot
    /// be read. Of a projection that lives in memory: [`Unavailable`](crate::ErrorKind::Unavailable)
    /// while it has not read the log, [`Internal`](crate::ErrorKind::Internal) when it failed at an
    /// event of this view. Of one that is asked only: as [`at_query`](Self::at_query).
    pub async fn get(&self, id: &str) -> Result<Option<Versioned<P::View>>> {
        match &self.source {
            Source::Query(_) => return self.at_query(id).await,
            Source::Live(live, _) => live.check(self.tenant.as_deref(), id)?,
            Source::Documents(_) => {}
        }
        let key = documents::key::<P::View>(self.tenant.as_deref(), id);
        let read = |store: Arc<dyn Store>, collection| {
            let key = DocumentKey { collection, ..key.clone() };
            async move { store.document(&key).await }
        };
        self.read(read).await?.map(documents::decode).transpose()
    }

    /// The first 100 with this value in a declared field, by id.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn find(
        &self,
        field: &'static str,
        value: impl Into<FieldValue>,
    ) -> Result<Vec<Versioned<P::View>>> {
        self.query(FindDocuments::by(P::View::COLLECTION, field, value)).await
    }

    /// A page of them, in the order of their ids. Collection and tenant are this view's.
    ///
    /// Of a projection that lives in memory, views at whose events it failed are not among them.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the field is not declared; otherwise as
    /// [`get`](Self::get).
    pub async fn query(&self, find: FindDocuments) -> Result<Vec<Versioned<P::View>>> {
        let find = FindDocuments { tenant: self.tenant.clone(), ..find };
        let read = |store: Arc<dyn Store>, collection| {
            let find = FindDocuments { collection, ..find.clone() };
            async move { store.find_documents(find).await }
        };
        self.read(read).await?.into_iter().map(documents::decode).collect()
    }

    /// How many there are to find, on all pages. Collection and tenant are this view's.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn count(&self, find: FindDocuments) -> Result<u64> {
        let find = FindDocuments { tenant: self.tenant.clone(), ..find };
        let read = |store: Arc<dyn Store>, collection| {
            let find = FindDocuments { collection, ..find.clone() };
            async move { store.count_documents(&find).await }
        };
        self.read(read).await
    }

    /// One of them, folded from the log now, whatever the projection's life is: nothing is stored, and
    /// all events that the projection takes are read. Its version counts the events in it.
    ///
    /// # Errors
    /// [`Undecodable`](crate::ErrorKind::Undecodable) when one of the events cannot be read,
    /// [`Panicked`](crate::ErrorKind::Panicked); when the store cannot be read.
    pub async fn at_query(&self, id: &str) -> Result<Option<Versioned<P::View>>> {
        self.at_query_of(id, Filter::default()).await
    }

    /// The same of the events that a filter lets through: those of one stream, where the caller knows
    /// that no other has any of this view.
    ///
    /// # Errors
    /// As [`at_query`](Self::at_query).
    pub async fn at_query_of(
        &self,
        id: &str,
        filter: Filter,
    ) -> Result<Option<Versioned<P::View>>> {
        let store = self.store();
        let tenant = self.tenant.clone().or(filter.tenant);
        let filter = Filter { tenant, types: Filter::of::<P::Input>().types, ..filter };
        let mut folded = (None, 0);
        let mut pages = store.read_log(ReadLog::after(0).filter(filter));
        while let Some(page) = pages.next().await {
            for event in page?.iter().filter(|event| event.tenant == self.tenant.as_deref()) {
                self.fold(id, &event, &mut folded)?;
            }
        }
        let (view, version) = folded;
        Ok(view.map(|view| Versioned::new(view, id.to_owned(), version)))
    }

    fn fold(
        &self,
        id: &str,
        event: &Recorded<'_>,
        (view, version): &mut (Option<P::View>, u64),
    ) -> Result<()> {
        let Some(event) = event.decode::<P::Input>()? else { return Ok(()) };
        let fact = Fact::of(&event);
        let limits = self.store().capabilities().limits;
        let keys = guarded("keys", P::NAME, || keys_of::<P>(&fact, &limits))??;
        if keys.iter().any(|key| key == id) {
            *view = guarded("project", P::NAME, || P::project(id, view.take(), &fact))?;
            *version += 1;
        }
        Ok(())
    }

    /// Where the events are.
    fn store(&self) -> Arc<dyn Store> {
        match &self.source {
            Source::Documents(documents) => documents.store.clone(),
            Source::Live(_, store) | Source::Query(store) => store.clone(),
        }
    }

    /// Reads documents where they are now.
    async fn read<T, F>(
        &self,
        read: impl Fn(Arc<dyn Store>, Cow<'static, str>) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let documents = match &self.source {
            Source::Live(live, _) => return read(live.documents()?, collection_name::<P>(1)).await,
            Source::Query(store) => {
                let memory = LiveViews::<P>::replay(store).await?;
                return read(memory, collection_name::<P>(1)).await;
            }
            Source::Documents(documents) => documents,
        };
        let mut known = documents.live(P::NAME).await?;
        loop {
            let collection = collection_name::<P>(known.views);
            let done = read(documents.store.clone(), collection).await;
            if known.at.elapsed() <= KNOWN_FOR {
                return done;
            }
            // It took long: what was read may have been on the way out.
            let views = known.views;
            known = documents.live(P::NAME).await?;
            if known.views == views {
                return done;
            }
        }
    }
}

impl Documents {
    /// Which generation is live, as of a moment ago.
    async fn live(&self, projection: &str) -> Result<Known> {
        let known = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.filter(|known| known.at.elapsed() < KNOWN_FOR) {
            return Ok(known);
        }
        // Before it is asked: what is known is as old as the question.
        let at = Instant::now();
        let control = control::read(&*self.store, projection).await?;
        let known = Known { views: control.map_or(1, |control| control.live.views), at };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(known)
    }
}

impl<P: Projection> Clone for View<P> {
    fn clone(&self) -> Self {
        let source = match &self.source {
            Source::Documents(documents) => Source::Documents(documents.clone()),
            Source::Live(live, store) => Source::Live(live.clone(), store.clone()),
            Source::Query(store) => Source::Query(store.clone()),
        };
        Self { source, tenant: self.tenant.clone() }
    }
}

impl<P: Projection> fmt::Debug for View<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("projection", &P::NAME).finish_non_exhaustive()
    }
}

/// The views of the request's tenant.
impl<P: Projection> Inject for View<P> {
    type Ready = Self;

    fn resolve(from: &Resources, handler: &'static str) -> Result<Self, Problem> {
        from.found().events.add::<P::Input>();
        let life = from.get::<Arc<LifeOf<P>>>();
        Ok(Self::living(from.store(handler)?, life.map(|life| &**life)))
    }

    fn bind(ready: &Self, call: &Call) -> Self {
        match call.metadata().tenant() {
            Some(tenant) => ready.clone().of_tenant(tenant),
            None => ready.clone(),
        }
    }
}
