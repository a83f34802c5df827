//! A handler of two requests, without saying for which.

use cqrs_core::{Answer, App, AppBuilder, Envelope, Handler};
use cqrs_derive::{Command, Rejection};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.pong")]
struct Pong;

struct Both;

impl Handler<Ping> for Both {
    async fn handle(&self, _: Envelope<Ping>) -> Answer<Ping> {
        Ok(().into())
    }
}

impl Handler<Pong> for Both {
    async fn handle(&self, _: Envelope<Pong>) -> Answer<Pong> {
        Ok(().into())
    }
}

fn app() -> AppBuilder {
    App::builder().handler(Both)
}

fn main() {}
