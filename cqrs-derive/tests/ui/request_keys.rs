//! Keys that are unknown, missing, doubled or without a value, all in one report.

use cqrs_core::App;
use cqrs_derive::{Command, Query};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(nam = "test.ping", output = , version = 0, version = 2, internal = true, "text")]
#[command(run_once, error = Vec<u8, validate = 5, schema, local)]
struct Ping;

#[derive(Clone, Serialize, Deserialize, Command)]
struct Nameless;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command = "test.equals"]
struct Equals;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command]
struct Empty;

#[derive(Clone, Serialize, Deserialize, Query)]
#[query(name = test.ping)]
struct Unquoted;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name, version = "2", output = u8 u8)]
struct Halves;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.both", internal, services)]
struct Both;

/// What is faulty is a command all the same: nothing follows from the faults.
async fn send(app: App) {
    let _ = (app.send(Ping).await, app.send(Nameless).await, app.send(Equals).await);
    let _ = (app.send(Empty).await, app.ask(Unquoted).await, app.send(Halves).await);
    let _ = app.send(Both).await;
}

fn main() {}
