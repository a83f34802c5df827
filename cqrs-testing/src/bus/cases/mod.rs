//! All cases, a group a file.

mod closing;
mod commands;
mod dead_letters;
pub(crate) mod faults;
mod groups;
mod load;
mod names;
mod order;
mod publish;
mod redelivery;
mod refused;
mod requests;
mod round_trip;
mod services;

use crate::bus::case::Case;

/// What the cases are written with.
mod prelude {
    pub(super) use cqrs_core::{BusSubscription, ErrorKind, OutboundMessage};

    pub(super) use crate::bus::case::cases;
    pub(super) use crate::bus::make::{
        OPENED, QUIET, SILENCE, command, listens, named, opened, takes,
    };
    pub(super) use crate::bus::member::{Member, acked, body, parked, retried, seen};
    pub(super) use crate::bus::probe::Probe;
}

/// All cases, in the order in which they are listed.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        round_trip::CASES,
        publish::CASES,
        names::CASES,
        groups::CASES,
        commands::CASES,
        order::CASES,
        redelivery::CASES,
        dead_letters::CASES,
        load::CASES,
        closing::CASES,
        refused::CASES,
        requests::CASES,
        services::CASES,
    ]
    .into_iter()
    .flatten()
}
