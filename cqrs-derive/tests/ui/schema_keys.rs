//! Keys that are unknown, doubled, without a value or where they say nothing.

use cqrs_core::{Entity as _, Schema as _};
use cqrs_derive::Schema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "tutors", table = "tutors", version = 0)]
struct Tutor {
    #[schema(id, indexed)]
    id: String,
    #[schema(unique, indexed)]
    email: String,
    #[schema(name = 5, nullable)]
    bio: String,
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "nobody", indexable)]
struct Nobody {
    name: String,
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "twins")]
struct Twins {
    #[schema(id)]
    one: String,
    #[schema(id)]
    other: String,
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(version = 2)]
struct Part {
    #[schema(id)]
    id: String,
    #[schema(indexed)]
    city: String,
    #[schema(unique)]
    email: String,
    #[schema(name = "about")]
    bio: String,
}

fn declared() {
    let _ = Tutor::collection();
    let _ = Twins::mapping();
    let _ = Part::field_type();
}

fn main() {}
