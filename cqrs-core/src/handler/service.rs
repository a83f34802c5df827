//! Handlers as tower services: around one request type, and around all of them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service, ServiceExt};

use crate::error::{BoxError, Error, ErrorKind, Failure};
use crate::handler::Answer;
use crate::handler::any::{AnyAnswer, AnyRejection, AnyReply, AnyRequest};
use crate::handler::erased::{BoxAnswering, BoxFuture, Erased, Guarded};
use crate::handler::registry::Registry;
use crate::message::envelope::{Envelope, Reply};
use crate::message::request::Request;

/// The handler of one request type as a tower service: what a layer for this type wraps
/// ([`AppBuilder::layer_for`](crate::AppBuilder::layer_for)). It is always ready.
pub struct HandlerService<R: Request>(Arc<dyn Erased<R>>);

impl<R: Request> Service<Envelope<R>> for HandlerService<R> {
    type Response = Reply<R::Output>;
    type Error = Failure<R::Error>;
    type Future = BoxFuture<'static, Answer<R>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Envelope<R>) -> Self::Future {
        self.0.clone().call_owned(request)
    }
}

/// A layer around the handler of one request type: any tower layer whose service is `Clone`, `Send`
/// and `Sync` and answers with the `Reply` of the request. Its error may be boxed; what was inside
/// comes back typed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put around the handler of `{R}`",
    label = "not a layer for `{R}`",
    note = "it must be a `tower::Layer<HandlerService<R>>` whose service takes `Envelope<R>`, answers `Reply<R::Output>`, and is `Clone + Send + Sync`, with a `Send` future and an error that becomes a `BoxError`",
    note = "a layer for requests of every type, such as those of `cqrs_core::layer`, goes around everything: `.layer(..)`",
    note = "where the service is not `Clone` (tower's `RateLimit`), put a `tower::buffer::BufferLayer` around it"
)]
pub trait RequestLayer<R: Request>: Send + 'static {
    #[doc(hidden)]
    fn wrap(self, inner: HandlerService<R>) -> HandlerService<R>;
}

#[diagnostic::do_not_recommend]
impl<R, L, S> RequestLayer<R> for L
where
    R: Request,
    L: Layer<HandlerService<R>, Service = S> + Send + 'static,
    S: Service<Envelope<R>, Response = Reply<R::Output>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn wrap(self, inner: HandlerService<R>) -> HandlerService<R> {
        HandlerService(Arc::new(Stacked(self.layer(inner))))
    }
}

impl<R: Request> HandlerService<R> {
    pub(super) fn new(handler: Arc<dyn Erased<R>>) -> Self {
        Self(handler)
    }

    pub(super) fn into_inner(self) -> Arc<dyn Erased<R>> {
        self.0
    }
}

/// A handler inside the layers of its type.
struct Stacked<S>(S);

impl<S> Stacked<S> {
    fn handle<R>(&self, request: Envelope<R>) -> impl Future<Output = Answer<R>> + Send + use<R, S>
    where
        R: Request,
        S: Service<Envelope<R>, Response = Reply<R::Output>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        let mut service = self.0.clone();
        async move {
            let ready = service.ready().await.map_err(|error| Failure::from(error.into()))?;
            ready.call(request).await.map_err(|error| Failure::from(error.into()))
        }
    }
}

impl<R, S> Erased<R> for Stacked<S>
where
    R: Request,
    S: Service<Envelope<R>, Response = Reply<R::Output>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn call(&self, request: Envelope<R>) -> BoxAnswering<'_, R> {
        Box::pin(Guarded::new(R::NAME, self.handle(request)))
    }

    fn call_owned(self: Arc<Self>, request: Envelope<R>) -> BoxFuture<'static, Answer<R>> {
        Box::pin(Guarded::new(R::NAME, self.handle(request)))
    }

    fn call_any(self: Arc<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer> {
        Box::pin(Guarded::new(R::NAME, async move {
            let (envelope, form) = request.open::<R>()?;
            form.close::<R>(self.handle(envelope).await)
        }))
    }
}

/// All handlers of an app, and the layers around them so far, as one tower service: what a layer
/// around everything wraps ([`AppBuilder::layer`](crate::AppBuilder::layer)). It is ready when what
/// is inside is, and its clones are handles on the same handlers.
pub struct AppService {
    shared: Arc<dyn Pipeline>,
    /// The clone that was polled, and may hold a permit.
    polled: Option<Box<dyn Polled>>,
}

