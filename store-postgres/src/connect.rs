//! Connections: made with or without TLS, to the pool or for one purpose, and made again.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cqrs_core::{Error, ErrorKind, Position, Result};
use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
    TimeoutType, Timeouts,
};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{PostgresBuilder, place};
use crate::error::Trouble;
use crate::statements::Silence;

/// How the store's own statements are planned: each is written for its indexes, and a plan that was made
/// while the tables were small must not stay when they are large.
const PLANS: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off \
                     -c plan_cache_mode=force_generic_plan";

/// Where connections come from.
pub(crate) struct Connector {
    /// The users'.
    pool: Pool,
    /// Those that read.
    readers: Pool,
    /// Those of one purpose each: whoever takes one keeps it.
    own: Pool,
    config: tokio_postgres::Config,
    tls: Option<ClientConfig>,
    /// A connection of before an answer did not come is not given out again.
    pub(crate) silence: Arc<Silence>,
    pub(crate) place: Arc<str>,
}

impl Connector {
    pub(crate) fn new(settings: &PostgresBuilder) -> Result<Self> {
        let mut config = settings.parsed()?;
        let place: Arc<str> = place(&config).into();
        let tls = match wants_tls(&config) {
            true => {
                // A server that offers none is not talked to in the open.
                config.ssl_mode(SslMode::Require);
                Some(tls(settings)?)
            }
            false => None,
        };
        let silence = Arc::<Silence>::default();
        let mut planned = config.clone();
        if settings.prepares {
            let options = config.get_options().map_or_else(String::new, |set| format!("{set} "));
            planned.options(format!("{options}{PLANS}"));
        }
        let pool = |config: &tokio_postgres::Config, size: usize| {
            let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
            let manager = match tls.clone() {
                Some(tls) => {
                    Manager::from_config(config.clone(), MakeRustlsConnect::new(tls), recycling)
                }
                None => Manager::from_config(config.clone(), NoTls, recycling),
            };
            let wait = Some(settings.connect_timeout);
            let timeouts = Timeouts { wait, create: wait, recycle: wait };
            let pool = Pool::builder(manager).max_size(size).timeouts(timeouts);
            let noted = silence.clone();
            let pool = pool.pre_recycle(Hook::sync_fn(move |_, metrics| {
                match noted.is_before(metrics.created) {
                    true => Ok(()),
                    false => Err(HookError::message("it may never answer")),
                }
            }));
            pool.runtime(Runtime::Tokio1).build().map_err(|error| {
                let context = "the pool of connections cannot be built";
                Error::new(ErrorKind::Internal, context).with_source(error)
            })
        };
        let (readers, own) = (pool(&planned, settings.connections)?, pool(&planned, 16)?);
        let pool = pool(&config, settings.connections)?;
        Ok(Self { pool, readers, own, config, tls, silence, place })
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// A connection to read with.
    pub(crate) async fn get(&self) -> Result<Object, Trouble> {
        self.readers.get().await.map_err(|error| self.translate(error))
    }

    /// A new connection, for one purpose.
    pub(crate) async fn own(&self) -> Result<ClientWrapper, Trouble> {
        self.own.get().await.map(Object::take).map_err(|error| self.translate(error))
    }

    /// A new connection, with the positions that it is notified of.
    pub(crate) async fn listening(
        &self,
    ) -> Result<(ClientWrapper, mpsc::Receiver<Position>), Trouble> {
        let (sender, positions) = mpsc::channel(64);
        let (client, listening) = match self.tls.clone() {
            Some(tls) => {
                let (client, connection) = self.config.connect(MakeRustlsConnect::new(tls)).await?;
                (client, tokio::spawn(hear(connection, sender)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                (client, tokio::spawn(hear(connection, sender)))
            }
        };
        Ok((ClientWrapper::new(client, listening), positions))
    }

    fn translate(&self, error: deadpool_postgres::PoolError) -> Trouble {
        use deadpool_postgres::PoolError;
        match error {
            PoolError::Backend(error) => Trouble::Postgres(error),
            PoolError::Closed => Trouble::Final(crate::error::closed(&self.place)),
            PoolError::Timeout(TimeoutType::Wait) => {
                let context = format!(
                    "all connections of the pool to {} are in use: try again, or allow more",
                    self.place
                );
                Trouble::Final(Error::new(ErrorKind::Unavailable, context))
            }
            PoolError::Timeout(_) => {
                let context = format!("{} gave no connection in time; try again", self.place);
                Error::new(ErrorKind::Unavailable, context).into()
            }
            error => {
                let context = format!("no connection to {}: {error}", self.place);
                Error::new(ErrorKind::Internal, context).with_source(error).into()
            }
        }
    }

    /// A connection for statements of the users.
    pub(crate) async fn for_users(&self) -> Result<Object, Trouble> {
        self.pool.get().await.map_err(|error| self.translate(error))
    }

    pub(crate) fn close(&self) {
        self.pool.close();
        self.readers.close();
        self.own.close();
    }
}

/// A place for a connection that several use.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Arc<ClientWrapper>>>);

impl Slot {
    /// The connection, if it lives.
    pub(crate) fn client(&self) -> Option<Arc<ClientWrapper>> {
        self.place().as_ref().filter(|client| !client.is_closed()).cloned()
    }

    pub(crate) fn put(&self, client: ClientWrapper) -> Arc<ClientWrapper> {
        self.place().insert(Arc::new(client)).clone()
    }

    /// Uses a connection no more. Another one that has taken its place stays.
    pub(crate) fn lose(&self, lost: &Arc<ClientWrapper>) {
        self.place().take_if(|client| Arc::ptr_eq(client, lost));
    }

    fn place(&self) -> MutexGuard<'_, Option<Arc<ClientWrapper>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drives a connection, and passes on the positions that others tell.
async fn hear<S, T>(mut connection: Connection<S, T>, positions: mpsc::Sender<Position>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(told) = message
            && let Ok(position) = told.payload().parse()
        {
            // Where many wait, the newest says it all: what is left out was told before.
            let _ = positions.try_send(position);
        }
    }
}

/// Whether the connection is to be protected: where the URL says so, and by itself to other machines.
fn wants_tls(config: &tokio_postgres::Config) -> bool {
    let is_here = |host: &Host| match host {
        Host::Tcp(host) => {
            host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    match config.get_ssl_mode() {
        SslMode::Disable => false,
        SslMode::Prefer => !config.get_hosts().iter().all(is_here),
        _ => true,
    }
}

fn tls(settings: &PostgresBuilder) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for der in &settings.roots {
        roots.add(CertificateDer::from(der.clone())).map_err(|error| {
            let context = "a root certificate is none: it must be X.509 in DER";
            Error::invalid_field("root_certificate", context).with_source(error)
        })?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| {
        Error::new(ErrorKind::Internal, "TLS cannot be set up").with_source(error)
    })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// How long is waited before the n-th attempt to connect again, with full jitter.
pub(crate) fn backoff(attempt: u32) -> Duration {
    let most = 20u64.saturating_mul(1 << attempt.min(6)).min(1_000);
    Duration::from_millis(5 + fastrand::u64(0..most))
}
