//! A resource that is asked for without `Res`.

use cqrs_derive::{Command, Rejection, command_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

#[derive(Clone)]
struct Clock;

#[command_handler]
async fn ping(_: Ping, _clock: Clock) -> Result<(), No> {
    Ok(())
}

fn main() {}
