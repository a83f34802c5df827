//! Aggregates: category, id, and who takes in the events.

use cqrs_core::{Aggregate, Entity};
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

#[derive(Debug, Default, Serialize, Deserialize, Aggregate)]
#[aggregate(category = "snapped", id = String, event = Counted, snapshot(every = 100, version = 2))]
struct Snapped {
    sum: u64,
}

impl Snapped {
    fn on(&mut self, event: &Counted) {
        self.sum += event.by;
    }
}

#[test]
fn snapshots_are_asked_for_with_their_version() {
    let storage = format!("{:?}", Snapped::storage());
    assert!(storage.contains("every: 100") && storage.contains("version: 2"), "{storage}");
    assert_eq!(Snapped::storage().restored(&Snapped { sum: 7 }).unwrap().unwrap().sum, 7);
    assert!(Counter::storage().restored(&Counter(7)).unwrap().is_none());
}

#[derive(Debug, Default, Serialize, Deserialize, Aggregate)]
#[aggregate(category = "stored", id = String, event = Counted, document)]
struct Stored {
    id: String,
    sum: u64,
}

impl Stored {
    fn on(&mut self, event: &Counted) {
        self.sum += event.by;
    }
}

impl Entity for Stored {
    const COLLECTION: &'static str = "stored";
    fn id(&self) -> String {
        self.id.clone()
    }
}

#[test]
fn a_document_is_asked_for() {
    let stored = Stored { id: "a".into(), sum: 7 };
    assert_eq!(Stored::storage().restored(&stored).unwrap().unwrap().sum, 7);
}
