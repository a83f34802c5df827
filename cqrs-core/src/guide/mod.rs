//! The guide: one page for each concept, and every example runs as a test.
//!
//! Start with [`first_service`]: from an empty package to an aggregate with two commands, a query
//! and a test. Who comes from NestJS starts with [`from_nestjs_cqrs`]. The other pages can be read
//! in any order; this one goes from the inside out.
//!
//! | page | what it is about |
//! |---|---|
//! | [`first_service`] | the tutorial |
//! | [`theatre`] | the domain of the examples, in one piece |
//! | [`requests`] | commands and queries: names, answers, rejections, checks, wire form, versions |
//! | [`events`] | what is recorded: names, versions, upcasters, tags, sets |
//! | [`aggregates`] | state made of events, and decisions |
//! | [`repositories`] | loading, states of the past, conflicts, snapshots, the cache |
//! | [`work`] | several aggregates and documents in one commit; read models; unique fields |
//! | [`entities`] | documents that are rows of tables: schemas, and how they change |
//! | [`handlers`] | functions as handlers, and what is injected into them |
//! | [`app`] | the build report, discovery, roles, the manifest |
//! | [`layers`] | what runs around the handlers |
//! | [`repeats`] | ids, idempotency keys, the inbox |
//! | [`event_handlers`] | functions that follow the events |
//! | [`subscriptions`] | what all that follows the log has in common: order, retries, parking, nodes |
//! | [`projections`] | views of events: inline, durable, live, or when asked for; tables of your own |
//! | [`sagas`] | processes across aggregates, with answers, timers and a way back |
//! | [`outgoing`] | what a commit sends, the relay, the bus, other services |
//! | [`services`] | services that ask each other: contracts, remote handlers, clients |
//! | [`wire`] | what goes over a broker, for consumers in any language |
//! | [`operations`] | starting, watching, mending and stopping a service |
//! | [`log`] | reading the log |
//! | [`errors`] | the two kinds of no, and what to do about each |
//! | [`testing`] | scenarios, apps in memory and in virtual time, suites for adapters |
//! | [`from_nestjs_cqrs`] | for those who know NestJS CQRS |
//!
//! The derives and attributes come from the crate `cqrs-derive`. They write the `impl`s that the
//! docs of each trait show by hand. An example that says `use theatre::…` uses the domain of
//! [`theatre`].

#[doc = include_str!("aggregates.md")]
pub mod aggregates {}
#[doc = include_str!("app.md")]
pub mod app {}
#[doc = include_str!("entities.md")]
pub mod entities {}
#[doc = include_str!("errors.md")]
pub mod errors {}
#[doc = include_str!("event_handlers.md")]
pub mod event_handlers {}
#[doc = include_str!("events.md")]
pub mod events {}
#[doc = include_str!("first_service.md")]
///
/// ```standalone_crate
#[doc = include_str!("library.rs")]
/// ```
pub mod first_service {}
#[doc = include_str!("from_nestjs_cqrs.md")]
pub mod from_nestjs_cqrs {}
#[doc = include_str!("handlers.md")]
pub mod handlers {}
#[doc = include_str!("layers.md")]
pub mod layers {}
#[doc = include_str!("log.md")]
pub mod log {}
#[doc = include_str!("operations.md")]
pub mod operations {}
#[doc = include_str!("outgoing.md")]
pub mod outgoing {}
#[doc = include_str!("projections.md")]
pub mod projections {}
#[doc = include_str!("repeats.md")]
pub mod repeats {}
#[doc = include_str!("repositories.md")]
pub mod repositories {}
#[doc = include_str!("requests.md")]
pub mod requests {}
#[doc = include_str!("sagas.md")]
///
/// ```
#[doc = include_str!("tickets.rs")]
/// ```
pub mod sagas {}
#[doc = include_str!("services.md")]
pub mod services {}
#[doc = include_str!("subscriptions.md")]
pub mod subscriptions {}
#[doc = include_str!("testing.md")]
pub mod testing {}
/// The domain of the examples: a theatre that sells the seats of its shows.
///
/// ```
#[doc = include_str!("theatre.rs")]
/// ```
///
/// # Next
///
/// [Requests](requests), [events](events), [aggregates](aggregates).
pub mod theatre {}
#[doc = include_str!("wire.md")]
pub mod wire {}
#[doc = include_str!("work.md")]
pub mod work {}

/// The program of the README, which runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
