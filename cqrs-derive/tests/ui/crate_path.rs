//! Paths to `cqrs-core` that are none.

use cqrs_core::Never;
use cqrs_derive::{Command, EventSet, Query, Rejection, command_handler, query_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.text", crate = "cqrs_core")]
struct Text;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.generic", crate = cqrs_core::Wire<u8>)]
struct Generic;

#[derive(EventSet)]
#[event_set(name = "test.set", crate)]
enum Set {
    One(cqrs_core::check::NoEvent),
}

#[derive(Debug, thiserror::Error, Rejection)]
enum No {
    #[error("no")]
    #[rejection(code = "test.no", crate = cqrs_core)]
    Variant,
}

#[derive(Clone, Serialize, Deserialize, Query)]
#[query(name = "test.ask", crate = cqrs_core)]
struct Ask;

#[query_handler(crate = cqrs_core, crate = cqrs_core)]
async fn ask(_: Ask) -> Result<(), Never> {
    Ok(())
}

// What is wrong with a type is said as without a path.
#[command_handler(crate = cqrs_core)]
async fn tell(_: Ask, _: String) -> Result<(), Never> {
    Ok(())
}

#[derive(Command)]
#[command(name = "test.not_serde", run_once, crate = cqrs_core)]
struct NotSerde;

fn main() {}
