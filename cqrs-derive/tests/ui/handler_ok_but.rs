use cqrs_core::{Failure, Never, Res, Work};
use cqrs_derive::{Command, Rejection, command_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

struct NotARequest;
#[command_handler]
async fn other(_: NotARequest) -> Result<(), No> { Ok(()) }

#[command_handler]
async fn output(_: Ping) -> Result<String, Failure<No>> { Ok(String::new()) }

#[command_handler]
async fn unit(_: Ping) -> () { }

#[command_handler]
async fn both(_: Ping, x: std::rc::Rc<u8>) -> Result<String, String> { Ok(String::new()) }

fn main() {}
