//! What the macros write, used as a service uses it.
#![expect(clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod aggregate;
mod entities;
mod event;
mod event_set;
mod hygiene;
mod macro_rules;
mod rejection;
mod request;
mod schema;
