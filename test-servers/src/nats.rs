//! NATS with JetStream.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::ServerError;
use crate::installed;
use crate::password;
use crate::port;
use crate::server::{Server, Start};

/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// How many ports are tried when another process takes the free one first.
const PORTS: usize = 5;
/// The user that clients are.
const USER: &str = "tests";

/// A NATS server with JetStream, which keeps what it stores in files, and one user, `tests`.
///
/// That on `PATH`, or in `/usr/sbin`. As root, it runs as the user `nats` or, without that one, `nobody`.
///
/// What it stored is in files when it is killed; when the machine loses its power, what came in the last two
/// minutes may not be.
///
/// Dropped, it is stopped, and its data is removed.
///
/// ```no_run
/// use test_servers::Nats;
///
/// let mut server = Nats::start("target/servers".as_ref())?;
/// // … what was stored …
/// server.kill()?;
/// server.start_again()?;
/// // … is there.
/// # Ok::<(), test_servers::ServerError>(())
/// ```
pub struct Nats {
    server: Server,
    program: PathBuf,
    settings: String,
    port: u16,
    password: String,
}

impl Nats {
    /// Starts a server in a new folder within that one, and waits until it answers.
    ///
    /// # Errors
    ///
    /// It is not installed, cannot be run by this user, or does not answer within 30 seconds.
    /// Nothing is left behind.
    pub fn start(folder: &Path) -> Result<Self, ServerError> {
        Self::start_with(folder, "")
    }

    /// The same with more settings, as in `nats-server.conf`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); and when it refuses the settings.
    pub fn start_with(folder: &Path, settings: &str) -> Result<Self, ServerError> {
        let program = program().ok_or(ServerError::NotInstalled {
            server: "NATS",
            install: "`cargo xtask services` installs it where it may, and says how where it may \
                      not; elsewhere, put the folder with `nats-server` on PATH",
        })?;
        let server = Server::new("NATS", folder, &["nats", "nobody"], "TERM")?;
        let (settings, password) = (settings.to_owned(), password::fresh()?);
        let mut nats = Self { server, program, settings, port: 0, password };
        let mut tries = 0;
        loop {
            nats.port = port::free().map_err(ServerError::io("find a free port"))?;
            tries += 1;
            match nats.run() {
                Err(ServerError::Ended { log, .. }) if tries < PORTS && port_was_taken(&log) => {}
                outcome => return outcome.map(|()| nats),
            }
        }
    }

    /// Whether its program is on this machine.
    #[must_use]
    pub fn is_installed() -> bool {
        program().is_some()
    }

    /// `nats://tests:<password>@127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_on(self.port)
    }

    /// The same on another port of 127.0.0.1, that of a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_on(&self, port: u16) -> String {
        format!("nats://{USER}:{}@127.0.0.1:{port}", self.password)
    }

    /// The port of 127.0.0.1. It stays the same when the server is started again.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server. None: it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// The file with its messages, as long as the server is not dropped.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.server.log()
    }

    /// `kill -9` of the server.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.server.kill()
    }

    /// Starts it after `kill` or `stop`, or after it ended by itself, on the same port and with the
    /// same data, and waits until it answers.
    ///
    /// # Errors
    ///
    /// It runs, another process has taken the port, or it does not answer within 30 seconds.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        self.server.must_not_run()?;
        self.run()
    }

    /// Stops it in order, and cuts its connections. Killed if it takes more than 20 seconds.
    ///
    /// # Errors
    ///
    /// It does not run, or cannot even be killed.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        match self.server.end("TERM")? {
            Some(_) => Ok(()),
            None => self.kill(),
        }
    }

    /// Stops it in the middle of what it does: connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// It does not run, or this is not Linux.
    pub fn pause(&mut self) -> Result<(), ServerError> {
        self.server.pause()
    }

    /// Lets it go on after `pause`.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn go_on(&mut self) -> Result<(), ServerError> {
        self.server.go_on()
    }

    /// Starts the server and waits until it answers.
    fn run(&mut self) -> Result<(), ServerError> {
        let home = self.server.home();
        let (folder, name) = (home.path().to_owned(), self.name());
        let settings = format!(
            "server_name: \"{name}\"\n\
             listen: \"127.0.0.1:{port}\"\n\
             jetstream {{ store_dir: \"{store}\" }}\n\
             authorization {{ user: {USER}, password: \"{password}\" }}\n\
             {own}\n",
            port = self.port,
            store = folder.join("data").display(),
            password = self.password,
            own = self.settings,
        );
        let settings = home.write("settings".as_ref(), settings.as_bytes())?;
        let args = ["--config".to_owned(), settings.display().to_string()];
        let port = self.port;
        let start = Start { file: &self.program, args: &args, folder: &folder, bound: START };
        self.server.start(&start, |_| told_by(port).is_ok_and(|told| told.contains(&name)))
    }

    /// What tells it from another server on its port.
    fn name(&self) -> String {
        let folder = self.server.home().path().file_name().unwrap_or_default();
        folder.to_string_lossy().into_owned()
    }
}

impl fmt::Debug for Nats {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Nats");
        debug.field("port", &self.port).field("pid", &self.pid());
        debug.field("home", self.server.home()).finish_non_exhaustive()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.server.end("TERM");
    }
}

fn program() -> Option<PathBuf> {
    installed::one("nats-server", "/usr/sbin".as_ref())
}

fn port_was_taken(log: &str) -> bool {
    log.contains("address already in use")
}

/// The first line that a server says to who connects: what it is called, and more.
fn told_by(port: u16) -> io::Result<String> {
    let bound = Duration::from_secs(2);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = TcpStream::connect_timeout(&address, bound)?;
    connection.set_read_timeout(Some(bound))?;
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line)?;
    Ok(line)
}
