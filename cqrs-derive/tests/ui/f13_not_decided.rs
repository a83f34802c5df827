//! An aggregate that does not decide on the command.

use cqrs_core::{App, AppBuilder};
use cqrs_derive::{Aggregate, Command, Event, Rejection};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.counted")]
struct Counted;

#[derive(Default, Aggregate)]
#[aggregate(category = "counter", id = String, event = Counted)]
struct Counter(u64);

impl Counter {
    fn on(&mut self, _: &Counted) {
        self.0 += 1;
    }
}

fn app() -> AppBuilder {
    App::builder().decides::<Counter, Ping>()
}

fn main() {}
