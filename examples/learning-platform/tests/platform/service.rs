//! The service as a process of its own, on a file of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::client::Client;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);
/// The twins of flags that a test does not set.
const TWINS: [&str; 9] = [
    "BUS_URL",
    "ROLE",
    "TIMEOUT_MS",
    "AT_ONCE",
    "PAYMENT_TIMEOUT",
    "PAYMENT_DELAY",
    "ADMIN_TOKEN",
    "LOG",
    "RUST_LOG",
];

/// A folder with the file of a service and what it logs. It outlives the process.
pub(crate) struct Folder {
    folder: TempDir,
    store: String,
}

/// A service that runs. Dropping it kills it.
pub(crate) struct Service {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
}

impl Folder {
    pub(crate) fn new() -> Self {
        // On the disk that the build is on: a kill -9 is about what is on a disk.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = format!("sqlite:{}", folder.path().join("platform.db").display());
        Self { folder, store }
    }

    /// The same for services with another store.
    pub(crate) fn with_store(url: &str) -> Self {
        Self { store: url.to_owned(), ..Self::new() }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("platform.db")
    }

    /// What the service has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Where a service logs to.
    pub(crate) fn log_file(&self) -> File {
        File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_learning-platform"));
        for name in TWINS {
            command.env_remove(name);
        }
        command
            // What panicked and where is told without it, in two lines.
            .env("RUST_BACKTRACE", "0")
            .env("STORE_URL", &self.store)
            .env("LISTEN", "127.0.0.1:0")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(self.log_file());
        command
    }

    /// A service on the folder's file, with these arguments after the usual ones.
    pub(crate) fn service(&self, arguments: &[&str]) -> Service {
        self.started(self.command(arguments))
    }

    pub(crate) fn started(&self, mut command: Command) -> Service {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| {
            let _ = child.kill();
            panic!("{}\nit does not listen: {line:?}, {:?}", self.log(), child.wait())
        });
        let address = address.parse().unwrap();
        Service { child, stdout, address, client: Client::of(address) }
    }
}

impl Service {
    /// The next line of its output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sends a signal by its name, as `kill` knows it.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(status.success());
    }

    /// Ends it as a power failure would end the process.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends SIGTERM and waits for the end in order.
    pub(crate) async fn stop(mut self) {
        self.signal("TERM");
        assert!(self.ended().await.success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A service on a file of its own, with the folder that it lies in.
pub(crate) fn fresh() -> (Folder, Service) {
    let folder = Folder::new();
    let service = folder.service(&[]);
    (folder, service)
}

/// The same, where slow students take longer than any test.
pub(crate) fn patient() -> (Folder, Service) {
    let folder = Folder::new();
    let service = folder.service(&["--payment-timeout", "1h", "--payment-delay", "1h"]);
    (folder, service)
}

/// Looks until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn id() -> String {
    Uuid::now_v7().to_string()
}

/// A course that may be created.
pub(crate) fn course(course_id: &str) -> Value {
    json!({
        "course_id": course_id,
        "title": "Rust for everyone",
        "tutor_id": "ada",
        "price_cents": 4900,
        "capacity": 30,
    })
}

/// A course that was created and published.
pub(crate) async fn published(client: &Client) -> String {
    let course_id = id();
    client.command("create_course", &course(&course_id)).await.ok();
    client.command("publish_course", &json!({ "course_id": course_id })).await.ok();
    course_id
}
