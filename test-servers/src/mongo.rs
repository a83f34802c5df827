//! MongoDB, as a replica set.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bson::{Document, doc};

use crate::error::ServerError;
use crate::installed;
use crate::op_msg::{command, is_done};
use crate::password;
use crate::port;
use crate::process::until;
use crate::server::{Server, Start};

/// How long a start may take, and the election of a primary.
const START: Duration = Duration::from_secs(60);
/// How many ports are tried when another process takes the free one first.
const PORTS: usize = 5;
/// The user that clients are.
const USER: &str = "tests";
/// Where `cargo xtask services` puts the program, in the folder for what is built.
const INSTALLED: &str = "mongodb/fiftyone/db/bin";
/// What becomes the server, in a shell: it may have as many files open as the machine lets it.
const WITH_FILES: &str = r#"ulimit -S -n "$(ulimit -H -n)" 2>/dev/null; exec "$@""#;
/// What each member is started with: small, and with what tests of failures need. Hundreds of databases, one for each
/// test, have a dozen collections with their indexes each, and each of these is a file: it is closed soon.
const SETTINGS: [&str; 16] = [
    "--logappend",
    "--bind_ip",
    "127.0.0.1",
    "--nounixsocket",
    "--oplogSize",
    "64",
    "--wiredTigerCacheSizeGB",
    "0.25",
    "--wiredTigerEngineConfigString",
    "file_manager=(close_idle_time=3,close_scan_interval=1,close_handle_minimum=250)",
    "--setParameter",
    "enableTestCommands=1",
    "--setParameter",
    "diagnosticDataCollectionEnabled=false",
    "--setParameter",
    "transactionLifetimeLimitSeconds=60",
];

/// A replica set of MongoDB servers with one user, `tests`, who may do everything, and the commands for tests, such
/// as `failCommand`.
///
/// `mongod` on `PATH`, or what `cargo xtask services` has put beside a folder above that of the data. As root, it runs
/// as the user `mongodb` or, without that one, `nobody`.
///
/// Dropped, its members are killed, and their data is removed.
///
/// ```no_run
/// use test_servers::Mongo;
///
/// let mut servers = Mongo::start_members("target/servers".as_ref(), 3)?;
/// let primary = servers.primary()?;
/// servers.kill(primary)?;
/// // … one of the others is the primary after some seconds …
/// servers.start_again(primary)?;
/// # Ok::<(), test_servers::ServerError>(())
/// ```
pub struct Mongo {
    members: Vec<Member>,
    name: String,
    password: String,
}

struct Member {
    server: Server,
    program: PathBuf,
    args: Vec<String>,
    port: u16,
}

impl Mongo {
    /// Starts a set of one member in a new folder within that one, and waits until it takes writes.
    ///
    /// # Errors
    ///
    /// It is not installed, cannot be run by this user, or is no primary within a minute. Nothing is left behind.
    pub fn start(folder: &Path) -> Result<Self, ServerError> {
        Self::start_members(folder, 1)
    }

