//! Projections into tables of the user's, in the file of the store.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::{
    Commit, Committed, Error, ErrorKind, EventSet, EventType, HandlerError, Recorded, Result, Sink,
    SinkEvents,
};
use rusqlite::Connection;

use crate::error::Trouble;
use crate::guard::Guard;
use crate::store::SqliteStore;
use crate::writer::{Job, Pending};

/// Puts events into tables of its own, which lie in the store's file: each event exactly once, in one
/// transaction with the checkpoint that says so.
///
/// The tables are read with SQL, through connections of your own: open them with [`rusqlite`], which
/// this crate exports, and only to read.
///
/// ```
/// use std::sync::Arc;
/// use cqrs_core::{CheckpointWrite, Commit, EventSet, HandlerError, ReadLog, Recorded, Sink, SinkEvents, Store};
/// use futures_util::StreamExt;
/// use store_sqlite::{SqliteProjection, SqliteStore, rusqlite};
/// # use cqrs_core::{Append, Event, EventType, Expected, Json, NewEvent, Payload, StreamId};
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
/// impl SqliteProjection for Owners {
///     type Input = Opened;
///
///     fn setup(&self, tx: &rusqlite::Connection) -> rusqlite::Result<()> {
///         tx.execute_batch("CREATE TABLE IF NOT EXISTS owners (account TEXT, owner TEXT)")
///     }
///
///     fn project(
///         &self,
///         event: &Recorded<'_, Opened>,
///         tx: &rusqlite::Connection,
///     ) -> Result<(), HandlerError> {
///         let mut insert = tx.prepare_cached("INSERT INTO owners VALUES (?1, ?2)")?;
///         insert.execute((event.stream, &event.data.owner))?;
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("bank.db");
/// let store = SqliteStore::open(&path).await?;
/// # let event = NewEvent::new("bank.opened", Payload::Json(Json::parse(r#"{"owner":"Ada"}"#)?));
/// # let append = Append { stream: StreamId::new("account", "17"), expected: Expected::Any, events: vec![event] };
/// # store.commit(Commit { appends: vec![append], ..Commit::default() }).await?;
/// let sink = store.sink(Owners).await?;
/// // What the runtime does with it: a page, and the checkpoint behind it.
/// let page = store.read_log(ReadLog::after(0)).next().await.unwrap()?;
/// let checkpoint = CheckpointWrite {
///     subscription: "owners".into(),
///     partition: 0,
///     from: 0,
///     to: page.through(),
///     fence: None,
/// };
/// let commit = Commit { checkpoint: Some(checkpoint), ..Commit::default() };
/// sink.apply(SinkEvents::new(Arc::new(page), |_| true), commit).await?;
///
/// let reader = rusqlite::Connection::open(&path)?;
/// let owner: String = reader.query_row("SELECT owner FROM owners", (), |row| row.get(0))?;
/// assert_eq!(owner, "Ada");
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub trait SqliteProjection: Send + Sync + 'static {
    /// The events that it takes.
    type Input: EventSet;

    /// Makes its tables where they are missing, when the [sink](SqliteStore::sink) is made. Several
    /// processes may do so, one after the other. Provided: nothing.
    ///
    /// # Errors
    /// What SQLite says; nothing is changed then.
    fn setup(&self, _tx: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }

    /// Writes what an event says. It runs on the thread that writes everything: others wait for it,
    /// so it neither sleeps nor calls anybody. Use `prepare_cached`: it comes with every event.
    ///
    /// The transaction is the store's, which commits it with the checkpoint, or rolls it back. A
    /// COMMIT or ROLLBACK here is refused, and so is the event. So are tables and settings of the
    /// store: leave them alone (those of its names, `user_version`, `application_id`).
    ///
    /// # Errors
    /// Any error becomes a [`HandlerError`] with `?`. Nothing of the page is written then.
    fn project(
        &self,
        event: &Recorded<'_, Self::Input>,
        tx: &Connection,
    ) -> Result<(), HandlerError>;
}

