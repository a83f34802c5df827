//! A handler that takes the request with its metadata.

use cqrs_core::Envelope;
use cqrs_derive::{Command, Rejection, command_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

#[command_handler]
async fn ping(_: Envelope<Ping>) -> Result<(), No> {
    Ok(())
}

fn main() {}
