//! All cases, a group a file.

mod atomic;
mod commit;
mod expectations;

use crate::store::case::Case;

/// What the cases are written with.
mod prelude {
    pub(super) use cqrs_core::{Collection, Commit, FindDocuments, StreamId};

    pub(super) use crate::store::case::cases;
    pub(super) use crate::store::make::{
        TUTOR, account, append, appends, assert_conflict, assert_document_at, assert_invalid,
        assert_reused, assert_stream_at, body, deletes, event, events, grows, key, mark, moves,
        put, puts, tagged, writes,
    };
    pub(super) use crate::store::probe::Probe;
    pub(super) use crate::store::seen::{Body, ids, positions, versions};
}

/// All cases, in the order in which they are listed.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [commit::CASES, expectations::CASES, atomic::CASES].into_iter().flatten()
}
