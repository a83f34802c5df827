//! What travels: requests, events, their metadata and their encoded forms. Data only, no I/O.

pub(crate) mod codec;
pub(crate) mod envelope;
pub(crate) mod event;
pub(crate) mod event_set;
pub(crate) mod fingerprint;
pub(crate) mod id;
pub(crate) mod local;
pub(crate) mod metadata;
pub(crate) mod payload;
pub(crate) mod request;
pub(crate) mod timestamp;
pub(crate) mod upcast;
pub(crate) mod wire;
