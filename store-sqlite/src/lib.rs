//! The SQLite store: one file, no server.
//!
//! A [`Store`](cqrs_core::Store) for services on one machine, and the default to start with. It
//! keeps events, documents, snapshots, inbox and checkpoints in one file that `sqlite3` opens.
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
//! # What it promises
//!
//! - An acknowledged commit survives a crash of the process, and of the machine unless
//!   [`Synchronous::Normal`] was chosen.
//! - Several processes may use one file; each gets its turn. Two services have two files.
//! - Positions are given in the order of commits and never twice, also when rows were deleted.
//! - What is written can be read with plain SQL:
//!   `sqlite3 orders.db 'SELECT position, stream, version, type, id, recorded_at, data FROM events'`.
//!   The views `events`, `commits`, `inbox` and `snapshots` show ids and times as texts; the tables
//!   beneath them are `event_rows`, `commit_rows`, `inbox_rows` and `snapshot_rows`.
//!
//! # What can go wrong
//!
//! - Another process holds the lock for longer than the
//!   [`busy_timeout`](SqliteBuilder::busy_timeout): [`Unavailable`](cqrs_core::ErrorKind::Unavailable),
//!   nothing was written.
//! - The file lies on a network drive: write-ahead logs and locks do not work there. Use a local
//!   disk.
//! - Copying the file of a running service misses what is in its write-ahead log: use
//!   `sqlite3 orders.db '.backup copy.db'`.
//! - Leases, timers, outgoing and parked messages are not offered yet; see
//!   [`Capabilities`](cqrs_core::Capabilities).
//!
//! There are no feature flags.

mod collection;
mod config;
mod error;
mod holders;
mod migrate;
mod open;
mod port;
mod read;
mod row;
mod statements;
mod store;
mod writer;

pub use config::{SqliteBuilder, Synchronous};
pub use store::SqliteStore;
