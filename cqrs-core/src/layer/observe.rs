//! A hook for metrics: what was asked, how it ended, how long it took.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Failure, Rejection};
use crate::handler::{AnyAnswer, AnyRequest};
use crate::layer::surround::{Inner, Surround, Surrounded, layer};
use crate::message::request::RequestKind;

/// Is told of every request that ends: counts it, measures it. It names no metrics library: an
/// implementation is a few lines for yours.
pub trait Observer: Send + Sync + 'static {
    /// A request was begun.
    fn begun(&self, _name: &'static str, _kind: RequestKind) {}

    /// It has ended.
    fn handled(&self, handled: &Handled<'_>);
}

/// Shared with whoever reads what was counted.
impl<O: Observer> Observer for Arc<O> {
    fn begun(&self, name: &'static str, kind: RequestKind) {
        (**self).begun(name, kind);
    }

    fn handled(&self, handled: &Handled<'_>) {
        (**self).handled(handled);
    }
}

/// A request that has ended. See [`Observe`] for an example.
#[derive(Debug)]
#[non_exhaustive]
pub struct Handled<'a> {
    /// Its name.
    pub name: &'static str,
    /// Command or query.
    pub kind: RequestKind,
    /// How it ended.
    pub outcome: Outcome<'a>,
    /// How long it took.
    pub took: Duration,
}

/// How a request ended. See [`Observe`] for an example.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// It was answered.
    Answered,
    /// The domain said no.
    Rejected {
        /// The rejection's code.
        code: &'static str,
    },
    /// The machinery broke, or the request was malformed.
    Failed(&'a Error),
    /// The caller did not wait for the end.
    Abandoned,
}

/// Tells an [`Observer`] of every request.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use cqrs_core::layer::{Handled, Observe, Observer, Outcome};
/// # use cqrs_core::{App, Command, Never, Request, RequestKind};
/// # struct Ping;
/// # impl Request for Ping {
/// #     const NAME: &'static str = "ping";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Command for Ping {}
/// # async fn ping(_: Ping) -> Result<(), Never> { Ok(()) }
///
/// #[derive(Default)]
/// struct Answered(AtomicU64);
///
/// impl Observer for Answered {
///     fn handled(&self, handled: &Handled<'_>) {
///         if matches!(handled.outcome, Outcome::Answered) {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answered = Arc::new(Answered::default());
/// let app = App::builder().handler(ping).layer(Observe::with(answered.clone())).build()?;
/// app.send(Ping).await?;
/// assert_eq!(answered.0.load(Ordering::Relaxed), 1);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Observe<O>(Arc<O>);

impl<O: Observer> Observe<O> {
    /// Tells this one.
    pub fn with(observer: O) -> Self {
        Self(Arc::new(observer))
    }
}

layer!(Observe<O>, O: Observer);

impl<O: Observer> Surround for Observe<O> {
    async fn surround<S: Inner>(self, request: AnyRequest, inner: S) -> AnyAnswer {
        let (name, kind) = (request.name(), request.kind());
        self.0.begun(name, kind);
        let mut observed =
            Observed { observer: &*self.0, name, kind, start: Instant::now(), told: false };
        let answer = inner.run(request).await;
        observed.tell(match &answer {
            Ok(_) => Outcome::Answered,
            Err(Failure::Rejected(rejection)) => Outcome::Rejected { code: rejection.code() },
            Err(Failure::Failed(error)) => Outcome::Failed(error),
        });
        answer
    }
}

/// Tells the observer once, also when the caller goes away.
struct Observed<'a, O: Observer> {
    observer: &'a O,
    name: &'static str,
    kind: RequestKind,
    start: Instant,
    told: bool,
}

impl<O: Observer> Observed<'_, O> {
    fn tell(&mut self, outcome: Outcome<'_>) {
        self.told = true;
        let Self { name, kind, .. } = *self;
        self.observer.handled(&Handled { name, kind, outcome, took: self.start.elapsed() });
    }
}

impl<O: Observer> Drop for Observed<'_, O> {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Outcome::Abandoned);
        }
    }
}

impl<O> Clone for Observe<O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<O> fmt::Debug for Observe<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observe")
    }
}
