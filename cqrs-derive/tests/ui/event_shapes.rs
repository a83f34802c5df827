//! Events that could not be told apart or read again.

use std::collections::HashMap;

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
    #[event(name = "test.scalar")]
    Scalar(u64),
    #[event(name = "test.text")]
    Text(Box<str>),
    #[event(name = "test.maybe")]
    Maybe(Option<bool>),
    #[event(name = "test.list")]
    List(Vec<Level>),
    #[event(name = "test.array")]
    Array([Level; 2]),
    #[event(name = "test.tuple")]
    Tuple((Level, Level)),
    #[event(name = "test.map")]
    Map(HashMap<String, u8>),
    #[event(name = "test.object")]
    Object(Box<Level>),
}

#[derive(Clone, Serialize, Deserialize)]
struct Level {
    of: u8,
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
#[event(name = "test.bare_array")]
struct BareArray([u8; 2]);

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
