//! The PostgreSQL store: any number of nodes, one log.
//!
//! A [`Store`](cqrs_core::Store) for services of several processes, on several machines. It keeps all
//! parts of a [`Commit`](cqrs_core::Commit) in plain tables of one schema: events, documents, snapshots,
//! inbox and checkpoints; messages to send, timers, what is set aside, leases.
//!
//! # Smallest program
//!
//! ```no_run
//! use cqrs_core::{Commit, Committed, Store};
//! use store_postgres::PostgresStore;
//!
//! # async fn run() -> cqrs_core::Result<()> {
//! let store = PostgresStore::connect("postgres://shop:secret@localhost/shop").await?;
//! assert_eq!(store.commit(Commit::default()).await?, Committed::Now { position: 0 });
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! See [`PostgresStore`] for one with events, and [`PostgresBuilder`] for the settings.
//!
//! # How the parts fit
//!
//! One connection writes. Whatever commits of this process arrived while the last group was on its way
//! go together, as one statement, each with a verdict of its own; nothing waits to fill a group. Half of
//! those who commit at once are on their way while the others are answered. A second connection loads streams in
//! the same way. So a command on an aggregate that is loaded by replay takes two round trips, and one on a
//! cached aggregate one, however many commands there are at once. The pages of the log, documents and all
//! the rest are read with a few more connections; so is a stream, or a commit written, when nobody else
//! is about. A [pool](PostgresStore::pool) of others is for statements of yours.
//!
//! The statement that writes takes a lock of the transaction before it gives out positions, so commits
//! are seen in the order of their positions, by every reader, however slow some writer is. A process that
//! is stopped or dies in the middle holds up nobody: what it began is the server's to end.
//!
//! Leases name a connection that their holder keeps: the server knows of its death at once, and gives them
//! to others. Behind a pooler only their terms tell, and so they do of a machine that vanished.
//!
//! A commit can be part of a transaction of yours: [`PostgresStore::commit_in`]. It gets its positions
//! when that is committed, so others do not wait for you. A [`PostgresProjection`] puts events into
//! tables of yours, each exactly once.
//!
//! Entities with a [schema](cqrs_core::Schema) are rows of tables of their own in the same schema, with columns,
//! indexes and unique constraints; lists and structs are `jsonb`, and what may be any JSON is `json`, which keeps
//! it as it is. `_tenant` and `_version` are the store's. A higher version of the schema changes the table when it
//! is declared; what would lose something, or does not fit what is stored, is refused with the statement that it
//! would need. [`PostgresStore::table`] is its name, for queries of yours. Entities are written through the store;
//! a unique value that somebody else writes is not known to it until the entity is saved again.
//!
//! # What it promises
//!
//! - An acknowledged commit survives a crash of the server: where `synchronous_commit` is `off`, it is
//!   switched on for the commits of the store. With asynchronous replicas, a failover may lose the last
//!   ones, as for everything else in the database.
//! - Positions are given in the order of commits and never twice, also when rows were deleted, and after
//!   the restore of an older state or the promotion of a standby: the log goes on far behind all positions
//!   it had.
//! - A commit whose connection is lost is sent again under its id, for as long as
//!   [`patience`](PostgresBuilder::patience) says; then it is
//!   [`OutcomeUnknown`](cqrs_core::ErrorKind::OutcomeUnknown).
//! - What is written can be read with `psql`:
//!   `SELECT position, stream, version, type, recorded_at, data FROM cqrs.events`.
//! - Passwords are in no error, log or `Debug`.
//!
//! # Looking with `psql`
//!
//! The tables are those of [`migrations`], and meant to be read. To change them is the store's.
//!
//! ```sql
//! -- A stream, and an order of it all.
//! SELECT version, type, recorded_at, data FROM cqrs.events WHERE stream = '17' ORDER BY version;
//! SELECT position, category, stream, type FROM cqrs.events ORDER BY position DESC LIMIT 20;
//! -- How far each subscription is behind.
//! SELECT subscription, partition, position, (SELECT max(position) FROM cqrs.events) - position AS behind
//! FROM cqrs.checkpoints ORDER BY behind DESC;
//! -- What is set aside, and why.
//! SELECT subscription, position, key, state, attempts, due, cause FROM cqrs.parked ORDER BY since;
//! -- What is still to be sent, and since when.
//! SELECT kind, name, count(*), min(recorded_at) FROM cqrs.outgoing GROUP BY kind, name;
//! -- Who runs what, and for how long that is his.
//! SELECT name, holder, until - now() AS remains FROM cqrs.leases WHERE holder <> '' ORDER BY name;
//! ```
//!
//! # Connections
//!
//! The URL is libpq's, with `schema` beside its words: `postgres://shop@db/shop?schema=orders`. To another
//! machine a connection is protected by TLS, checked against the system's certificates, unless the URL
//! says `sslmode=disable`: a server that offers none is not talked to. On the same machine it is only
//! protected with `sslmode=require`. The store's own connections keep prepared statements and a few
//! settings. Behind a pooler that gives out connections by the transaction, say so, and they keep nothing:
//! [`PostgresBuilder::behind_pooler`].
//!
//! The tables are made when a store is connected, by one node at a time (they are at version 5). A program
//! with older tables refuses newer ones: [`SchemaTooNew`](cqrs_core::ErrorKind::SchemaTooNew). Those who
//! run the SQL themselves print it with [`migrations`] and connect with
//! [`migrate(false)`](PostgresBuilder::migrate).
//!
//! # What can go wrong
//!
//! - All processes of one schema write in turns. One that waits longer than the
//!   [`lock_timeout`](PostgresBuilder::lock_timeout) is
//!   [`Unavailable`](cqrs_core::ErrorKind::Unavailable), and nothing was written.
//! - `SET CONSTRAINTS ALL IMMEDIATE` in a transaction with [`commit_in`](PostgresStore::commit_in) makes
//!   all others wait for its end.
//! - [`Guard::NoneMatching`](cqrs_core::Guard) is checked by an index where it names streams, types,
//!   categories or tags, and by a look through the log behind its position where it does not.
//! - Declaring a collection anew indexes all of its documents, and nobody writes meanwhile.
//! - Messages in the inbox, and commit ids, are forgotten after a time: see
//!   [`keep_inbox`](PostgresBuilder::keep_inbox) and
//!   [`keep_commit_ids`](PostgresBuilder::keep_commit_ids).
//! - A position that only the lost part of a restored log had is
//!   [`BeyondHead`](cqrs_core::ErrorKind::BeyondHead) until the log grows again; from then on it is read
//!   on from there, and nothing new is missed. Rebuild what was derived of lost events elsewhere, and
//!   restore whole dumps: one of the data alone is not noticed, and gives positions twice.
//! - A commit that was sent again because its connection was lost is
//!   [`Now`](cqrs_core::Committed::Now) also when somebody else had applied it before.
//! - The table of events is one table. Its ids, and the versions of a stream, are unique in the whole log,
//!   which no partitioned table of PostgreSQL can say unless its key is in both. Commands are as fast with
//!   5,000,000 events as with 10,000; the repository's `ARCHITECTURE.md` has the figures.
//!
//! There are no feature flags.

mod config;
mod connect;
mod error;
mod hint;
mod migrate;
mod port;
mod read;
mod row;
mod sink;
mod statements;
mod store;
mod sweep;
mod table;
mod within;
mod writer;

pub use config::PostgresBuilder;
/// The pool, in the version that [`PostgresStore::pool`] gives out.
pub use deadpool_postgres;
pub use migrate::migrations;
pub use sink::{PostgresProjection, PostgresSink};
pub use store::PostgresStore;
/// The driver.
pub use tokio_postgres;
pub use within::OfPostgres;
