//! Sagas as the runtime sees them: without their types, by name.

pub(crate) mod admin;
mod consumer;
mod hex;
pub(crate) mod instance;
pub(crate) mod plan;
mod step;

use std::any::type_name;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::documents::{self, Versioned};
use crate::domain::saga::Saga;
use crate::domain::saga::outcome::Outcome;
use crate::error::{Error, ErrorKind, Result};
use crate::handler::HandlerError;
use crate::manifest::EventHandlerManifest;
use crate::message::event_set::EventSet;
use crate::message::metadata::Metadata;
use crate::message::timestamp::Timestamp;
use crate::port::commit::{Commit, DocumentWrite};
use crate::port::outgoing::AnswerTo;
use crate::port::store::Store;
use crate::runtime::consumer::Subscriber;
use consumer::SagaSubscriber;
use instance::SagaInstance;
use plan::Cause;
use step::{Happened, Instance};

/// The sagas of an app, by name.
pub(crate) type SagaRegistry = BTreeMap<&'static str, Arc<dyn AnySaga>>;

/// Where an instance is, and what is known beside it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) now: Timestamp,
    pub(crate) key: &'a str,
    /// Of what happened. Its tenant is the instance's.
    pub(crate) metadata: &'a Metadata,
}

impl<'a> Place<'a> {
    fn cause(&self) -> Cause<'a> {
        let limits = &self.store.capabilities().limits;
        Cause { now: self.now, metadata: self.metadata, limits }
    }

    fn instance(&self) -> Instance<'a> {
        Instance { tenant: self.metadata.tenant(), key: self.key }
    }

    async fn find(&self, saga: &str) -> Result<Option<Versioned<SagaInstance>>> {
        find(self.store, self.metadata.tenant(), saga, self.key).await
    }
}

/// A saga of any type. What it answers is to be committed, and asked for anew after a conflict.
#[async_trait]
pub(crate) trait AnySaga: Send + Sync + 'static {
    fn describe(&self) -> EventHandlerManifest;

    /// What takes its events in.
    fn subscriber(&self) -> Arc<dyn Subscriber>;

    /// The message that is the cause was answered. Nothing, when nobody waits for it.
    async fn outcome(&self, at: Place<'_>, outcome: &Outcome) -> Result<Commit, HandlerError>;

    /// A timer has fired. Nothing, when it was set anew or cancelled meanwhile.
    async fn timer(
        &self,
        at: Place<'_>,
        timer: &str,
        generation: u64,
    ) -> Result<Commit, HandlerError>;

    /// Somebody wants an instance to end.
    async fn cancel(&self, at: Place<'_>, reason: &str) -> Result<Commit, HandlerError>;
}

/// A saga as it was registered.
struct Registered<S>(Arc<S>);

/// The saga without its type.
pub(crate) fn erased<S: Saga>(saga: S) -> Arc<dyn AnySaga> {
    Arc::new(Registered(Arc::new(saga)))
}

impl<S: Saga> Registered<S> {
    async fn step(&self, at: Place<'_>, happened: Happened<'_, S>) -> Result<Commit, HandlerError> {
        let Some(found) = at.find(S::NAME).await? else { return Ok(Commit::default()) };
        step::step(&*self.0, at.instance(), Some(found), &happened, at.cause())
    }
}

#[async_trait]
impl<S: Saga> AnySaga for Registered<S> {
    fn describe(&self) -> EventHandlerManifest {
        let events = S::Input::types().iter().map(|t| t.name).collect();
        EventHandlerManifest { name: S::NAME, events, handler: type_name::<S>() }
    }

    fn subscriber(&self) -> Arc<dyn Subscriber> {
        Arc::new(SagaSubscriber(self.0.clone()))
    }

    async fn outcome(&self, at: Place<'_>, outcome: &Outcome) -> Result<Commit, HandlerError> {
        self.step(at, Happened::Outcome(outcome)).await
    }

    async fn timer(
        &self,
        at: Place<'_>,
        timer: &str,
        generation: u64,
    ) -> Result<Commit, HandlerError> {
        self.step(at, Happened::Timer { name: timer, generation }).await
    }

    async fn cancel(&self, at: Place<'_>, reason: &str) -> Result<Commit, HandlerError> {
        self.step(at, Happened::Cancel { reason }).await
    }
}

/// Reads an instance.
pub(crate) async fn find(
    store: &dyn Store,
    tenant: Option<&str>,
    saga: &str,
    key: &str,
) -> Result<Option<Versioned<SagaInstance>>> {
    documents::get(store, tenant, &instance::id(saga, key)).await
}

/// What notes in an instance that one of its steps does not get through. `None`: nobody waits for it.
pub(crate) async fn failing(
    at: Place<'_>,
    answer_to: &AnswerTo,
    error: &str,
) -> Result<Option<DocumentWrite>> {
    Ok(step::failing(at.find(&answer_to.saga).await?, at.cause(), error))
}

fn unknown_saga(name: &str) -> Error {
    let name: String = name.chars().take(100).collect();
    Error::new(ErrorKind::UnknownName, format!("no saga is called {name:?} in this app"))
}
