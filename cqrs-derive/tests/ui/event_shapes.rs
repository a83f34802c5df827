//! Events that could not be told apart or read again.

use cqrs_core::{Event as _, EventSet};
use cqrs_derive::Event;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Event)]
enum CourseEvent {
    #[event(name = "test.pair")]
    Pair(u8, u8),
    #[event(name = "test.none")]
    None(),
    #[event(name = "test.skipped")]
    #[serde(skip)]
    Skipped,
    #[event(name = "test.renamed")]
    #[serde(rename(serialize = "written"))]
    Renamed,
}

#[derive(Clone, Serialize, Deserialize, Event)]
#[serde(tag = "type", content = "data")]
enum Tagged {
    #[event(name = "test.tagged")]
    Tagged,
}

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.bare")]
struct Bare(String);

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.generic")]
struct Generic<T> {
    value: T,
}

#[derive(Clone, Copy, Event)]
#[event(name = "test.union")]
union Either {
    one: u8,
    other: i8,
}

fn types(bare: Bare) -> usize {
    bare.tags().len() + CourseEvent::types().len() + Tagged::types().len()
}

fn main() {}
