//! The instances of sagas, for whoever looks after them: found, cancelled, tried again.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::app::{App, Handle, Inner};
use crate::documents::{self, Versioned};
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::handler::{Call, Inject, Resources};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::timestamp::Timestamp;
use crate::port::clock::{Clock, SystemClock};
use crate::port::commit::Commit;
use crate::port::document::{FieldValue, FindDocuments};
use crate::port::outgoing::FindOutgoing;
use crate::port::parked::{FindParked, ParkedEntry, ParkedState, ParkedWrite};
use crate::port::store::Store;
use crate::runtime::relay::NAME as RELAY;
use crate::runtime::saga::instance::{SagaInstance, SagaStatus, SagaStep, saga_status};
use crate::runtime::saga::{AnySaga, Place, find, plan, unknown_saga};
use crate::schema::entity::Entity;

/// How often a cancellation is asked for anew when the instance goes on meanwhile.
const AGAIN: u32 = 16;

/// The instances of sagas in a store: to look at, on any node. A parameter of handlers, too; then those
/// of the request's tenant.
///
/// ```
/// use cqrs_core::{App, FindSagas, Result, SagaStatus};
///
/// async fn tidy(app: &App) -> Result<()> {
///     let sagas = app.sagas()?;
///     let find = FindSagas { status: Some(SagaStatus::Running), ..FindSagas::default() };
///     for instance in sagas.list(find).await? {
///         println!("{}/{}: {:?}", instance.saga, instance.key, instance.last_error);
///         if instance.last_error.is_some() {
///             sagas.cancel(&instance.saga, &instance.key, "nobody waits for it").await?;
///         }
///     }
///     Ok(())
/// }
/// # let _ = tidy;
/// ```
#[derive(Clone)]
pub struct Sagas {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    tenant: Option<Box<str>>,
    /// What knows the sagas, and is told of changes.
    app: Owner,
}

#[derive(Clone)]
enum Owner {
    Nobody,
    App(Weak<Inner>),
    /// Of a handler: the app is built later.
    Handle(Handle),
}

/// Which instances to find, in the order of sagas and keys. What is not set does not filter. See
/// [`Sagas`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindSagas {
    /// Those of this saga.
    pub saga: Option<String>,
    /// Those in this status.
    pub status: Option<SagaStatus>,
    /// Those that should have ended at this time or earlier, and have not.
    pub overdue: Option<Timestamp>,
    /// Those after this one: the next page.
    pub after: Option<String>,
    /// At most so many. Default: 100.
    pub limit: u32,
}

impl Default for FindSagas {
    /// The first 100.
    fn default() -> Self {
        Self { saga: None, status: None, overdue: None, after: None, limit: 100 }
    }
}

impl FindSagas {
    /// The next page, after this instance.
    #[must_use]
    pub fn after(mut self, last: &SagaInstance) -> Self {
        self.after = Some(last.id());
        self
    }

    /// The documents among which they are.
    fn documents(&self) -> FindDocuments {
        let by = |field: &'static str, value: FieldValue| {
            FindDocuments::by(SagaInstance::COLLECTION, field, value)
        };
        let find = match (&self.saga, self.status, self.overdue) {
            (Some(saga), Some(status), _) => by("saga_status", saga_status(saga, status).into()),
            (None, Some(status), _) => by("status", status.name().into()),
            (_, None, Some(_)) => by("open", true.into()),
            (Some(saga), None, None) => by("saga", saga.as_str().into()),
            (None, None, None) => FindDocuments::all(SagaInstance::COLLECTION),
        };
        FindDocuments { after: self.after.clone(), limit: self.limit.clamp(1, 1_000), ..find }
    }

    fn matches(&self, instance: &SagaInstance) -> bool {
        self.saga.as_ref().is_none_or(|saga| *saga == instance.saga)
            && self.overdue.is_none_or(|at| instance.is_overdue(at))
    }
}

impl App {
    /// The instances of sagas in its store.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it has no store.
    pub fn sagas(&self) -> Result<Sagas> {
        let Some(store) = self.store().cloned() else {
            let context = "an app without a store has no sagas: `AppBuilder::store`";
            return Err(Error::new(ErrorKind::Invalid { field: None }, context));
        };
        let app = Owner::App(Arc::downgrade(&self.0));
        Ok(Sagas { store, clock: self.0.clock.clone(), tenant: None, app })
    }
}

