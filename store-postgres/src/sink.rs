//! Projections into tables of the user's, in the database of the store.

use std::any::{Any, type_name};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::{
    Commit, Committed, Error, ErrorKind, EventSet, EventType, HandlerError, Recorded, Result, Sink,
    SinkEvents,
};
use futures_util::FutureExt;
use tokio_postgres::{IsolationLevel, Transaction};

use crate::error::{Trouble, unknown};
use crate::store::PostgresStore;
use crate::within;
use crate::writer::{Known, know};

/// Puts events into tables of its own, in the database of the store: each exactly once (P10), because
/// its statements and the checkpoint are one transaction.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use cqrs_core::{App, HandlerError, Recorded};
/// # use cqrs_core::{Event, EventType};
/// use store_postgres::tokio_postgres::{self, Transaction};
/// use store_postgres::{PostgresProjection, PostgresStore};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Opened { owner: String }
/// # impl Event for Opened {
/// #     const TYPES: &'static [EventType] = &[EventType::new("bank.opened", "Opened")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
///
/// struct Owners;
///
/// #[async_trait]
/// impl PostgresProjection for Owners {
///     type Input = Opened;
///
///     async fn setup(&self, tx: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
///         tx.batch_execute("CREATE TABLE IF NOT EXISTS owners (account text, owner text)").await
///     }
///
///     async fn project(
///         &self,
///         event: &Recorded<'_, Opened>,
///         tx: &Transaction<'_>,
///     ) -> Result<(), HandlerError> {
///         let insert = "INSERT INTO owners VALUES ($1, $2)";
///         tx.execute(insert, &[&event.stream, &event.data.owner]).await?;
///         Ok(())
///     }
/// }
///
/// # async fn run() -> cqrs_core::Result<()> {
/// let store = PostgresStore::connect("postgres://localhost/bank").await?;
/// let owners = store.sink(Owners).await?;
/// let app = App::builder().store(store).sink("bank.owners", Arc::new(owners)).build()?;
/// # drop(app);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait PostgresProjection: Send + Sync + 'static {
    /// The events that it takes.
    type Input: EventSet + Sync;

    /// Makes its tables where they are missing, when the [sink](PostgresStore::sink) is made. Several
    /// processes may do so, one after the other. Provided: nothing.
    ///
    /// # Errors
    /// What PostgreSQL says; nothing is changed then.
    async fn setup(&self, _tx: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        Ok(())
    }

    /// Writes what an event says. The transaction is the store's, which commits it with the checkpoint,
    /// or rolls it back.
    ///
    /// # Errors
    /// Any error becomes a [`HandlerError`] with `?`. Nothing of the page is written then.
    async fn project(
        &self,
        event: &Recorded<'_, Self::Input>,
        tx: &Transaction<'_>,
    ) -> Result<(), HandlerError>;
}

/// A [`Sink`] of a projection into tables of its own. See [`PostgresProjection`] for an example.
///
/// A failing or panicking `project` rolls back the whole page and is
/// [`EventNotHandled`](ErrorKind::EventNotHandled), with the name of the subscription as the handler;
/// a page that was applied under its commit id before is not applied again.
pub struct PostgresSink<P> {
    store: PostgresStore,
    projection: Arc<P>,
}

impl<P> Clone for PostgresSink<P> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), projection: Arc::clone(&self.projection) }
    }
}

impl<P> fmt::Debug for PostgresSink<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSink")
            .field("projection", &type_name::<P>())
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// A sink for a projection into tables of its own in this database. Its
    /// [`setup`](PostgresProjection::setup) is run now. See [`PostgresProjection`] for an example.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) when its setup fails, [`Panicked`](ErrorKind::Panicked) when it
    /// panics; when the database is out of reach.
    pub async fn sink<P: PostgresProjection>(&self, projection: P) -> Result<PostgresSink<P>> {
        let reader = &self.inner.reader;
        let set_up = async {
            let mut client = reader.connector.for_users().await?;
            let transaction = client.transaction().await?;
            // One process at a time: `CREATE … IF NOT EXISTS` is not enough by itself.
            let name = type_name::<P>();
            let lock = "SELECT pg_advisory_xact_lock(1668379251, hashtext($1))";
            transaction.query_typed(lock, &[(&name, tokio_postgres::types::Type::TEXT)]).await?;
            let done = AssertUnwindSafe(projection.setup(&transaction)).catch_unwind().await;
            done.map_err(|panic| {
                let context = format!("`setup` of {name} panicked: {}", said(&*panic));
                Error::new(ErrorKind::Panicked, context)
            })??;
            transaction.commit().await?;
            Ok::<_, Trouble>(())
        };
        let set_up = set_up.await;
        set_up.map_err(|trouble| {
            trouble.into_error("setting up a projection", &reader.connector.place)
        })?;
        Ok(PostgresSink { store: self.clone(), projection: Arc::new(projection) })
    }
}

