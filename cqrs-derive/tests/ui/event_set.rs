//! Sets that no event could be told apart in.

use cqrs_core::EventSet as _;
use cqrs_derive::{Event, EventSet};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.opened")]
struct Opened;

#[derive(EventSet)]
enum Input {
    Opened(Opened),
    Again(Opened),
    Nothing,
    Two(Opened, Opened),
    Named { event: Opened },
}

#[derive(EventSet)]
struct NotAnEnum;

#[derive(EventSet)]
enum Empty {}

#[derive(EventSet)]
enum Generic<E> {
    Event(E),
}

struct NotAnEvent;

#[derive(EventSet)]
enum Foreign {
    NotAnEvent(NotAnEvent),
}

fn types() -> usize {
    Input::types().len() + NotAnEnum::types().len() + Empty::types().len()
}

fn main() {}
