//! All cases, a group a file.

mod atomic;
mod checkpoints;
mod commit;
mod concurrency;
mod declare;
mod documents;
mod durable;
mod event_ids;
mod expectations;
mod fences;
mod filters;
mod find_parked;
mod hints;
mod hostile;
mod inbox;
mod leases;
mod limits;
mod message_positions;
mod model;
mod none_matching;
mod outgoing;
mod parked;
mod polling;
mod purge;
mod race;
mod read_log;
mod read_stream;
mod repeats;
mod round_trip;
mod schema;
mod schema_changes;
mod schema_entity;
mod sending;
mod snapshots;
mod tenants;
mod timers;
mod unique;
mod unsupported;
mod views;
mod waiting_limits;
mod waiting_names;
mod whole;

use crate::store::case::Case;

/// What the cases are written with.
mod prelude {
    pub(super) use cqrs_core::{Collection, Commit, FindDocuments, StreamId};

    pub(super) use crate::store::case::cases;
    pub(super) use crate::store::make::{
        TUTOR, account, append, appends, assert_conflict, assert_document_at, assert_invalid,
        assert_reused, assert_stream_at, assert_too_large, body, deletes, event, events, grows,
        key, mark, moves, named, put, puts, tagged, writes,
    };
    pub(super) use crate::store::probe::Probe;
    pub(super) use crate::store::seen::{Body, ids, positions, versions};
}

/// All cases, in the order in which they are listed.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        commit::CASES,
        expectations::CASES,
        atomic::CASES,
        limits::CASES,
        waiting_limits::CASES,
        repeats::CASES,
        inbox::CASES,
        event_ids::CASES,
        hostile::CASES,
        waiting_names::CASES,
        tenants::CASES,
        round_trip::CASES,
        concurrency::CASES,
        none_matching::CASES,
        documents::CASES,
        unique::CASES,
        declare::CASES,
        schema::CASES,
        schema_changes::CASES,
        checkpoints::CASES,
        read_stream::CASES,
        read_log::CASES,
        snapshots::CASES,
        filters::CASES,
        polling::CASES,
        race::CASES,
        leases::CASES,
        fences::CASES,
        timers::CASES,
        outgoing::CASES,
        message_positions::CASES,
        sending::CASES,
        parked::CASES,
        find_parked::CASES,
        whole::CASES,
        purge::CASES,
        views::CASES,
        hints::CASES,
        model::CASES,
        durable::CASES,
        unsupported::CASES,
    ]
    .into_iter()
    .flatten()
}
