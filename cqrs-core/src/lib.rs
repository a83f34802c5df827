//! Commands, queries and events for services that must not lose any of them.
//!
//! A service written with this crate is plain types and pure functions: *commands* ask for a change,
//! *aggregates* decide what follows, *events* record it, *queries* read. Everything is written as
//! one [`Commit`] at a time, all or nothing, and read back as one ordered log. What follows from it
//! (views, sagas, timers, messages to others) is run by the runtime, through crashes and restarts, on
//! one node or several. Where it is kept is an adapter's matter: a [`Store`]. This crate holds the
//! traits, the typed facades over them, the runtime, and [`MemoryStore`](memory::MemoryStore), the
//! reference.
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
//! | an async function of an event, or of a [`Batch`] | what follows the events, from a checkpoint of its own | the runtime: [`App::start`] |
//! | a type with [`Projection`] | views of events for queries, read as [`View`]; its [`Life`] says when it runs | the runtime, or the commit itself |
//! | a type with [`Saga`] | a process across aggregates, with answers, timers and a way back | the runtime |
//! | a function of an event to those of the contract with others | what others are told | [`AppBuilder::translate`], over a [`Bus`] |
//! | an async function of another service's event | what this one listens to, each message once | [`AppBuilder::listens`] |
//! | the same types of requests in two services | requests that one has the other handle: [`App::serve`], [`AppBuilder::remote`], [`ServiceClient`] | any [`Bus`]: [`connect_bus`] |
//! | a tower layer | what runs around the handlers, whoever calls; the module [`layer`] has some | [`AppBuilder::layer`], [`AppBuilder::layer_for`] |
//! | [`discovered!`], as the attributes of `cqrs-derive` write it | what announces itself | [`AppBuilder::discover`], [`AppBuilder::discover_in`], [`link!`] |
//!
//! A command on one aggregate needs no handler: [`AppBuilder::decides`]. One that changes several
//! aggregates or documents gathers them in a [`Work`], which is one commit; with
//! [`Work::send`] and [`Work::publish`] it sends what is to be sent once the commit is durable.
//!
//! [`App::start`] runs everything that follows, and [`Running::stop`] ends it in order. The settings of
//! one subscription are changed with [`AppBuilder::subscription`], those of the process with
//! [`RuntimeSettings`]. Operators look and act through [`App::subscriptions`], [`App::parked`] and
//! [`App::sagas`]: the page on [operations](guide::operations) is theirs.
//!
//! Reading goes by the page: [`Store::read_stream`] with [`ReadStream`], [`Store::read_log`] with [`ReadLog`] and a
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
//! The suites of `cqrs-testing`, which every store passes, have cases for what can be shown of them over
//! a store.
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
//!   one was, for as long as the inbox keeps its id: 30 days, unless the store is told otherwise.
//! - **P6** An event that cannot be decoded is never dropped: the load fails with its stream,
//!   position and cause, and a subscription parks it.
//! - **P7** What is written can be read with the store's own tools.
//! - **P8** A subscription has a number of partitions that is fixed in the store, and a key is in one of
//!   them by a stable hash. Events of one key are handled in the order of the log, one at a time;
//!   partitions run side by side.
//! - **P9** The checkpoint of a partition never passes an event whose handling has not finished: handled,
//!   or set aside with its cause. It does pass what the filter leaves out.
//! - **P10** What a handler of events gathers in a [`Work`], the views of a projection, the tables of a
//!   [`Sink`], and the state, timers and messages of a saga are one commit with the checkpoint: exactly
//!   once. Effects elsewhere are at least once, with a stable id.
//! - **P11** An event that fails is tried again with backoff and full jitter, and parked when its attempts
//!   are spent. Later events of its key queue up behind it, up to a limit; other keys go on. Operators
//!   list, retry, edit and discard.
//! - **P12** A handler or a layer that fails or panics is an error of its call, and stops neither the
//!   others nor the process. An event that kills the process is known by the attempts that were counted
//!   before they ran, and is parked.
//! - **P13** At most one node can commit for a partition. One that was replaced may still be running a
//!   handler, so effects elsewhere may repeat, with the same id. Only the store's clock counts for
//!   leases.
//! - **P14** A projection is built anew beside the views that are read meanwhile, resumably. What is sent
//!   through [`Work`] is left out of a replay, and a [`Mediator`] refuses to send.
//! - **P15** [`App::wait_for`] and [`Sending::and_wait`] wait until a subscription shows what was written,
//!   on any node, and tell when a parked event stands in the way.
//! - **P16** [`Running::stop`] finishes what is in hand within a bound. What exceeds it is given up
//!   uncommitted, runs again, and costs no attempt.
//! - **P18** A listener applies each message once, for as long as its inbox keeps ids; that this is longer
//!   than the bus hands messages over is checked at the start.
//! - **P19** Messages of one key are sent in the order of the log, one at a time, across retries and
//!   restarts.
//! - **P22** A request over a bus is answered with its typed output or rejection, or ends in time. A repeat of
//!   a command is answered from the stored reply of the first.
//! - **P23** What goes over a broker is a CloudEvent 1.0 in binary mode: [the wire](guide::wire).
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
//! - [`ErrorKind::EventNotHandled`]: a handler of events failed in [`App::catch_up`], and nothing after
//!   that event was handled. The source tells why. The runtime tries again, and then parks the event.
//! - [`ErrorKind::SchemaTooNew`]: newer code wrote the storage, or built a projection. Deploy it.
//! - [`ErrorKind::Build`]: the app lacks handlers, resources or upcasters; the error names all.
//!
//! The page on [errors](guide::errors) has all kinds, each with what to do. What waits for an operator
//! is no error of any call: look at [`App::parked`].
//!
//! A future of [`App::send`] or [`Store::commit`] that is dropped may still take effect.

