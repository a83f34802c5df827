//! Parameters of function handlers: resolved once when the app is built, bound for each call.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::app::Handle;
use crate::cache::Cache;
use crate::documents::Documents;
use crate::domain::aggregate::Aggregate;
use crate::error::{Problem, Result};
use crate::manifest::Events;
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::request::Request;
use crate::port::clock::{Clock, SystemClock};
use crate::port::store::Store;
use crate::repository::Repository;
use crate::retry::ConflictRetry;
use crate::schema::entity::Entity;
use crate::work::Work;

/// A parameter of a function handler: [`Res`], [`Work`], [`Repository`], [`Documents`],
/// [`Mediator`](crate::Mediator), [`Metadata`], `Arc<dyn Store>`.
///
/// ```
/// use cqrs_core::{Call, Inject, Problem, Resources};
///
/// /// Who asks, or nobody.
/// struct Actor(Option<String>);
///
/// impl Inject for Actor {
///     type Ready = ();
///     fn resolve(_: &Resources, _: &'static str) -> Result<(), Problem> { Ok(()) }
///     fn bind(_: &(), call: &Call) -> Self { Self(call.metadata().actor().map(Into::into)) }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a handler",
    note = "wrap a resource of your own: `Res<{Self}>`"
)]
pub trait Inject: Sized + Send + 'static {
    /// What is found once, when the app is built.
    type Ready: Send + Sync + 'static;

    /// Finds what the parameter needs.
    ///
    /// # Errors
    /// When it is missing. All that is missing is reported together.
    fn resolve(from: &Resources, handler: &'static str) -> Result<Self::Ready, Problem>;

    /// Makes the parameter for one call.
    fn bind(ready: &Self::Ready, call: &Call) -> Self;
}

/// Everything that parameters are found in. See [`Inject`].
pub struct Resources {
    map: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    found: Mutex<Found>,
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) retry: ConflictRetry,
    pub(crate) cache: Option<Cache>,
    pub(crate) app: Handle,
}

/// What the parameters of the handlers tell of themselves while they are found.
#[derive(Default)]
pub(crate) struct Found {
    /// Whether one of the present handler's is a [`Work`], maybe inside a parameter of the user's.
    pub(crate) commits: bool,
    pub(crate) events: Events,
}

impl Resources {
    pub(crate) fn new() -> Self {
        Self {
            map: HashMap::new(),
            found: Mutex::default(),
            store: None,
            clock: Arc::new(SystemClock),
            retry: ConflictRetry::default(),
            cache: None,
            app: Handle::default(),
        }
    }

    pub(crate) fn insert<T: Clone + Send + Sync + 'static>(&mut self, resource: T) {
        self.map.insert(TypeId::of::<T>(), Box::new(resource));
    }

    /// A resource that was registered with [`AppBuilder::resource`](crate::AppBuilder::resource).
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.map.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// The app's store.
    ///
    /// # Errors
    /// When there is none.
    pub fn store(&self, handler: &'static str) -> Result<Arc<dyn Store>, Problem> {
        self.store.clone().ok_or_else(|| Problem::MissingStore { handler: handler.to_owned() })
    }

    pub(crate) fn found(&self) -> MutexGuard<'_, Found> {
        // Nothing panics while it is locked.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn repository<A: Aggregate>(
        &self,
        handler: &'static str,
    ) -> Result<Repository<A>, Problem> {
        self.found().events.add::<A::Event>();
        let repository = Repository::new(self.store(handler)?);
        let repository = repository.clock(self.clock.clone()).retry(self.retry);
        Ok(repository.cached_in(self.cache.clone()))
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resources").field("count", &self.map.len()).finish_non_exhaustive()
    }
}

/// One call of a function handler. See [`Inject`].
#[derive(Debug)]
pub struct Call {
    name: &'static str,
    /// Whether it is an event that is handled; a request otherwise.
    event: bool,
    metadata: Metadata,
    work: OnceLock<Work>,
}

impl Call {
    pub(crate) fn of<R: Request>(metadata: Metadata) -> Self {
        Self { name: R::NAME, event: false, metadata, work: OnceLock::new() }
    }

    /// `name`: the handler's. Several may handle one event.
    pub(crate) fn of_event(name: &'static str, metadata: Metadata) -> Self {
        Self { name, event: true, metadata, work: OnceLock::new() }
    }