impl AppService {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { shared: Arc::new(Router(registry)), polled: None }
    }

    pub(crate) fn run(&self, request: AnyRequest) -> BoxFuture<'static, AnyAnswer> {
        self.shared.clone().run(request)
    }
}

impl Service<AnyRequest> for AppService {
    type Response = AnyReply;
    type Error = Failure<AnyRejection>;
    type Future = BoxFuture<'static, AnyAnswer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.polled.is_none() {
            self.polled = self.shared.polled();
        }
        match &mut self.polled {
            Some(polled) => polled.poll_ready(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: AnyRequest) -> Self::Future {
        match self.polled.take() {
            Some(polled) => polled.call(request),
            None => self.run(request),
        }
    }
}

/// A layer around all handlers: any tower layer whose service is `Clone`, `Send` and `Sync`, takes
/// [`AnyRequest`] and answers [`AnyReply`]. Its error may be boxed; what was inside comes back
/// typed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put around an app",
    label = "not a layer for requests of every type",
    note = "it must be a `tower::Layer<AppService>` whose service takes `AnyRequest`, answers `AnyReply`, and is `Clone + Send + Sync`, with a `Send` future and an error that becomes a `BoxError`",
    note = "where the service is not `Clone` (tower's `RateLimit`), put a `tower::buffer::BufferLayer` around it; where it is for one request type, use `.layer_for::<R, _>(..)`"
)]
pub trait AppLayer: Send + 'static {
    #[doc(hidden)]
    fn wrap(self, inner: AppService) -> AppService;
}

#[diagnostic::do_not_recommend]
impl<L, S> AppLayer for L
where
    L: Layer<AppService, Service = S> + Send + 'static,
    S: Service<AnyRequest, Response = AnyReply> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn wrap(self, inner: AppService) -> AppService {
        AppService { shared: Arc::new(Layered(self.layer(inner))), polled: None }
    }
}

/// A layer and all that is inside it, erased.
trait Pipeline: Send + Sync {
    /// Waits until it is ready, and calls it.
    fn run(self: Arc<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer>;

    /// A clone to poll. `None`: it is always ready.
    fn polled(&self) -> Option<Box<dyn Polled>>;
}

/// One clone of a layer's service, erased.
trait Polled: Send + Sync {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure<AnyRejection>>>;

    fn call(self: Box<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer>;
}

struct Layered<S>(S);

impl<S> Pipeline for Layered<S>
where
    S: Service<AnyRequest, Response = AnyReply> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn run(self: Arc<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer> {
        let mut service = self.0.clone();
        Box::pin(Guarded::new(request.name(), async move {
            let ready = service.ready().await.map_err(|error| Failure::from(error.into()))?;
            ready.call(request).await.map_err(|error| Failure::from(error.into()))
        }))
    }

    fn polled(&self) -> Option<Box<dyn Polled>> {
        Some(Box::new(Layered(self.0.clone())))
    }
}

impl<S> Polled for Layered<S>
where
    S: Service<AnyRequest, Response = AnyReply> + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure<AnyRejection>>> {
        self.0.poll_ready(context).map_err(|error| Failure::from(error.into()))
    }

    fn call(mut self: Box<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer> {
        let name = request.name();
        let calling = self.0.call(request);
        Box::pin(Guarded::new(name, async move {
            calling.await.map_err(|error| Failure::from(error.into()))
        }))
    }
}

/// The innermost service: finds the handler by the name of the request.
struct Router(Arc<Registry>);

impl Pipeline for Router {
    fn run(self: Arc<Self>, request: AnyRequest) -> BoxFuture<'static, AnyAnswer> {
        match self.0.named(request.name()) {
            Some(entry) => entry.call_any(request),
            None => Box::pin(async move {
                let context = format!("nobody handles `{}` in this app", request.name());
                Err(Error::new(ErrorKind::UnknownName, context).into())
            }),
        }
    }

    fn polled(&self) -> Option<Box<dyn Polled>> {
        None
    }
}

impl Clone for AppService {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), polled: None }
    }
}

impl<R: Request> Clone for HandlerService<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Request> fmt::Debug for HandlerService<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HandlerService").field(&R::NAME).finish()
    }
}

impl fmt::Debug for AppService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppService")
    }
}