mod app;
mod at_hand;
mod bridge;
mod cache;
#[doc(hidden)]
pub mod check;
mod client;
mod connect;
mod discovery;
mod documents;
mod domain;
mod error;
#[cfg(any(doc, doctest))]
pub mod guide;
mod handler;
#[cfg(feature = "schema")]
mod json_schema;
pub mod layer;
mod load;
mod manifest;
pub mod memory;
mod message;
mod once;
mod port;
mod rebuild;
mod record;
mod remote;
mod repository;
mod retry;
mod runtime;
mod schema;
mod trouble;
mod work;

pub use app::{
    App, AppBuilder, Mediator, RawAnswer, RawRejection, RawReply, RawRequest, Sending, Serve,
    Serving,
};
pub use bridge::{Bridge, Bridging};
pub use client::{Calling, ServiceClient};
pub use connect::{BusKind, connect_bus};
pub use discovery::Discovered;
pub use documents::{Documents, Versioned};
pub use domain::aggregate::{Aggregate, AggregateId};
pub use domain::context::Context;
pub use domain::decide::{Decide, Decision};
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
#[cfg(feature = "schema")]
pub use json_schema::event_schema;
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
pub use port::cloud_event::Attribute;
pub use port::commit::{
    Append, CheckpointWrite, Commit, CommitId, Committed, DocumentWrite, Expected, Fence, Guard,
    InboxMark, NewEvent, Settled, TimerWrite,
};
pub use port::delivery::{Delivery, InboundMessage, Settle, Ticket, Verdict};
pub use port::document::{
    Collection, Document, DocumentKey, FieldValue, FindDocuments, IndexedField,
};
pub use port::filter::Filter;
pub use port::hint::Hint;
pub use port::lanes::{Fate, Holder, Lane, Lanes};
pub use port::lease::{Lease, LeaseRequest};
pub use port::loan::{LoanSaid, LoanWord};
pub use port::member::{GroupAnswer, GroupAsk, GroupAsks, Handed, Outlook, Seat, Seen};
pub use port::outgoing::{AnswerTo, FindOutgoing, Outgoing, OutgoingKind, PendingMessage, Tries};
pub use port::page::{Page, Recorded};
pub use port::parked::{FindParked, ParkedEntry, ParkedId, ParkedState, ParkedWrite};
pub use port::publisher::{OutboundKind, OutboundMessage, Publisher, Unpublished};
pub use port::read::{PageSize, ReadLog, ReadStream};
pub use port::reply::{No, ReplyMessage, ReplyStatus};
pub use port::request::{InboundRequest, OutboundRequest, Requester, Requests, Respond, Responder};
pub use port::sink::{Sink, SinkEvents};
pub use port::snapshot::{SnapshotRef, SnapshotWrite};
pub use port::store::{Head, InboxEntry, LogId, Pages, Store};
pub use port::stream_id::StreamId;
pub use port::subscriber::{BusStart, BusSubscription, Deliveries, Subscriber};
pub use port::timer::{FindTimers, Timer};
pub use port::underway::{InHand, Underway};
pub use port::{Position, Version};
pub use remote::Remote;
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
pub use schema::cell::Cell;
pub use schema::entity::Entity;
pub use schema::field::{Field, FieldType, Index};
pub use schema::mapping::{Change, Mapping};
pub use schema::{Indexable, Schema};
pub use work::Work;

/// What the macros of this crate refer to. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use inventory;
}