impl Sagas {
    /// Those in a store, to look at. To cancel them takes an app: [`App::sagas`].
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, clock: Arc::new(SystemClock), tenant: None, app: Owner::Nobody }
    }

    /// Those of a tenant.
    #[must_use]
    pub fn of_tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Instances, a page at a time. A page shorter than its limit is the last one.
    ///
    /// # Errors
    /// [`Decode`](ErrorKind::Decode) when one cannot be read; when the store cannot be read.
    pub async fn list(&self, find: FindSagas) -> Result<Vec<SagaInstance>> {
        self.store.declare(SagaInstance::collection()).await?;
        let limit = find.limit.clamp(1, 1_000) as usize;
        let mut documents = FindDocuments { tenant: self.tenant.clone(), ..find.documents() };
        let mut found = Vec::new();
        loop {
            let page = self.store.find_documents(documents.clone()).await?;
            let is_last = page.len() < documents.limit as usize;
            documents.after = page.last().map(|last| last.id.clone());
            for document in page {
                let instance: Versioned<SagaInstance> = documents::decode(document)?;
                if find.matches(&instance) {
                    found.push(instance.into_inner());
                }
                if found.len() == limit {
                    return Ok(found);
                }
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    /// An instance, with its steps and history; `None`: it was never started.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn get(&self, saga: &str, key: &str) -> Result<Option<SagaInstance>> {
        Ok(self.find(saga, key).await?.map(Versioned::into_inner))
    }

    /// Ends an instance: it is told, and unless it says otherwise, what it did is taken back, and it
    /// ends as [cancelled](SagaStatus::Cancelled). It works on any node.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName) when the app has no such saga, or there is no such
    /// instance; [`Invalid`](ErrorKind::Invalid) when it has ended, or the saga refuses;
    /// [`Conflict`](ErrorKind::Conflict) when it goes on again and again meanwhile.
    pub async fn cancel(&self, saga: &str, key: &str, reason: &str) -> Result<()> {
        let known = self.known(saga)?;
        let mut metadata = Metadata::default();
        if let Some(tenant) = &self.tenant {
            metadata = metadata.with_tenant(tenant.clone());
        }
        let mut again = 0;
        loop {
            let instance = self.find(saga, key).await?.ok_or_else(|| missing(saga, key))?;
            if !instance.status.is_open() {
                let context = format!("`{saga}`/{key} has ended: it is {}", instance.status);
                return Err(Error::invalid_field("key", context));
            }
            let store = &*self.store;
            let place = Place { store, now: self.clock.now(), key, metadata: &metadata };
            let commit = known.cancel(place, reason).await.map_err(|error| {
                match error.into_cause().downcast::<Error>() {
                    Ok(error) => *error,
                    Err(cause) => {
                        let context = format!("`{saga}`/{key} cannot be cancelled: {cause}");
                        Error::new(ErrorKind::Invalid { field: None }, context).with_source(cause)
                    }
                }
            })?;
            match self.store.commit(commit).await {
                Err(error) if error.is_conflict() && again < AGAIN => again += 1,
                done => return done.map(drop),
            }
        }
    }

    /// Asks for another attempt at a step that is parked, with all the attempts that the relay's policy
    /// allows. It works on any node.
    ///
    /// # Errors
    /// [`UnknownName`](ErrorKind::UnknownName) when there is no such instance, or the step is not set
    /// aside; when the store cannot be written.
    pub async fn retry_step(&self, saga: &str, key: &str, step: &str) -> Result<()> {
        let instance = self.find(saga, key).await?.ok_or_else(|| missing(saga, key))?;
        let named = instance.steps.iter().rev().filter(|known| known.name == step);
        let ids: Vec<MessageId> = named.flat_map(SagaStep::ids).collect();
        let limits = &self.store.capabilities().limits;
        let mut entries = Vec::new();
        for key in [key.to_owned(), plan::lane(key, step)] {
            let lane = crate::runtime::relay::lane(self.tenant.as_deref(), &key, limits);
            entries.extend(self.store.parked(FindParked::of(RELAY).key(lane)).await?);
        }
        for entry in entries {
            let mut at = FindOutgoing::after(entry.position.saturating_sub(1));
            at.page.events = 1;
            let message = self.store.outgoing(at).await?.pop();
            let is_it = message.is_some_and(|found| {
                found.position == entry.position && ids.contains(&found.message.metadata.id())
            });
            if is_it {
                return self.ask(&entry).await;
            }
        }
        let context = format!("the step `{step}` of `{saga}`/{key} is not set aside");
        Err(Error::new(ErrorKind::UnknownName, context))
    }

    async fn ask(&self, entry: &ParkedEntry) -> Result<()> {
        let state = ParkedState::Retrying;
        let due = Some(self.clock.now());
        let write = ParkedWrite { state, due, attempts: 0, ..entry.to_write() };
        self.store.commit(Commit { parked: vec![write], ..Commit::default() }).await?;
        if let Some(started) = self.inner().as_ref().and_then(|inner| inner.started.get()) {
            started.node.parked_has_changed();
        }
        Ok(())
    }

    async fn find(&self, saga: &str, key: &str) -> Result<Option<Versioned<SagaInstance>>> {
        find(&*self.store, self.tenant.as_deref(), saga, key).await
    }

    fn inner(&self) -> Option<Arc<Inner>> {
        match &self.app {
            Owner::Nobody => None,
            Owner::App(app) => app.upgrade(),
            Owner::Handle(handle) => handle.get().and_then(Weak::upgrade),
        }
    }

    fn known(&self, saga: &str) -> Result<Arc<dyn AnySaga>> {
        let known = self.inner().and_then(|inner| inner.sagas.get(saga).cloned());
        known.ok_or_else(|| unknown_saga(saga))
    }
}

fn missing(saga: &str, key: &str) -> Error {
    let context = format!("there is no instance {key:?} of the saga {saga:?}");
    Error::new(ErrorKind::UnknownName, context)
}

/// The instances of the request's tenant.
impl Inject for Sagas {
    type Ready = Self;

    fn resolve(from: &Resources, handler: &'static str) -> Result<Self, Problem> {
        let app = Owner::Handle(from.app.clone());
        let (store, clock) = (from.store(handler)?, from.clock.clone());
        Ok(Self { store, clock, tenant: None, app })
    }

    fn bind(ready: &Self, call: &Call) -> Self {
        Self { tenant: call.metadata().tenant().map(Into::into), ..ready.clone() }
    }
}

impl fmt::Debug for Sagas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sagas").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
