//! The one erasure: a handler behind a pointer, with the panic guard in it.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::error::{Error, ErrorKind, Result, panic_text};
use crate::handler::any::{AnyAnswer, AnyRequest};
use crate::handler::{Answer, Handler};
use crate::message::envelope::Envelope;
use crate::message::local::IdempotencyKey;
use crate::message::request::{Request, RequestKind};

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A handler's future whose type does not say that `R` is a request: what holds one can be named
/// without that bound, so that something else in its place is one error and not one for each mention.
pub(crate) trait Answering<R> {
    fn poll_answer(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer<R>>
    where
        R: Request;
}

impl<R: Request, F: Future<Output = Answer<R>>> Answering<R> for F {
    fn poll_answer(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer<R>> {
        self.poll(context)
    }
}

pub(crate) type BoxAnswering<'a, R> = Pin<Box<dyn Answering<R> + Send + 'a>>;

/// A handler of `R`, called in one of three ways; each makes one box.
pub(crate) trait Erased<R: Request>: Send + Sync {
    fn call(&self, request: Envelope<R>) -> BoxAnswering<'_, R>;

    fn call_owned(self: Arc<Self>, request: Envelope<R>) -> BoxFuture<'static, Answer<R>>;

    fn call_any(self: Arc<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer>;
}

pin_project! {
    /// A future whose panic is an error (P12). Nothing is moved into it later: what it guards is made
    /// in the box that it stands in.
    pub(crate) struct Guarded<F> {
        name: &'static str,
        #[pin]
        handling: F,
    }
}

impl<F> Guarded<F> {
    pub(crate) fn new(name: &'static str, handling: F) -> Self {
        Self { name, handling }
    }
}

impl<F, T, E> Future for Guarded<F>
where
    F: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let guarded = self.project();
        match catch_unwind(AssertUnwindSafe(|| guarded.handling.poll(context))) {
            Ok(poll) => poll,
            Err(panic) => Poll::Ready(Err(panicked(guarded.name, &*panic).into())),
        }
    }
}

/// A handler of the user's.
pub(crate) struct Plain<H>(pub(crate) H);

/// What is checked of every request before its handler sees it.
fn check<R: Request, H: Handler<R>>(request: &Envelope<R>) -> Result<()> {
    request.message.validate()?;
    let keyed = request.metadata.local::<IdempotencyKey>().is_some();
    if keyed && R::KIND == RequestKind::Command && request.metadata.inbox().is_none() {
        return Err(no_layer(R::NAME));
    }
    if !H::ANSWERS_REPEATS && request.metadata.inbox().is_some() {
        return Err(no_inbox(R::NAME));
    }
    Ok(())
}

impl<R: Request, H: Handler<R>> Erased<R> for Plain<H> {
    fn call(&self, request: Envelope<R>) -> BoxAnswering<'_, R> {
        Box::pin(Guarded::new(R::NAME, async move {
            check::<R, H>(&request)?;
            self.0.handle(request).await
        }))
    }

    fn call_owned(self: Arc<Self>, request: Envelope<R>) -> BoxFuture<'static, Answer<R>> {
        Box::pin(Guarded::new(R::NAME, async move {
            check::<R, H>(&request)?;
            self.0.handle(request).await
        }))
    }

    fn call_any(self: Arc<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer> {
        Box::pin(Guarded::new(R::NAME, async move {
            let (envelope, form) = request.open::<R>()?;
            check::<R, H>(&envelope)?;
            form.close::<R>(self.0.handle(envelope).await)
        }))
    }
}

/// A key that nothing looked at would promise what nobody keeps.
#[cold]
fn no_layer(name: &str) -> Error {
    let context = format!(
        "`{name}` came with an idempotency key, and no layer takes it: add \
         `.layer(Idempotency::new(..))` to the app"
    );
    Error::new(ErrorKind::Unsupported { part: "idempotency key" }, context)
}

#[cold]
fn no_inbox(name: &str) -> Error {
    let context = format!("the handler of `{name}` keeps no inbox: send it without one");
    Error::new(ErrorKind::Unsupported { part: "inbox" }, context)
}

#[cold]
pub(crate) fn panicked(name: &str, panic: &(dyn Any + Send)) -> Error {
    let context = format!("the handler of `{name}` panicked: {}", panic_text(panic));
    Error::new(ErrorKind::Panicked, context)
}
