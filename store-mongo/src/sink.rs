//! Projections into collections of the user's, in the database of the store.

use std::any::{Any, type_name};
use std::error::Error as _;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cqrs_core::{
    Commit, Committed, Error, ErrorKind, EventSet, EventType, HandlerError, Recorded, Result, Sink,
    SinkEvents,
};
use futures_util::FutureExt;
use mongodb::{ClientSession, Database};
use tokio::time::timeout;

use crate::alone::alone;
use crate::connect::backoff;
use crate::error::{Trouble, unknown};
use crate::hint::grow;
use crate::orphans::{Begun, Enrolled, Waits};
use crate::store::MongoStore;
use crate::writer::turn::{self, ANSWER};
use crate::writer::{Pending, judge_checkpoint, only_moves_checkpoint, write_alone};

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
    /// Any error of the server ends the transaction: return it, and where a document may be there already, use an
    /// upsert rather than an insertion whose error is passed over. The events of a page have 50 seconds. Write to the
    /// store itself nowhere here: it may wait for this page.
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
        let mut waits = Waits::default();
        loop {
            let kept = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let outcome = match Enrolled::or_new(kept, connector).await {
                Ok(mut enrolled) => {
                    let session = &mut enrolled.session;
                    let begun = Begun::of(connector, session);
                    let outcome = self.attempt(&events, &pending, session).await;
                    begun.over();
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
            if trouble.is_conflict() {
                waits.for_others(connector).await;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// How long the events of a page may take. The server ends a transaction after a minute.
const PROJECTING: Duration = Duration::from_secs(50);

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
        let connector = &inner.reader.connector;
        let _one = match light {
            true => None,
            false => match alone(&inner.one, connector.patience).await {
                Ok(one) => Some(one),
                Err(trouble) => return Outcome::Again(trouble),
            },
        };
        let done = self.attempt_in(events, pending, session, light).await;
        let applied = match done {
            // Also a repeat: what was read may be no older than this, and lasts when the transaction does.
            Ok(Ok(committed)) => committed,
            other => {
                if let Err(Stopped::Trouble(trouble)) = &other {
                    turn::end(connector, session, trouble).await;
                } else {
                    turn::abort(session).await;
                }
                let trouble = match other {
                    Ok(answer) => return Outcome::Answer(answer),
                    Err(Stopped::Gone(error)) => return Outcome::Gone(error),
                    Err(Stopped::Trouble(trouble)) => trouble,
                };
                let passes = trouble.is_passing() || trouble.is_transient();
                if passes || matches!(trouble, Trouble::Duplicate) {
                    return Outcome::Again(trouble);
                }
                let place = &connector.place;
                let error = trouble.into_error_of(&pending.commit, "projecting events", place);
                return Outcome::Answer(Err(error));
            }
        };
        match turn::commit(session).await {
            Ok(()) => {
                connector.note(session);
                grow(&inner.grown, applied.position());
                Outcome::Answer(Ok(applied))
            }
            Err(trouble) => {
                turn::end(connector, session, &trouble).await;
                if trouble.is_gone() && matches!(applied, Committed::Now { .. }) {
                    return match self.passed_over(events, &pending.commit, trouble) {
                        Stopped::Gone(error) => Outcome::Gone(error),
                        Stopped::Trouble(trouble) => Outcome::Again(trouble),
                    };
                }
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
        let longest = connector.patience.max(ANSWER);
        let judged = async {
            Ok::<_, Trouble>(match light {
                true => {
                    let (verdict, unwritten) = judge_checkpoint(db, session, pending, kept).await?;
                    (verdict, Some(unwritten))
                }
                false => (write_alone(db, session, pending, kept).await?, None),
            })
        };
        let (verdict, unwritten) =
            timeout(longest, judged).await.map_err(|_| Trouble::TooLong)??;
        if let Ok(Committed::Now { .. }) = verdict {
            let until = Instant::now() + PROJECTING;
            for event in events.iter() {
                let left = until.saturating_duration_since(Instant::now());
                let projected = self.project(&event, &pending.commit, db, session);
                timeout(left, projected).await.unwrap_or_else(|_| {
                    let cause = format!("its page took longer than {PROJECTING:?}");
                    let error = self.not_handled(&event, &pending.commit, cause.into());
                    Err(Trouble::Ours(error).into())
                })?;
            }
            // Last: nobody waits for it while events are projected.
            if let Some(unwritten) = unwritten {
                let written = timeout(longest, unwritten.write(db, session)).await;
                match written.map_err(|_| Trouble::TooLong)? {
                    Err(trouble) if trouble.is_gone() => {
                        return Err(self.passed_over(events, &pending.commit, trouble));
                    }
                    written => written?,
                }
            }
        }
        Ok(verdict)
    }

    /// The transaction was gone behind the last event: nothing says at which one it ended.
    fn passed_over(&self, events: &SinkEvents, commit: &Commit, trouble: Trouble) -> Stopped {
        let Some(last) = events.iter().last() else { return Stopped::Trouble(trouble) };
        let cause = "its transaction has ended before its end: an error of the server was passed over, or others \
                     have ended it";
        Stopped::Gone(self.not_handled(&last, commit, HandlerError::from(cause)))
    }

    /// The error for an event that is not projected.
    fn not_handled(&self, event: &Recorded<'_>, commit: &Commit, cause: HandlerError) -> Error {
        let subscription = commit.checkpoint.as_ref().map(|write| &*write.subscription);
        Error::event_not_handled(subscription.unwrap_or(type_name::<P>()), event, cause)
    }

    async fn project(
        &self,
        event: &Recorded<'_>,
        commit: &Commit,
        db: &Database,
        session: &mut ClientSession,
    ) -> Result<(), Stopped> {
        let failed = |error: HandlerError| self.not_handled(event, commit, error);
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
        if trouble.is_gone() {
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
