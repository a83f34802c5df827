//! Builds an app: gathers handlers, layers and resources, and reports all that is wrong at once.

use std::any::{type_name, type_name_of_val};
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::app::messaging::Messaging;
use crate::app::projections::Following;
use crate::app::requests::Requests;
use crate::app::{App, EventHandlers, Inner};
use crate::cache::Cache;
use crate::discovery::Discovered;
use crate::domain::aggregate::Aggregate;
use crate::domain::decide::Decide;
use crate::domain::saga::Saga;
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::handler::{
    AppLayer, AppService, ErasedEventHandler, IntoEventHandler, IntoHandler, Registry,
    RequestLayer, Resources,
};
use crate::manifest::{EventHandlerManifest, Manifest};
use crate::message::event_set::EventSet;
use crate::message::request::{Command, Request};
use crate::port::clock::Clock;
use crate::port::store::Store;
use crate::retry::ConflictRetry;
use crate::runtime::consumer::{Subscriber, SubscriptionKind};
use crate::runtime::handler::Handler;
use crate::runtime::saga::{self, SagaRegistry};
use crate::runtime::settings::{RuntimeSettings, Subscription};
use crate::runtime::slot::Definition;

type Install = Box<dyn FnOnce(&Resources, &mut Registry, &mut Vec<Problem>) + Send>;
type InstallEventHandler =
    Box<dyn FnOnce(&Resources, &mut Vec<Problem>) -> Option<Box<dyn ErasedEventHandler>> + Send>;
type Tune = Box<dyn FnOnce(Subscription) -> Subscription + Send>;
type WrapOne = Box<dyn FnOnce(&mut Registry) + Send>;
type Wrap = Box<dyn FnOnce(AppService) -> AppService + Send>;

