//! The PostgreSQL store: many nodes, one log.
//!
//! A [`Store`](cqrs_core::Store) for services of several processes on several machines.

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
