//! Functions that handle events: what they take, what they answer, and their erasure.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use crate::error::{BoxError, Error, ErrorKind, Problem, Result};
use crate::handler::erased::{BoxFuture, Guarded};
use crate::handler::inject::{Call, Inject, Resources};
use crate::manifest::EventHandlerManifest;
use crate::message::event_set::EventSet;
use crate::message::metadata::Metadata;
use crate::port::page::Recorded;
use crate::work::Work;

/// Why an event was not handled. Any error becomes one with `?`, and may pass; what will never pass
/// says so.
///
/// ```
/// use cqrs_core::HandlerError;
///
/// fn send_mail(address: &str) -> Result<(), HandlerError> {
///     if !address.contains('@') {
///         return Err(HandlerError::fatal(format!("{address:?} is no address")));
///     }
///     std::fs::write("/nowhere/outbox", address)?;
///     Ok(())
/// }
/// assert!(send_mail("ada").unwrap_err().is_fatal());
/// assert!(!send_mail("ada@example.org").unwrap_err().is_fatal());
/// ```
#[derive(Debug)]
pub struct HandlerError {
    cause: BoxError,
    fatal: bool,
}

impl HandlerError {
    /// Another attempt will fail as well.
    pub fn fatal(cause: impl Into<BoxError>) -> Self {
        Self { cause: cause.into(), fatal: true }
    }

    pub(crate) fn cause(&self) -> &BoxError {
        &self.cause
    }

    /// What it was caused by.
    pub fn into_cause(self) -> BoxError {
        self.cause
    }

    /// Whether another attempt will fail as well.
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }
}

impl<E: Into<BoxError>> From<E> for HandlerError {
    fn from(cause: E) -> Self {
        Self { cause: cause.into(), fatal: false }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

/// What [`AppBuilder::event_handler`](crate::AppBuilder::event_handler) takes: an async function of
/// an event ([`EventSet`], by value) and up to six parameters ([`Inject`]).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of the events `{S}`",
    label = "expected `async fn(S, parameters..) -> Result<(), HandlerError>`",
    note = "check, in this order: the first parameter is the event or set of events by value; each other one is `Res<T>`, `Work`, `Repository<A>`, `Documents<T>`, `View<P>`, `Mediator`, `Metadata`, `Sagas` or `Arc<dyn Store>`; the error becomes a `HandlerError` with `?`; the future is Send"
)]
pub trait IntoEventHandler<S: EventSet, M>: Send + 'static {
    /// Finds the parameters; what is missing is added to the problems.
    #[doc(hidden)]
    fn install(
        self,
        name: &'static str,
        resources: &Resources,
        problems: &mut Vec<Problem>,
    ) -> Option<Box<dyn ErasedEventHandler>>;
}

/// A handler of events behind a pointer.
#[doc(hidden)]
pub trait ErasedEventHandler: Send + Sync {
    fn describe(&self) -> EventHandlerManifest;

    /// Whether what it gathers is committed with the checkpoint.
    fn commits(&self) -> bool;

    /// Whether it takes several events at once.
    fn batches(&self) -> bool {
        false
    }

    /// Handles several events at once, where it does: the work that it gathered, if any.
    fn handle_batch(
        &self,
        events: &[Recorded<'_>],
        replay: bool,
    ) -> Result<BoxFuture<'_, Result<Option<Work>, HandlerError>>> {
        match events {
            [event] => self.handle(event, replay),
            _ => Err(Error::new(ErrorKind::Internal, "a handler of single events got several")),
        }
    }

    /// Handles an event: the work that it gathered, if any. `replay`: it was handled before, and
    /// nothing is to be sent.
    fn handle(
        &self,
        event: &Recorded<'_>,
        replay: bool,
    ) -> Result<BoxFuture<'_, Result<Option<Work>, HandlerError>>>;
}

/// A mark on what is handled again: nothing is to be sent.
pub(crate) struct Replay;

struct Function<F, Parameters, Ready> {
    name: &'static str,
    /// Whether one of the parameters is, or holds, a `Work`.
    commits: bool,
    function: F,
    ready: Ready,
    parameters: PhantomData<fn() -> Parameters>,
}

/// The event with its type; `None`: it was erased, and there is nothing to handle.
pub(crate) fn decoded<S: EventSet>(event: &Recorded<'_>) -> Result<Option<(S, Metadata)>> {
    match event.decode::<S>()? {
        Some(decoded) => Ok(Some((decoded.data, event.metadata()?))),
        None if event.is_erased() => Ok(None),
        None => Err(event.undecodable("its type", "the handler does not know it".into())),
    }
}

macro_rules! functions {
    ($( ($($T:ident $t:ident),*) )*) => { $(
        impl<F, Fut, S, X, $($T,)*> IntoEventHandler<S, (S, $($T,)*)> for F
        where
            S: EventSet,
            F: Fn(S, $($T,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), X>> + Send + 'static,
            X: Into<HandlerError> + 'static,
            $($T: Inject,)*
        {
            #[allow(unused_variables, reason = "a function of the event alone has no parameters")]
            fn install(
                self,
                name: &'static str,
                resources: &Resources,
                problems: &mut Vec<Problem>,
            ) -> Option<Box<dyn ErasedEventHandler>> {
                resources.found().commits = false;
                $( let $t = $T::resolve(resources, name).map_err(|p| problems.push(p)).ok(); )*
                let ready = ($($t?,)*);
                let parameters = PhantomData::<fn() -> (S, $($T,)*)>;
                let commits = resources.found().commits;
                Some(Box::new(Function { name, commits, function: self, ready, parameters }))
            }
        }

        impl<F, Fut, S, X, $($T,)*> ErasedEventHandler
            for Function<F, (S, $($T,)*), ($($T::Ready,)*)>
        where
            S: EventSet,
            F: Fn(S, $($T,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<(), X>> + Send + 'static,
            X: Into<HandlerError> + 'static,
            $($T: Inject,)*
        {
            fn describe(&self) -> EventHandlerManifest {
                EventHandlerManifest {
                    name: self.name,
                    events: S::types().iter().map(|t| t.name).collect(),
                    handler: type_name::<F>(),
                }
            }

            fn commits(&self) -> bool {
                self.commits
            }

            #[allow(unused_variables, reason = "a function of the event alone has no parameters")]
            fn handle(&self, event: &Recorded<'_>, replay: bool) -> Result<BoxFuture<'_, Result<Option<Work>, HandlerError>>> {
                let Some((data, metadata)) = decoded::<S>(event)? else {
                    return Ok(Box::pin(std::future::ready(Ok(None))));
                };
                let metadata = if replay { metadata.with_local(Replay) } else { metadata };
                let call = Call::of_event(self.name, metadata);
                Ok(Box::pin(Guarded::new(self.name, async move {
                    let ($($t,)*) = &self.ready;
                    let handling = (self.function)(data, $($T::bind($t, &call),)*);
                    handling.await.map_err(Into::into)?;
                    Ok(call.begun_work().cloned())
                })))
            }
        }
    )* };
}

for_each_arity!(functions);
