//! A parameter of a type from another crate.

use std::sync::Arc;

use cqrs_core::{Call, Inject, Problem, Resources};

struct Clock;

impl Inject for Arc<Clock> {
    type Ready = ();

    fn resolve(_: &Resources, _: &'static str) -> Result<(), Problem> {
        Ok(())
    }

    fn bind((): &(), _: &Call) -> Self {
        Arc::new(Clock)
    }
}

fn main() {}
