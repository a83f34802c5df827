//! PgBouncer, the pooler of PostgreSQL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::ServerError;
use crate::installed;
use crate::port;
use crate::postgres::{Postgres, asks_for_a_password};
use crate::server::{Server, Start};

/// How long a start may take.
const START: Duration = Duration::from_secs(30);

/// A PgBouncer in front of a [`Postgres`], which gives out a connection for a transaction, no longer.
///
/// That on `PATH`, or in `/usr/sbin`. Dropped, it ends.
///
/// ```no_run
/// use test_servers::{PgBouncer, Postgres};
///
/// let folder = "target/servers".as_ref();
/// let server = Postgres::start(folder)?;
/// let pooler = PgBouncer::start(&server, 4, folder)?;
/// let url = server.url_on(pooler.port());
/// # Ok::<(), test_servers::ServerError>(())
/// ```
pub struct PgBouncer {
    server: Server,
    port: u16,
}

impl PgBouncer {
    /// Starts one in a new folder within that one, with so many connections to the server, and waits
    /// until it answers.
    ///
    /// # Errors
    ///
    /// It is not installed, cannot be run by this user, or does not answer within 30 seconds.
    pub fn start(
        server: &Postgres,
        connections: usize,
        folder: &Path,
    ) -> Result<Self, ServerError> {
        let program = program().ok_or(ServerError::NotInstalled {
            server: "PgBouncer",
            install: "`cargo xtask services` installs it where it may, and says how where it may \
                      not; elsewhere, put the folder with `pgbouncer` on PATH",
        })?;
        let mut pooler = Server::new("PgBouncer", folder, &["postgres", "nobody"], "TERM")?;
        let home = pooler.home();
        let port = port::free().map_err(ServerError::io("find a free port"))?;
        let users = format!("\"postgres\" \"{}\"\n", server.password());
        let users = home.write("users".as_ref(), users.as_bytes())?;
        let settings = format!(
            "[databases]\n\
             postgres = host=127.0.0.1 port={} dbname=postgres\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = scram-sha-256\n\
             auth_file = {}\n\
             pool_mode = transaction\n\
             default_pool_size = {connections}\n\
             max_client_conn = 500\n",
            server.port(),
            users.display()
        );
        let settings = home.write("settings".as_ref(), settings.as_bytes())?;
        let (args, folder) = ([settings.display().to_string()], home.path().to_owned());
        let start = Start { file: &program, args: &args, folder: &folder, bound: START };
        pooler.start(&start, |_| asks_for_a_password(port).unwrap_or(false))?;
        Ok(Self { server: pooler, port })
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_installed() -> bool {
        program().is_some()
    }

    /// The port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Debug for PgBouncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBouncer").field("port", &self.port).field("server", &self.server).finish()
    }
}

fn program() -> Option<PathBuf> {
    installed::one("pgbouncer", "/usr/sbin".as_ref())
}
