//! What is SQLite's own: files, locks, processes, crashes, plain SQL. What every store promises is
//! in the store suite.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod aggregates;
#[cfg(target_os = "linux")]
mod backlog;
mod commits;
mod common;
mod crash;
mod entities;
mod leases;
#[cfg(target_os = "linux")]
mod nodes;
mod opening;
mod parked;
mod reading;
mod retention;
mod sharing;
mod sink;
mod snapshots;
#[cfg(target_os = "linux")]
mod takeover;
#[cfg(target_os = "linux")]
mod takeover_kills;
mod waiting;
