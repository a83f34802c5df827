//! What the user wrote, read into one type for each macro.

pub(crate) mod aggregate;
pub(crate) mod check;
pub(crate) mod event;
pub(crate) mod event_set;
pub(crate) mod handler;
pub(crate) mod rejection;
pub(crate) mod request;
pub(crate) mod schema;
pub(crate) mod serde_name;
