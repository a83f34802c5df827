//! Private servers for tests: started on free ports under a folder, stopped when dropped.
//!
//! ```no_run
//! use test_servers::Postgres;
//!
//! let server = Postgres::start("target/servers".as_ref())?;
//! println!("{}", server.url()); // postgres://postgres:…@127.0.0.1:…/postgres
//! # Ok::<(), test_servers::ServerError>(())
//! ```
//!
//! # What it promises
//!
//! - A server listens on 127.0.0.1 alone, on a port that was free, and has a password of its own.
//!   It writes to its disk as a real one does.
//! - Its data is a folder of its own in the one that is named, and goes with it. As root, the
//!   server and its data belong to another user, for servers refuse to run as root; when that user
//!   cannot reach the folder, the data is under the system's folder for temporary files.
//! - It ends with the process that started it, also when that is killed: a small shell script
//!   waits for this, ends the server and removes the data.
//! - No process is ever signalled but those that were started here.
//!
//! # What can go wrong
//!
//! [`ServerError`] says what to install, or has the end of the server's log. Calls wait, each with
//! a bound; in an async test, they hold up the thread.
//!
//! It is for Unix. Pausing a server needs `/proc`, which is Linux.

mod error;
mod guard;
mod home;
mod installed;
mod mongo;
mod nats;
mod op_msg;
mod password;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod proxy;
mod rabbit;
mod server;
mod test_process;

pub use error::ServerError;
pub use mongo::{Mongo, Standalone};
pub use nats::Nats;
pub use pgbouncer::PgBouncer;
pub use postgres::{Postgres, PostgresBuilder};
pub use proxy::Proxy;
pub use rabbit::Rabbit;
pub use test_process::TestProcess;
