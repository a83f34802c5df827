//! Versions that nothing lifts, and upcasters that never run.

use cqrs_core::BoxError;
use cqrs_derive::Event;
use serde::{Deserialize, Serialize};
use serde_json::Value;

fn lift(body: Value) -> Result<Value, BoxError> {
    Ok(body)
}

fn borrows(body: &Value) -> Value {
    body.clone()
}

#[derive(Clone, Serialize, Deserialize, Event)]
enum CourseEvent {
    #[event(name = "test.missing", version = 4, upcast(2 = lift))]
    Missing,
    #[event(name = "test.many", version = 10)]
    Many,
    #[event(name = "test.useless", upcast(1 = lift))]
    Useless,
    #[event(name = "test.doubled", version = 2, upcast(1 = lift, 1 = lift, 0 = lift))]
    Doubled,
    #[event(name = "test.unread", version = 2, upcast(one = lift))]
    Unread,
}

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.borrowed", version = 2, upcast(1 = borrows))]
struct Borrowed;

fn main() {}