#[async_trait]
impl<P: PostgresProjection> Sink for PostgresSink<P> {
    fn types(&self) -> Vec<EventType> {
        P::Input::types()
    }

    async fn apply(&self, events: SinkEvents, commit: Commit) -> Result<Committed> {
        let inner = &self.store.inner;
        commit.check(&inner.capabilities)?;
        let place = &inner.reader.connector.place;
        let mut known = Known::new();
        know(&inner.reader.connector, &inner.reader.statements, &commit, &mut known).await?;
        match self.try_apply(&events, &commit, &known).await {
            Ok(()) => {}
            Err(Failed::AtTheEnd(trouble)) if trouble.is_lost() => {
                return match self.store.committed(commit.id).await {
                    Ok(Some(position)) => Ok(Committed::Now { position }),
                    // Nothing was written, unless the server is still at it.
                    _ => Err(unknown(trouble, place)),
                };
            }
            Err(Failed::Before(trouble) | Failed::AtTheEnd(trouble)) => {
                // A repeat fails at its rows, where they may be there once, or at the end.
                if !trouble.is_lost()
                    && let Some(position) = self.store.committed(commit.id).await?
                {
                    return Ok(Committed::Before { position, reply: None });
                }
                return Err(trouble.into_error("projecting events", place));
            }
        }
        let position = self.store.committed(commit.id).await?.unwrap_or_default();
        Ok(Committed::Now { position })
    }
}

/// When it failed: before the COMMIT was sent, or maybe after.
enum Failed {
    Before(Trouble),
    AtTheEnd(Trouble),
}

impl<E: Into<Trouble>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

impl<P: PostgresProjection> PostgresSink<P> {
    async fn try_apply(
        &self,
        events: &SinkEvents,
        commit: &Commit,
        known: &Known,
    ) -> Result<(), Failed> {
        let inner = &self.store.inner;
        let mut client = inner.reader.connector.for_users().await?;
        // Fences are looked at: see `commit_in`.
        let level = IsolationLevel::ReadCommitted;
        let transaction = client.build_transaction().isolation_level(level).start().await?;
        for event in events.iter() {
            self.project(&event, commit, &transaction).await?;
        }
        let statements = &inner.reader.statements;
        // It is numbered at the end: nobody waits for what the transaction does until then.
        within::run(statements, &transaction, &inner.terms, commit, known).await?;
        transaction.commit().await.map_err(|error| Failed::AtTheEnd(within::raised(error)))?;
        Ok(())
    }

    async fn project(
        &self,
        event: &Recorded<'_>,
        commit: &Commit,
        transaction: &Transaction<'_>,
    ) -> Result<(), Trouble> {
        let failed = |error: HandlerError| {
            let subscription = commit.checkpoint.as_ref().map(|write| &*write.subscription);
            let name = subscription.unwrap_or(type_name::<P>());
            Error::event_not_handled(name, event, error)
        };
        let decoded = match event.decode::<P::Input>() {
            Ok(Some(decoded)) => decoded,
            // Not one of its events, or an erased one.
            Ok(None) => return Ok(()),
            Err(error) => return Err(failed(HandlerError::fatal(error)).into()),
        };
        let done = AssertUnwindSafe(self.projection.project(&decoded, transaction));
        let done = done.catch_unwind().await.unwrap_or_else(|panic| {
            Err(HandlerError::from(format!("it panicked: {}", said(&*panic))))
        });
        match done {
            Ok(()) => Ok(()),
            // That the database is gone says nothing of the event.
            Err(error) => Err(match transaction.client().is_closed() {
                true => Trouble::Ours(Error::new(
                    ErrorKind::Unavailable,
                    format!("the connection was lost at an event; try again ({error})"),
                )),
                false => failed(error).into(),
            }),
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
