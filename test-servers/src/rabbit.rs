//! RabbitMQ, and the small server by which nodes of Erlang find each other.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::ServerError;
use crate::installed;
use crate::password;
use crate::port;
use crate::server::{Server, Start};

/// How long a start may take.
const START: Duration = Duration::from_secs(60);
/// How many ports are tried when another process takes the free one first.
const PORTS: usize = 5;
/// The user that clients are.
const USER: &str = "tests";
/// The file with its messages, in its folder.
const LOG: &str = "rabbit.log";
/// As whom it runs where this is root.
const USERS: [&str; 2] = ["rabbitmq", "nobody"];

/// A RabbitMQ server as it comes, without plugins, with one user, `tests`, who may do everything.
///
/// That of `/usr/lib/rabbitmq/bin` or on `PATH`: the program of the distribution itself, and not a script around it
/// that would run it as another user. As root, it runs as the user `rabbitmq` or, without that one, `nobody`.
///
/// Dropped, it is killed, and its data is removed.
///
/// ```no_run
/// use test_servers::Rabbit;
///
/// let mut server = Rabbit::start("target/servers".as_ref())?;
/// // … what was stored …
/// server.kill()?;
/// server.start_again()?;
/// // … is there.
/// # Ok::<(), test_servers::ServerError>(())
/// ```
pub struct Rabbit {
    // Before the names: it tells them that it ends.
    server: Server,
    names: Server,
    program: PathBuf,
    settings: String,
    port: u16,
    nodes: u16,
    names_port: u16,
    password: String,
}

impl Rabbit {
    /// Starts a server in a new folder within that one, and waits until it answers: that takes some seconds.
    ///
    /// # Errors
    ///
    /// It is not installed, cannot be run by this user, or does not answer within a minute. Nothing is left behind.
    pub fn start(folder: &Path) -> Result<Self, ServerError> {
        Self::start_with(folder, "")
    }

    /// The same with more settings, as in `rabbitmq.conf`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); and when it refuses the settings.
    pub fn start_with(folder: &Path, settings: &str) -> Result<Self, ServerError> {
        let (Some(program), Some(names_program)) = (program(), names_program()) else {
            return Err(ServerError::NotInstalled {
                server: "RabbitMQ",
                install: "`cargo xtask services` installs it where it may, and says how where it \
                          may not; elsewhere, put the folders with `rabbitmq-server` and `epmd` on \
                          PATH",
            });
        };
        let (names, names_port) = start_names(folder, &names_program)?;
        let server = Server::new("RabbitMQ", folder, &USERS, "TERM")?;
        let (settings, password) = (settings.to_owned(), password::fresh()?);
        let mut rabbit =
            Self { server, names, program, settings, port: 0, nodes: 0, names_port, password };
        let mut tries = 0;
        loop {
            let free = || port::free().map_err(ServerError::io("find a free port"));
            (rabbit.port, rabbit.nodes) = (free()?, free()?);
            tries += 1;
            match rabbit.run() {
                Err(ServerError::Ended { log, .. }) if tries < PORTS && port_was_taken(&log) => {}
                outcome => return outcome.map(|()| rabbit),
            }
        }
    }

    /// Whether its programs are on this machine.
    #[must_use]
    pub fn is_installed() -> bool {
        program().is_some() && names_program().is_some()
    }

