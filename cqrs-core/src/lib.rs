//! Commands, queries and events for services that must not lose any of them.
//!
//! A service written with this crate is plain types and pure functions: *commands* ask for a change,
//! *aggregates* decide what follows, *events* record it, *queries* read. Everything is written as
//! one [`Commit`] at a time, all or nothing, and read back as one ordered log. Where it is kept is
//! an adapter's matter: a [`Store`]. This crate holds the traits, the typed facades over them, and
//! [`MemoryStore`](memory::MemoryStore), the reference.
//!
//! # The smallest program
//!
//! ```
//! use cqrs_core::memory::MemoryStore;
//! use cqrs_core::{
//!     Aggregate, App, BoxError, Command, Context, Decide, Decision, Event, EventType, Failure,
//!     Rejection, Request, RequestKind,
//! };
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Reserved {
//!     seats: u32,
//! }
//!
//! impl Event for Reserved {
//!     const TYPES: &'static [EventType] = &[EventType::new("theatre.reserved", "Reserved")];
//!     fn event_type(&self) -> &'static EventType {
//!         &Self::TYPES[0]
//!     }
//! }
//!
//! #[derive(Default)]
//! struct Show {
//!     reserved: u32,
//! }
//!
//! impl Aggregate for Show {
//!     const CATEGORY: &'static str = "show";
//!     type Id = String;
//!     type Event = Reserved;
//!     fn apply(&mut self, event: &Reserved) {
//!         self.reserved += event.seats;
//!     }
//! }
//!
//! struct Reserve {
//!     show: String,
//!     seats: u32,
//! }
//!
//! impl Command for Reserve {}
//! impl Request for Reserve {
//!     const NAME: &'static str = "theatre.reserve";
//!     const KIND: RequestKind = RequestKind::Command;
//!     type Output = u32;
//!     type Error = SoldOut;
//! }
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("only {left} seats are left")]
//! struct SoldOut {
//!     left: u32,
//! }
//!
//! impl Rejection for SoldOut {
//!     fn code(&self) -> &'static str {
//!         "theatre.sold_out"
//!     }
//! }
//!
//! impl Decide<Reserve> for Show {
//!     fn target(command: &Reserve) -> String {
//!         command.show.clone()
//!     }
//!     fn decide(&self, c: &Reserve, _: &Context<'_>) -> Result<Decision<Reserved, u32>, SoldOut> {
//!         let free = 10 - self.reserved;
//!         let left = free.checked_sub(c.seats).ok_or(SoldOut { left: free })?;
//!         Ok(Decision::event(Reserved { seats: c.seats }).returning(left))
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), BoxError> {
//!     let app = App::builder().store(MemoryStore::default()).decides::<Show, Reserve>().build()?;
//!     for seats in [4, 3, 5] {
//!         match app.send(Reserve { show: "Hamlet".into(), seats }).await {
//!             Ok(left) => println!("reserved {seats}, {left} left"),
//!             Err(Failure::Rejected(no)) => println!("{}: {no}", no.code()),
//!             Err(Failure::Failed(error)) => return Err(error.into()),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # How the parts fit
//!
//! The [guide] has a page for each of them, a tutorial, and a page for those who come from NestJS
//! CQRS. The crate `cqrs-derive` writes the `impl`s that this program has by hand.
//!
//! | you write | it is | it runs in |
//! |---|---|---|
//! | a type with [`Request`] and [`Command`] or [`Query`] | what is asked, with its answer and its rejection typed | [`App::send`], [`App::ask`], [`App::dispatch`] |
//! | an enum or a struct with [`Event`] | what happened; several types together are an [`EventSet`] | the log |
//! | a type with [`Aggregate`] and [`Decide`] | state as the fold of its events, and pure decisions; [`Storage`] says whether with snapshots or as a document | a [`Repository`] |
//! | a type with [`Entity`] | state stored as a JSON document | [`Documents`], [`Work`] |
//! | an async function, or a type with [`Handler`] | everything else; its parameters are injected ([`Inject`]) | the [`App`] |
//! | an async function of an event | what follows the events, from a checkpoint of its own | [`App::catch_up`] |
//! | a tower layer | what runs around the handlers, whoever calls; the module [`layer`] has some | [`AppBuilder::layer`], [`AppBuilder::layer_for`] |
//! | [`discovered!`], as the attributes of `cqrs-derive` write it | what announces itself | [`AppBuilder::discover`], [`AppBuilder::discover_in`], [`link!`] |
//!
//! A command on one aggregate needs no handler: [`AppBuilder::decides`]. One that changes several
//! aggregates or documents gathers them in a [`Work`], which is one commit. Reading goes by the
//! page: [`Store::read_stream`] with [`ReadStream`], [`Store::read_log`] with [`ReadLog`] and a
//! [`Filter`]; a [`Recorded`] event is borrowed from its [`Page`] and decoded with
//! [`Recorded::decode`]. [`Pages`] are a `Stream`: `next()` comes from
//! [`futures_util::StreamExt`](https://docs.rs/futures-util). What an app is made of is its
//! [`Manifest`].
//!
//! A collection of entities is declared once at start-up, before the first write
//! ([`Documents::declare`]).
//!
//! # What it promises
//!
//! The store suite of `cqrs-testing`, which every store passes, has cases for what a store can show
//! of them.
//!
//! - **P1** A commit is all or nothing over all its parts.
//! - **P2** Each append names what it expects ([`Expected`]); a violated expectation fails the whole
//!   commit with a [`Conflict`] that carries the real version.
//! - **P3** Versions in a stream are 1, 2, 3 … without gaps. Positions in the log increase in the
//!   order of commits, may have gaps, and are never given twice.
//! - **P4** Once a reader was given a position, what is at or below it is final. A position past the
//!   end of the log, or of another log, is an error.
//! - **P5** A commit that is repeated under its id answers as it did first; another one under that
//!   id is an error. Commit ids are kept for 7 days unless the store is told otherwise, event ids
//!   for ever. A command with an [inbox](Metadata::with_inbox), or under a key
//!   ([`Idempotency`](layer::Idempotency)), is applied once and its repeats are answered as the first
//!   one was, for as long as the store is kept.
//! - **P6** An event that cannot be decoded is never dropped: the load fails with its stream,
//!   position and cause.
//! - **P7** What is written can be read with the store's own tools.
//! - **P10** What a handler of events gathers in a [`Work`] is one commit with its checkpoint: exactly
//!   once. Effects elsewhere are at least once, with a stable id.
//! - **P12** A handler or a layer that fails or panics is an error of its call, and stops neither the
//!   others nor the process.
//! - **P24** Bad input gets a typed error that names the field; nothing is written, nothing panics.
//!
//! # Feature flags
//!
//! - `schema`: JSON Schemas of requests and events in the [`Manifest`], made by `schemars`. Off by
//!   default.
//!
//! # What can go wrong
//!
//! There are two kinds of no, and a [`Failure`] is either: the domain's, a [`Rejection`] of the
//! request's own type, and the machinery's, an [`Error`] with an [`ErrorKind`].
//!
//! - [`ErrorKind::Conflict`]: others were faster, again and again ([`ConflictRetry`]), or the request
//!   of a function handler has no [`Request::again`]. Send it again.
//! - [`ErrorKind::Unavailable`]: the store is busy or out of reach; nothing was written.
//! - [`ErrorKind::OutcomeUnknown`]: it may have been written. Send it again under the same id, if
//!   both have an [inbox](Metadata::with_inbox); a [`Commit`] of your own needs none.
//! - [`ErrorKind::Undecodable`]: the log holds an event that this code cannot read. Add an
//!   [`Upcaster`], or deploy the version that wrote it.
//! - [`ErrorKind::IdReused`]: an id was used for something else. To have the repeat of a command
//!   answered as the first one was, send both [with an inbox](Metadata::with_inbox).
//! - [`ErrorKind::EventNotHandled`]: a handler of events failed, and nothing after that event was
//!   handled. The source tells why.
//! - [`ErrorKind::Build`]: the app lacks handlers, resources or upcasters; the error names all.
//!
//! The page on [errors](guide::errors) has all kinds, each with what to do.
//!
//! A future of [`App::send`] or [`Store::commit`] that is dropped may still take effect.

mod app;
mod at_hand;
mod cache;
#[doc(hidden)]
pub mod check;
mod discovery;
mod documents;
mod domain;
mod error;
#[cfg(any(doc, doctest))]
pub mod guide;
mod handler;
pub mod layer;
mod load;
mod manifest;
pub mod memory;
mod message;
mod once;
mod port;
mod rebuild;
mod record;
mod repository;
mod retry;
mod runtime;
#[cfg(feature = "schema")]
mod schema;
mod trouble;
mod work;

pub use app::{App, AppBuilder, Mediator, RawAnswer, RawRejection, RawReply, RawRequest, Sending};
pub use discovery::Discovered;
pub use documents::{Documents, Versioned};
pub use domain::aggregate::{Aggregate, AggregateId};
pub use domain::context::Context;
pub use domain::decide::{Decide, Decision};
pub use domain::entity::Entity;
pub use domain::fact::Fact;
pub use domain::projection::Projection;
pub use domain::saga::effect::{Effect, Message, SendStep};
pub use domain::saga::outcome::{Answered, Outcome};
pub use domain::saga::{Missing, Reaction, Route, Saga, Trigger};
pub use domain::storage::Storage;
pub use error::{BoxError, Conflict, Error, ErrorKind, Failure, Never, Problem, Rejection, Result};
pub use handler::{
    Answer, AnyAnswer, AnyRejection, AnyReply, AnyRequest, AppLayer, AppService, Batch, Call,
    Handler, HandlerError, HandlerService, Inject, IntoEventHandler, IntoHandler, Origin,
    RequestLayer, Res, Resources,
};
pub use load::{At, Loaded};
pub use manifest::{EventHandlerManifest, EventManifest, Manifest, RequestManifest};
pub use message::envelope::{Envelope, Reply};
pub use message::event::{Event, EventType};
pub use message::event_set::{EventSet, Raw};
pub use message::fingerprint::Fingerprint;
pub use message::id::MessageId;
pub use message::local::IdempotencyKey;
pub use message::metadata::Metadata;
pub use message::payload::{Json, Payload, PayloadRef};
pub use message::request::{Command, Query, Request, RequestKind, Visibility};
pub use message::timestamp::{InvalidTimestamp, Timestamp};
pub use message::upcast::Upcaster;
pub use message::wire::{Codec, FieldError, Schemas, Wire};
pub use port::bus::{
    Bus, BusCapabilities, BusHealth, BusLimits, BusState, DeadLetter, DeadLetterId, FindDeadLetters,
};
pub use port::capabilities::{Capabilities, Limits, Support};
pub use port::clock::{Clock, ManualClock, SystemClock};
pub use port::commit::{
    AnswerTo, Append, CheckpointWrite, Commit, CommitId, Committed, DocumentWrite, Expected, Fence,
    Guard, InboxMark, NewEvent, Outgoing, OutgoingKind, Settled, TimerWrite, Tries,
};
pub use port::delivery::{Delivery, InboundMessage, Settle, Ticket, Verdict};
pub use port::document::{
    Collection, Document, DocumentKey, FieldValue, FindDocuments, IndexedField,
};
pub use port::filter::Filter;
pub use port::hint::Hint;
pub use port::lease::{Lease, LeaseRequest};
pub use port::outgoing::{FindOutgoing, PendingMessage};
pub use port::page::{Page, Recorded};
pub use port::parked::{FindParked, ParkedEntry, ParkedId, ParkedState, ParkedWrite};
pub use port::publisher::{OutboundKind, OutboundMessage, Publisher, Unpublished};
pub use port::read::{PageSize, ReadLog, ReadStream};
pub use port::sink::{Sink, SinkEvents};
pub use port::snapshot::{SnapshotRef, SnapshotWrite};
pub use port::store::{Head, InboxEntry, LogId, Pages, Store};
pub use port::stream_id::StreamId;
pub use port::subscriber::{BusStart, BusSubscription, Deliveries, Subscriber};
pub use port::timer::{FindTimers, Timer};
pub use port::{Position, Version};
pub use repository::Repository;
pub use retry::ConflictRetry;
pub use runtime::admin::{SubscriptionState, SubscriptionStatus, Subscriptions};
pub use runtime::consumer::SubscriptionKind;
pub use runtime::inbound::settings::Listener;
pub use runtime::parking::{Parked, ParkedDetail};
pub use runtime::projection::Life;
pub use runtime::retry::RetryPolicy;
pub use runtime::running::{Readiness, Running};
pub use runtime::saga::admin::{FindSagas, Sagas};
pub use runtime::saga::instance::{
    SagaHistory, SagaInstance, SagaStatus, SagaStep, SagaStepState, SagaTimer,
};
pub use runtime::settings::{RuntimeSettings, Start, Subscription};
pub use runtime::view::View;
pub use runtime::wait::{Reached, Waited};
#[cfg(feature = "schema")]
pub use schema::event_schema;
pub use work::Work;

/// What the macros of this crate refer to. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
}
