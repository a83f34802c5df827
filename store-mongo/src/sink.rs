//! Projections into collections of the user's, in the database of the store.

use std::any::{Any, type_name};
use std::error::Error as _;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use cqrs_core::{
    Commit, Committed, Error, ErrorKind, EventSet, EventType, HandlerError, Recorded, Result, Sink,
    SinkEvents,
};
use futures_util::FutureExt;
use mongodb::{ClientSession, Database};
use tokio::sync::Mutex as Turns;
use tokio::time::timeout;

use crate::connect::backoff;
use crate::error::{Trouble, code, unknown};
use crate::hint::grow;
use crate::orphans::{self, Enrolled};
use crate::store::MongoStore;
use crate::writer::{Pending, moves_checkpoint, only_moves_checkpoint, turn, write_alone};

/// Puts events into collections of its own, in the database of the store: each exactly once (P10), because its
/// writes and the checkpoint are one transaction.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use async_trait::async_trait;
/// use cqrs_core::{App, HandlerError, Recorded};
/// # use cqrs_core::{Event, EventType};
/// use store_mongo::bson::{Document, doc};
/// use store_mongo::mongodb::{ClientSession, Database};
/// use store_mongo::{MongoProjection, MongoStore};
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
/// impl MongoProjection for Owners {
///     type Input = Opened;
///
///     async fn project(
///         &self,
///         event: &Recorded<'_, Opened>,
///         database: &Database,
///         session: &mut ClientSession,
///     ) -> Result<(), HandlerError> {
///         let owners = database.collection::<Document>("owners");
///         let owner = doc! { "account": event.stream, "owner": &event.data.owner };
///         owners.insert_one(owner).session(session).await?;
///         Ok(())
///     }
/// }
///
/// # async fn run() -> cqrs_core::Result<()> {
/// let store = MongoStore::connect("mongodb://localhost/bank?replicaSet=rs0").await?;
/// let owners = store.sink(Owners).await?;
/// let app = App::builder().store(store).sink("bank.owners", Arc::new(owners)).build()?;
/// # drop(app);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait MongoProjection: Send + Sync + 'static {
    /// The events that it takes.
    type Input: EventSet + Sync;

    /// Makes its collections and indexes, where they are missing, when the [sink](MongoStore::sink) is made. Several
    /// processes may do so at once. Provided: nothing.
    ///
    /// # Errors
    /// What MongoDB says.
    async fn setup(&self, _database: &Database) -> Result<(), mongodb::error::Error> {
        Ok(())
    }

    /// Writes what an event says, with the session: its transaction is the store's, which commits it with the
    /// checkpoint, or ends it. It may be called again for the same event, when that transaction came to nothing.
    ///
    /// # Errors
    /// Any error becomes a [`HandlerError`] with `?`. Nothing of the page is written then.
    async fn project(
        &self,
        event: &Recorded<'_, Self::Input>,
        database: &Database,
        session: &mut ClientSession,
    ) -> Result<(), HandlerError>;
}

/// A [`Sink`] of a projection into collections of its own. See [`MongoProjection`] for an example.
///
/// A failing or panicking `project` ends the transaction of the whole page and is
/// [`EventNotHandled`](ErrorKind::EventNotHandled), with the name of the subscription as the handler. What passes by
/// itself is tried again, where the error is that of the driver, or is caused by it. A page that was applied under
/// its commit id before is not applied again.
pub struct MongoSink<P> {
    store: MongoStore,
    projection: Arc<P>,
    sessions: Arc<Mutex<Vec<Enrolled>>>,
}

impl<P> Clone for MongoSink<P> {
    fn clone(&self) -> Self {
        let Self { store, projection, sessions } = self;
        Self { store: store.clone(), projection: projection.clone(), sessions: sessions.clone() }
    }
}

impl<P> fmt::Debug for MongoSink<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoSink").field("projection", &type_name::<P>()).finish_non_exhaustive()
    }
}