    /// `amqp://tests:<password>@127.0.0.1:<port>`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_on(self.port)
    }

    /// The same on another port of 127.0.0.1, that of a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_on(&self, port: u16) -> String {
        format!("amqp://{USER}:{}@127.0.0.1:{port}", self.password)
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
        self.server.home().path().join(LOG)
    }

    /// `kill -9` of the server.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.server.kill()
    }

    /// Starts it after `kill`, or after it ended by itself, on the same port and with the same data, and waits until
    /// it answers.
    ///
    /// # Errors
    ///
    /// It runs, another process has taken the port, or it does not answer within a minute.
    pub fn start_again(&mut self) -> Result<(), ServerError> {
        self.server.must_not_run()?;
        self.run()
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

    /// Has it believe that it is short of memory, so that it takes no messages until it is told that it is not.
    ///
    /// # Errors
    ///
    /// It does not run, or its program `rabbitmqctl` is not beside that of the server.
    pub fn be_short_of_memory(&self, is_short: bool) -> Result<(), ServerError> {
        let folder = self.server.home().path();
        let share = if is_short { "0" } else { "0.4" };
        let mut args = self.variables();
        args.push(self.program.with_file_name("rabbitmqctl").display().to_string());
        args.extend(["set_vm_memory_high_watermark", share].map(str::to_owned));
        self.server.complete(&Start { file: "env".as_ref(), args: &args, folder, bound: START })
    }

    /// By which its programs know it and each other, as `env` takes it.
    fn variables(&self) -> Vec<String> {
        let variables = [
            ("HOME", self.server.home().path().display().to_string()),
            ("ERL_EPMD_PORT", self.names_port.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("RABBITMQ_NODENAME", format!("tests-{}@localhost", self.nodes)),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            ("ERL_CRASH_DUMP", "/dev/null".to_owned()),
        ];
        variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// Starts the server and waits until it answers.
    fn run(&mut self) -> Result<(), ServerError> {
        let home = self.server.home();
        let folder = home.path().to_owned();
        let inside = |name: &str| folder.join(name).display().to_string();
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             default_user = {USER}\n\
             default_pass = {password}\n\
             log.file.level = warning\n\
             {own}\n",
            port = self.port,
            password = self.password,
            own = self.settings,
        );
        home.write("rabbitmq.conf".as_ref(), settings.as_bytes())?;
        home.write("plugins".as_ref(), b"[].\n")?;
        let variables = [
            ("RABBITMQ_DIST_PORT", self.nodes.to_string()),
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
            ),
            ("RABBITMQ_MNESIA_BASE", inside("data")),
            ("RABBITMQ_LOG_BASE", folder.display().to_string()),
            ("RABBITMQ_LOGS", inside(LOG)),
            ("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", inside("none.config")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", inside("generated")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", inside("plugins")),
            ("RABBITMQ_PID_FILE", inside("pid")),
            // It becomes the server itself, and stays no shell that waits for it.
            ("RUNNING_UNDER_SYSTEMD", "1".to_owned()),
        ];
        let mut args = self.variables();
        args.extend(variables.into_iter().map(|(name, value)| format!("{name}={value}")));
        args.push(self.program.display().to_string());
        // Behind it, the name of the machine.
        let (port, node) = (self.port, format!("tests-{}@", self.nodes));
        let start = Start { file: "env".as_ref(), args: &args, folder: &folder, bound: START };
        self.server.start(&start, |_| answers(port, &node).unwrap_or(false))
    }
}

impl fmt::Debug for Rabbit {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Rabbit");
        debug.field("port", &self.port).field("pid", &self.pid());
        debug.field("names", &self.names).finish_non_exhaustive()
    }
}

/// Starts the server of names, which knows nodes of Erlang on this machine and where they listen.
fn start_names(folder: &Path, program: &Path) -> Result<(Server, u16), ServerError> {
    let mut names = Server::new("epmd", folder, &USERS, "TERM")?;
    let mut tries = 0;
    loop {
        let port = port::free().map_err(ServerError::io("find a free port"))?;
        let args = ["-port", &port.to_string(), "-address", "127.0.0.1"].map(str::to_owned);
        let folder = names.home().path().to_owned();
        let start = Start { file: program, args: &args, folder: &folder, bound: START };
        tries += 1;
        match names.start(&start, |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()) {
            Err(ServerError::Ended { .. }) if tries < PORTS => {}
            outcome => return outcome.map(|()| (names, port)),
        }
    }
}

fn program() -> Option<PathBuf> {
    installed::one_of("rabbitmq-server", &["/usr/lib/rabbitmq/bin".as_ref()])
}

fn names_program() -> Option<PathBuf> {
    installed::one("epmd", "/usr/bin".as_ref())
}

fn port_was_taken(log: &str) -> bool {
    log.contains("eaddrinuse")
}

/// Whether the server on a port is that node: it says so before anybody signs in.
fn answers(port: u16, node: &str) -> io::Result<bool> {
    let bound = Duration::from_secs(2);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut connection = TcpStream::connect_timeout(&address, bound)?;
    connection.set_read_timeout(Some(bound))?;
    connection.write_all(b"AMQP\0\0\x09\x01")?;
    // A frame: its type, channel and length, its payload, and an end. The payload names the cluster, which is called
    // as its first node.
    let mut head = [0; 7];
    connection.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let mut payload = vec![0; usize::try_from(length).unwrap_or_default().min(1 << 16)];
    connection.read_exact(&mut payload)?;
    Ok(payload.windows(node.len()).any(|part| part == node.as_bytes()))
}