/// Builds an [`App`]. The order of the calls does not matter, but for that of layers.
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
    pub(super) event_installs: Vec<(&'static str, InstallEventHandler)>,
    pub(super) subscribers: Vec<(&'static str, u32, Arc<dyn Subscriber>)>,
    sagas: SagaRegistry,
    pub(super) following: Following,
    /// Changes to the settings of subscriptions.
    tunings: Vec<(&'static str, Tune)>,
    settings: RuntimeSettings,
    pub(super) messaging: Messaging,
    /// Around single requests, the outermost first.
    request_layers: Vec<WrapOne>,
    /// Around everything, the outermost first.
    layers: Vec<(&'static str, Wrap)>,
    pub(super) requests: Requests,
    /// Addresses of what was discovered: nothing registers twice.
    discovered: HashSet<usize>,
    problems: Vec<Problem>,
    resources: Resources,
    max_body: usize,
}

impl AppBuilder {
    pub(super) fn new() -> Self {
        Self {
            installs: Vec::new(),
            event_installs: Vec::new(),
            subscribers: Vec::new(),
            sagas: SagaRegistry::new(),
            following: Following::default(),
            tunings: Vec::new(),
            settings: RuntimeSettings::default(),
            messaging: Messaging::default(),
            request_layers: Vec::new(),
            layers: Vec::new(),
            requests: Requests::default(),
            discovered: HashSet::new(),
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

    /// A resource for handlers that ask for [`Res<T>`](crate::Res). One of each type: a second one
    /// takes the place of the first.
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
        self.requests.handled::<R>();
        self.installs.push(Box::new(move |resources, registry, problems| {
            let handled_by = type_name_of_val(&handler);
            if let Some(installed) = handler.install(resources, problems) {
                registry.insert::<R, _>(installed, handled_by);
            }
        }));
        self
    }

    /// The aggregate `A` handles the command `C`, through its [`Repository`](crate::Repository).
    pub fn decides<A: Decide<C>, C: Command>(self) -> Self {
        let mut builder = self.reads::<<A as Aggregate>::Event>();
        builder.requests.handled::<C>();
        builder.installs.push(Box::new(|resources, registry, problems| {
            match resources.repository::<A>(C::NAME) {
                Ok(repository) => registry.insert::<C, _>(repository, type_name::<A>()),
                Err(problem) => problems.push(problem),
            }
        }));
        builder
    }

    /// A handler of events: an async function of an event or a set of events, by value, and up to six
    /// parameters ([`Inject`](crate::Inject)) that returns `Ok(())` or anything that becomes a
    /// [`HandlerError`](crate::HandlerError). Its name is that of its checkpoint: stable.
    ///
    /// It runs once the app is [started](App::start), or when [`App::catch_up`] is called.
    pub fn event_handler<S: EventSet, M>(
        self,
        name: &'static str,
        handler: impl IntoEventHandler<S, M>,
    ) -> Self {
        let mut builder = self.reads::<S>();
        builder.event_installs.push((
            name,
            Box::new(move |resources, problems| {
                if let Err(problem) = resources.store(name) {
                    problems.push(problem);
                }
                handler.install(name, resources, problems)
            }),
        ));
        builder
    }

    /// Changes the settings of a subscription: of a handler of events, a projection, a sink or a saga.
    /// See [`Subscription`].
    pub fn subscription(
        mut self,
        name: &'static str,
        tune: impl FnOnce(Subscription) -> Subscription + Send + 'static,
    ) -> Self {
        self.tunings.push((name, Box::new(tune)));
        self
    }

    /// How the runtime works. Default: [`RuntimeSettings::production`].
    pub fn runtime(mut self, settings: RuntimeSettings) -> Self {
        self.settings = settings;
        self
    }

    /// A [`Saga`]: a process across aggregates. Its name is that of its checkpoint: stable.
    ///
    /// It runs once the app is [started](App::start). The commands that it sends are handled by this
    /// app. One that no handler of it knows waits until a process that has one runs the relay's
    /// partition: processes of different roles on one store wait for each other.
    pub fn saga<S: Saga>(self, saga: S) -> Self {
        let mut builder = self.reads::<S::Input>();
        let saga = saga::erased(saga);
        builder.subscribers.push((S::NAME, HANDLER_PARTITIONS, saga.subscriber()));
        builder.sagas.insert(S::NAME, saga);
        builder
    }

    /// Checks the types and upcasters of events that are read otherwise than by
    /// [`decides`](Self::decides), and shows them in the [`Manifest`].
    pub fn reads<S: EventSet>(self) -> Self {
        self.resources.found().events.add::<S>();
        self
    }

    /// Makes the build fail when nobody handles this request.
    pub fn expects<R: Request>(mut self) -> Self {
        self.requests.expected::<R>();
        self
    }

    /// Makes the build fail unless this request is handled and can be called by name from outside:
    /// it is not internal and has a wire form.
    pub fn exposes<R: Request>(mut self) -> Self {
        self.requests.exposed::<R>();
        self
    }

    /// Adds everything that announces itself in this program: see
    /// [`discovered!`](crate::discovered). What stands in a crate that nothing refers to needs a
    /// [`link!`](crate::link).
    pub fn discover(self) -> Self {
        self.discover_where("this program", |_| true)
    }

    /// Adds what announces itself in a module and below it, so that one program can play several
    /// roles. The crate's name may be left out: `learning`, `learning_platform::learning`.
    pub fn discover_in(self, module: &'static str) -> Self {
        self.discover_where(module, |found| found.is_in(module))
    }

    fn discover_where(
        mut self,
        module: &'static str,
        wanted: impl Fn(&Discovered) -> bool,
    ) -> Self {
        let mut any = false;
        for found in Discovered::all().filter(|found| wanted(found)) {
            any = true;
            if self.discovered.insert(std::ptr::from_ref(found).addr()) {
                self = (found.register)(self);
            }
        }
        if !any {
            self.problems.push(Problem::NothingDiscovered { module });
        }
        self
    }

    /// A tower layer around all requests, those from inside the process and those from outside. The
    /// first one is the outermost. See the module [`layer`](crate::layer) for an example.
    pub fn layer<L: AppLayer>(mut self, layer: L) -> Self {
        self.layers.push((type_name::<L>(), Box::new(|inner| layer.wrap(inner))));
        self
    }

    /// A tower layer around the requests of one type, inside those around all. The first one is the
    /// outermost. See the module [`layer`](crate::layer) for an example.
    pub fn layer_for<R: Request, L: RequestLayer<R>>(mut self, layer: L) -> Self {
        self.requests.expected::<R>();
        self.request_layers.push(Box::new(move |registry| registry.wrap::<R, L>(layer)));
        self
    }

    /// Builds the app.
    ///
    /// # Errors
    /// [`ErrorKind::Build`] with every [`Problem`]: missing handlers, resources and stores,
    /// duplicates, gaps in the upcasters of events, names that no subscription can have.
    pub fn build(self) -> Result<App> {
        let Self { mut resources, mut problems, max_body, mut following, mut messaging, .. } = self;
        following.join(&mut resources);
        let mut registry = Registry::default();
        for install in self.installs {
            install(&resources, &mut registry, &mut problems);
        }
        messaging.install_remotes(&resources.clock, &mut registry, &mut problems);
        let mut event_handlers = BTreeMap::new();
        for (name, install) in self.event_installs {
            let handler = install(&resources, &mut problems);
            if event_handlers.insert(name, handler.map(Arc::from)).is_some() {
                problems.push(Problem::DuplicateEventHandler { name });
            }
        }
        let (bus, mut listeners) = messaging.install(&resources, &mut problems);
        listeners.sort_unstable_by_key(|listening| listening.name);
        let (events, of_events) = resources.found().events.finish();
        problems.extend(of_events);
        problems.extend(self.requests.problems());
        // The last one goes on first, and ends up innermost.
        for wrap in self.request_layers.into_iter().rev() {
            wrap(&mut registry);
        }
        if resources.store.is_none() {
            let missing = |name: &&str| Problem::MissingStore { handler: (*name).to_owned() };
            problems.extend(self.sagas.keys().map(missing));
        }
        let names = event_handlers.keys().copied().chain(self.subscribers.iter().map(|s| s.0));
        problems.extend(naming(names.chain(following.names()).collect(), &self.tunings));
        problems.extend(following.problems(&resources));
        let mut distinct = Vec::with_capacity(problems.len());
        for problem in problems {
            if !distinct.contains(&problem) {
                distinct.push(problem);
            }
        }
        if !distinct.is_empty() {
            return Err(Error::new(ErrorKind::Build(distinct), "the app cannot be built:"));
        }
        let present = |(name, handler): (_, Option<_>)| Some((name, handler?));
        let event_handlers: EventHandlers =
            event_handlers.into_iter().filter_map(present).collect();
        let handlers = event_handlers.iter().map(|(name, handler)| {
            let subscriber: Arc<dyn Subscriber> = Arc::new(Handler(handler.clone()));
            (*name, HANDLER_PARTITIONS, subscriber)
        });
        let definitions = define(handlers.chain(self.subscribers), self.tunings);
        let is_wrong = |known: &&Arc<Definition>| {
            known.settings.live && known.subscriber.kind() != SubscriptionKind::Handler
        };
        let wrong = definitions.iter().filter(is_wrong);
        let wrong: Vec<_> = wrong.map(|known| Problem::NotLive { name: known.name }).collect();
        if !wrong.is_empty() {
            return Err(Error::new(ErrorKind::Build(wrong), "the app cannot be built:"));
        }
        let subscribed = definitions.iter().map(|known| known.subscriber.describe());
        let mut subscribed: Vec<EventHandlerManifest> = subscribed.collect();
        subscribed.sort_unstable_by_key(|known| known.name);
        let manifest = Manifest {
            requests: registry.describe(),
            events,
            event_handlers: subscribed,
            listeners: listeners.iter().map(|known| known.handler.describe()).collect(),
            layers: self.layers.iter().map(|(name, _)| *name).collect(),
        };
        let registry = Arc::new(registry);
        let inner = AppService::new(registry.clone());
        let layered = !self.layers.is_empty();
        let service = self.layers.into_iter().rev().fold(inner, |inner, (_, wrap)| wrap(inner));
        let store = resources.store;
        let app = Arc::new(Inner {
            registry,
            event_handlers,
            definitions,
            sagas: Arc::new(self.sagas),
            settings: self.settings,
            clock: resources.clock,
            started: OnceLock::new(),
            bus,
            listeners,
            following,
            service,
            layered,
            store,
            max_body,
            manifest,
        });
        // Set once: the builder is gone afterwards.
        let _ = resources.app.set(Arc::downgrade(&app));
        Ok(App(app))
    }
}

/// Partitions of handlers and sagas, unless they are told otherwise.
const HANDLER_PARTITIONS: u32 = 4;

/// Bytes of a subscription's name: its checkpoints and leases have more behind it.
const NAME: usize = 200;

/// Why no subscription can have this name.
fn no_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it is empty"),
        _ if name.len() > NAME => Some("it is longer than 200 bytes"),
        _ if name.starts_with("cqrs.") => {
            Some("`cqrs.` is what the runtime's own names begin with")
        }
        _ if name.contains('~') => Some("what is behind `~` counts how often it was begun anew"),
        _ if name.contains(char::is_control) => Some("it has a control character"),
        _ => None,
    }
}

/// What is wrong with the names of subscriptions: each has a checkpoint under its name.
fn naming(mut names: Vec<&'static str>, tunings: &[(&'static str, Tune)]) -> Vec<Problem> {
    let unknown = tunings.iter().filter(|(name, _)| !names.contains(name));
    let mut problems: Vec<Problem> =
        unknown.map(|(name, _)| Problem::UnknownSubscription { name }).collect();
    let refused = names.iter().filter_map(|name| Some((*name, no_name(name)?)));
    problems.extend(refused.map(|(name, why)| Problem::SubscriptionName { name, why }));
    names.sort_unstable();
    let twice = names.windows(2).filter(|pair| pair[0] == pair[1]);
    problems.extend(twice.map(|pair| Problem::DuplicateEventHandler { name: pair[0] }));
    problems
}

/// The subscriptions with their settings.
fn define(
    subscribers: impl Iterator<Item = (&'static str, u32, Arc<dyn Subscriber>)>,
    mut tunings: Vec<(&'static str, Tune)>,
) -> Vec<Arc<Definition>> {
    let define = |(name, partitions, subscriber)| {
        let own = tunings.extract_if(.., |(tuned, _)| *tuned == name);
        let settings =
            own.fold(Subscription::new(partitions), |settings, (_, tune)| tune(settings));
        Arc::new(Definition { name, settings, subscriber })
    };
    subscribers.map(define).collect()
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppBuilder").field("handlers", &self.installs.len()).finish_non_exhaustive()
    }
}
