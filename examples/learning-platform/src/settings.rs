//! How the service is started: flags, each with a twin in the environment.

use std::fmt;

use clap::{Parser, ValueEnum};

/// Courses and enrolments as commands, queries and events, over HTTP.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Settings {
    /// Where everything is kept: `sqlite:PATH` or `memory:`.
    #[arg(long, env = "STORE_URL", default_value = "sqlite:learning-platform.db")]
    pub store: String,
    /// What carries messages to other services: `memory:`.
    #[arg(long, env = "BUS_URL", default_value = "memory:")]
    pub bus: String,
    /// Which part of the platform this process is.
    #[arg(long, env = "ROLE", default_value = "all")]
    pub role: Role,
    /// Address and port to listen on; port 0 picks one.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Milliseconds that a request may take; it is answered 504 then.
    #[arg(long, env = "TIMEOUT_MS", default_value_t = 10_000)]
    pub timeout_ms: u64,
    /// Requests that are handled at once; more are answered 429.
    #[arg(long, env = "AT_ONCE", default_value_t = 512)]
    pub at_once: usize,
    /// How the log on stderr looks. `RUST_LOG` says what is in it: `warn`, `info,cqrs_core=debug`.
    #[arg(long, env = "LOG", default_value = "text")]
    pub log: LogFormat,
}

/// Which part of the platform a process is: it answers to the requests of that part and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// All of it.
    All,
    /// Courses and enrolments.
    Learning,
    /// Charges and refunds.
    Payments,
}

impl Role {
    /// Whether the process answers for courses and enrolments.
    pub fn is_learning(self) -> bool {
        matches!(self, Self::All | Self::Learning)
    }

    /// Whether the process answers for charges and refunds.
    pub fn is_payments(self) -> bool {
        matches!(self, Self::All | Self::Payments)
    }
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The bus that a URL names: there is one so far, in the process.
///
/// # Errors
/// When the URL names another.
pub fn check_bus(url: &str) -> Result<(), NoSuchBus> {
    if url == "memory:" {
        return Ok(());
    }
    // Not the URL: it may hold a password.
    Err(NoSuchBus(url.chars().take_while(|c| *c != ':').take(20).collect()))
}

/// There is no such bus.
#[derive(Debug)]
pub struct NoSuchBus(String);

impl fmt::Display for NoSuchBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no bus of the kind {:?}: `memory:` is the only one so far", self.0)
    }
}

impl std::error::Error for NoSuchBus {}
