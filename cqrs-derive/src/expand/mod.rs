//! What each macro writes.

pub(crate) mod aggregate;
pub(crate) mod check;
pub(crate) mod event;
pub(crate) mod event_set;
pub(crate) mod handler;
pub(crate) mod rejection;
pub(crate) mod request;
pub(crate) mod schema;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput};

use crate::ast;
use crate::fallback;
use crate::fault::Faults;

/// `#[derive(Command)]` and `#[derive(Query)]`.
pub(crate) fn request(kind: ast::request::Kind, input: &DeriveInput) -> TokenStream {
    let mut faults = Faults::default();
    let request = ast::request::Request::read(kind, input, &mut faults);
    written(faults, || request::expand(&request), || fallback::request(&request))
}

/// `#[derive(Event)]`.
pub(crate) fn event(input: &DeriveInput) -> TokenStream {
    let mut faults = Faults::default();
    let event = ast::event::Event::read(input, &mut faults);
    written(faults, || event::expand(&event), || unless_union(input, fallback::event(&event)))
}

/// `#[derive(EventSet)]`.
pub(crate) fn event_set(input: &DeriveInput) -> TokenStream {
    let mut faults = Faults::default();
    let set = ast::event_set::EventSet::read(input, &mut faults);
    written(faults, || event_set::expand(&set), || fallback::event_set(&set))
}

/// `#[derive(Rejection)]`.
pub(crate) fn rejection(input: &DeriveInput) -> TokenStream {
    let mut faults = Faults::default();
    let rejection = ast::rejection::Rejection::read(input, &mut faults);
    written(
        faults,
        || rejection::expand(&rejection),
        || unless_union(input, fallback::rejection(&rejection)),
    )
}

/// `#[derive(Aggregate)]`.
pub(crate) fn aggregate(input: &DeriveInput) -> TokenStream {
    let mut faults = Faults::default();
    let aggregate = ast::aggregate::Aggregate::read(input, &mut faults);
    written(
        faults,
        || aggregate::expand(&aggregate),
        || unless_union(input, fallback::aggregate(&aggregate)),
    )
}

/// `#[derive(Schema)]`.
pub(crate) fn schema(input: &DeriveInput) -> TokenStream {
    let mut faults = Faults::default();
    let schema = ast::schema::Schema::read(input, &mut faults);
    written(faults, || schema::expand(&schema), || unless_union(input, fallback::schema(&schema)))
}

/// The implementation; or the faults, with a stub so that no second error follows.
fn written(
    faults: Faults,
    expand: impl FnOnce() -> TokenStream,
    stub: impl FnOnce() -> TokenStream,
) -> TokenStream {
    if faults.is_empty() {
        return expand();
    }
    let (faults, stub) = (faults.into_tokens(), stub());
    quote!(#faults #stub)
}

/// The stub, but for a union: it is not what else the trait asks for, such as an error.
fn unless_union(input: &DeriveInput, stub: TokenStream) -> TokenStream {
    match input.data {
        Data::Union(_) => TokenStream::new(),
        Data::Struct(_) | Data::Enum(_) => stub,
    }
}

/// A key that is there, or the faults would say so.
fn given<T: ToTokens>(key: Option<&T>) -> TokenStream {
    key.map(ToTokens::to_token_stream).unwrap_or_default()
}
