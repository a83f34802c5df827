//! Types that no handler has.

use std::rc::Rc;

use cqrs_core::{Failure, Never};
use cqrs_derive::{Command, Query, Rejection, command_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

struct Letter;

#[command_handler]
async fn not_a_command(_: Letter) -> Result<(), No> {
    Ok(())
}

#[derive(Clone, Serialize, Deserialize, Query)]
#[query(name = "test.peek")]
struct Peek;

#[command_handler]
async fn query(_: Peek) -> Result<(), Never> {
    Ok(())
}

#[command_handler]
async fn output(_: Ping) -> Result<String, Failure<No>> {
    Ok(String::new())
}

#[command_handler]
async fn not_a_result(_: Ping) -> Option<()> {
    None
}

#[command_handler]
async fn machinery(_: Ping) -> cqrs_core::Result<u8> {
    Ok(1)
}

#[command_handler]
async fn all_at_once(_: Ping, _: Rc<u8>, _: String) -> Result<u8, u8> {
    Ok(1)
}

fn main() {}
