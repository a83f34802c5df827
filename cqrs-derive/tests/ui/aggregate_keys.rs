//! Keys that are unknown, missing, doubled or without a value, all in one report.

use cqrs_core::Aggregate as _;
use cqrs_derive::{Aggregate, Event};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.counted")]
struct Counted;

#[derive(Default, Aggregate)]
struct Nothing;

#[derive(Default, Aggregate)]
#[aggregate(category = "Counter", id = 5, event = Counted, events = Counted)]
#[aggregate(apply = Counter::apply, snapshot = 100, category = "counter")]
struct Counter;

#[derive(Default, Aggregate)]
#[aggregate(category = "other", id = String, event = Counted, snapshot(ever = 100), apply = "on")]
struct Other;

#[derive(Default, Aggregate)]
#[aggregate(category = "none", id = String, event = Counted, snapshot())]
struct NoSnapshot;

#[derive(Default, Aggregate)]
#[aggregate(category = "both", id = String, event = Counted, snapshot(every = 5), document)]
struct Both;

#[derive(Default, Aggregate)]
#[aggregate(category = "generic", id = String, event = Counted)]
struct Generic<T> {
    value: T,
}

fn apply(mut counter: Counter, mut other: Other) {
    counter.apply(&Counted);
    other.apply(&Counted);
}

fn main() {}
