//! How a store is connected: where, as whom, with how many connections, and how patiently.

use std::fmt;
use std::time::Duration;

use cqrs_core::{Error, Limits, Result};
use tokio_postgres::config::Host;

use crate::store::PostgresStore;

/// Whoever commits looks at what others wrote while it waited for its turn: a snapshot of before would
/// not show it. A database or a user may have another default.
const LEVEL: &str = "-c default_transaction_isolation=read\\ committed";

/// Settings of a store. See [`PostgresStore`] for the smallest program.
///
/// ```no_run
/// use std::time::Duration;
/// use store_postgres::PostgresStore;
///
/// # async fn run() -> cqrs_core::Result<()> {
/// let store = PostgresStore::builder("postgres://shop:secret@db.example.org/shop")
///     .schema("orders")
///     .connections(16)
///     .statement_timeout(Duration::from_secs(10))
///     .connect()
///     .await?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "call `connect`"]
pub struct PostgresBuilder {
    pub(crate) url: String,
    pub(crate) schema: String,
    pub(crate) connections: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) lock_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) migrates: bool,
    pub(crate) prepares: bool,
    pub(crate) listens: bool,
    pub(crate) keep_commit_ids: Duration,
    pub(crate) keep_inbox: Duration,
    pub(crate) limits: Limits,
}

impl PostgresBuilder {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        let (url, schema) = without_schema(url.into());
        Self {
            url,
            schema: schema.unwrap_or_else(|| "cqrs".to_owned()),
            connections: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(10),
            roots: Vec::new(),
            migrates: true,
            prepares: true,
            listens: true,
            keep_commit_ids: Duration::from_secs(7 * 24 * 60 * 60),
            keep_inbox: Duration::from_secs(30 * 24 * 60 * 60),
            limits: Limits::default(),
        }
    }

    /// The schema that holds the tables; default: what the URL says, as in
    /// `postgres://localhost/shop?schema=orders`, or `cqrs`. Each service of a database has its own.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Connections that read, at most; and as many that [`pool`](PostgresStore::pool) gives out, and that
    /// sinks use; default: 8 each. The store has three more: one writes, one loads streams, one listens.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// How long a connection may take to be made, and how long is waited for one of the pool;
    /// default: 5 seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the server may take to answer; default: 30 seconds. The connection is given up then.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// How long a commit may wait for its turn, while other processes write; default: 5 seconds. It is
    /// [`Unavailable`](cqrs_core::ErrorKind::Unavailable) then, and nothing was written.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How long commits and readings are tried again while the server is out of reach; default: 10
    /// seconds.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// One more certificate (DER) that those of servers are checked against, beside the system's.
    pub fn root_certificate(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.roots.push(der.into());
        self
    }

    /// Whether the tables are made and brought to the newest version; default: yes. Otherwise they must
    /// be there: see [`migrations`](crate::migrations).
    pub fn migrate(mut self, migrates: bool) -> Self {
        self.migrates = migrates;
        self
    }

    /// For a pooler that gives out connections by the transaction: no prepared statement and no
    /// listening, which would need a connection of one's own. What other processes write is then seen
    /// by whoever looks from time to time. The default isolation level of the database must be READ
    /// COMMITTED, as it is unless somebody changed it.
    pub fn behind_pooler(mut self) -> Self {
        (self.prepares, self.listens) = (false, false);
        self
    }

    /// How long commit ids are kept (P5); default: 7 days. Those of commits that a
    /// [`Repository`](cqrs_core::Repository) or a [`Work`](cqrs_core::Work) makes are kept as long as
    /// their events.
    pub fn keep_commit_ids(mut self, kept: Duration) -> Self {
        self.keep_commit_ids = kept;
        self
    }

    /// How long handled messages are kept (P18); default: 30 days.
    pub fn keep_inbox(mut self, kept: Duration) -> Self {
        self.keep_inbox = kept;
        self
    }

    /// Sizes that are taken.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Connects, and makes the tables where they are missing.
    ///
    /// # Errors
    /// [`Invalid`](cqrs_core::ErrorKind::Invalid) for a URL or schema that is none, or when the server
    /// refuses the user; [`SchemaTooNew`](cqrs_core::ErrorKind::SchemaTooNew) when a newer program made
    /// the tables; [`Unavailable`](cqrs_core::ErrorKind::Unavailable) when it is out of reach.
    pub async fn connect(self) -> Result<PostgresStore> {
        PostgresStore::start(self).await
    }

    /// The settings of the driver.
    pub(crate) fn parsed(&self) -> Result<tokio_postgres::Config> {
        let schema = &self.schema;
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if !begins || !schema.chars().all(is_plain) || schema.len() > 40 {
            let shown: String = schema.chars().take(60).collect();
            let context = format!(
                "{shown:?} cannot be the schema: at most 40 of a-z, 0-9 and _, no digit first"
            );
            return Err(Error::invalid_field("schema", context));
        }
        // The error of the driver may quote the URL, which may hold a password.
        let parsed = self.url.parse::<tokio_postgres::Config>().map_err(|_| {
            let context = "the URL is none: write postgres://USER:PASSWORD@HOST:PORT/DATABASE";
            Error::invalid_field("url", context)
        })?;
        let mut parsed = parsed;
        parsed.connect_timeout(self.connect_timeout);
        if parsed.get_application_name().is_none() {
            parsed.application_name("cqrs");
        }
        // A pooler may refuse options; the server refuses to commit at another level then.
        if self.prepares {
            let given = parsed.get_options().unwrap_or_default();
            let options = format!("{LEVEL} {given}");
            parsed.options(options.trim_end());
        }
        Ok(parsed)
    }
}

