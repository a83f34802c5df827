//! The app inside one of its handlers.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::app::{App, Handle};
use crate::error::{Error, ErrorKind, Failure, Problem, Result};
use crate::handler::any::SentByHandler;
use crate::handler::{Call, Inject, Replay, Resources};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::message::request::{Command, Query};

/// The app as a parameter of a handler. What is sent with it is known as an effect of the request
/// that is handled: same correlation, tenant and actor, and an id derived from the request's.
///
/// ```
/// use cqrs_core::{Failure, Mediator, Never};
/// # use cqrs_core::{App, Query, Request, RequestKind};
/// # struct Double(u64);
/// # impl Request for Double {
/// #     const NAME: &'static str = "double";
/// #     const KIND: RequestKind = RequestKind::Query;
/// #     type Output = u64;
/// #     type Error = Never;
/// # }
/// # impl Query for Double {}
/// # struct Quadruple(u64);
/// # impl Request for Quadruple {
/// #     const NAME: &'static str = "quadruple";
/// #     const KIND: RequestKind = RequestKind::Query;
/// #     type Output = u64;
/// #     type Error = Never;
/// # }
/// # impl Query for Quadruple {}
/// # async fn double(d: Double) -> Result<u64, Never> { Ok(d.0 * 2) }
///
/// async fn quadruple(q: Quadruple, app: Mediator) -> Result<u64, Failure<Never>> {
///     let doubled = app.ask(Double(q.0)).await?;
///     app.ask(Double(doubled)).await
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let app = App::builder().handler(double).handler(quadruple).build()?;
/// assert_eq!(app.ask(Quadruple(3)).await?, 12);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Mediator {
    app: Handle,
    parent: Metadata,
    /// What the ids of what is sent are derived from.
    base: MessageId,
    sent: Arc<AtomicU32>,
}

impl Mediator {
    /// Sends a command, in a commit of its own.
    ///
    /// The handler may run again, after a conflict or a crash. A command whose handler answers
    /// repeats and that has a [wire form](crate::Request::wire) is applied once all the same, and the
    /// second run gets the answer of the first. It is known by its place among the handler's
    /// commands: send the same ones, in the same order, with the same content. One that says
    /// something else in the second run is refused as [`IdReused`](ErrorKind::IdReused), so do not
    /// let its content follow from state that may change in between: a handler that changes such
    /// state itself gathers it in a [`Work`](crate::Work) instead. Commands without a wire form, and
    /// those whose handler keeps no inbox, are decided anew.
    ///
    /// # Errors
    /// As [`App::send`]; [`Unavailable`](ErrorKind::Unavailable) when the app is gone;
    /// [`Unsupported`](ErrorKind::Unsupported) in a replay
    /// ([`Subscriptions::rebuild`](crate::Subscriptions::rebuild)), where nothing is sent.
    pub fn send<C: Command>(
        &self,
        command: C,
    ) -> impl Future<Output = Result<C::Output, Failure<C::Error>>> + Send + use<C> {
        let n = self.sent.fetch_add(1, Ordering::Relaxed);
        let (app, metadata) = (self.app(), self.effect(self.base.derived("sent", n)));
        let silent = self.parent.local::<Replay>().is_some();
        async move {
            if silent {
                let context = format!(
                    "`{}` is not sent: the event is replayed, and effects are silent",
                    C::NAME
                );
                let kind = ErrorKind::Unsupported { part: "commands in a replay" };
                return Err(Error::new(kind, context).into());
            }
            let app = app?;
            let metadata = match C::wire() {
                Some(_) if app.answers_repeats::<C>() => metadata.with_inbox("mediator"),
                _ => metadata,
            };
            app.send(command).with(metadata).await.map_err(|failure| match failure {
                Failure::Failed(error) if matches!(error.kind(), ErrorKind::IdReused { .. }) => {
                    let why = format!(
                        "a handler ran again and sent `{}` with another content than before",
                        C::NAME
                    );
                    Failure::Failed(error.and(&why))
                }
                failure => failure,
            })
        }
    }

    /// Asks a query.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ask<Q: Query>(
        &self,
        query: Q,
    ) -> impl Future<Output = Result<Q::Output, Failure<Q::Error>>> + Send + use<Q> {
        // An id of its own: how many queries a run asks must not move the ids of its commands.
        let (app, metadata) = (self.app(), self.effect(MessageId::fresh()));
        async move { app?.ask(query).with(metadata).await }
    }

    fn app(&self) -> Result<App> {
        let app = self.app.get().and_then(std::sync::Weak::upgrade);
        let gone = || Error::new(ErrorKind::Unavailable, "the app has been dropped");
        app.map(App).ok_or_else(gone)
    }

    fn effect(&self, id: MessageId) -> Metadata {
        self.parent.effect(id).with_local(SentByHandler)
    }
}

impl Inject for Mediator {
    type Ready = Self;

    fn resolve(from: &Resources, _: &'static str) -> Result<Self, Problem> {
        let parent = Metadata::default();
        let base = parent.id();
        Ok(Self { app: from.app.clone(), parent, base, sent: Arc::default() })
    }

    fn bind(ready: &Self, call: &Call) -> Self {
        let parent = call.metadata().clone();
        Self { app: ready.app.clone(), parent, base: call.base_id(), sent: Arc::default() }
    }
}

impl fmt::Debug for Mediator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mediator").field("parent", &self.parent.id()).finish_non_exhaustive()
    }
}
