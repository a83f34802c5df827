//! The store: connected and closed; who writes, who loads, who reads, and what it offers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{Capabilities, Entity, Position, Result, Support};
use deadpool_postgres::Pool;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::config::PostgresBuilder;
use crate::connect::Connector;
use crate::hint::Sessions;
use crate::migrate::migrate;
use crate::read::{Loads, Reader};
use crate::statements::Statements;
use crate::writer::{self, Terms, Writer};
use crate::{hint, sweep, table};

/// A store in a PostgreSQL database, which any number of processes may share. Its clones are handles on
/// the same connections; it belongs into a tokio runtime.
///
/// ```no_run
/// use cqrs_core::{Append, Commit, Committed, Expected, Json, NewEvent, Payload, Store, StreamId};
/// use store_postgres::PostgresStore;
///
/// # async fn run() -> Result<(), cqrs_core::BoxError> {
/// let store = PostgresStore::connect("postgres://shop:secret@localhost/shop").await?;
/// let event = NewEvent::new("bank.opened", Payload::Json(Json::parse(r#"{"owner":"Ada"}"#)?));
/// let commit = Commit {
///     appends: vec![Append {
///         stream: StreamId::new("account", "17"),
///         expected: Expected::NoStream,
///         events: vec![event],
///     }],
///     ..Commit::default()
/// };
/// let committed = store.commit(commit).await?;
/// assert!(matches!(committed, Committed::Now { .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) writer: Writer,
    pub(crate) loads: Loads,
    pub(crate) reader: Reader,
    pub(crate) capabilities: Capabilities,
    pub(crate) grown: Arc<watch::Sender<Position>>,
    pub(crate) terms: Terms,
    /// What the server knows as this process.
    pub(crate) session: watch::Receiver<Sessions>,
    /// What goes on beside it, until the store is closed or dropped.
    beside: Mutex<JoinSet<()>>,
    schema: String,
    closing: watch::Sender<bool>,
}

impl PostgresStore {
    /// Connects with the default settings. See [`PostgresBuilder::connect`].
    ///
    /// # Errors
    /// As [`PostgresBuilder::connect`] has them.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Other settings. See [`PostgresBuilder`].
    pub fn builder(url: impl Into<String>) -> PostgresBuilder {
        PostgresBuilder::new(url)
    }

    /// The table of the entities of one kind, with the schema that it is in: for queries of one's own. Its
    /// columns are the fields of the entity, beside `_tenant` and `_version`. Entities are written through the
    /// store: it knows their versions.
    ///
    /// ```no_run
    /// use cqrs_core::{Entity, Error};
    /// use store_postgres::PostgresStore;
    ///
    /// async fn count<T: Entity>(store: &PostgresStore) -> Result<i64, Error> {
    ///     let client = store.pool().get().await.map_err(|error| store.refused(error))?;
    ///     let count = format!("SELECT count(*) FROM {}", store.table::<T>());
    ///     let row = client.query_one(&count, &[]).await.map_err(|error| store.refused(error))?;
    ///     Ok(row.get(0))
    /// }
    /// ```
    pub fn table<T: Entity>(&self) -> String {
        table::named(self.inner.reader.statements.schema(), T::COLLECTION)
    }

    /// The pool of connections, for statements of one's own.
    pub fn pool(&self) -> &Pool {
        self.inner.reader.connector.pool()
    }

    /// Takes no more commits, writes those that it has, and closes the connections. Every call on any
    /// clone is [`Unavailable`](cqrs_core::ErrorKind::Unavailable) then. Closing again does nothing.
    pub async fn close(&self) {
        self.inner.closing.send_replace(true);
        self.inner.writer.ended().await;
        self.inner.reader.connector.close();
        self.inner.beside.lock().await.shutdown().await;
    }

    pub(crate) async fn start(settings: PostgresBuilder) -> Result<Self> {
        let connector = Arc::new(Connector::new(&settings)?);
        let place = connector.place.clone();
        let schema = settings.schema.clone();
        let translated =
            |trouble: crate::error::Trouble| trouble.into_error("connecting", &connector.place);
        let client = connector.own().await.map_err(translated)?;
        migrate(&client, &schema, &place, settings.migrates).await.map_err(translated)?;
        drop(client);
        let statements = Statements::new(
            &schema,
            settings.prepares,
            settings.statement_timeout,
            connector.silence.clone(),
        );
        let grown = Arc::new(watch::Sender::new(0));
        let reader = Reader {
            connector: connector.clone(),
            statements: statements.clone(),
            patience: settings.patience,
            declared: Arc::default(),
        };
        let terms = Terms {
            keep_commit_ids: settings.keep_commit_ids,
            keep_inbox: settings.keep_inbox,
            lock_timeout: millis(settings.lock_timeout),
        };
        let closing = watch::Sender::new(false);
        let writer = Writer::start(writer::Settings {
            connector,
            statements,
            terms: terms.clone(),
            patience: settings.patience,
            grown: grown.clone(),
            schema: schema.clone(),
            closing: closing.subscribe(),
        });
        let mut beside = JoinSet::new();
        let (known, session) = watch::channel(Sessions::None);
        if settings.listens {
            known.send_replace(Sessions::ToCome);
            beside.spawn(hint::tell(reader.clone(), schema.clone(), grown.subscribe()));
            beside.spawn(hint::listen(reader.clone(), schema.clone(), grown.clone(), known));
        }
        let (commits, inbox) = (settings.keep_commit_ids, settings.keep_inbox);
        beside.spawn(sweep::run(reader.clone(), schema.clone(), commits, inbox));
        let capabilities = Capabilities {
            durable: Support::Yes,
            shared: Support::Yes,
            leases: Support::Yes,
            timers: Support::Yes,
            outgoing: Support::Yes,
            parked: Support::Yes,
            snapshots: Support::Yes,
            hints: Support::Yes,
            keeps_commit_ids: settings.keep_commit_ids,
            keeps_inbox: settings.keep_inbox,
            limits: settings.limits,
        };
        let loads = Loads::start(reader.clone(), closing.subscribe());
        let beside = Mutex::new(beside);
        let inner = Inner {
            writer,
            loads,
            reader,
            capabilities,
            grown,
            terms,
            session,
            beside,
            schema,
            closing,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

/// A time as the server's settings take it.
fn millis(time: Duration) -> String {
    format!("{}ms", time.as_millis().clamp(1, 2_000_000_000))
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("place", &self.inner.reader.connector.place)
            .field("schema", &self.inner.schema)
            .finish_non_exhaustive()
    }
}
