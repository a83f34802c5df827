//! Types that cannot travel, be copied, or reject.

use cqrs_derive::Command;
use serde::{Deserialize, Serialize};

struct View;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.output", output = View)]
struct Output;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.error", error = String)]
struct Refused;

#[derive(Serialize, Deserialize, Command)]
#[command(name = "test.copied")]
struct Copied;

#[derive(Clone, Command)]
#[command(name = "test.travels")]
struct Travels;

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.validated", validate = Validated::check)]
struct Validated;

impl Validated {
    fn check(&self) -> bool {
        true
    }
}

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ranged")]
struct Ranged {
    #[check(range = 0..=5)]
    text: Text,
    #[check(chars = ..=5)]
    list: Text,
}

#[derive(Clone, Serialize, Deserialize)]
struct Text(String);

fn main() {}
