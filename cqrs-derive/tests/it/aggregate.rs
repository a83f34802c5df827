//! Aggregates: category, id, and who takes in the events.

use cqrs_core::Aggregate;
use cqrs_derive::{Aggregate, Event};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize, Event)]
#[event(name = "test.counted")]
struct Counted {
    by: u64,
}

#[derive(Debug, Default, Aggregate)]
#[aggregate(category = "counter", id = String, event = Counted)]
struct Counter(u64);

impl Counter {
    fn on(&mut self, event: &Counted) {
        self.0 += event.by;
    }
}

#[derive(Debug, Default, Aggregate)]
#[aggregate(category = "other_counter", id = uuid::Uuid, event = Counted, apply = count)]
struct Other(u64);

fn count(other: &mut Other, event: &Counted) {
    other.0 += 10 * event.by;
}

fn applied<A: Aggregate<Event = Counted>>() -> (A, &'static str) {
    let mut aggregate = A::default();
    for by in [1, 2] {
        aggregate.apply(&Counted { by });
    }
    (aggregate, A::CATEGORY)
}

#[test]
fn events_are_taken_in_by_the_method_on() {
    let (counter, category) = applied::<Counter>();
    assert_eq!((counter.0, category), (3, "counter"));
}

#[test]
fn events_are_taken_in_by_the_function_that_is_named() {
    let (other, category) = applied::<Other>();
    assert_eq!((other.0, category), (30, "other_counter"));
}
