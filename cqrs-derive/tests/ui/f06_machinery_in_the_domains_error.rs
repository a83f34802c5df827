//! `?` on the machinery, where only the domain's error is returned.

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
async fn ping(_: Ping) -> Result<(), No> {
    read()?;
    Ok(())
}

fn read() -> cqrs_core::Result<()> {
    Ok(())
}

fn main() {}
