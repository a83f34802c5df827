//! Methods are no handlers.

use cqrs_derive::{Command, Rejection, command_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

struct Service;

impl Service {
    #[command_handler]
    async fn ping(&self, _: Ping) -> Result<(), No> {
        Ok(())
    }
}

fn main() {}
