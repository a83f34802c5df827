//! What the user's domain is written in: sync and pure, no I/O, no clock.

pub(crate) mod aggregate;
pub(crate) mod context;
pub(crate) mod decide;
pub(crate) mod fact;
mod probe;
pub(crate) mod projection;
pub(crate) mod saga;
mod sample;
mod shape;
pub(crate) mod snapshots;
pub(crate) mod storage;
