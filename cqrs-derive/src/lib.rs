//! Derives and attributes for the types and handlers of `cqrs-core`.
//!
//! They write what a person could write: a dozen lines of an `impl`, and the line that lets an app
//! find a handler. The docs of each macro show it.
//!
//! # The smallest program
//!
//! ```standalone_crate
//! use cqrs_core::memory::MemoryStore;
//! use cqrs_core::{App, BoxError, Context, Decide, Decision, Failure, Rejection};
//! use cqrs_derive::{Aggregate, Command, Event, Rejection, command_handler};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Serialize, Deserialize, Event)]
//! #[event(name = "theatre.reserved")]
//! struct Reserved {
//!     seats: u32,
//! }
//!
//! #[derive(Default, Aggregate)]
//! #[aggregate(category = "show", id = String, event = Reserved)]
//! struct Show {
//!     reserved: u32,
//! }
//!
//! impl Show {
//!     fn on(&mut self, event: &Reserved) {
//!         self.reserved += event.seats;
//!     }
//! }
//!
//! #[derive(Clone, Serialize, Deserialize, Command)]
//! #[command(name = "theatre.reserve", output = u32, error = SoldOut)]
//! struct Reserve {
//!     show: String,
//!     #[check(range = 1..=10)]
//!     seats: u32,
//! }
//!
//! #[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
//! #[error("only {left} seats are left")]
//! #[rejection(code = "theatre.sold_out", field = "seats")]
//! struct SoldOut {
//!     left: u32,
//! }
//!
//! #[command_handler]
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
//!     let app = App::builder().store(MemoryStore::default()).discover().build()?;
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
//! | macro | it writes |
//! |---|---|
//! | [`Command`](macro@Command), [`Query`](macro@Query) | the name, the answer, the checks and the wire form of a request, and that the app expects a handler |
//! | [`Event`](macro@Event), [`EventSet`](macro@EventSet) | the recorded names, versions, upcasters and tags |
//! | [`Aggregate`](macro@Aggregate) | category, id and event |
//! | [`Rejection`](macro@Rejection) | codes and fields |
//! | [`Schema`](macro@Schema) | what an entity looks like in its database: columns, indexes, a version |
//! | [`command_handler`], [`query_handler`], [`event_handler`] | the line that announces a handler |
//!
//! A name is a text of segments joined by dots. A segment is of lower-case letters, digits and `_`.
//! A name has at most 256 bytes.
//!
//! The guide, `cqrs_core::guide`, has a page for each concept, with these macros, and a tutorial.
//!
//! Add `cqrs-core` and `cqrs-derive` to the package. What the macros write finds `cqrs-core` under
//! the name that the package gave it. A package that has it through another one says where it is:
//! every macro has the key `crate = facade::cqrs_core`, and a `macro_rules!` of the facade writes
//! `crate = $crate::cqrs_core`.
//!
//! # What it promises
//!
//! - All faults of an item are reported at once, each at the token that is to blame.
//! - A faulty item gets a stub, so that its users see no second error.
//! - Nothing works only with a macro.
//!
//! # Feature flags
//!
//! None.
//!
//! # What can go wrong
//!
//! - What is announced in a crate that nothing refers to is not there: name the crate in
//!   `cqrs_core::link!`.
//! - A request that this crate derives and nobody handles makes the build of a discovering app fail.
//!   A crate of contracts writes `shared`, so that each service decides for itself.

mod ast;
mod attr;
mod core_path;
mod expand;
mod fallback;
mod fault;
mod plain;
#[cfg(test)]
mod snapshots;
mod valid;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::ast::handler::Role;
use crate::ast::request::Kind;

#[doc = include_str!("../docs/command.md")]
#[proc_macro_derive(Command, attributes(command, check))]
pub fn derive_command(input: TokenStream) -> TokenStream {
    expand::request(Kind::Command, &parse_macro_input!(input as DeriveInput)).into()
}

#[doc = include_str!("../docs/query.md")]
#[proc_macro_derive(Query, attributes(query, check))]
pub fn derive_query(input: TokenStream) -> TokenStream {
    expand::request(Kind::Query, &parse_macro_input!(input as DeriveInput)).into()
}

#[doc = include_str!("../docs/event.md")]
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    expand::event(&parse_macro_input!(input as DeriveInput)).into()
}

#[doc = include_str!("../docs/event_set.md")]
#[proc_macro_derive(EventSet, attributes(event_set))]
pub fn derive_event_set(input: TokenStream) -> TokenStream {
    expand::event_set(&parse_macro_input!(input as DeriveInput)).into()
}

#[doc = include_str!("../docs/rejection.md")]
#[proc_macro_derive(Rejection, attributes(rejection))]
pub fn derive_rejection(input: TokenStream) -> TokenStream {
    expand::rejection(&parse_macro_input!(input as DeriveInput)).into()
}

#[doc = include_str!("../docs/aggregate.md")]
#[proc_macro_derive(Aggregate, attributes(aggregate))]
pub fn derive_aggregate(input: TokenStream) -> TokenStream {
    expand::aggregate(&parse_macro_input!(input as DeriveInput)).into()
}

#[doc = include_str!("../docs/schema.md")]
#[proc_macro_derive(Schema, attributes(schema))]
pub fn derive_schema(input: TokenStream) -> TokenStream {
    expand::schema(&parse_macro_input!(input as DeriveInput)).into()
}

#[doc = include_str!("../docs/command_handler.md")]
#[proc_macro_attribute]
pub fn command_handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler::expand(Role::Command, arguments.into(), &item.into()).into()
}

#[doc = include_str!("../docs/query_handler.md")]
#[proc_macro_attribute]
pub fn query_handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler::expand(Role::Query, arguments.into(), &item.into()).into()
}

#[doc = include_str!("../docs/event_handler.md")]
#[proc_macro_attribute]
pub fn event_handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler::expand(Role::Event, arguments.into(), &item.into()).into()
}
