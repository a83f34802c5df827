//! An event that cannot be recorded.

use cqrs_derive::Event;

#[derive(Clone, Event)]
#[event(name = "test.plain")]
struct Plain;

fn main() {}
