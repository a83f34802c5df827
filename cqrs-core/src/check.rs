//! What the macros of `cqrs-derive` check the user's types with, each at its own token, so that a
//! mistake is one error that says what to write. No part of the interface.
//!
//! A check is a `const`. What needs it to hold names its types through [`Checked`], so that the
//! compiler knows that the mistake was reported and says nothing more.

use std::future::Future;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::AppBuilder;
use crate::domain::aggregate::Aggregate;
use crate::domain::decide::Decide;
use crate::error::{Failure, Rejection};
use crate::handler::{HandlerError, Inject};
use crate::message::event::{Event, EventType};
use crate::message::event_set::EventSet;
use crate::message::request::{Command, Query, Request};
use crate::schema::Indexable;
use crate::schema::field::FieldType;

pub use serde_json::Value;

/// `T`, when the check `HELD` compiles.
pub type Checked<T, const HELD: bool> = <Check<HELD> as Holds<T>>::Type;

/// A check: `true` is one that compiles.
#[derive(Debug)]
pub struct Check<const HELD: bool>;

/// What a check that compiles gives.
pub trait Holds<T> {
    /// `T` itself.
    type Type;
}

impl<T> Holds<T> for Check<true> {
    type Type = T;
}

/// The first parameter of a command's handler.
pub const fn command<C: Command>() -> bool {
    true
}

/// The first parameter of a query's handler.
pub const fn query<Q: Query>() -> bool {
    true
}

/// The first parameter of an event handler.
pub const fn events<S: EventSet>() -> bool {
    true
}

/// What a field is that entities are found by.
pub fn indexed<T: Indexable>() -> FieldType {
    T::field_type()
}

/// Any other parameter.
pub const fn parameter<T: Inject>() -> bool {
    true
}

/// A type of a request's wire form.
pub const fn travels<T: Travels>() -> bool {
    true
}

/// What has a wire form.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no wire form",
    label = "derive `Serialize` and `Deserialize` for it",
    note = "a request that stays in the process says `local`, and needs no wire form"
)]
pub trait Travels {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Travels for T {}

/// A request that can run again.
pub const fn copied<T: Copied>() -> bool {
    true
}

/// What can be copied.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be copied, to run again after a conflict",
    label = "derive `Clone` for it",
    note = "a request that need not run again says `run_once`"
)]
pub trait Copied {}

#[diagnostic::do_not_recommend]
impl<T: Clone> Copied for T {}

/// What an event is, beside what it says of itself.
pub trait Recordable: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Recordable for T {}

/// What a handler of `R` returns.
pub const fn answer<R: Request, A: Answers<R>>() -> bool {
    true
}

/// What a handler of `R` answers.
pub const fn output<R: Request, O: OutputOf<R::Output>>() -> bool {
    true
}

/// How a handler of `R` refuses.
pub const fn error<R: Request, E: ErrorOf<R::Error>>() -> bool {
    true
}

/// What a handler of `R` may return: `Result<Output, Error>`.
#[diagnostic::on_unimplemented(
    message = "a handler does not return `{Self}`",
    label = "expected `Result<Output, Error>` with the output and the error of `{R}`"
)]
pub trait Answers<R> {}

impl<R, O, E> Answers<R> for Result<O, E>
where
    R: Request,
    O: OutputOf<R::Output>,
    E: ErrorOf<R::Error>,
{
}

/// The output of a request.
#[diagnostic::on_unimplemented(
    message = "the request is answered with `{O}`, and this handler answers `{Self}`",
    label = "expected `Result<{O}, ..>`",
    note = "the answer of a request is said where it is declared: `output = {Self}`"
)]
pub trait OutputOf<O> {}

impl<O> OutputOf<O> for O {}

/// An error that a handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not how this request is rejected",
    label = "expected the error `{E}`, or `Failure<{E}>`",
    note = "`?` makes a `Failure<{E}>` from `{E}` and from `cqrs_core::Error`"
)]
pub trait ErrorOf<E> {}

#[diagnostic::do_not_recommend]
impl<E: Rejection, X: Into<Failure<E>>> ErrorOf<E> for X {}

/// What an event handler returns.
pub const fn handled<A: Handles>() -> bool {
    true
}

/// What an event handler answers.
pub const fn nothing<O: Nothing>() -> bool {
    true
}

/// How an event handler fails.
pub const fn cause<E: Cause>() -> bool {
    true
}

/// What an event handler may return: `Result<(), Error>`.
#[diagnostic::on_unimplemented(
    message = "an event handler does not return `{Self}`",
    label = "expected `Result<(), Error>`"
)]
pub trait Handles {}

impl<O: Nothing, E: Cause> Handles for Result<O, E> {}

/// The output of an event handler.
#[diagnostic::on_unimplemented(
    message = "nobody reads the answer of an event handler, and this one answers `{Self}`",
    label = "expected `()`"
)]
pub trait Nothing {}

impl Nothing for () {}

/// An error that an event handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error",
    label = "expected an error, such as `HandlerError`",
    note = "any error that becomes a `BoxError` is one, and `?` makes a `HandlerError` from it"
)]
pub trait Cause {}

#[diagnostic::do_not_recommend]
impl<E: Into<HandlerError>> Cause for E {}

/// Announces an aggregate that decides on a command.
#[derive(Debug)]
pub struct Decides<A, C>(PhantomData<fn(A, C)>);

impl<A: Decide<C>, C: Command> Decides<A, C> {
    /// The aggregate handles the command.
    pub fn announce(app: AppBuilder) -> AppBuilder {
        app.decides::<A, C>()
    }
}

/// Stands in where the `impl` itself does not compile, which the compiler says already.
pub trait DecidesNot {
    /// Nothing is announced.
    fn announce(app: AppBuilder) -> AppBuilder;
}

impl<A, C> DecidesNot for Decides<A, C> {
    fn announce(app: AppBuilder) -> AppBuilder {
        app
    }
}

/// The future of a handler: it may move between threads.
pub fn future<const HELD: bool, F>(_: F)
where
    Check<HELD>: Sent<F>,
{
}

/// A future that may move between threads.
pub trait Sent<F> {}

impl<F: Future + Send> Sent<F> for Check<true> {}

/// Says what to write where an aggregate has no method `on`. This one can never be called.
///
/// It takes `&self`, of which a call of a method thinks last: an inherent method that takes `&mut
/// self` is found before it, and so is one of a trait of the user's.
pub trait NeedsOn: Aggregate {
    /// Never called.
    fn on(&self, event: &Self::Event)
    where
        Self: TakesIn<Self::Event>;
}

impl<A: Aggregate> NeedsOn for A {
    fn on(&self, _: &Self::Event)
    where
        Self: TakesIn<Self::Event>,
    {
    }
}

/// Never implemented.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how it takes in its events",
    label = "needs `fn on(&mut self, event: &{E})`",
    note = "write the method in an `impl {Self}`, or name another function: `apply = path::of::function`"
)]
pub trait TakesIn<E> {}

/// Stands for an event that was not named.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum NoEvent {}

impl Event for NoEvent {
    const TYPES: &'static [EventType] = &[];

    fn event_type(&self) -> &'static EventType {
        match *self {}
    }
}