impl MongoStore {
    /// A sink for a projection into collections of its own in this database. Its
    /// [`setup`](MongoProjection::setup) is run now. See [`MongoProjection`] for an example.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) when its setup fails, [`Panicked`](ErrorKind::Panicked) when it
    /// panics; when the database is out of reach.
    pub async fn sink<P: MongoProjection>(&self, projection: P) -> Result<MongoSink<P>> {
        let connector = &self.inner.reader.connector;
        let done = AssertUnwindSafe(projection.setup(&connector.db)).catch_unwind().await;
        let done = done.map_err(|panic| {
            let context = format!("`setup` of {} panicked: {}", type_name::<P>(), said(&*panic));
            Error::new(ErrorKind::Panicked, context)
        })?;
        done.map_err(|error| {
            Trouble::from(error).into_error("setting up a projection", &connector.place)
        })?;
        let sessions = Arc::default();
        Ok(MongoSink { store: self.clone(), projection: Arc::new(projection), sessions })
    }
}

/// What came of an attempt.
enum Outcome {
    Answer(Result<Committed>),
    /// Nothing was written; another attempt may get through.
    Again(Trouble),
    /// It may have been written.
    Unknown(Trouble),
    /// The transaction was gone at an event, and nobody has said why: others have ended it, or what the event wrote was
    /// refused.
    Gone(Error),
}

/// Why the events of a page are not written.
enum Stopped {
    Trouble(Trouble),
    Gone(Error),
}

impl From<Trouble> for Stopped {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

#[async_trait]
impl<P: MongoProjection> Sink for MongoSink<P> {
    fn types(&self) -> Vec<EventType> {
        P::Input::types()
    }

