//! The store: connected and closed; who writes, who reads, and what it offers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bson::raw::RawDocument;
use cqrs_core::{Capabilities, Entity, Error, ErrorKind, Position, Result, Support};
use mongodb::{Collection, Database};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::alone::{Alone, OneAtATime};
use crate::config::{MongoBuilder, check_limits};
use crate::connect::Connector;
use crate::deaths::Deaths;
use crate::entities;
use crate::error::{CONNECTING, Trouble};
use crate::hint;
use crate::migrate::migrate;
use crate::orphans::{self, Known};
use crate::read::Reader;
use crate::seen::Seen;
use crate::writer::{Kept, Settings, Writer};

/// How long the collections may take to be made.
const MIGRATES: Duration = Duration::from_secs(60);

/// A store in a MongoDB database, which any number of processes may share. Its clones are handles on the same
/// connections; it belongs into a tokio runtime.
///
/// ```no_run
/// use cqrs_core::{Append, Commit, Committed, Expected, Json, NewEvent, Payload, Store, StreamId};
/// use store_mongo::MongoStore;
///
/// # async fn run() -> Result<(), cqrs_core::BoxError> {
/// let store = MongoStore::connect("mongodb://localhost/shop?replicaSet=rs0").await?;
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
pub struct MongoStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) writer: Writer,
    pub(crate) alone: Alone,
    /// Held by whoever of this process has the turn.
    pub(crate) one: OneAtATime,
    pub(crate) reader: Reader,
    pub(crate) deaths: Deaths,
    /// Sessions for transactions of users' own.
    pub(crate) users: Known,
    pub(crate) capabilities: Capabilities,
    pub(crate) grown: Arc<watch::Sender<Position>>,
    /// What goes on beside it, until the store is closed or dropped.
    beside: Mutex<JoinSet<()>>,
    closing: watch::Sender<bool>,
}

impl MongoStore {
    /// Connects with the default settings. See [`MongoBuilder::connect`].
    ///
    /// # Errors
    /// As [`MongoBuilder::connect`] has them.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Other settings. See [`MongoBuilder`].
    pub fn builder(url: impl Into<String>) -> MongoBuilder {
        MongoBuilder::new(url)
    }

    /// The database of the driver, for collections and queries of one's own.
    pub fn database(&self) -> &Database {
        &self.inner.reader.connector.db
    }

    /// The collection of the entities of one kind, for queries of one's own: fields under their names in JSON, or
    /// those that [the schema](cqrs_core::Schema) gives them, beside `_id`, `_tenant` and `_version`. They are written
    /// through the store: it knows their versions.
    ///
    /// The driver reads a `T` where each field has its name in JSON and none is a UUID or larger than an `i64`: BSON
    /// is no JSON. [`entity_of`](Self::entity_of) reads any.
    ///
    /// ```no_run
    /// use cqrs_core::Entity;
    /// use store_mongo::MongoStore;
    /// use store_mongo::bson::doc;
    /// use store_mongo::mongodb::error::Result;
    ///
    /// async fn teaches<T: Entity>(store: &MongoStore, subject: &str) -> Result<Option<T>> {
    ///     store.collection::<T>().find_one(doc! { "subjects": subject }).await
    /// }
    /// ```
    pub fn collection<T: Entity>(&self) -> Collection<T> {
        self.database().collection(T::COLLECTION)
    }

    /// The entity that a document of its collection is, as the store reads it.
    ///
    /// ```no_run
    /// use cqrs_core::{BoxError, Entity};
    /// use store_mongo::MongoStore;
    /// use store_mongo::bson::{RawDocumentBuf, doc};
    ///
    /// async fn first<T: Entity>(store: &MongoStore) -> Result<Option<T>, BoxError> {
    ///     let all = store.database().collection::<RawDocumentBuf>(T::COLLECTION);
    ///     let found = all.find_one(doc! { "_tenant": "" }).await?;
    ///     Ok(found.map(|found| MongoStore::entity_of(&found)).transpose()?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Decode`](cqrs_core::ErrorKind::Decode) naming the field when it is none;
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid) when the entity has no schema.
    pub fn entity_of<T: Entity>(document: &RawDocument) -> Result<T> {
        let collection = T::collection();
        let Some(mapping) = &collection.mapping else {
            let context =
                format!("`{}` has no schema: it is in no collection of its own", T::COLLECTION);
            return Err(Error::invalid_field("collection", context));
        };
        let found = entities::document_of(&collection, mapping, document);
        let found =
            found.map_err(|trouble| trouble.into_error("reading an entity", T::COLLECTION))?;
        found.body.decode().map_err(|cause| {
            let context = format!("{}/{} is no entity: {cause}", T::COLLECTION, found.id);
            let kind = ErrorKind::Decode { message: T::COLLECTION.to_owned(), field: None };
            Error::new(kind, context).with_source(cause)
        })
    }

    /// Takes no more commits, and writes those that it has. Commits on any clone are
    /// [`Unavailable`](cqrs_core::ErrorKind::Unavailable) then. Closing again does nothing.
    pub async fn close(&self) {
        self.inner.closing.send_replace(true);
        self.inner.writer.ended().await;
        self.inner.beside.lock().await.shutdown().await;
    }

    pub(crate) async fn start(settings: MongoBuilder) -> Result<Self> {
        check_limits(&settings.limits)?;
        let connector = Connector::open(&settings).await?;
        let (commits, inbox) = (settings.keep_commit_ids, settings.keep_inbox);
        let migrated = timeout(MIGRATES, migrate(&connector, settings.migrates, commits, inbox));
        migrated
            .await
            .unwrap_or(Err(Trouble::TooLong))
            .map_err(|trouble| trouble.into_error(CONNECTING, &connector.place))?;
        let grown = Arc::new(watch::Sender::new(0));
        let seen = Arc::new(Seen::default());
        let declared = Arc::default();
        let reader = Reader { connector: connector.clone(), seen: seen.clone(), declared };
        let one = Arc::new(Mutex::new(()));
        let alone = Alone::new(connector.clone(), one.clone());
        let (deaths, users) = (Deaths::new(connector.clone()), Known::default());
        let closing = watch::Sender::new(false);
        let writer = Writer::start(Settings {
            connector: connector.clone(),
            seen,
            one: one.clone(),
            kept: Kept { commit_ids: commits, inbox },
            grown: grown.clone(),
            closing: closing.subscribe(),
        });
        let mut beside = JoinSet::new();
        if settings.watches {
            beside.spawn(hint::listen(reader.clone(), grown.clone()));
        }
        beside.spawn(orphans::forget(connector));
        let capabilities = Capabilities {
            durable: Support::Yes,
            shared: Support::Yes,
            leases: Support::Yes,
            timers: Support::Yes,
            outgoing: Support::Yes,
            parked: Support::Yes,
            snapshots: Support::Yes,
            hints: Support::Yes,
            keeps_commit_ids: commits,
            keeps_inbox: inbox,
            limits: settings.limits,
        };
        let beside = Mutex::new(beside);
        let inner = Inner {
            writer,
            alone,
            one,
            reader,
            deaths,
            users,
            capabilities,
            grown,
            beside,
            closing,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.inner.reader.connector.place;
        f.debug_struct("MongoStore").field("place", place).finish_non_exhaustive()
    }
}