    /// Starts a set of so many members, each with a folder of its own within that one.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_members(folder: &Path, members: usize) -> Result<Self, ServerError> {
        Self::start_set(folder, members, None)
    }

    /// Starts a set of one member that takes connections with TLS and without. `pem`: its certificate and the key to it.
    /// `setParameter` with `tlsMode` makes it `preferTLS`, and then `requireTLS`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with_certificate(folder: &Path, pem: &str) -> Result<Self, ServerError> {
        Self::start_set(folder, 1, Some(pem))
    }

    fn start_set(folder: &Path, members: usize, pem: Option<&str>) -> Result<Self, ServerError> {
        // The same for all members, and for no other set; so is the key by which they know each other.
        let (name, key) = (format!("set-{}", password::fresh()?), password::fresh()?);
        let start = |_| Member::start(folder, &["--replSet", &name], Some(&key), pem);
        let members = (0..members.max(1)).map(start).collect::<Result<Vec<_>, _>>()?;
        let set = Self { members, name, password: password::fresh()? };
        set.initiate()?;
        Ok(set)
    }

    /// Starts a server that is no member of a set, without users.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_standalone(folder: &Path) -> Result<Standalone, ServerError> {
        Member::start(folder, &[], None, None).map(Standalone)
    }

    /// Whether its program is on `PATH`, or was put in this folder or one above it.
    #[must_use]
    pub fn is_installed(folder: &Path) -> bool {
        program(folder).is_some()
    }

    /// `mongodb://tests:<password>@127.0.0.1:<port>,…/?replicaSet=<name>`
    #[must_use]
    pub fn url(&self) -> String {
        let members = self.members.iter().map(|member| format!("127.0.0.1:{}", member.port));
        let members = members.collect::<Vec<_>>().join(",");
        format!("mongodb://{USER}:{}@{members}/?replicaSet={}", self.password, self.name)
    }

    /// One member, and no other that it knows, over a port of 127.0.0.1: its own, or that of a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_on(&self, port: u16) -> String {
        format!("mongodb://{USER}:{}@127.0.0.1:{port}/?directConnection=true", self.password)
    }

    /// How many members it has. They are numbered from 0.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// The port of a member on 127.0.0.1. It stays the same when the member is started again.
    #[must_use]
    pub fn port(&self, member: usize) -> u16 {
        self.members[member].port
    }

    /// The process id of a member. None: it does not run.
    #[must_use]
    pub fn pid(&self, member: usize) -> Option<u32> {
        self.members[member].server.pid()
    }

    /// The file with the messages of a member, as long as the set is not dropped.
    #[must_use]
    pub fn log(&self, member: usize) -> PathBuf {
        self.members[member].server.log()
    }

    /// Waits until a member takes writes.
    ///
    /// # Errors
    ///
    /// None does within a minute.
    pub fn primary(&self) -> Result<usize, ServerError> {
        let mut primary = None;
        let is_writable = |member: &Member| {
            let hello = hello(member.port);
            hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
        };
        until(START, || {
            primary = self.members.iter().position(is_writable);
            primary.is_some()
        });
        primary.ok_or_else(|| self.members[0].too_slow("the election of a primary"))
    }

    /// `kill -9` of a member.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn kill(&mut self, member: usize) -> Result<(), ServerError> {
        self.members[member].server.kill()
    }

    /// Starts a member after `kill`, or after it ended by itself, on the same port and with the same data, and waits
    /// until it answers: it may not be the primary, or not have caught up.
    ///
    /// # Errors
    ///
    /// It runs, another process has taken the port, or it does not answer within a minute.
    pub fn start_again(&mut self, member: usize) -> Result<(), ServerError> {
        self.members[member].server.must_not_run()?;
        self.members[member].run()
    }

    /// Stops a member in the middle of what it does: connections stay open and nothing answers.
    ///
    /// # Errors
    ///
    /// It does not run, or this is not Linux.
    pub fn pause(&mut self, member: usize) -> Result<(), ServerError> {
        self.members[member].server.pause()
    }

    /// Lets a member go on after `pause`.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn go_on(&mut self, member: usize) -> Result<(), ServerError> {
        self.members[member].server.go_on()
    }

    /// Makes the members a set, and the user.
    fn initiate(&self) -> Result<(), ServerError> {
        let first = &self.members[0];
        let hosts = self.members.iter().enumerate().map(|(n, member)| {
            // The first one is the primary at the beginning: nobody waits for an election.
            let priority = if n == 0 { 2.0 } else { 1.0 };
            doc! { "_id": n as i32, "host": format!("127.0.0.1:{}", member.port), "priority": priority }
        });
        let set = doc! {
            "_id": &self.name,
            "version": 1,
            "members": hosts.collect::<Vec<_>>(),
            // How soon a dead primary is noticed.
            "settings": { "electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500 },
        };
        first.ask(&doc! { "replSetInitiate": set, "$db": "admin" })?;
        self.primary()?;
        // Whoever comes from this machine may make the first user.
        first.ask(&doc! {
            "createUser": USER,
            "pwd": &self.password,
            "roles": ["root"],
            "writeConcern": { "w": "majority" },
            "$db": "admin",
        })
    }
}

/// A MongoDB server that is no member of a replica set. Dropped, it is killed, and its data is removed.
pub struct Standalone(Member);

impl Standalone {
    /// `mongodb://127.0.0.1:<port>/`
    #[must_use]
    pub fn url(&self) -> String {
        format!("mongodb://127.0.0.1:{}/", self.0.port)
    }
}