    /// What the ids of everything are derived from that this call makes.
    pub(crate) fn base_id(&self) -> MessageId {
        match self.event {
            false => self.metadata.base_id(self.name),
            true => self.metadata.id().derived(self.name, 0),
        }
    }

    /// Metadata of the request.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn work(&self, store: &Arc<dyn Store>, clock: &Arc<dyn Clock>) -> &Work {
        self.work.get_or_init(|| {
            let base = self.base_id();
            Work::of_call(store.clone(), clock.clone(), self.metadata.clone(), base)
        })
    }

    pub(crate) fn begun_work(&self) -> Option<&Work> {
        self.work.get()
    }
}

/// A resource of the user's own: registered with
/// [`AppBuilder::resource`](crate::AppBuilder::resource), cloned for each call.
///
/// ```
/// use std::sync::Arc;
/// use cqrs_core::{App, Never, Query, Request, RequestKind, Res};
///
/// struct Greet;
/// impl Request for Greet {
///     const NAME: &'static str = "greet";
///     const KIND: RequestKind = RequestKind::Query;
///     type Output = String;
///     type Error = Never;
/// }
/// impl Query for Greet {}
///
/// struct Config { name: String }
///
/// async fn greet(_: Greet, Res(config): Res<Arc<Config>>) -> Result<String, Never> {
///     Ok(format!("Hello, {}", config.name))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let config = Arc::new(Config { name: "Ada".into() });
/// let app = App::builder().resource(config).handler(greet).build()?;
/// assert_eq!(app.ask(Greet).await?, "Hello, Ada");
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Res<T>(pub T);

impl<T: Clone + Send + Sync + 'static> Inject for Res<T> {
    type Ready = T;

    fn resolve(from: &Resources, handler: &'static str) -> Result<T, Problem> {
        from.get::<T>().cloned().ok_or_else(|| Problem::MissingResource {
            handler: handler.to_owned(),
            resource: type_name::<T>(),
        })
    }

    fn bind(ready: &T, _: &Call) -> Self {
        Self(ready.clone())
    }
}

impl Inject for Metadata {
    type Ready = ();

    fn resolve(_: &Resources, _: &'static str) -> Result<(), Problem> {
        Ok(())
    }

    fn bind((): &(), call: &Call) -> Self {
        call.metadata.clone()
    }
}

impl Inject for Arc<dyn Store> {
    type Ready = Self;

    fn resolve(from: &Resources, handler: &'static str) -> Result<Self, Problem> {
        from.store(handler)
    }

    fn bind(ready: &Self, _: &Call) -> Self {
        ready.clone()
    }
}

/// What is gathered in it is committed when the handler returns `Ok`, with the checkpoint where it
/// handles events. The handler of a request runs again when another commit came first.
impl Inject for Work {
    type Ready = (Arc<dyn Store>, Arc<dyn Clock>);

    fn resolve(from: &Resources, handler: &'static str) -> Result<Self::Ready, Problem> {
        from.found().commits = true;
        Ok((from.store(handler)?, from.clock.clone()))
    }

    fn bind((store, clock): &Self::Ready, call: &Call) -> Self {
        call.work(store, clock).clone()
    }
}

/// The repository of the request's tenant, to read with. What a handler changes, it changes through
/// [`Work`], or through commands of their own, sent with the [`Mediator`](crate::Mediator).
impl<A: Aggregate> Inject for Repository<A> {
    type Ready = Self;

    fn resolve(from: &Resources, handler: &'static str) -> Result<Self, Problem> {
        from.repository(handler)
    }

    fn bind(ready: &Self, call: &Call) -> Self {
        match call.metadata.tenant() {
            Some(tenant) => ready.clone().of_tenant(tenant),
            None => ready.clone(),
        }
    }
}

/// The documents of the request's tenant.
impl<T: Entity> Inject for Documents<T> {
    type Ready = Self;

    fn resolve(from: &Resources, handler: &'static str) -> Result<Self, Problem> {
        from.store(handler).map(Self::new)
    }

    fn bind(ready: &Self, call: &Call) -> Self {
        match call.metadata.tenant() {
            Some(tenant) => ready.clone().of_tenant(tenant),
            None => ready.clone(),
        }
    }
}
