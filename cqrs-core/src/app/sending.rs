//! A request on its way: a future with the metadata still open.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::app::{Inner, no_handler};
use crate::error::Failure;
use crate::handler::{Answer, AnyAnswer, AnyRequest, BoxAnswering, BoxFuture};
use crate::message::envelope::{Envelope, Reply};
use crate::message::metadata::Metadata;
use crate::message::request::Request;
use crate::runtime::wait::{Reached, Waited, wait_for};

/// How long is waited for subscriptions.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request on its way. Await it for the output, or [`reply`](Self::reply) for the position too.
///
/// See [`App`](crate::App) for an example.
#[must_use = "nothing is sent until this is awaited"]
pub struct Sending<'a, R> {
    app: &'a Inner,
    state: State<'a, R>,
}

enum State<'a, R> {
    New(Option<Envelope<R>>),
    Handled(BoxAnswering<'a, R>),
    /// Through the layers of the app.
    Layered(BoxFuture<'static, AnyAnswer>),
}

/// Nothing in it is pinned in place: the handler's future is boxed.
impl<R> Unpin for Sending<'_, R> {}

impl<'a, R: Request> Sending<'a, R> {
    pub(super) fn new(app: &'a Inner, request: R) -> Self {
        Self { app, state: State::New(Some(request.into())) }
    }

    /// Sends it with this metadata: an id of the caller's, a tenant, a cause.
    pub fn with(mut self, metadata: Metadata) -> Self {
        if let State::New(Some(envelope)) = &mut self.state {
            envelope.metadata = metadata;
        }
        self
    }

    /// The output, and the position of the commit behind it.
    ///
    /// # Errors
    /// As awaiting it: see [`App::send`](crate::App::send).
    pub async fn reply(mut self) -> Answer<R> {
        std::future::poll_fn(move |context| self.poll_reply(context)).await
    }

    /// Sends it, and waits until these subscriptions have handled what it wrote: then the views show
    /// it, on whichever node they are kept. One after the other, each for at most 10 seconds, up to the
    /// first that is not there; whether they have come so far is told in the answer, because the command
    /// was handled either way.
    ///
    /// ```
    /// use cqrs_core::{App, Command, Failure};
    ///
    /// async fn sent<C: Command>(app: &App, command: C) -> Result<C::Output, Failure<C::Error>> {
    ///     let waited = app.send(command).and_wait(["bank.balances"]).await?;
    ///     Ok(waited.output)
    /// }
    /// # let _ = App::builder();
    /// ```
    ///
    /// # Errors
    /// As awaiting it: nothing was handled then. Afterwards nothing is an error any more: what keeps
    /// it from being waited for is told in the log, and the answer says that it is
    /// [not there yet](Reached::NotYet).
    pub async fn and_wait<'s>(
        self,
        subscriptions: impl IntoIterator<Item = &'s str>,
    ) -> Result<Waited<R::Output>, Failure<R::Error>> {
        let app = self.app;
        let Reply { output, position } = self.reply().await?;
        let mut reached = Reached::Yes;
        if let Some(position) = position {
            for subscription in subscriptions {
                let waited = async { wait_for(app, subscription, position, PATIENCE).await };
                reached = match waited.await {
                    Ok(reached) => reached,
                    Err(error) => {
                        tracing::warn!(subscription, position, %error, "it cannot be waited for");
                        Reached::NotYet
                    }
                };
                if !reached.is_yes() {
                    break;
                }
            }
        }
        Ok(Waited { output, position, reached })
    }

    fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<Answer<R>> {
        loop {
            match &mut self.state {
                State::Handled(handling) => return handling.as_mut().poll_answer(context),
                State::Layered(handling) => {
                    return handling.as_mut().poll(context).map(typed::<R>);
                }
                State::New(envelope) => {
                    let Some(handler) = self.app.registry.get::<R>() else {
                        return Poll::Ready(Err(Failure::Failed(no_handler::<R>())));
                    };
                    // It is there: this state is left at once.
                    let Some(envelope) = envelope.take() else { return Poll::Pending };
                    self.state = if self.app.layered {
                        State::Layered(self.app.service.run(AnyRequest::typed(envelope)))
                    } else {
                        State::Handled(handler.call(envelope))
                    };
                }
            }
        }
    }
}

/// What came through the layers, with its types.
fn typed<R: Request>(answer: AnyAnswer) -> Answer<R> {
    match answer {
        Ok(reply) => reply.into_typed::<R>().map_err(Failure::Failed),
        Err(Failure::Rejected(rejection)) => Err(rejection.into_typed::<R>()),
        Err(Failure::Failed(error)) => Err(Failure::Failed(error)),
    }
}

impl<R: Request> Future for Sending<'_, R> {
    type Output = Result<R::Output, Failure<R::Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_reply(context).map(|answer| answer.map(|reply| reply.output))
    }
}

impl<R: Request> fmt::Debug for Sending<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sending").field(&R::NAME).finish()
    }
}
