//! The RabbitMQ bus: quorum queues, one message of a key at a time.

mod bus;
mod claims;
mod config;
mod error;
mod group;
mod headers;
mod letters;
mod link;
mod names;
mod post;
mod publisher;
mod raw;
mod record;
mod requests;
mod routes;
mod session;
mod topology;

pub use bus::RabbitBus;
pub use config::RabbitBuilder;
pub use lapin;
pub use topology::{Plan, Planned};
