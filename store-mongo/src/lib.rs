//! The MongoDB store: any number of nodes, one log.
//!
//! A [`Store`](cqrs_core::Store) in a replica set. It keeps all parts of a [`Commit`](cqrs_core::Commit) in plain
//! collections of one database.
//!
//! # Smallest program
//!
//! ```no_run
//! use cqrs_core::{Commit, Committed, Store};
//! use store_mongo::MongoStore;
//!
//! # async fn run() -> cqrs_core::Result<()> {
//! let store = MongoStore::connect("mongodb://localhost/shop?replicaSet=rs0").await?;
//! assert_eq!(store.commit(Commit::default()).await?, Committed::Now { position: 0 });
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! See [`MongoStore`] for one with events, and [`MongoBuilder`] for the settings.
//!
//! There are no feature flags.

mod alone;
mod config;
mod connect;
mod deaths;
mod declare;
mod entities;
mod error;
mod filter;
mod hint;
mod key;
mod leases;
mod migrate;
mod names;
mod orphans;
mod port;
mod read;
mod row;
mod seen;
mod sink;
mod store;
mod within;
mod writer;

/// The values of the driver.
pub use bson;
pub use config::MongoBuilder;
/// The driver.
pub use mongodb;
pub use sink::{MongoProjection, MongoSink};
pub use store::MongoStore;
