//! Implementations that no command handler is.

use cqrs_derive::{Command, Rejection, command_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

use cqrs_core::{Context, Decide, Decision};
use cqrs_derive::{Aggregate, Event};

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

struct Letter;

#[command_handler]
impl Decide<Letter> for Counter {
    fn target(_: &Letter) -> String {
        String::new()
    }

    fn decide(&self, _: &Letter, _: &Context<'_>) -> Result<Decision<Counted>, No> {
        Ok(Decision::nothing())
    }
}

#[command_handler]
impl Clone for Counter {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

#[command_handler]
impl Counter {
    fn _other(&self) {}
}

struct NotAnAggregate;

#[command_handler]
impl Decide<Ping> for NotAnAggregate {
    fn target(_: &Ping) -> String {
        String::new()
    }

    fn decide(&self, _: &Ping, _: &Context<'_>) -> Result<Decision<Counted>, No> {
        Ok(Decision::nothing())
    }
}

fn main() {}
