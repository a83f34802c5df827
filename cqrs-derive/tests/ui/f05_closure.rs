//! A closure as a handler: its error has no type.

use cqrs_core::{App, AppBuilder};
use cqrs_derive::{Command, Rejection};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

fn app() -> AppBuilder {
    App::builder().handler(|_: Ping| async move { Ok(()) })
}

fn main() {}
