//! What an app is made of, as data: requests, events, handlers, layers.

use std::collections::BTreeMap;
use std::ops::Not;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Problem, Rejection};
use crate::message::event::EventType;
use crate::message::event_set::EventSet;
use crate::message::request::{Request, RequestKind, Visibility};
use crate::message::wire::Schemas;

/// What an app is made of: [`App::manifest`](crate::App::manifest). It serializes to JSON; everything
/// in it is sorted by name.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// # use cqrs_core::{App, Command, Never, Request, RequestKind};
/// # struct Ping;
/// # impl Request for Ping {
/// #     const NAME: &'static str = "ping";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Command for Ping {}
/// # async fn ping(_: Ping) -> Result<(), Never> { Ok(()) }
/// let app = App::builder().handler(ping).build().unwrap();
/// let manifest = app.manifest();
/// assert_eq!(manifest.requests[0].name, "ping");
/// assert!(serde_json::to_string(&manifest).unwrap().contains(r#""kind":"command""#));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Manifest {
    /// Commands and queries that are handled.
    pub requests: Vec<RequestManifest>,
    /// Events of the aggregates that decide or whose repository is a parameter, of the handlers of
    /// events, and of [`AppBuilder::reads`](crate::AppBuilder::reads).
    pub events: Vec<EventManifest>,
    /// Handlers of events, projections, sinks and sagas.
    pub event_handlers: Vec<EventHandlerManifest>,
    /// Handlers of what other services tell.
    pub listeners: Vec<EventHandlerManifest>,
    /// Layers around all requests, the outermost first.
    pub layers: Vec<&'static str>,
}

/// A request, as [`Manifest`] shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestManifest {
    /// [`Request::NAME`].
    pub name: &'static str,
    /// [`Request::KIND`].
    pub kind: RequestKind,
    /// [`Request::VERSION`].
    pub version: u16,
    /// [`Request::VISIBILITY`].
    pub visibility: Visibility,
    /// Media type of its wire form; `None`: it stays in the process.
    pub content_type: Option<&'static str>,
    /// Codes of the rejections that are known before they happen: [`Rejection::codes`].
    pub rejections: &'static [&'static str],
    /// JSON Schemas of its wire form, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schemas: Option<Schemas>,
    /// Path of its handler: a function, a type, or the aggregate that decides.
    pub handler: &'static str,
    /// Whether another service handles it: [`Handler::IS_REMOTE`](crate::Handler::IS_REMOTE).
    #[serde(skip_serializing_if = "Not::not")]
    pub remote: bool,
    /// Layers around this request, the outermost first.
    pub layers: Vec<&'static str>,
}

impl RequestManifest {
    /// `layers`: from the inside out.
    pub(crate) fn of<R: Request>(
        handler: &'static str,
        remote: bool,
        layers: &[&'static str],
    ) -> Self {
        let wire = R::wire();
        Self {
            name: R::NAME,
            kind: R::KIND,
            version: R::VERSION,
            visibility: R::VISIBILITY,
            content_type: wire.as_ref().map(|wire| wire.content_type),
            rejections: R::Error::codes(),
            schemas: wire.and_then(|wire| wire.schemas).map(|schemas| schemas()),
            handler,
            remote,
            layers: layers.iter().rev().copied().collect(),
        }
    }
}

/// A type of event, as [`Manifest`] shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventManifest {
    /// [`EventType::name`].
    pub name: &'static str,
    /// [`EventType::version`]: that of what is written. Every earlier one is read.
    pub version: u16,
    /// JSON Schema of its body, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// The events that an app is told of while it is built, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Events {
    by_name: BTreeMap<&'static str, EventManifest>,
    problems: Vec<Problem>,
}

impl Events {
    pub(crate) fn add<S: EventSet>(&mut self) {
        self.problems.extend(S::problems());
        for EventType { name, version, .. } in S::types() {
            let event = EventManifest { name, version, schema: S::schema(name) };
            let known = self.by_name.entry(name).or_insert_with(|| event.clone());
            if known.version != version {
                let versions = [known.version.min(version), known.version.max(version)];
                self.problems.push(Problem::EventVersions { event_type: name, versions });
            }
            known.schema = known.schema.take().or(event.schema);
        }
    }

    pub(crate) fn finish(&mut self) -> (Vec<EventManifest>, Vec<Problem>) {
        let events = std::mem::take(&mut self.by_name).into_values().collect();
        (events, std::mem::take(&mut self.problems))
    }
}

/// A handler of events, as [`Manifest`] shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventHandlerManifest {
    /// Its name.
    pub name: &'static str,
    /// Names of the types of events that it handles.
    pub events: Vec<&'static str>,
    /// Its type.
    pub handler: &'static str,
}
