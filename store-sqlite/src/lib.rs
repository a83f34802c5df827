//! The SQLite store: one file, no server.

mod collection;
mod config;
mod error;
mod migrate;
mod open;
mod read;
mod row;
mod statements;
mod store;
mod writer;

pub use config::{SqliteBuilder, Synchronous};
pub use store::SqliteStore;
