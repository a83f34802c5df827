//! The cases, by subject.

mod batches;
mod checkpoints;
mod filters;
mod live;
mod nodes;
mod once;
mod operators;
mod order;
mod parking;
mod partitions;
mod projections;
mod reading;
mod relay;
mod retries;
mod sagas;
mod sinks;
mod start;
mod stopping;
mod waiting;

use crate::store::case::Case;

/// What the cases are written with.
mod prelude {
    pub(super) use std::time::Duration;

    pub(super) use cqrs_core::{AppBuilder, FindParked, ParkedState, RetryPolicy, Start};

    pub(super) use crate::runtime::deaths::Deaths;
    pub(super) use crate::runtime::hand::Act;
    pub(super) use crate::runtime::node::PATIENCE;
    pub(super) use crate::runtime::notes::{
        Note, Notebook, crossed, garbled, hear, hear_crossed, noted, tally, tally_many, to_stream,
    };
    pub(super) use crate::runtime::tap::{Mishap, is_lost};
    pub(super) use crate::runtime::world::{LONG, SHORT, World};
    pub(super) use crate::store::case::cases;
    pub(super) use crate::store::probe::Probe;
    pub(super) use crate::store::waiting::until;

    /// A handler with effects elsewhere, in so many partitions.
    pub(super) fn hears(partitions: u32) -> impl Fn(AppBuilder) -> AppBuilder {
        move |app| {
            app.event_handler("hear", hear)
                .subscription("hear", move |s| s.partitions(partitions).retry(thrice()))
        }
    }

    /// A handler with effects in the commit of its checkpoint, in so many partitions.
    pub(super) fn tallies(partitions: u32) -> impl Fn(AppBuilder) -> AppBuilder {
        move |app| {
            app.event_handler("tally", tally)
                .subscription("tally", move |s| s.partitions(partitions).retry(thrice()))
        }
    }

    /// Three attempts.
    pub(super) fn thrice() -> RetryPolicy {
        RetryPolicy { attempts: 3, ..RetryPolicy::default() }
    }
}

/// All cases, in the order in which they are listed.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        checkpoints::CASES,
        order::CASES,
        retries::CASES,
        parking::CASES,
        operators::CASES,
        once::CASES,
        nodes::CASES,
        partitions::CASES,
        start::CASES,
        filters::CASES,
        waiting::CASES,
        stopping::CASES,
        live::CASES,
        batches::CASES,
        reading::CASES,
        projections::CASES,
        sinks::CASES,
        relay::CASES,
        sagas::CASES,
    ]
    .into_iter()
    .flatten()
}
