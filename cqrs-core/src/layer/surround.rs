//! What all layers of this crate share: one async function around the call of what is inside.

use std::future::Future;
use std::task::{Context, Poll};

use tower::{Service, ServiceExt};

use crate::error::{BoxError, Failure};
use crate::handler::{AnyAnswer, AnyRejection, AnyReply, AnyRequest, BoxFuture};

/// What a layer does with a request. Its clones share what it keeps.
pub trait Surround: Clone + Send + Sync + 'static {
    /// Handles the request, with the help of what is inside.
    fn surround<S: Inner>(
        self,
        request: AnyRequest,
        inner: S,
    ) -> impl Future<Output = AnyAnswer> + Send;
}

/// What is inside a layer. It is ready for one call.
pub trait Inner: Clone + Send + 'static {
    /// The one call.
    fn run(self, request: AnyRequest) -> impl Future<Output = AnyAnswer> + Send;

    /// Another one, on a clone that was never polled: it waits until that is ready.
    fn run_another(self, request: AnyRequest) -> impl Future<Output = AnyAnswer> + Send;
}

impl<S> Inner for S
where
    S: Service<AnyRequest, Response = AnyReply> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn run(mut self, request: AnyRequest) -> impl Future<Output = AnyAnswer> + Send {
        let calling = self.call(request);
        async move { calling.await.map_err(|error| Failure::from(error.into())) }
    }

    async fn run_another(mut self, request: AnyRequest) -> AnyAnswer {
        let ready = self.ready().await.map_err(|error| Failure::from(error.into()))?;
        ready.call(request).await.map_err(|error| Failure::from(error.into()))
    }
}

/// A layer around a service: what all layers of this crate make.
#[derive(Debug, Clone)]
pub struct Surrounded<L, S> {
    layer: L,
    inner: S,
}

impl<L, S> Surrounded<L, S> {
    pub(super) fn new(layer: L, inner: S) -> Self {
        Self { layer, inner }
    }
}

impl<L, S> Service<AnyRequest> for Surrounded<L, S>
where
    L: Surround,
    S: Service<AnyRequest, Response = AnyReply> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = AnyReply;
    type Error = Failure<AnyRejection>;
    type Future = BoxFuture<'static, AnyAnswer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(|error| Failure::from(error.into()))
    }

    fn call(&mut self, request: AnyRequest) -> Self::Future {
        // The one that was polled is the one to call: it may hold a permit.
        let clone = self.inner.clone();
        let polled = std::mem::replace(&mut self.inner, clone);
        Box::pin(self.layer.clone().surround(request, polled))
    }
}

/// Makes a `tower::Layer` of a type that surrounds.
macro_rules! layer {
    ($layer:ty $(, $parameter:ident: $bound:path)?) => {
        impl<S $(, $parameter: $bound)?> tower::Layer<S> for $layer {
            type Service = Surrounded<Self, S>;

            fn layer(&self, inner: S) -> Self::Service {
                Surrounded::new(self.clone(), inner)
            }
        }
    };
}
pub(super) use layer;
