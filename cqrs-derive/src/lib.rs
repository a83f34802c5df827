//! Derives and attributes for `cqrs-core`.

mod ast;
mod attr;
mod core_path;
mod expand;
mod fallback;
mod fault;
mod valid;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::ast::handler::Role;
use crate::ast::request::Kind;

/// `Request` and `Command`.
#[proc_macro_derive(Command, attributes(command, check))]
pub fn derive_command(input: TokenStream) -> TokenStream {
    expand::request(Kind::Command, &parse_macro_input!(input as DeriveInput)).into()
}

/// `Request` and `Query`.
#[proc_macro_derive(Query, attributes(query, check))]
pub fn derive_query(input: TokenStream) -> TokenStream {
    expand::request(Kind::Query, &parse_macro_input!(input as DeriveInput)).into()
}

/// `Event`.
#[proc_macro_derive(Event, attributes(event))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    expand::event(&parse_macro_input!(input as DeriveInput)).into()
}

/// `EventSet`.
#[proc_macro_derive(EventSet)]
pub fn derive_event_set(input: TokenStream) -> TokenStream {
    expand::event_set(&parse_macro_input!(input as DeriveInput)).into()
}

/// `Rejection`.
#[proc_macro_derive(Rejection, attributes(rejection))]
pub fn derive_rejection(input: TokenStream) -> TokenStream {
    expand::rejection(&parse_macro_input!(input as DeriveInput)).into()
}

/// `Aggregate`.
#[proc_macro_derive(Aggregate, attributes(aggregate))]
pub fn derive_aggregate(input: TokenStream) -> TokenStream {
    expand::aggregate(&parse_macro_input!(input as DeriveInput)).into()
}

/// A handler of a command.
#[proc_macro_attribute]
pub fn command_handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler::expand(Role::Command, arguments.into(), item.into()).into()
}

/// A handler of a query.
#[proc_macro_attribute]
pub fn query_handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler::expand(Role::Query, arguments.into(), item.into()).into()
}

/// A handler of events.
#[proc_macro_attribute]
pub fn event_handler(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::handler::expand(Role::Event, arguments.into(), item.into()).into()
}
