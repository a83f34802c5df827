//! Types that no request has: with parameters, and unions.

use cqrs_core::App;
use cqrs_derive::{Command, Query};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.generic")]
struct Generic<T> {
    value: T,
}

#[derive(Clone, Query)]
#[query(name = "test.borrowed", local)]
struct Borrowed<'a> {
    value: &'a str,
}

#[derive(Clone, Copy, Command)]
#[command(name = "test.union", local)]
union Either {
    one: u8,
    other: i8,
}

async fn send(app: App) {
    let _ = app.send(Generic { value: 1 }).await;
    let _ = app.ask(Borrowed { value: "a" }).await;
    let _ = app.send(Either { one: 1 }).await;
}

fn main() {}
