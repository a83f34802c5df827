//! Functions that no handler is, each with all that is wrong with it.

use cqrs_core::{Metadata, Res};
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
fn not_async(_: Ping) -> Result<(), No> {
    Ok(())
}

#[command_handler]
async fn generic<T: Send>(_: Ping, _: Res<T>) -> Result<(), No> {
    Ok(())
}

#[command_handler]
async fn nothing() -> Result<(), No> {
    Ok(())
}

#[command_handler]
async fn silent(_: Ping) {}

#[command_handler]
async fn borrowed(_: &Ping, _: &u8, _: impl Clone) -> Result<(), No> {
    Ok(())
}

#[command_handler]
async fn many(
    _: Ping,
    _: Metadata,
    _: Metadata,
    _: Metadata,
    _: Metadata,
    _: Metadata,
    _: Metadata,
    _: Metadata,
) -> Result<(), No> {
    Ok(())
}

#[command_handler(name = "ping")]
async fn named(_: Ping) -> Result<(), No> {
    Ok(())
}

#[command_handler]
struct NotAFunction;

#[command_handler]
fn all_at_once(_: &Ping, _: &u8) {}

/// The functions are there all the same.
async fn call() {
    let _ = (not_async(Ping), generic(Ping, Res(1)).await, nothing().await, silent(Ping).await);
    let _ = (borrowed(&Ping, &1, 1).await, named(Ping).await, all_at_once(&Ping, &1), NotAFunction);
    let m = Metadata::default;
    let _ = many(Ping, m(), m(), m(), m(), m(), m(), m()).await;
}

fn main() {}