/// A [`Sink`] of a projection into tables of its own. See [`SqliteProjection`] for an example.
///
/// A failing or panicking `project` rolls back the whole page and is
/// [`EventNotHandled`](ErrorKind::EventNotHandled), with the name of the subscription as the handler;
/// a page that was applied under its commit id before is not applied again.
pub struct SqliteSink<P> {
    store: SqliteStore,
    projection: Arc<P>,
}

impl<P> Clone for SqliteSink<P> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), projection: Arc::clone(&self.projection) }
    }
}

impl<P> fmt::Debug for SqliteSink<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSink").field("projection", &type_name::<P>()).finish_non_exhaustive()
    }
}

/// Work of the user's, done in a transaction of the writer.
pub(crate) type Work = Box<dyn FnOnce(&Connection, &Guard) -> Result<(), Trouble> + Send>;

impl SqliteStore {
    /// A sink for a projection into tables of its own in this file. Its
    /// [`setup`](SqliteProjection::setup) is run now. See [`SqliteProjection`] for an example.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) when its setup fails, [`Panicked`](ErrorKind::Panicked) when
    /// it panics, [`Invalid`](ErrorKind::Invalid) when it meddles with what is the store's; when the
    /// store cannot be written.
    pub async fn sink<P: SqliteProjection>(&self, projection: P) -> Result<SqliteSink<P>> {
        let projection = Arc::new(projection);
        let setting_up = Arc::clone(&projection);
        let work = move |conn: &Connection, guard: &Guard| {
            let done = guard.run(|| setting_up.setup(conn)).map_err(|panic| {
                let context =
                    format!("`setup` of {} panicked: {}", type_name::<P>(), said(&*panic));
                Error::new(ErrorKind::Panicked, context)
            })?;
            // It may have passed over SQLite's word about that.
            if guard.was_broken() {
                let context = format!("`setup` of {} {ENDED}", type_name::<P>());
                return Err(Error::invalid_field("setup", context).into());
            }
            Ok(done?)
        };
        self.ask(|answer| Job::SetUp(Box::new(work), answer)).await?;
        Ok(SqliteSink { store: self.clone(), projection })
    }
}

/// What broke a transaction.
const ENDED: &str = "ended the transaction that it runs in: leave BEGIN, COMMIT and ROLLBACK to the \
                     store (a SAVEPOINT may be used)";

#[async_trait]
impl<P: SqliteProjection> Sink for SqliteSink<P> {
    fn types(&self) -> Vec<EventType> {
        P::Input::types()
    }

    async fn apply(&self, events: SinkEvents, commit: Commit) -> Result<Committed> {
        commit.check(&self.store.inner.capabilities)?;
        let subscription = commit.checkpoint.as_ref().map(|write| write.subscription.clone());
        let name = subscription.unwrap_or_else(|| type_name::<P>().to_owned());
        let projection = Arc::clone(&self.projection);
        let work = move |conn: &Connection, guard: &Guard| {
            events
                .iter()
                .try_for_each(|event| project(&*projection, &name, &event, conn, guard))?;
            Ok(())
        };
        let (pending, verdict) = Pending::new(commit);
        self.store.wait_for(Job::Project(pending, Box::new(work)), verdict).await
    }
}

fn project<P: SqliteProjection>(
    projection: &P,
    name: &str,
    event: &Recorded<'_>,
    conn: &Connection,
    guard: &Guard,
) -> Result<()> {
    // Another type, or erased: there is nothing to say.
    let Some(decoded) = event.decode::<P::Input>()? else { return Ok(()) };
    let failed = match guard.run(|| projection.project(&decoded, conn)) {
        Ok(Ok(())) if !guard.was_broken() => return Ok(()),
        Ok(Ok(())) => HandlerError::fatal(format!("it {ENDED}")),
        Ok(Err(error)) => error,
        Err(panic) => HandlerError::from(format!("it panicked: {}", said(&*panic))),
    };
    Err(Error::event_not_handled(name, event, failed))
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
