//! Keys that are unknown, missing, doubled or without a value, all in one report.

use cqrs_core::Event as _;
use cqrs_derive::Event;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.course")]
enum CourseEvent {
    #[event(nam = "test.created", version = 0)]
    Created,
    #[event(name = "test.published", name = "test.published")]
    Published,
    Closed,
    #[event(name = "Test.Rated", tag = 5, upcast = lift)]
    Rated,
    #[event(name = "test.published")]
    Again,
}

#[derive(Clone, Serialize, Deserialize, Event)]
struct Nameless;

#[derive(Clone, Serialize, Deserialize, Event)]
enum Nothing {}

fn tags(course: CourseEvent, nameless: Nameless, nothing: Nothing) -> usize {
    course.tags().len() + nameless.tags().len() + nothing.tags().len()
}

fn main() {}
