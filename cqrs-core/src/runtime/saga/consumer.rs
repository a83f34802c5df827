//! The events of a saga: which instance they are for, and what it does about them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::documents::Versioned;
use crate::domain::saga::{Missing, Route, Saga};
use crate::error::{Error, ErrorKind, Result, panic_text};
use crate::handler::HandlerError;
use crate::manifest::EventHandlerManifest;
use crate::message::event_set::EventSet;
use crate::port::check;
use crate::port::filter::Filter;
use crate::port::page::Recorded;
use crate::runtime::consumer::{Consumer, Handled, Handling, Subscriber, SubscriptionKind};
use crate::runtime::control::Generation;
use crate::runtime::key;
use crate::runtime::node::Node;
use crate::runtime::saga::instance::{self, SagaInstance};
use crate::runtime::saga::plan::Cause;
use crate::runtime::saga::step::{Happened, Instance, step};
use crate::runtime::saga::{AnySaga, Registered, find};
use crate::schema::entity::Entity;

pub(super) struct SagaSubscriber<S>(pub(super) Arc<S>);

impl<S: Saga> Subscriber for SagaSubscriber<S> {
    fn kind(&self) -> SubscriptionKind {
        SubscriptionKind::Saga
    }

    fn describe(&self) -> EventHandlerManifest {
        Registered(self.0.clone()).describe()
    }

    fn filter(&self) -> Filter {
        let types = S::Input::types().iter().map(|t| t.name.into()).collect();
        Filter { types, ..Filter::default() }
    }

    fn prepare<'a>(
        &'a self,
        node: &'a Arc<Node>,
        _generation: &'a Generation,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(node.store.declare(SagaInstance::collection()))
    }

    fn consumer(self: Arc<Self>, node: &Arc<Node>, _: &Generation) -> Box<dyn Consumer> {
        let (saga, node) = (self.0.clone(), node.clone());
        Box::new(SagaConsumer { saga, node, sets_timers: false })
    }
}

struct SagaConsumer<S> {
    saga: Arc<S>,
    node: Arc<Node>,
    /// What was given last sets timers.
    sets_timers: bool,
}

impl<S: Saga> SagaConsumer<S> {
    /// The event and its instance; `None`: it is for nobody, or was erased.
    fn routed(&self, event: &Recorded<'_>) -> Result<Option<(S::Input, Route)>> {
        let Some(decoded) = event.decode::<S::Input>()? else {
            if event.is_erased() {
                return Ok(None);
            }
            return Err(event.undecodable("its type", "the saga does not know it".into()));
        };
        let route = catch_unwind(AssertUnwindSafe(|| self.saga.route(&decoded.data)));
        let route = route.map_err(|panic| {
            let text = panic_text(&*panic);
            let context = format!("the saga `{}` panicked while it routed: {text}", S::NAME);
            Error::new(ErrorKind::Panicked, context)
        })?;
        match &route {
            Route::Ignore => return Ok(None),
            Route::Start(key) | Route::Continue(key) => self.check(event, key)?,
        }
        Ok(Some((decoded.data, route)))
    }

    /// A key that no store takes as an id would stop the partition.
    fn check(&self, event: &Recorded<'_>, key: &str) -> Result<()> {
        let limits = &self.node.store.capabilities().limits;
        let named = check::text("key of a saga", key, limits.id);
        let id = instance::id(S::NAME, key);
        let named = named.and_then(|()| check::text("id of a saga", &id, limits.id));
        let lane = key::of_tenant(event.tenant, key);
        named.and_then(|()| check::text("key of a saga", &lane, limits.id))
    }
}

#[async_trait]
impl<S: Saga> Consumer for SagaConsumer<S> {
    fn keys(&self, event: &Recorded<'_>) -> Result<Vec<String>> {
        let of_tenant = |key: &str| vec![key::of_tenant(event.tenant, key)];
        Ok(match self.routed(event)? {
            None | Some((_, Route::Ignore)) => Vec::new(),
            Some((_, Route::Start(key) | Route::Continue(key))) => of_tenant(&key),
        })
    }

    async fn one(&mut self, handling: Handling<'_>) -> Result<Handled, HandlerError> {
        self.sets_timers = false;
        let Handling { event, replay, .. } = handling;
        // What was handled before is in the instances.
        if replay {
            return Ok(Handled::default());
        }
        let Some((data, route)) = self.routed(&event)? else { return Ok(Handled::default()) };
        let (key, starts) = match &route {
            Route::Start(key) => (key, true),
            Route::Continue(key) => (key, false),
            Route::Ignore => return Ok(Handled::default()),
        };
        let found = find(&*self.node.store, event.tenant, S::NAME, key).await?;
        if found.is_none() && !starts {
            return self.missing(&data, key);
        }
        let metadata = event.metadata()?;
        let instance = Instance { tenant: event.tenant, key };
        let happened =
            Happened::Event { event: &data, name: event.event_type, position: event.position };
        let limits = &self.node.store.capabilities().limits;
        let cause = Cause { now: self.node.clock.now(), metadata: &metadata, limits };
        let commit = step(&*self.saga, instance, found, &happened, cause)?;
        self.sets_timers = !commit.timers.is_empty();
        Ok(commit.into())
    }

    async fn overtakes(&mut self, event: &Recorded<'_>, _: &str) -> Result<bool> {
        // What waits for its instance must not hold up the start of it.
        let Some((_, Route::Start(key))) = self.routed(event)? else { return Ok(false) };
        let found: Option<Versioned<SagaInstance>> =
            find(&*self.node.store, event.tenant, S::NAME, &key).await?;
        Ok(found.is_none())
    }

    fn written(&mut self) {
        if std::mem::take(&mut self.sets_timers) {
            self.node.timers_changed.notify_one();
        }
    }

    fn forget(&mut self) {
        self.sets_timers = false;
    }
}

impl<S: Saga> SagaConsumer<S> {
    fn missing(&self, event: &S::Input, key: &str) -> Result<Handled, HandlerError> {
        let missing = catch_unwind(AssertUnwindSafe(|| self.saga.missing(event)));
        match missing {
            Ok(Missing::Ignore) => Ok(Handled::default()),
            Ok(Missing::Park) => Err(HandlerError::fatal(format!(
                "there is no instance {key} of `{}`; parked until it is started",
                S::NAME
            ))),
            Err(panic) => {
                let text = panic_text(&*panic);
                Err(format!("the saga `{}` panicked: {text}", S::NAME).into())
            }
        }
    }
}
