//! Tags with fields that are not there.

use cqrs_derive::Event;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Hidden;

#[derive(Clone, Serialize, Deserialize)]
struct Level {
    of: u8,
}

#[derive(Clone, Serialize, Deserialize, Event)]
enum CourseEvent {
    #[event(name = "test.created", tag = "tutor:{tutor}", tag = "{course_id:?}", tag = "")]
    Created { course_id: u32, tutor_id: u32 },
    #[event(name = "test.published", tag = "course:{id}")]
    Published,
    #[event(name = "test.rated", tag = "rating:{1}", tag = "{0", tag = "0}")]
    Rated(Level),
}

#[derive(Clone, Serialize, Deserialize, Event)]
#[event(name = "test.shown", tag = "{hidden}")]
struct Shown {
    hidden: Hidden,
}

fn main() {}
