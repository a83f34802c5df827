//! Checks that cannot be made.

use cqrs_derive::Command;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.create")]
#[check(chars = ..=3)]
struct Create {
    #[check(chars = 200)]
    title: String,
    #[check(chars = 1..=5)]
    price: u64,
    #[check(items = 1..=5)]
    summary: Option<String>,
    #[check(range = 1..=5)]
    tags: Vec<String>,
    #[check(range = 5..=1)]
    low: u8,
    #[check(range = ..)]
    any: u8,
    #[check(length = 1..)]
    long: String,
    #[check]
    nothing: String,
    #[check(chars = 1.., chars = ..=5)]
    twice: String,
    #[check(items = 1..=5)]
    boxed: Box<str>,
    #[check(items = 1..=5)]
    borrowed: std::borrow::Cow<'static, str>,
    #[check(range = ..=5)]
    compared: Box<str>,
    #[check(chars = ..=5)]
    bytes: Box<[u8]>,
    #[check(chars = ..=5)]
    pair: [u8; 2],
}

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.either")]
enum Either {
    One {
        #[check(chars = 1..)]
        title: String,
    },
}

#[derive(Command)]
#[command(name = "test.static", local, run_once)]
struct Static {
    #[check(items = 1..)]
    title: &'static str,
    #[check(items = 1..)]
    shared: Option<std::sync::Arc<String>>,
}

fn main() {}
