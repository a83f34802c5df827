//! The app: all handlers of a service behind one value that sends, asks and dispatches.

mod builder;
mod catch_up;
mod dispatch;
mod mediator;
mod messaging;
pub(crate) mod projections;
mod requests;
mod sending;
mod serving;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use crate::error::{Error, ErrorKind};
use crate::handler::{AppService, ErasedEventHandler, Registry};
use crate::manifest::Manifest;
use crate::message::request::{Command, Query, Request, RequestKind};
use crate::port::bus::Bus;
use crate::port::clock::Clock;
use crate::port::store::Store;
use crate::runtime::inbound::Listening;
use crate::runtime::running::Started;
use crate::runtime::saga::SagaRegistry;
use crate::runtime::settings::RuntimeSettings;
use crate::runtime::slot::Definition;

pub use builder::AppBuilder;
pub use dispatch::{RawAnswer, RawRejection, RawReply, RawRequest};
pub use mediator::Mediator;
pub use sending::Sending;
pub use serving::{Serve, Serving};

/// All handlers of a service. Its clones are handles on the same app.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{App, Command, Never, Request, RequestKind};
///
/// struct Ping;
/// impl Request for Ping {
///     const NAME: &'static str = "ping";
///     const KIND: RequestKind = RequestKind::Command;
///     type Output = &'static str;
///     type Error = Never;
/// }
/// impl Command for Ping {}
///
/// async fn ping(_: Ping) -> Result<&'static str, Never> { Ok("pong") }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let app = App::builder().store(MemoryStore::default()).handler(ping).build()?;
/// assert_eq!(app.send(Ping).await?, "pong");
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct App(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    registry: Arc<Registry>,
    event_handlers: EventHandlers,
    /// What runs once it is started.
    pub(crate) definitions: Vec<Arc<Definition>>,
    pub(crate) sagas: Arc<SagaRegistry>,
    pub(crate) settings: RuntimeSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started: OnceLock<Arc<Started>>,
    pub(crate) bus: Option<Arc<dyn Bus>>,
    /// What it gets from the bus once it is started.
    pub(crate) listeners: Vec<Arc<Listening>>,
    pub(crate) following: projections::Following,
    /// The handlers inside the layers around all of them.
    service: AppService,
    /// Whether there are such layers. Without them a typed request takes the short way.
    layered: bool,
    store: Option<Arc<dyn Store>>,
    max_body: usize,
    manifest: Manifest,
}

/// Handlers of events, by name.
type EventHandlers = BTreeMap<&'static str, Arc<dyn ErasedEventHandler>>;

/// The app as its own handlers know it: weak, or the app would own itself.
pub(crate) type Handle = Arc<OnceLock<Weak<Inner>>>;

impl App {
    /// An app without handlers yet.
    pub fn builder() -> AppBuilder {
        AppBuilder::new()
    }

    /// Sends a command to its handler. Nothing happens until the future is awaited.
    ///
    /// The future's error is [`Failure::Rejected`](crate::Failure::Rejected) when the domain said
    /// no, [`Failure::Failed`](crate::Failure::Failed) otherwise. Cancel safety: when it is dropped
    /// the command may still be applied.
    pub fn send<C: Command>(&self, command: C) -> Sending<'_, C> {
        const { assert!(matches!(C::KIND, RequestKind::Command), "a query that implements Command") };
        Sending::new(&self.0, command)
    }

    /// Asks a query. Nothing happens until the future is awaited; errors as [`send`](Self::send).
    pub fn ask<Q: Query>(&self, query: Q) -> Sending<'_, Q> {
        const { assert!(matches!(Q::KIND, RequestKind::Query), "a command that implements Query") };
        Sending::new(&self.0, query)
    }

    /// The app's store: for what reads beside the handlers, with a
    /// [`Repository`](crate::Repository), [`Documents`](crate::Documents) or as it is.
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.0.store.as_ref()
    }

    /// The app's bus.
    pub fn bus(&self) -> Option<&Arc<dyn Bus>> {
        self.0.bus.as_ref()
    }

    /// Whether the handler of a command can answer its repeats.
    fn answers_repeats<C: Command>(&self) -> bool {
        let entry = self.0.registry.get::<C>();
        self.0.store.is_some() && entry.is_some_and(|entry| entry.answers_repeats)
    }

    /// What the app is made of.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.manifest.requests.iter().map(|request| request.name);
        f.debug_tuple("App").field(&names.collect::<Vec<_>>()).finish()
    }
}

fn no_handler<R: Request>() -> Error {
    let context = format!("nobody handles `{}` in this app", R::NAME);
    Error::new(ErrorKind::UnknownName, context)
}
