//! Builds an app: gathers handlers and resources, and reports all that is wrong at once.

use std::fmt;
use std::sync::Arc;

use crate::app::{App, Inner};
use crate::cache::Cache;
use crate::domain::aggregate::Aggregate;
use crate::domain::decide::Decide;
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::handler::{IntoHandler, Registry, Resources};
use crate::message::event_set::EventSet;
use crate::message::request::{Command, Request};
use crate::port::clock::Clock;
use crate::port::store::Store;
use crate::retry::ConflictRetry;

type Install = Box<dyn FnOnce(&Resources, &mut Registry, &mut Vec<Problem>) + Send>;

/// Builds an [`App`]. The order of the calls does not matter.
///
/// ```
/// use cqrs_core::{App, Command, ErrorKind, Never, Request, RequestKind, Res};
///
/// struct Ping;
/// # impl Request for Ping {
/// #     const NAME: &'static str = "ping";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Command for Ping {}
/// struct Pong;
/// # impl Request for Pong {
/// #     const NAME: &'static str = "pong";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Command for Pong {}
/// async fn ping(_: Ping, Res(_): Res<String>) -> Result<(), Never> { Ok(()) }
///
/// let error = App::builder().handler(ping).expects::<Pong>().build().unwrap_err();
/// let ErrorKind::Build(problems) = error.kind() else { panic!() };
/// assert_eq!(problems.len(), 2); // no String for `ping`, no handler for `Pong`
/// ```
#[must_use = "nothing is built until `build` is called"]
pub struct AppBuilder {
    installs: Vec<Install>,
    /// Names with a handler, those included whose parameters turn out to be missing.
    handled: Vec<&'static str>,
    expected: Vec<&'static str>,
    problems: Vec<Problem>,
    resources: Resources,
    max_body: usize,
}

impl AppBuilder {
    pub(super) fn new() -> Self {
        Self {
            installs: Vec::new(),
            handled: Vec::new(),
            expected: Vec::new(),
            problems: Vec::new(),
            resources: Resources::new(),
            max_body: 1 << 20,
        }
    }

    /// The store of all aggregates, documents and units of work.
    pub fn store(self, store: impl Store) -> Self {
        self.shared_store(Arc::new(store))
    }

    /// The store, shared with others.
    pub fn shared_store(mut self, store: Arc<dyn Store>) -> Self {
        self.resources.store = Some(store);
        self
    }

    /// Where decisions take the time from. Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.resources.clock = Arc::new(clock);
        self
    }

    /// Keeps the states of so many aggregates in memory, of all kinds together, for the commands that
    /// come next. Default: none. See [`Repository::cached`](crate::Repository::cached).
    pub fn cache(mut self, aggregates: usize) -> Self {
        self.resources.cache = Some(Cache::of(aggregates));
        self
    }

    /// How conflicts are met. Default: 16 attempts. A function handler runs again only for a request
    /// with [`Request::again`].
    pub fn retry(mut self, retry: ConflictRetry) -> Self {
        self.resources.retry = retry;
        self
    }

    /// Bytes that a request from outside has at most. Default: 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// A resource for handlers that ask for [`Res<T>`](crate::Res). One of each type.
    pub fn resource<T: Clone + Send + Sync + 'static>(mut self, resource: T) -> Self {
        self.resources.insert(resource);
        self
    }

    /// A handler: a value that implements [`Handler`](crate::Handler), or an async function of the
    /// request and up to six parameters ([`Inject`](crate::Inject)) that returns the output, or the
    /// request's error or a [`Failure`](crate::Failure) of it.
    ///
    /// When the compiler says no and not why, name the request and the parameters:
    /// `.handler::<Deposit, (Deposit, Work)>(deposit)`.
    pub fn handler<R: Request, M>(mut self, handler: impl IntoHandler<R, M>) -> Self {
        self.handles(R::NAME);
        self.installs.push(Box::new(move |resources, registry, problems| {
            if let Some(handler) = handler.install(resources, problems) {
                registry.insert::<R>(handler);
            }
        }));
        self
    }

    /// The aggregate `A` handles the command `C`, through its [`Repository`](crate::Repository).
    pub fn decides<A: Decide<C>, C: Command>(mut self) -> Self {
        self.problems.extend(<A as Aggregate>::Event::problems());
        self.handles(C::NAME);
        self.installs.push(Box::new(|resources, registry, problems| {
            match resources.repository::<A>(C::NAME) {
                Ok(repository) => registry.insert::<C>(repository),
                Err(problem) => problems.push(problem),
            }
        }));
        self
    }

    fn handles(&mut self, name: &'static str) {
        if self.handled.contains(&name) {
            self.problems.push(Problem::DuplicateHandler { name });
        }
        self.handled.push(name);
    }

    /// Checks the types and upcasters of events that are read otherwise than by
    /// [`decides`](Self::decides).
    pub fn reads<S: EventSet>(mut self) -> Self {
        self.problems.extend(S::problems());
        self
    }

    /// Makes the build fail when nobody handles this request.
    pub fn expects<R: Request>(mut self) -> Self {
        self.expected.push(R::NAME);
        self
    }

    /// Builds the app.
    ///
    /// # Errors
    /// [`ErrorKind::Build`] with every [`Problem`]: missing handlers, resources and stores,
    /// duplicates, gaps in the upcasters of events.
    pub fn build(self) -> Result<App> {
        let Self { installs, handled, expected, mut problems, resources, max_body } = self;
        let mut registry = Registry::default();
        for install in installs {
            install(&resources, &mut registry, &mut problems);
        }
        for message in expected {
            if !handled.contains(&message) {
                problems.push(Problem::MissingHandler { message });
            }
        }
        let mut distinct = Vec::with_capacity(problems.len());
        for problem in problems {
            if !distinct.contains(&problem) {
                distinct.push(problem);
            }
        }
        if !distinct.is_empty() {
            return Err(Error::new(ErrorKind::Build(distinct), "the app cannot be built:"));
        }
        let app = Arc::new(Inner { registry, store: resources.store, max_body });
        // Set once: the builder is gone afterwards.
        let _ = resources.app.set(Arc::downgrade(&app));
        Ok(App(app))
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppBuilder").field("handlers", &self.installs.len()).finish_non_exhaustive()
    }
}
