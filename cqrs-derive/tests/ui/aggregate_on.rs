//! An aggregate that does not take in its events.

use cqrs_derive::{Aggregate, Event};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.counted")]
struct Counted;

#[derive(Default, Aggregate)]
#[aggregate(category = "missing", id = String, event = Counted)]
struct Missing;

#[derive(Default, Aggregate)]
#[aggregate(category = "other_event", id = String, event = Counted)]
struct OtherEvent;

impl OtherEvent {
    fn on(&mut self, _: &String) {}
}

#[derive(Default, Aggregate)]
#[aggregate(category = "by_value", id = String, event = Counted, apply = by_value)]
struct ByValue;

fn by_value(_: ByValue, _: &Counted) {}

#[derive(Default, Aggregate)]
#[aggregate(category = "by_trait", id = String, event = Counted)]
struct ByTrait;

trait Switch {
    fn on(&mut self, _: &str) {}
}

impl Switch for ByTrait {}

#[derive(Default, Aggregate)]
#[aggregate(category = "no_method", id = String, event = Counted)]
struct NoMethod;

impl NoMethod {
    fn on(_: &mut Self, _: &Counted) {}
}

fn main() {}
