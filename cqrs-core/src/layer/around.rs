//! A layer made of one function around the call.

use std::fmt;
use std::future::Future;

use tower::Layer;

use crate::handler::{AnyAnswer, AnyRequest, BoxFuture};
use crate::layer::surround::{Inner, Surround, Surrounded};

/// A layer made of a function that is given the request and what comes [`Next`].
///
/// ```
/// use cqrs_core::layer::{Next, around};
/// use cqrs_core::{AnyRequest, App};
///
/// let in_tenant = around(|mut request: AnyRequest, next: Next| async move {
///     if request.metadata.tenant().is_none() {
///         request.metadata = request.metadata.with_tenant("acme");
///     }
///     next.run(request).await
/// });
/// let builder = App::builder().layer(in_tenant);
/// # let _ = builder;
/// ```
pub fn around<F, Fut>(function: F) -> Around<F>
where
    F: Fn(AnyRequest, Next) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = AnyAnswer> + Send + 'static,
{
    Around(function)
}

/// The layer that [`around`] makes.
#[derive(Clone, Copy)]
pub struct Around<F>(F);

impl<F: Clone, S> Layer<S> for Around<F> {
    type Service = Surrounded<Self, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Surrounded::new(self.clone(), inner)
    }
}

impl<F, Fut> Surround for Around<F>
where
    F: Fn(AnyRequest, Next) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = AnyAnswer> + Send + 'static,
{
    async fn surround<S: Inner>(self, request: AnyRequest, inner: S) -> AnyAnswer {
        let next = Next(Box::new(|request| Box::pin(inner.run(request))));
        (self.0)(request, next).await
    }
}

/// What is inside a layer: the next layers, and the handler. See [`around`] for an example.
pub struct Next(Box<dyn FnOnce(AnyRequest) -> BoxFuture<'static, AnyAnswer> + Send>);

impl Next {
    /// Calls it.
    ///
    /// # Errors
    /// As what is inside says.
    pub fn run(self, request: AnyRequest) -> impl Future<Output = AnyAnswer> + Send {
        (self.0)(request)
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

impl<F> fmt::Debug for Around<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Around")
    }
}
