//! Checks of one request type beside those of the type itself.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use crate::error::{Failure, Result};
use crate::handler::{Answer, BoxFuture};
use crate::message::envelope::{Envelope, Reply};
use crate::message::request::Request;

/// Checks requests of one type before their handler sees them. What every request of the type must
/// keep stands in [`Request::validate`], which is always asked; this is for what one service
/// demands, or another crate checks (`garde`, `validator`).
///
/// ```
/// use cqrs_core::layer::Validate;
/// use cqrs_core::{App, Error, ErrorKind, Failure};
/// # use cqrs_core::{Command, Never, Request, RequestKind};
/// struct Deposit { amount: u64 }
/// # impl Request for Deposit {
/// #     const NAME: &'static str = "bank.deposit";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Command for Deposit {}
/// # async fn deposit(_: Deposit) -> Result<(), Never> { Ok(()) }
///
/// let small = |deposit: &Deposit| match deposit.amount {
///     0..=10_000 => Ok(()),
///     _ => Err(Error::invalid_field("amount", "at most 10,000 at this counter")),
/// };
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let app = App::builder().handler(deposit).layer_for::<Deposit, _>(Validate::with(small)).build()?;
/// let Err(Failure::Failed(error)) = app.send(Deposit { amount: 20_000 }).await else { panic!() };
/// assert_eq!(*error.kind(), ErrorKind::Invalid { field: Some("amount".into()) });
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Validate<R>(Check<R>);

type Check<R> = Arc<dyn Fn(&R) -> Result<()> + Send + Sync>;

impl<R: Request> Validate<R> {
    /// Checks with this function, whose error the caller gets: best an
    /// [`invalid_field`](crate::Error::invalid_field).
    pub fn with(check: impl Fn(&R) -> Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

impl<R: Request, S> Layer<S> for Validate<R> {
    type Service = Validated<R, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Validated { check: self.0.clone(), inner }
    }
}

/// The service of a [`Validate`].
pub struct Validated<R, S> {
    check: Check<R>,
    inner: S,
}

impl<R, S> Service<Envelope<R>> for Validated<R, S>
where
    R: Request,
    S: Service<Envelope<R>, Response = Reply<R::Output>, Error = Failure<R::Error>>,
    S::Future: Send + 'static,
{
    type Response = Reply<R::Output>;
    type Error = Failure<R::Error>;
    type Future = BoxFuture<'static, Answer<R>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Envelope<R>) -> Self::Future {
        match (self.check)(&request.message) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(error) => Box::pin(std::future::ready(Err(Failure::Failed(error)))),
        }
    }
}

impl<R, S: Clone> Clone for Validated<R, S> {
    fn clone(&self) -> Self {
        Self { check: self.check.clone(), inner: self.inner.clone() }
    }
}

impl<R> Clone for Validate<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Request> fmt::Debug for Validate<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Validate").field(&R::NAME).finish()
    }
}

impl<R: Request, S> fmt::Debug for Validated<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Validated").field(&R::NAME).finish()
    }
}
