//! PostgreSQL.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::ServerError;
use crate::installed;
use crate::password;
use crate::port;
use crate::server::{Server, Start};

/// How long making the files of a new server may take.
const INIT: Duration = Duration::from_secs(120);
/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// How long a start may take that first repeats what was written before the server was killed.
const RECOVERY: Duration = Duration::from_secs(120);
/// How many ports are tried when another process takes the free one first.
const PORTS: usize = 5;

/// As a server in production, with room for the connections of many tests.
const SETTINGS: [(&str, &str); 7] = [
    ("listen_addresses", "127.0.0.1"),
    // The folder's path may be too long for a socket.
    ("unix_socket_directories", ""),
    ("logging_collector", "off"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("max_connections", "300"),
    ("shared_buffers", "256MB"),
];

/// A PostgreSQL server with one superuser, `postgres`, and the database of that name, in UTF-8 and
/// with the order of bytes.
///
/// The newest version that is on `PATH` or in `/usr/lib/postgresql`. As root, it runs as the user
/// `postgres` or, without that one, `nobody`.
///
/// Dropped, it is stopped without ceremony, and its data is removed.
///
/// ```no_run
/// use test_servers::Postgres;
///
/// let mut server = Postgres::start("target/servers".as_ref())?;
/// // … what was committed …
/// server.kill()?;
/// server.start_again()?;
/// // … is there.
/// # Ok::<(), test_servers::ServerError>(())
/// ```
pub struct Postgres {
    server: Server,
    programs: PathBuf,
    settings: Vec<(String, String)>,
    port: u16,
    password: String,
    /// Whether it was killed and not started since.
    killed: bool,
}

/// Settings of a [`Postgres`] beyond the usual ones.
///
/// ```no_run
/// use test_servers::Postgres;
///
/// # let (certificate, key) = ("", "");
/// let server = Postgres::builder()
///     .set("max_connections", "10")
///     .set("ssl", "on")
///     .file("server.crt", certificate)
///     .file("server.key", key)
///     .start("target/servers".as_ref())?;
/// # Ok::<(), test_servers::ServerError>(())
/// ```
#[derive(Default)]
pub struct PostgresBuilder {
    settings: Vec<(String, String)>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl PostgresBuilder {
    /// A setting as in `postgresql.conf`. It replaces the usual value, and an earlier one.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file in the server's data folder, which the server alone can read. Settings name it by its
    /// path in that folder.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.into(), contents.into()));
        self
    }

    /// Starts the server in a new folder within that one, and waits until it answers.
    ///
    /// # Errors
    ///
    /// It is not installed, cannot be run by this user, refuses its settings, or does not answer
    /// within 30 seconds. Nothing is left behind.
    pub fn start(self, folder: &Path) -> Result<Postgres, ServerError> {
        let programs = programs().ok_or(ServerError::NotInstalled {
            server: "PostgreSQL",
            install: "`cargo xtask services` installs it where it may, and says how where it may \
                      not; elsewhere, put the folder with `postgres` and `initdb` on PATH",
        })?;
        let mut server = Postgres {
            server: Server::new("PostgreSQL", folder, &["postgres", "nobody"], "QUIT")?,
            programs,
            settings: self.settings,
            port: 0,
            password: password::fresh()?,
            killed: false,
        };
        server.init()?;
        for (path, contents) in &self.files {
            server.server.home().write(&server.data().join(path), contents)?;
        }
        let mut tries = 0;
        loop {
            server.port = port::free().map_err(ServerError::io("find a free port"))?;
            tries += 1;
            match server.run(START) {
                Err(ServerError::Ended { log, .. }) if tries < PORTS && port_was_taken(&log) => {}
                outcome => return outcome.map(|()| server),
            }
        }
    }
}

impl fmt::Debug for PostgresBuilder {
    /// Without what is in the files: keys are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<_> = self.files.iter().map(|(path, _)| path).collect();
        let mut debug = f.debug_struct("PostgresBuilder");
        debug.field("settings", &self.settings).field("files", &files).finish()
    }
}

impl Postgres {
    /// Starts a server in a new folder within that one, and waits until it answers.
    ///
    /// # Errors
    ///
    /// It is not installed, cannot be run by this user, or does not answer within 30 seconds.
    /// Nothing is left behind.
    pub fn start(folder: &Path) -> Result<Self, ServerError> {
        Self::builder().start(folder)
    }

    /// A server with settings of its own.
    #[must_use]
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// Whether its programs are on this machine.
    #[must_use]
    pub fn is_installed() -> bool {
        programs().is_some()
    }

