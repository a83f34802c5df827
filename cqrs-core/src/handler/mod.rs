//! Handlers: typed async functions of a request, and how their parameters are found.

/// Hands the numbers of parameters that a function handler may have, none to six, to a macro.
macro_rules! for_each_arity {
    ($functions:ident) => {
        $functions! {
            ()
            (A a)
            (A a, B b)
            (A a, B b, C c)
            (A a, B b, C c, D d)
            (A a, B b, C c, D d, E e)
            (A a, B b, C c, D d, E e, G g)
        }
    };
}

pub(crate) mod any;
mod batch;
mod erased;
mod event;
mod function;
mod inject;
mod registry;
mod service;

use std::future::Future;

use crate::error::{Failure, Result};
use crate::message::envelope::{Envelope, Reply};
use crate::message::request::Request;

pub use any::{AnyAnswer, AnyRejection, AnyReply, AnyRequest, Origin};
pub use batch::Batch;
pub(crate) use erased::{BoxAnswering, BoxFuture, Guarded};
pub(crate) use event::{ErasedEventHandler, Replay, decoded};
pub use event::{HandlerError, IntoEventHandler};
pub use function::IntoHandler;
pub use inject::{Call, Inject, Res, Resources};
pub(crate) use registry::{Named, Registry};
pub use service::{AppLayer, AppService, HandlerService, RequestLayer};

/// What a handler of `R` returns. See [`Handler`] for an example.
pub type Answer<R> = Result<Reply<<R as Request>::Output>, Failure<<R as Request>::Error>>;

/// Handles requests of one type.
///
/// Most handlers are plain async functions (see [`AppBuilder::handler`](crate::AppBuilder::handler))
/// or aggregates (see [`Repository`](crate::Repository)). This trait is for those with state of
/// their own:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use cqrs_core::{Answer, App, Envelope, Handler, Never, Query, Request, RequestKind};
///
/// struct NextNumber;
/// impl Request for NextNumber {
///     const NAME: &'static str = "numbers.next";
///     const KIND: RequestKind = RequestKind::Query;
///     type Output = u64;
///     type Error = Never;
/// }
/// impl Query for NextNumber {}
///
/// struct Counter(AtomicU64);
/// impl Handler<NextNumber> for Counter {
///     async fn handle(&self, _: Envelope<NextNumber>) -> Answer<NextNumber> {
///         Ok(self.0.fetch_add(1, Ordering::Relaxed).into())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let app = App::builder().handler(Counter(AtomicU64::new(7))).build()?;
/// assert_eq!(app.ask(NextNumber).await?, 7);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not handle `{R}`",
    note = "for an aggregate: `impl Decide<{R}>`; for a function: `.handler(f)`"
)]
pub trait Handler<R: Request>: Send + Sync + 'static {
    /// Whether it answers the repeat of a request that names an
    /// [inbox](crate::Metadata::with_inbox) as it answered the first. Where it does not, such a
    /// request is refused as [`Unsupported`](crate::ErrorKind::Unsupported).
    const ANSWERS_REPEATS: bool = false;

    /// Whether another service handles it, as with a [`Remote`](crate::Remote). An app does not
    /// [serve](crate::App::serve) such requests to others.
    const IS_REMOTE: bool = false;

    /// Handles one request. A panic in it is an error of the call and of nothing else.
    fn handle(&self, request: Envelope<R>) -> impl Future<Output = Answer<R>> + Send;
}
