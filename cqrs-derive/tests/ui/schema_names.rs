//! Names that a database would not take, or not tell apart.

use cqrs_derive::Schema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "learning.tutors")]
struct Dotted {
    #[schema(id)]
    id: String,
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "a_collection_with_a_name_that_is_far_too_long")]
struct Long {
    #[schema(id)]
    id: String,
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "fields")]
struct Fields {
    #[schema(id)]
    id: String,
    #[schema(name = "$where")]
    dollar: String,
    #[serde(rename = "first.name")]
    dotted: String,
    _hidden: String,
    #[schema(name = "ID")]
    other: String,
    #[serde(rename(serialize = "written", deserialize = "read"))]
    both: String,
}

fn main() {}
