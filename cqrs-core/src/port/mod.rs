//! What an adapter implements and the facades call: names and bytes only, one concept a file.

pub(crate) mod bus;
pub(crate) mod capabilities;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod cloud_event;
pub(crate) mod commit;
mod declaration;
pub(crate) mod delivery;
mod digest;
pub(crate) mod document;
pub(crate) mod filter;
pub(crate) mod hint;
pub(crate) mod lanes;
pub(crate) mod lease;
pub(crate) mod loan;
pub(crate) mod member;
pub(crate) mod outgoing;
pub(crate) mod page;
pub(crate) mod parked;
pub(crate) mod publisher;
pub(crate) mod read;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod sink;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod stream_id;
pub(crate) mod subscriber;
pub(crate) mod timer;
pub(crate) mod underway;

/// A place in the log, from 1; 0 is before the first event. Positions strictly increase in commit
/// order and may have gaps (P3).
pub type Position = u64;

/// A place in a stream, from 1 without gaps; 0: the stream does not exist (P3).
pub type Version = u64;
