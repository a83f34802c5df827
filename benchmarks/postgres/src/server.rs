//! The server that all of them use.

use std::path::Path;

use serde::Serialize;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::contender::Result;

/// Where the server is and who asks.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    user: String,
    database: String,
}

/// What it says of itself.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) fsync: String,
    pub(crate) synchronous_commit: String,
    pub(crate) shared_buffers: String,
    pub(crate) cores: usize,
}

impl Server {
    /// The one of `POSTGRES_URL`.
    ///
    /// Err: there is none, or it does not make commits durable.
    pub(crate) async fn from_env() -> Result<Self> {
        let url = std::env::var("POSTGRES_URL")
            .map_err(|_| "POSTGRES_URL is not set: postgres://user:password@host:port/database")?;
        let config: Config = url.parse()?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            // The proxy is on TCP.
            Some(Host::Unix(path)) => return Err(no_socket(path)),
            None => "127.0.0.1".to_owned(),
        };
        let name = encoded(config.get_user().unwrap_or("postgres").as_bytes());
        let user = match config.get_password() {
            Some(password) => format!("{name}:{}", encoded(password)),
            None => name,
        };
        let database = config.get_dbname().unwrap_or("postgres").to_owned();
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let server = Self { host, port, user, database };
        let facts = server.facts().await?;
        if facts.fsync != "on" || facts.synchronous_commit != "on" {
            return Err(format!(
                "a commit must be durable, with fsync and synchronous_commit on: {facts:?}"
            )
            .into());
        }
        Ok(server)
    }

    pub(crate) async fn facts(&self) -> Result<Facts> {
        let client = self.admin().await?;
        let show = async |setting: &str| -> Result<String> {
            Ok(client.query_one(&format!("SHOW {setting}"), &[]).await?.get(0))
        };
        Ok(Facts {
            version: show("server_version").await?,
            fsync: show("fsync").await?,
            synchronous_commit: show("synchronous_commit").await?,
            shared_buffers: show("shared_buffers").await?,
            cores: std::thread::available_parallelism()?.get(),
        })
    }

    /// Where a database of it is. Without TLS: not every contender has it.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_at(&self.host, self.port, database)
    }

    /// The same, by another way.
    pub(crate) fn url_at(&self, host: &str, port: u16, database: &str) -> String {
        format!("postgres://{}@{host}:{port}/{database}?sslmode=disable", self.user)
    }

    /// A connection to the database of `POSTGRES_URL`.
    pub(crate) async fn admin(&self) -> Result<Client> {
        connect(&self.url(&self.database)).await
    }
}

/// A connection, which ends when its last user does.
pub(crate) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn no_socket(path: &Path) -> crate::contender::Error {
    format!("POSTGRES_URL must name a host, not the socket {}", path.display()).into()
}

fn encoded(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let encode = |byte: &u8| match plain(byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    bytes.iter().map(encode).collect()
}
