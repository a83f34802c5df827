//! What is of MongoDB alone: members that die, transactions of the dead, answers that are lost.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

#[path = "../common/mod.rs"]
mod common;
mod connecting;
mod entities;
mod faults;
mod groups;
mod hints;
mod kills;
mod limits;
mod long_log;
mod migrations;
mod orphans;
mod own;
mod plans;
mod race;
mod secrets;
mod sharing;
mod short;
mod sink;
mod sink_slow;
mod tls;
mod within;
