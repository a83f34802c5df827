//! What an app has to do with others: its bus, what it tells them, and what it listens to.

use std::any::type_name;
use std::sync::Arc;

use crate::app::AppBuilder;
use crate::client::ServiceClient;
use crate::error::Problem;
use crate::handler::{IntoEventHandler, Registry, Resources};
use crate::message::event::Event;
use crate::message::event_set::EventSet;
use crate::message::request::Request;
use crate::port::bus::Bus;
use crate::port::clock::Clock;
use crate::remote::Remote;
use crate::runtime::inbound::Listening;
use crate::runtime::inbound::settings::Listener;
use crate::runtime::translate;

type InstallListener =
    Box<dyn FnOnce(&Resources, &mut Vec<Problem>, Listener) -> Option<Listening> + Send>;
type InstallRemote = Box<dyn FnOnce(ServiceClient, &mut Registry) + Send>;
type Tune = Box<dyn FnOnce(Listener) -> Listener + Send>;

/// What the builder is told of.
#[derive(Default)]
pub(super) struct Messaging {
    pub(super) bus: Option<Arc<dyn Bus>>,
    installs: Vec<(&'static str, InstallListener)>,
    tunings: Vec<(&'static str, Tune)>,
    remotes: Vec<(&'static str, InstallRemote)>,
}

impl Messaging {
    /// Installs the handlers of requests that others handle.
    pub(super) fn install_remotes(
        &mut self,
        clock: &Arc<dyn Clock>,
        registry: &mut Registry,
        problems: &mut Vec<Problem>,
    ) {
        for (name, install) in std::mem::take(&mut self.remotes) {
            match &self.bus {
                Some(bus) => {
                    install(ServiceClient::new(bus.clone()).shared_clock(clock.clone()), registry);
                }
                None => problems.push(Problem::MissingBus { handler: name.to_owned() }),
            }
        }
    }

    /// The bus, and the listeners with their settings.
    pub(super) fn install(
        self,
        resources: &Resources,
        problems: &mut Vec<Problem>,
    ) -> (Option<Arc<dyn Bus>>, Vec<Arc<Listening>>) {
        let Self { bus, installs, mut tunings, remotes: _ } = self;
        let mut listeners: Vec<Arc<Listening>> = Vec::with_capacity(installs.len());
        let mut names = Vec::with_capacity(installs.len());
        for (name, install) in installs {
            if names.contains(&name) {
                problems.push(Problem::DuplicateEventHandler { name });
            }
            names.push(name);
            if bus.is_none() {
                problems.push(Problem::MissingBus { handler: name.to_owned() });
            }
            let own = tunings.extract_if(.., |(tuned, _)| *tuned == name);
            let settings = own.fold(Listener::default(), |settings, (_, tune)| tune(settings));
            listeners.extend(install(resources, problems, settings).map(Arc::new));
        }
        let unknown = tunings.into_iter().filter(|(name, _)| !names.contains(name));
        problems.extend(unknown.map(|(name, _)| Problem::UnknownSubscription { name }));
        (bus, listeners)
    }
}

impl AppBuilder {
    /// The bus over which the app sends and gets messages.
    pub fn bus(self, bus: impl Bus) -> Self {
        self.shared_bus(Arc::new(bus))
    }

    /// The bus, shared with others.
    pub fn shared_bus(mut self, bus: Arc<dyn Bus>) -> Self {
        self.messaging.bus = Some(bus);
        self
    }

    /// Has another service handle a request, over the [bus](Self::bus): a [`Remote`] with a
    /// [`ServiceClient`] as it is. To have it wait longer or less long:
    /// `.handler(Remote::<R>::over(client))`.
    ///
    /// ```
    /// use cqrs_core::memory::MemoryBus;
    /// use cqrs_core::App;
    /// # use cqrs_core::{Never, Query, Request, RequestKind, Wire};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Double { n: u64 }
    /// # impl Request for Double {
    /// #     const NAME: &'static str = "double";
    /// #     const KIND: RequestKind = RequestKind::Query;
    /// #     type Output = u64;
    /// #     type Error = Never;
    /// #     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
    /// # }
    /// # impl Query for Double {}
    /// let app = App::builder().bus(MemoryBus::default()).remote::<Double>().build().unwrap();
    /// assert!(app.manifest().requests[0].handler.contains("Remote"));
    /// ```
    pub fn remote<R: Request>(self) -> Self {
        let mut builder = self;
        builder.requests.handled::<R>();
        builder.requests.sent::<R>();
        let install = |client: ServiceClient, registry: &mut Registry| {
            registry.insert::<R, _>(Remote::<R>::over(client), type_name::<Remote<R>>());
        };
        builder.messaging.remotes.push((R::NAME, Box::new(install)));
        builder
    }

    /// Tells others what happened here: of an event of the domain, what becomes of it in the words
    /// of the contract with them, if anything: an `Option`, or several in a `Vec`. Nothing else of the
    /// domain leaves the service, so that its events can change without asking anybody.
    ///
    /// It is a subscription like a handler's, with a checkpoint under its name. What is to be told is
    /// one commit with the checkpoint; the relay sends it from there. Its key is that of the event: the
    /// partition key, or the id of the stream. So others get it in the order in which it happened. Its
    /// id is derived from the event's.
    ///
    /// ```
    /// use cqrs_core::memory::MemoryStore;
    /// use cqrs_core::{App, Event, EventType, FindOutgoing, Store};
    /// # use cqrs_core::{Append, Commit, Expected, Json, NewEvent, Payload, StreamId};
    /// # use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// enum AccountEvent { Opened { owner: String, iban: String }, Renamed { owner: String } }
    /// # impl Event for AccountEvent {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("account.opened", "Opened"), EventType::new("account.renamed", "Renamed")];
    /// #     fn event_type(&self) -> &'static EventType {
    /// #         match self { Self::Opened { .. } => &Self::TYPES[0], Self::Renamed { .. } => &Self::TYPES[1] }
    /// #     }
    /// # }
    ///
    /// /// What others know: no secrets, and no more than they need.
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct CustomerWon { name: String }
    /// # impl Event for CustomerWon {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("bank.customer_won", "CustomerWon")];
    /// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
    /// # }
    ///
    /// fn told(event: &AccountEvent) -> Option<CustomerWon> {
    ///     match event {
    ///         AccountEvent::Opened { owner, .. } => Some(CustomerWon { name: owner.clone() }),
    ///         AccountEvent::Renamed { .. } => None,
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = MemoryStore::default();
    /// # let event = NewEvent::new("account.opened", Payload::Json(Json::parse(r#"{"owner":"Ada","iban":"x"}"#)?));
    /// # let append = Append { stream: StreamId::new("account", "17"), expected: Expected::Any, events: vec![event] };
    /// # store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
    /// let app = App::builder().store(store.clone()).translate("bank.told", told).build()?;
    /// app.catch_up("bank.told").await?;
    /// let pending = store.outgoing(FindOutgoing::after(0)).await?.remove(0);
    /// assert_eq!((&*pending.message.name, &*pending.message.key), ("bank.customer_won", "17"));
    /// # Ok::<_, cqrs_core::BoxError>(())
    /// # }).unwrap();
    /// ```
    pub fn translate<S, I>(
        self,
        name: &'static str,
        translate: impl Fn(&S) -> I + Send + Sync + 'static,
    ) -> Self
    where
        S: EventSet,
        I: IntoIterator,
        I::Item: Event,
    {
        let mut builder = self.reads::<S>().reads::<I::Item>();
        let install = move |resources: &Resources, problems: &mut Vec<Problem>| {
            translate::install(name, translate, resources, problems)
        };
        builder.event_installs.push((name, Box::new(install)));
        builder
    }

    /// Listens to what other services tell: an async function like that of a
    /// [handler of events](Self::event_handler), of an event of the contract with them. It runs once
    /// the app is started, for messages that the bus has under the names of its types. Its own name is
    /// that of its group on the bus and of its inbox: stable.
    ///
    /// What it gathers in a [`Work`](crate::Work) is one commit with the mark in its inbox, so that each
    /// message is applied once (P18); effects elsewhere are repeated when the process dies before, with
    /// the same [id](crate::Metadata::id). Messages of one key are handled in their order, one at a
    /// time; those of different keys at once. What fails, or panics, is handed over again as its
    /// [policy](Listener::retry) says; then, and at once when it cannot be read, it becomes a
    /// [dead letter](crate::DeadLetter). While the store is out of reach nothing fails: it waits.
    ///
    /// ```
    /// use cqrs_core::memory::{MemoryBus, MemoryStore};
    /// use cqrs_core::{App, HandlerError, Metadata};
    /// # use cqrs_core::{Event, EventType};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Clone, Serialize, Deserialize)]
    /// # struct CustomerWon { name: String }
    /// # impl Event for CustomerWon {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("bank.customer_won", "CustomerWon")];
    /// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
    /// # }
    ///
    /// async fn welcome(event: CustomerWon, metadata: Metadata) -> Result<(), HandlerError> {
    ///     println!("Welcome, {}! ({})", event.name, metadata.id());
    ///     Ok(())
    /// }
    ///
    /// let app = App::builder()
    ///     .store(MemoryStore::default())
    ///     .bus(MemoryBus::default())
    ///     .listens("mail.welcome", welcome)
    ///     .build()
    ///     .unwrap();
    /// assert_eq!(app.manifest().listeners[0].events, ["bank.customer_won"]);
    /// ```
    pub fn listens<S: EventSet, M>(
        self,
        name: &'static str,
        handler: impl IntoEventHandler<S, M>,
    ) -> Self {
        let mut builder = self.reads::<S>();
        let install = move |resources: &Resources, problems: &mut Vec<Problem>, settings| {
            if let Err(problem) = resources.store(name) {
                problems.push(problem);
            }
            let handler = handler.install(name, resources, problems)?;
            Some(Listening { name, settings, handler: Arc::from(handler) })
        };
        builder.messaging.installs.push((name, Box::new(install)));
        builder
    }

    /// Changes the settings of a [listener](Self::listens). See [`Listener`].
    pub fn listener(
        mut self,
        name: &'static str,
        tune: impl FnOnce(Listener) -> Listener + Send + 'static,
    ) -> Self {
        self.messaging.tunings.push((name, Box::new(tune)));
        self
    }
}
