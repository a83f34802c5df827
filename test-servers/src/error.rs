//! Why a server is not there, with what to do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a server could not be started, stopped or signalled.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The server's programs are not on this machine.
    NotInstalled {
        /// Which server.
        server: &'static str,
        /// What to do.
        install: &'static str,
    },
    /// A server refuses to run as root, and this user can run it neither.
    NoAccount {
        /// Why not.
        why: String,
    },
    /// A program ended that should have gone on, or ended with an error.
    Ended {
        /// Which program, and how it ended.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// It took longer than it may.
    TooSlow {
        /// What was waited for.
        what: String,
        /// For how long.
        bound: Duration,
        /// The end of the server's log.
        log: String,
    },
    /// The server does not run, so it cannot be stopped or paused; or it runs, and cannot be
    /// started.
    NotNow(String),
    /// The machine did not do what it was asked to.
    Io {
        /// What it was asked to do.
        doing: String,
        /// What it said.
        source: io::Error,
    },
}

impl ServerError {
    /// For `map_err`: what was being done when the machine said no.
    pub(crate) fn io(doing: impl fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: doing.to_string(), source }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled { server, install } => {
                write!(f, "{server} is not installed: {install}")
            }
            Self::NoAccount { why } => write!(
                f,
                "a server does not run as root, and no other user can run it: {why}. \
                 Run the tests as another user, or add the user `postgres`"
            ),
            Self::Ended { what, log } => write!(f, "{what}. The end of its log:\n{log}"),
            Self::TooSlow { what, bound, log } => write!(
                f,
                "{what} took more than {} s: the machine is too busy, or the log says why:\n{log}",
                bound.as_secs()
            ),
            Self::NotNow(why) => f.write_str(why),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