/// A URL without its `schema`, which is no word of the driver's.
fn without_schema(url: String) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else { return (url, None) };
    let named = |pair: &&str| pair.starts_with("schema=");
    let Some(schema) = query.split('&').find(named) else { return (url, None) };
    let schema = schema["schema=".len()..].to_owned();
    let rest: Vec<&str> = query.split('&').filter(|pair| !named(pair)).collect();
    let rest = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    (format!("{base}{rest}"), Some(schema))
}

/// The server and the database, without a password.
pub(crate) fn place(config: &tokio_postgres::Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("postgres://{host}:{port}/{}", config.get_dbname().unwrap_or_default())
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.parsed().map_or_else(|_| "?".to_owned(), |config| place(&config));
        f.debug_struct("PostgresBuilder")
            .field("place", &place)
            .field("schema", &self.schema)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let builder = PostgresBuilder::new("postgres://shop:secret@db.example.org:7777/shop");
        let shown = format!("{builder:?}");
        assert!(shown.contains("postgres://db.example.org:7777/shop"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        let wrong = PostgresBuilder::new("postgres://shop:secret@db:port/shop").parsed();
        assert!(!format!("{:?}", wrong.unwrap_err()).contains("secret"));
    }

    #[test]
    fn a_url_may_name_the_schema() {
        let url = "postgres://localhost/shop?sslmode=disable&schema=orders&application_name=shop";
        let builder = PostgresBuilder::new(url);
        assert_eq!(builder.schema, "orders");
        assert_eq!(builder.parsed().unwrap().get_application_name(), Some("shop"));
        let only = PostgresBuilder::new("postgres://localhost/shop?schema=orders");
        assert_eq!(only.url, "postgres://localhost/shop");
    }

    #[test]
    fn a_schema_is_a_plain_name() {
        let url = "postgres://localhost/shop";
        for schema in ["", "1st", "Shop", "shop\"; DROP", "a b", &"x".repeat(41)] {
            assert!(PostgresBuilder::new(url).schema(schema).parsed().is_err(), "{schema:?}");
        }
        assert!(PostgresBuilder::new(url).schema("orders_2").parsed().is_ok());
    }
}
