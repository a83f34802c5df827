//! Types that a store knows nothing of, or finds nothing by.

use std::time::Duration;

use cqrs_derive::Schema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Unknown;

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "tutors")]
struct Tutor {
    #[schema(id)]
    id: f64,
    #[schema(indexed)]
    subjects: Vec<String>,
    #[schema(unique)]
    rating: Option<f32>,
    unknown: Unknown,
    worked: Duration,
}

fn main() {}
