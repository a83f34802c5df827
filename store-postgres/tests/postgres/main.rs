//! What is PostgreSQL's own: processes and servers that die, connections that break, transactions,
//! plans, dumps. What every store promises is in the store suite.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod appending;
#[path = "../common/mod.rs"]
mod common;
mod cuts;
mod deaths;
mod entities;
mod isolation;
mod kills;
mod limits;
mod load;
mod migrations;
mod plans;
mod pooler;
mod race;
mod restore;
mod short;
mod sink;
mod tls;
mod within;
