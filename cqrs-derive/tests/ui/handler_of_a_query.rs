//! Handlers of queries that would write, or are none.

use cqrs_core::{Never, Work};
use cqrs_derive::{Command, Query, query_handler};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Query)]
#[query(name = "test.peek", output = u8)]
struct Peek;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.poke")]
struct Poke;

#[query_handler]
async fn writes(_: Peek, _: Work) -> Result<u8, Never> {
    Ok(1)
}

#[query_handler]
async fn command(_: Poke) -> Result<(), Never> {
    Ok(())
}

struct Counter;

#[query_handler]
impl Clone for Counter {
    fn clone(&self) -> Self {
        Self
    }
}

fn main() {}
