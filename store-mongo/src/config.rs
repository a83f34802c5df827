//! How a store is connected: where, as whom, and how patiently.

use std::fmt;
use std::time::Duration;

use cqrs_core::{Error, Limits, Result};

use crate::store::MongoStore;

/// Settings of a store. See [`MongoStore`] for the smallest program.
///
/// ```no_run
/// use std::time::Duration;
/// use store_mongo::MongoStore;
///
/// # async fn run() -> cqrs_core::Result<()> {
/// let store = MongoStore::builder("mongodb://shop:secret@a,b,c/shop?replicaSet=rs0&authSource=admin")
///     .database("orders")
///     .patience(Duration::from_secs(20))
///     .connect()
///     .await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `connect`"]
pub struct MongoBuilder {
    pub(crate) url: String,
    pub(crate) database: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) migrates: bool,
    pub(crate) watches: bool,
    pub(crate) keep_commit_ids: Duration,
    pub(crate) keep_inbox: Duration,
    pub(crate) limits: Limits,
}

impl MongoBuilder {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            database: None,
            connect_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(20),
            migrates: true,
            watches: true,
            keep_commit_ids: Duration::from_secs(7 * 24 * 60 * 60),
            keep_inbox: Duration::from_secs(30 * 24 * 60 * 60),
            limits: Limits { commit: 16 << 20, ..Limits::default() },
        }
    }

    /// The database that holds the collections; default: what the URL says, as in `mongodb://localhost/shop`, or
    /// `cqrs`. Each service has its own.
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// How long a connection may take to be made, and how long is waited for a member that can be asked; default:
    /// 5 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long commits and readings are tried again while there is no primary, or others write; default: 20 seconds.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether collections and indexes are made that are missing; default: yes. Otherwise they must be there.
    pub fn migrate(mut self, migrates: bool) -> Self {
        self.migrates = migrates;
        self
    }

    /// Whether a change stream tells of what other processes write; default: yes. Otherwise it is seen by whoever
    /// looks from time to time.
    pub fn watch(mut self, watches: bool) -> Self {
        self.watches = watches;
        self
    }

    /// How long commit ids are known here (P5); default: 7 days. The server keeps them for the longest time that any
    /// process has asked for; `collMod` on the index `at` of `cqrs_commits` shortens it. Those of commits that a
    /// [`Repository`](cqrs_core::Repository) or a [`Work`](cqrs_core::Work) makes are kept as long as their events.
    pub fn keep_commit_ids(mut self, kept: Duration) -> Self {
        self.keep_commit_ids = kept;
        self
    }

    /// How long handled messages are known here (P18); default: 30 days. The server keeps them for the longest time
    /// that any process has asked for; `collMod` on the index `at` of `cqrs_inbox` shortens it.
    pub fn keep_inbox(mut self, kept: Duration) -> Self {
        self.keep_inbox = kept;
        self
    }

    /// Sizes that are taken; default: those of [`Limits`], but for a commit, whose bodies have 16 MiB at most: a
    /// transaction has to fit into the cache of the server. One that does not is
    /// [`TooLarge`](cqrs_core::ErrorKind::TooLarge), too.
    ///
    /// A document of MongoDB has 16 MiB, and so has a command: a body has 7 MiB at most, metadata 1 MiB, and an event
    /// 1,024 tags. Ids, names and parts of a commit can be fewer than those of [`Limits`], and not more.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Connects, and makes the collections where they are missing.
    ///
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid) for a URL or database that is none, for [limits](Self::limits) that
    /// are too high, when the server refuses the user, or is no member of a replica set;
    /// [`SchemaTooNew`](cqrs_core::ErrorKind::SchemaTooNew) when a newer program made the collections;
    /// [`Unavailable`](cqrs_core::ErrorKind::Unavailable) when it is out of reach, or has no collections yet and none
    /// are to be [made](Self::migrate).
    pub async fn connect(self) -> Result<MongoStore> {
        MongoStore::start(self).await
    }
}

/// Checks that what is taken has room in a document, and what is looked for in a command. Two snapshots of a stream are
/// in one document.
pub(crate) fn check_limits(limits: &Limits) -> Result<()> {
    // No `..`: a new limit has to fit as well.
    let Limits { payload, headers, id, name, tags, parts, commit: _ } = *limits;
    let most = Limits { payload: 7 << 20, headers: 1 << 20, tags: 1_024, ..Limits::default() };
    for (what, wanted, most) in [
        ("payload", payload, most.payload),
        ("headers", headers, most.headers),
        ("id", id, most.id),
        ("name", name, most.name),
        ("tags", tags, most.tags),
        ("parts", parts, most.parts),
    ] {
        if wanted > most {
            let context = format!("the limit `{what}` is {wanted}: MongoDB has room for {most}");
            return Err(Error::invalid_field("limits", context));
        }
    }
    Ok(())
}

/// Checks the name of a database: <https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions>.
pub(crate) fn check_database(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(is_plain) {
        let shown: String = name.chars().take(80).collect();
        let context =
            format!("{shown:?} cannot be the database: at most 63 of a-z, A-Z, 0-9, - and _");
        return Err(Error::invalid_field("database", context));
    }
    Ok(())
}

impl fmt::Debug for MongoBuilder {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoBuilder").field("database", &self.database).finish_non_exhaustive()
    }
}