impl Member {
    /// Starts a server. Those with one key trust each other, and nobody else without a password. With a certificate it
    /// takes connections with TLS as well.
    fn start(
        folder: &Path,
        settings: &[&str],
        key: Option<&str>,
        pem: Option<&str>,
    ) -> Result<Self, ServerError> {
        let program = program(folder).ok_or(ServerError::NotInstalled {
            server: "MongoDB",
            install: "`cargo xtask services` gets it; elsewhere, put the folder with `mongod` on PATH",
        })?;
        let server = Server::new("MongoDB", folder, &["mongodb", "nobody"], "KILL")?;
        // It writes to the file itself.
        server.home().write(&server.log(), b"")?;
        let mut args: Vec<String> =
            SETTINGS.iter().chain(settings).map(|&text| text.to_owned()).collect();
        if let Some(key) = key {
            let key = server.home().write("key".as_ref(), key.as_bytes())?;
            args.extend(["--keyFile".to_owned(), key.display().to_string()]);
        }
        if let Some(pem) = pem {
            let pem = server.home().write("certificate.pem".as_ref(), pem.as_bytes())?;
            let pem = pem.display().to_string();
            args.extend(
                ["--tlsMode", "allowTLS", "--tlsCertificateKeyFile", &pem].map(str::to_owned),
            );
            // Clients have no certificates.
            args.push("--tlsAllowConnectionsWithoutCertificates".to_owned());
            args.extend(["--tlsCAFile".to_owned(), pem]);
        }
        let mut member = Self { server, program, args, port: 0 };
        let mut tries = 0;
        loop {
            member.port = port::free().map_err(ServerError::io("find a free port"))?;
            tries += 1;
            match member.run() {
                Err(ServerError::Ended { log, .. }) if tries < PORTS && port_was_taken(&log) => {}
                outcome => return outcome.map(|()| member),
            }
        }
    }

    /// Starts it and waits until it answers.
    fn run(&mut self) -> Result<(), ServerError> {
        let folder = self.server.home().path().to_owned();
        let (port, log) = (self.port, self.server.log());
        let own = [
            ("--dbpath", folder.display().to_string()),
            ("--logpath", log.display().to_string()),
            ("--port", port.to_string()),
        ];
        let own = own.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        let shell = ["-c", WITH_FILES, "sh"].map(str::to_owned);
        let program = shell.into_iter().chain([self.program.display().to_string()]);
        let args: Vec<String> = program.chain(own).chain(self.args.iter().cloned()).collect();
        let starts = starts(&log);
        let start = Start { file: "sh".as_ref(), args: &args, folder: &folder, bound: START };
        // Another process may have the port.
        self.server.start(&start, |_| self::starts(&log) > starts && hello(port).is_ok())
    }

    /// Asks until it is done.
    fn ask(&self, what: &Document) -> Result<(), ServerError> {
        let begun = Instant::now();
        loop {
            let refused = match command(self.port, what) {
                Ok(answer) if is_done(&answer) => return Ok(()),
                Ok(answer) => answer.get_str("errmsg").unwrap_or("no").to_owned(),
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > START {
                let name = what.keys().next().map_or("", |name| name.as_str());
                return Err(self.too_slow(&format!("`{name}` ({refused})")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn too_slow(&self, what: &str) -> ServerError {
        self.server.too_slow(format!("{what} of MongoDB"), START, 0)
    }
}

fn program(folder: &Path) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = folder.ancestors().map(|above| above.join(INSTALLED)).collect();
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    installed::one_of("mongod", &folders)
}

fn port_was_taken(log: &str) -> bool {
    log.contains("Address already in use")
}

/// How often it has begun to listen, as its log says.
fn starts(log: &Path) -> usize {
    let log = fs::read_to_string(log).unwrap_or_default();
    log.matches("Waiting for connections").count()
}

/// What a server says of itself to anybody.
fn hello(port: u16) -> io::Result<Document> {
    command(port, &doc! { "hello": 1, "$db": "admin" })
}

impl fmt::Debug for Mongo {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mongo")
            .field("name", &self.name)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Member");
        debug.field("port", &self.port).field("server", &self.server).finish_non_exhaustive()
    }
}

impl fmt::Debug for Standalone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Standalone").field(&self.0).finish()
    }
}
