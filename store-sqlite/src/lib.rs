//! The SQLite store: one file, no server.
//!
//! A [`Store`](cqrs_core::Store) for services on one machine, and the default to start with. It
//! keeps all parts of a [`Commit`](cqrs_core::Commit) in one file that `sqlite3` opens: events,
//! documents, snapshots, inbox and checkpoints; messages to send, timers, what is set aside, leases.
//!
//! # Smallest program
//!
//! ```
//! use cqrs_core::{Commit, Committed, Store};
//! use store_sqlite::SqliteStore;
//!
//! # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
//! let store = SqliteStore::in_memory().await?; // or SqliteStore::open("orders.db")
//! assert_eq!(store.commit(Commit::default()).await?, Committed::Now { position: 0 });
//! store.close().await?;
//! # Ok::<_, cqrs_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! See [`SqliteStore`] for one with events, and [`SqliteBuilder`] for the settings.
//!
//! # How the parts fit
//!
//! One thread writes. Whatever commits are queued when it is free go into one transaction, each
//! with a verdict of its own, and share one wait for the disk; nothing waits to fill a group. A few
//! connections read beside it, each page from a snapshot, one page ahead of its consumer.
//!
//! Any number of processes may run the same app on one file: its partitions are shared by leases, as
//! below. The guide of `cqrs-core` has a page for operators, with the queries that show how it does.
//!
//! A [`SqliteProjection`] puts events into tables of yours in the same file, each exactly once: its
//! statements and the checkpoint are one transaction of the writer.
//!
//! Entities with a [schema](cqrs_core::Schema) are rows of tables of their own, with columns, indexes and unique
//! indexes; lists, structs and any JSON are texts that `json_each` reads, booleans are 0 and 1, times and UUIDs
//! texts, and a whole number beyond 64 bits with a sign is a text of 20 digits. `_tenant` and `_version` are the
//! store's. A higher version of the schema changes the table when it is declared; what would lose something, or
//! does not fit what is stored, is refused with the statement that it would need. Entities are written through the
//! store, and [`SqliteStore::query`] runs queries of yours.
//!
//! # Leases
//!
//! They are rows with a holder, a token and an end, by the clock of the store; a request is one
//! transaction of the writer. On one machine more is known than the time: as long as a holder's
//! process lives, it keeps a lock of the operating system on a small file in `orders.db-holders`. The
//! kernel frees it when the process dies, whatever killed it. Whoever then asks for one of its leases
//! has it at once, [taken over](cqrs_core::Lease::taken_over), without waiting for its end. A process
//! that is stopped or hangs keeps its lock, so that only the end of its term frees a lease.
//!
//! The files are removed when nothing is held any more, and when their holder is found dead. Where
//! there can be none (the folder may not be written, the file system has no locks), a warning is
//! logged, and leases go by their terms alone. So they do in memory, where one process is all there
//! is. Removing the folder by hand does no harm but to make others wait. A holder's name is one
//! process's: a second process that asks under it keeps its leases alive.
//!
//! # What it promises
//!
//! - An acknowledged commit survives a crash of the process, and of the machine unless
//!   [`Synchronous::Normal`] was chosen.
//! - Several processes may use one file; each gets its turn. Two services have two files.
//! - Positions are given in the order of commits and never twice, also when rows were deleted.
//! - What is written can be read with plain SQL:
//!   `sqlite3 orders.db 'SELECT position, stream, version, type, id, recorded_at, data FROM events'`.
//!   The views `events`, `commits`, `inbox`, `snapshots`, `outgoing`, `timers`, `parked` and `leases`
//!   show ids and times as texts; the tables beneath them are `event_rows`, `commit_rows`, and so on.
//! - Events and outgoing messages are counted together: both have positions in the log, and none is
//!   another's.
//!
//! # What can go wrong
//!
//! - Another process holds the lock for longer than the
//!   [`busy_timeout`](SqliteBuilder::busy_timeout): [`Unavailable`](cqrs_core::ErrorKind::Unavailable),
//!   nothing was written.
//! - A process is stopped in the middle of a write, by a debugger or with its whole machine: it keeps
//!   the lock, and nobody writes until it goes on or ends.
//! - The file lies on a network drive: write-ahead logs and locks do not work there. Use a local
//!   disk.
//! - Copying the file of a running service misses what is in its write-ahead log: use
//!   `sqlite3 orders.db '.backup copy.db'`.
//! - A [hint](cqrs_core::Store::hint) tells of commits through this store only: what
//!   another process writes is seen by whoever looks from time to time.
//! - The tables are brought to the newest version when a file is opened (3 at present). A program with older
//!   tables refuses it from then on: [`SchemaTooNew`](cqrs_core::ErrorKind::SchemaTooNew).
//! - A projection that is slow holds up everything that is written: it runs on the thread that writes.
//! - Messages in the inbox, and commit ids, are forgotten after a time: see
//!   [`keep_inbox`](SqliteBuilder::keep_inbox) and
//!   [`keep_commit_ids`](SqliteBuilder::keep_commit_ids).
//!
//! There are no feature flags.

mod collection;
mod config;
mod error;
mod guard;
mod holders;
mod migrate;
mod open;
mod port;
mod query;
mod read;
mod row;
mod sink;
mod statements;
mod store;
mod table;
mod writer;

pub use config::{SqliteBuilder, Synchronous};
/// The driver, in the version whose connection a [`SqliteProjection`] is handed.
pub use rusqlite;
pub use sink::{SqliteProjection, SqliteSink};
pub use store::SqliteStore;
