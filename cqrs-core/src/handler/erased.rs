//! The one erasure: a handler behind a pointer, with the panic guard in it.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Failure};
use crate::handler::any::{AnyAnswer, AnyRequest};
use crate::handler::{Answer, Handler};
use crate::message::envelope::Envelope;
use crate::message::request::Request;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A handler of `R`, called in one of three ways; each makes one box.
pub(crate) trait Erased<R: Request>: Send + Sync {
    fn call(&self, request: Envelope<R>) -> BoxFuture<'_, Answer<R>>;

    fn call_owned(self: Arc<Self>, request: Envelope<R>) -> BoxFuture<'static, Answer<R>>;

    fn call_any(self: Arc<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer>;
}

/// Awaits a future, and turns its panic into an error (P12).
///
/// A macro, not a function: the future is pinned where it is made. Moving it into a combinator that
/// catches panics would copy it twice.
macro_rules! guarded {
    ($name:expr, $handling:expr) => {{
        let mut handling = std::pin::pin!($handling);
        std::future::poll_fn(move |context| {
            let poll = std::panic::AssertUnwindSafe(|| handling.as_mut().poll(context));
            match std::panic::catch_unwind(poll) {
                Ok(poll) => poll,
                Err(panic) => {
                    let panicked = crate::handler::erased::panicked($name, &*panic);
                    std::task::Poll::Ready(Err(panicked.into()))
                }
            }
        })
        .await
    }};
}
pub(crate) use guarded;

/// A handler of the user's.
pub(crate) struct Plain<H>(pub(crate) H);

impl<H> Plain<H> {
    async fn checked<R: Request>(&self, request: Envelope<R>) -> Answer<R>
    where
        H: Handler<R>,
    {
        request.message.validate()?;
        if !H::ANSWERS_REPEATS && request.metadata.inbox().is_some() {
            return Err(Failure::Failed(no_inbox(R::NAME)));
        }
        self.0.handle(request).await
    }
}

impl<R: Request, H: Handler<R>> Erased<R> for Plain<H> {
    fn call(&self, request: Envelope<R>) -> BoxFuture<'_, Answer<R>> {
        Box::pin(async move { guarded!(R::NAME, self.checked(request)) })
    }

    fn call_owned(self: Arc<Self>, request: Envelope<R>) -> BoxFuture<'static, Answer<R>> {
        Box::pin(async move { guarded!(R::NAME, self.checked(request)) })
    }

    fn call_any(self: Arc<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer> {
        Box::pin(async move {
            guarded!(R::NAME, async {
                let (envelope, form) = request.open::<R>()?;
                form.close::<R>(self.checked(envelope).await)
            })
        })
    }
}

#[cold]
fn no_inbox(name: &str) -> Error {
    let context = format!("the handler of `{name}` keeps no inbox: send it without one");
    Error::new(ErrorKind::Unsupported { part: "inbox" }, context)
}

#[cold]
pub(crate) fn panicked(name: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let context = format!("the handler of `{name}` panicked: {}", text.unwrap_or("(no text)"));
    Error::new(ErrorKind::Panicked, context)
}