    async fn apply(&self, events: SinkEvents, commit: Commit) -> Result<Committed> {
        let inner = &self.store.inner;
        commit.check(&inner.capabilities)?;
        let connector = &inner.reader.connector;
        let pending = Pending::alone(commit);
        let (since, mut attempts, mut maybe, mut gone) = (Instant::now(), 0, false, 0);
        loop {
            let kept = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let outcome = match Enrolled::or_new(kept, connector).await {
                Ok(mut enrolled) => {
                    let outcome = self.attempt(&events, &pending, &mut enrolled.session).await;
                    let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                    sessions.push(enrolled);
                    outcome
                }
                Err(trouble) => Outcome::Again(trouble),
            };
            let trouble = match outcome {
                Outcome::Answer(Ok(Committed::Before { position, reply: None })) if maybe => {
                    return Ok(Committed::Now { position });
                }
                Outcome::Answer(answer) => return answer,
                Outcome::Again(trouble) => trouble,
                Outcome::Gone(error) => {
                    gone += 1;
                    if gone == GONE {
                        return Err(error);
                    }
                    Trouble::Ours(error)
                }
                Outcome::Unknown(trouble) => {
                    maybe = true;
                    trouble
                }
            };
            attempts += 1;
            let pause = backoff(attempts);
            if since.elapsed() + pause > connector.patience {
                return Err(match maybe {
                    true => unknown(trouble, &connector.place),
                    false => trouble.into_error("projecting events", &connector.place),
                });
            }
            if trouble.is_conflict() && attempts.is_multiple_of(LOOKS) {
                orphans::free(connector).await;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// After so many conflicts it is looked whether those who are in the way still live.
const LOOKS: u32 = 16;

/// So often in a row others do not end a transaction: then the event is to blame.
const GONE: u32 = 4;

impl<P: MongoProjection> MongoSink<P> {
    async fn attempt(
        &self,
        events: &SinkEvents,
        pending: &Pending,
        session: &mut ClientSession,
    ) -> Outcome {
        let inner = &self.store.inner;
        // What takes places in the log keeps others from writing until it is over; a checkpoint alone does not.
        let light = only_moves_checkpoint(&pending.commit);
        let one: &Turns<()> = &inner.one;
        let _one = if light { None } else { Some(one.lock().await) };
        let done = self.attempt_in(events, pending, session, light).await;
        let applied = match done {
            Ok(Ok(committed @ Committed::Now { .. })) => committed,
            other => {
                turn::abort(session).await;
                let trouble = match other {
                    Ok(answer) => return Outcome::Answer(answer),
                    Err(Stopped::Gone(error)) => return Outcome::Gone(error),
                    Err(Stopped::Trouble(trouble)) => trouble,
                };
                let passes = trouble.is_passing() || trouble.is_transient();
                if passes || matches!(trouble, Trouble::Duplicate) {
                    return Outcome::Again(trouble);
                }
                let place = &inner.reader.connector.place;
                let error = trouble.into_error_of(&pending.commit, "projecting events", place);
                return Outcome::Answer(Err(error));
            }
        };
        match turn::commit(session).await {
            Ok(()) => {
                inner.reader.connector.note(session);
                grow(&inner.grown, applied.position());
                Outcome::Answer(Ok(applied))
            }
            Err(trouble) => {
                turn::abort(session).await;
                match trouble.is_transient() {
                    true => Outcome::Again(trouble),
                    false => Outcome::Unknown(trouble),
                }
            }
        }
    }

    async fn attempt_in(
        &self,
        events: &SinkEvents,
        pending: &Pending,
        session: &mut ClientSession,
        light: bool,
    ) -> Result<Result<Committed>, Stopped> {
        let connector = &self.store.inner.reader.connector;
        let db = &connector.db;
        turn::begin(session).await?;
        let kept = self.store.kept();
        let written = async {
            match light {
                true => moves_checkpoint(db, session, pending, kept).await,
                false => write_alone(db, session, pending, kept).await,
            }
        };
        let written =
            timeout(connector.patience, written).await.map_err(|_| Trouble::TooLong)??;
        if let Ok(Committed::Now { .. }) = written {
            for event in events.iter() {
                self.project(&event, &pending.commit, db, session).await?;
            }
        }
        Ok(written)
    }

    async fn project(
        &self,
        event: &Recorded<'_>,
        commit: &Commit,
        db: &Database,
        session: &mut ClientSession,
    ) -> Result<(), Stopped> {
        let failed = |error: HandlerError| {
            let subscription = commit.checkpoint.as_ref().map(|write| &*write.subscription);
            let name = subscription.unwrap_or(type_name::<P>());
            Error::event_not_handled(name, event, error)
        };
        let decoded = match event.decode::<P::Input>() {
            Ok(Some(decoded)) => decoded,
            // Not one of its events, or an erased one.
            Ok(None) => return Ok(()),
            Err(error) => return Err(Trouble::Ours(failed(HandlerError::fatal(error))).into()),
        };
        let done = AssertUnwindSafe(self.projection.project(&decoded, db, session));
        let done = done.catch_unwind().await.unwrap_or_else(|panic| {
            Err(HandlerError::from(format!("it panicked: {}", said(&*panic))))
        });
        let Err(error) = done else { return Ok(()) };
        let failed = failed(error);
        let trouble = match of_driver(&failed) {
            Some(told) => Trouble::from(told),
            // It may be in its words.
            None => match turn::look_at(db, session).await {
                Ok(_) => return Err(Trouble::Ours(failed).into()),
                Err(trouble) => trouble,
            },
        };
        // What passes, or has ended the transaction from without, says nothing of the event.
        if trouble.code() == Some(code::NO_SUCH_TRANSACTION) {
            return Err(Stopped::Gone(failed));
        }
        let passes = trouble.is_transient() || trouble.is_passing();
        Err(if passes { trouble } else { Trouble::Ours(failed) }.into())
    }
}

/// What the driver has said, where an error is caused by that.
fn of_driver(error: &Error) -> Option<mongodb::error::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(told) = error.downcast_ref::<mongodb::error::Error>() {
            return Some(told.clone());
        }
        cause = error.source();
    }
    None
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
