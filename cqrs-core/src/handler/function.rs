//! Plain async functions as handlers.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Failure, Problem, Result};
use crate::handler::inject::{Call, Inject, Resources};
use crate::handler::{Answer, Handler};
use crate::message::envelope::{Envelope, Reply};
use crate::message::metadata::Metadata;
use crate::message::request::{Request, RequestKind};
use crate::once::{self, Once};
use crate::port::clock::Clock;
use crate::port::commit::Committed;
use crate::port::store::Store;
use crate::retry::ConflictRetry;

/// What [`AppBuilder::handler`](crate::AppBuilder::handler) takes: a [`Handler`], or an async
/// function of the request and up to six parameters ([`Inject`]).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of `{R}`",
    label = "expected `async fn(R, parameters..) -> Result<R::Output, R::Error or Failure<R::Error>>`",
    note = "check, in this order: the first parameter is the request by value; each other one is `Res<T>`, `Work`, `Repository<A>`, `Documents<T>`, `View<P>`, `Mediator`, `Metadata`, `Sagas` or `Arc<dyn Store>`; the error is `R::Error` or `Failure<R::Error>`; the future is Send",
    note = "to learn which, name the request and the parameters: `.handler::<R, (R, Work, ..)>(f)`"
)]
pub trait IntoHandler<R: Request, M>: Send + 'static {
    /// Finds the parameters; what is missing is added to the problems.
    #[doc(hidden)]
    fn install(self, resources: &Resources, problems: &mut Vec<Problem>)
    -> Option<impl Handler<R>>;
}

/// Tells handlers from functions where a type could be both.
#[derive(Debug)]
pub struct IsHandler;

impl<R: Request, H: Handler<R>> IntoHandler<R, IsHandler> for H {
    fn install(self, _: &Resources, _: &mut Vec<Problem>) -> Option<impl Handler<R>> {
        Some(self)
    }
}

/// A function whose parameters are found.
trait Invoke<R: Request>: Send + Sync + 'static {
    type Error: Into<Failure<R::Error>>;
    type Future: Future<Output = Result<R::Output, Self::Error>> + Send;

    /// Binds the parameters, and begins. Not an async function: the future does not hold the call.
    fn invoke(&self, request: R, call: &Call) -> Self::Future;
}

struct Function<F, Parameters, Ready> {
    function: F,
    ready: Ready,
    parameters: PhantomData<fn() -> Parameters>,
}

/// Runs a function, then commits what it gathered.
struct FunctionHandler<I> {
    invoke: I,
    /// Whether one of the parameters is, or holds, a `Work`.
    commits: bool,
    store: Option<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
    retry: ConflictRetry,
}

impl<R: Request, I: Invoke<R>> Handler<R> for FunctionHandler<I> {
    const ANSWERS_REPEATS: bool = true;

    async fn handle(&self, request: Envelope<R>) -> Answer<R> {
        let Envelope { metadata, message } = request;
        if !self.commits && metadata.inbox().is_none() {
            let invoked = self.invoke.invoke(message, &Call::of::<R>(metadata));
            let output = invoked.await.map_err(Into::into)?;
            return Ok(Reply { output, position: None });
        }
        let Some(store) = &self.store else {
            let context = format!("`{}` is to be applied once, and there is no store", R::NAME);
            return Err(Error::new(ErrorKind::Unsupported { part: "inbox" }, context).into());
        };
        // In a box of its own: the many states of a commit would make every call's box larger.
        Box::pin(self.handle_and_commit(store, &metadata, message)).await
    }
}

impl<I> FunctionHandler<I> {
    async fn handle_and_commit<R: Request>(
        &self,
        store: &Arc<dyn Store>,
        metadata: &Metadata,
        mut message: R,
    ) -> Answer<R>
    where
        I: Invoke<R>,
    {
        let once = Once::of(&message, metadata)?;
        // Asked before the function runs: it may have effects outside the commit.
        if let Some(once) = &once
            && let Some(kept) = once.recall(&**store, metadata).await?
        {
            return Ok(kept);
        }
        let mut failed = 0;
        loop {
            let again = message.again();
            let call = Call::of::<R>(metadata.clone());
            let output = match self.invoke.invoke(message, &call).await.map_err(Into::into) {
                Ok(output) => output,
                Err(Failure::Rejected(rejection)) => {
                    // A twin may have succeeded meanwhile, and its effect be the reason.
                    return once::rejected(once.as_ref(), &**store, metadata, rejection).await;
                }
                Err(failure) => return Err(failure),
            };
            let mark = once.as_ref().map(|once| once.mark(metadata, &output)).transpose()?;
            let work = match (call.begun_work(), &mark) {
                (Some(work), _) => work,
                (None, Some(_)) => call.work(store, &self.clock),
                (None, None) => return Ok(Reply { output, position: None }),
            };
            let error = match (work.commit_marking(mark).await, &once) {
                (Ok(Some(Committed::Before { position, reply })), Some(once)) => {
                    return Ok(once.answer(position, reply.as_deref())?);
                }
                (Ok(committed), _) => {
                    let position = committed.map(|committed| committed.position());
                    return Ok(Reply { output, position });
                }
                (Err(error), _) => error,
            };
            failed += 1;
            match again {
                Some(again) if self.retry.again(&error, failed).await => message = again,
                None if error.is_conflict() => {
                    let why = format!("not run again: `{}` has no `Request::again`", R::NAME);
                    return Err(Failure::Failed(error.and(&why)));
                }
                _ => return Err(Failure::Failed(error)),
            }
        }
    }
}

macro_rules! functions {
    ($( ($($T:ident $t:ident),*) )*) => { $(
        impl<F, Fut, R, X, $($T,)*> IntoHandler<R, (R, $($T,)*)> for F
        where
            R: Request,
            F: Fn(R, $($T,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R::Output, X>> + Send + 'static,
            X: Into<Failure<R::Error>> + 'static,
            $($T: Inject,)*
        {
            #[allow(unused_variables, reason = "a function of the request alone has no parameters")]
            fn install(
                self,
                resources: &Resources,
                problems: &mut Vec<Problem>,
            ) -> Option<impl Handler<R>> {
                resources.found().commits = false;
                $( let $t = $T::resolve(resources, R::NAME).map_err(|p| problems.push(p)).ok(); )*
                let ready = ($($t?,)*);
                let parameters = PhantomData::<fn() -> (R, $($T,)*)>;
                let commits = resources.found().commits;
                if R::KIND == RequestKind::Query && commits {
                    problems.push(Problem::QueryWrites { query: R::NAME });
                }
                Some(FunctionHandler {
                    invoke: Function { function: self, ready, parameters },
                    commits,
                    store: resources.store.clone(),
                    clock: resources.clock.clone(),
                    retry: resources.retry,
                })
            }
        }

        impl<F, Fut, R, X, $($T,)*> Invoke<R> for Function<F, (R, $($T,)*), ($($T::Ready,)*)>
        where
            R: Request,
            F: Fn(R, $($T,)*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R::Output, X>> + Send + 'static,
            X: Into<Failure<R::Error>> + 'static,
            $($T: Inject,)*
        {
            type Error = X;
            type Future = Fut;

            #[allow(unused_variables, reason = "a function of the request alone has no parameters")]
            fn invoke(&self, request: R, call: &Call) -> Fut {
                let ($($t,)*) = &self.ready;
                (self.function)(request, $($T::bind($t, call),)*)
            }
        }
    )* };
}

for_each_arity!(functions);
