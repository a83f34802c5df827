//! The one erasure: a handler behind a pointer, with the panic guard in it.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use crate::error::{Error, ErrorKind, Failure};
use crate::handler::{Answer, Handler};
use crate::message::envelope::Envelope;
use crate::message::request::Request;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(crate) trait Erased<R: Request>: Send + Sync {
    fn call(&self, request: Envelope<R>) -> BoxFuture<'_, Answer<R>>;
}

pub(crate) struct Guarded<H>(pub(crate) H);

impl<R: Request, H: Handler<R>> Erased<R> for Guarded<H> {
    fn call(&self, request: Envelope<R>) -> BoxFuture<'_, Answer<R>> {
        // The handler's future is pinned where it is made: moving it into a combinator that catches
        // panics would copy it twice.
        Box::pin(async move {
            let mut handling = pin!(async move {
                request.message.validate()?;
                if !H::ANSWERS_REPEATS && request.metadata.inbox().is_some() {
                    return Err(Failure::Failed(no_inbox(R::NAME)));
                }
                self.0.handle(request).await
            });
            std::future::poll_fn(move |context| {
                match catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(context))) {
                    Ok(poll) => poll,
                    Err(panic) => Poll::Ready(Err(panicked(R::NAME, &*panic))),
                }
            })
            .await
        })
    }
}

#[cold]
fn no_inbox(name: &str) -> Error {
    let context = format!("the handler of `{name}` keeps no inbox: send it without one");
    Error::new(ErrorKind::Unsupported { part: "inbox" }, context)
}

#[cold]
fn panicked<E>(name: &str, panic: &(dyn Any + Send)) -> Failure<E> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let context = format!("the handler of `{name}` panicked: {}", text.unwrap_or("(no text)"));
    Failure::Failed(Error::new(ErrorKind::Panicked, context))
}