    /// `postgres://postgres:<password>@127.0.0.1:<port>/postgres`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_on(self.port)
    }

    /// The same on another port of 127.0.0.1, that of a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_on(&self, port: u16) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{port}/postgres", self.password)
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The port of 127.0.0.1. It stays the same when the server is started again.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server, the parent of all its processes. None: it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// The file with its messages, as long as the server is not dropped.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.server.log()
    }

    /// `kill -9` of the server. Its children end when they see it, and what one of them is about
    /// to commit may get through; those of a paused server die with it. Returns when they are gone,
    /// so that it can be started again.
    ///
    /// # Errors
    ///
    /// It does not run, or a child is not gone after 30 seconds.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.killed |= self.pid().is_some();
        self.server.kill()
    }

    /// Starts it after `kill` or `stop`, or after it ended by itself, on the same port and with the
    /// same data, and waits until it answers.
    ///
    /// # Errors
    ///
    /// It runs, another process has taken the port, or it does not answer within 120 seconds.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        self.server.must_not_run()?;
        self.run(RECOVERY)
    }

    /// Stops it in order, and cuts its connections. Killed if it takes more than 20 seconds.
    ///
    /// # Errors
    ///
    /// It does not run, or cannot even be killed.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        self.end("INT")
    }

    /// Stops all its processes in the middle of what they do: connections stay open and nothing
    /// answers.
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

    /// Makes the files of a new server.
    fn init(&mut self) -> Result<(), ServerError> {
        let password = self.server.home().write("password".as_ref(), self.password.as_bytes())?;
        let args = [
            format!("--pgdata={}", self.data().display()),
            format!("--pwfile={}", password.display()),
            "--username=postgres".to_owned(),
            "--auth=scram-sha-256".to_owned(),
            // The same on every machine, whatever its language.
            "--encoding=UTF8".to_owned(),
            "--no-locale".to_owned(),
            "--no-sync".to_owned(),
        ];
        let file = self.programs.join("initdb");
        let folder = self.server.home().path();
        self.server.complete(&Start { file: &file, args: &args, folder, bound: INIT })?;
        fs::remove_file(&password).map_err(ServerError::io(password.display()))
    }

    /// Starts the server and waits until it answers.
    fn run(&mut self, bound: Duration) -> Result<(), ServerError> {
        let [data, port] = [self.data().display().to_string(), self.port.to_string()];
        let mut args = vec!["-D".to_owned(), data, "-p".to_owned(), port];
        let own = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in SETTINGS.into_iter().chain(own) {
            args.extend(["-c".to_owned(), format!("{name}={value}")]);
        }
        let (file, data, port) = (self.programs.join("postgres"), self.data(), self.port);
        let start = Start { file: &file, args: &args, folder: &data, bound };
        self.server.start(&start, |pid| answers(&data, pid, port))?;
        self.killed = false;
        Ok(())
    }

    /// Ends it with that signal or, if it takes too long, by force.
    fn end(&mut self, signal: &str) -> Result<(), ServerError> {
        match self.server.end(signal)? {
            Some(_) => Ok(()),
            None => self.kill(),
        }
    }

    fn data(&self) -> PathBuf {
        self.server.home().path().join("data")
    }
}

impl fmt::Debug for Postgres {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Postgres");
        debug.field("port", &self.port).field("pid", &self.pid()).field("home", self.server.home());
        debug.finish_non_exhaustive()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // What a killed server had in shared memory is only found and removed by its next start.
        if self.pid().is_none() && self.killed {
            let _ = self.start_again();
        }
        let _ = self.end("QUIT");
    }
}

/// Whether it is this server that answers, and not another one on its port.
fn answers(data: &Path, pid: u32, port: u16) -> bool {
    let told = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let (of, state) = (told.lines().next(), told.lines().nth(7));
    let is_ready = of.and_then(|of| of.trim().parse().ok()) == Some(pid)
        && state.is_some_and(|state| state.trim() == "ready");
    is_ready && asks_for_a_password(port).unwrap_or(false)
}

fn programs() -> Option<PathBuf> {
    installed::newest(&["postgres", "initdb"], "/usr/lib/postgresql".as_ref())
}

fn port_was_taken(log: &str) -> bool {
    log.contains("could not create any TCP/IP sockets")
}

/// Begins a connection. The question for the password comes once the server takes connections; an
/// error before that.
pub(crate) fn asks_for_a_password(port: u16) -> io::Result<bool> {
    let bound = Duration::from_secs(2);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut connection = TcpStream::connect_timeout(&address, bound)?;
    connection.set_read_timeout(Some(bound))?;
    connection.write_all(&hello())?;
    let mut answer = [0];
    connection.read_exact(&mut answer)?;
    Ok(answer == *b"R")
}

/// The first message of a client: its length, version 3.0 of the protocol, who it is.
fn hello() -> Vec<u8> {
    let who = b"user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(8 + who.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], &[0, 3, 0, 0], who].concat()
}
