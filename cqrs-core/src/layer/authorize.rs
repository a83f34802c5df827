//! Who may ask for what.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::error::Result;
use crate::handler::{AnyAnswer, AnyRequest};
use crate::layer::surround::{Inner, Surround, Surrounded, layer};

/// Says who may ask for what: by the name of the request, its actor and its tenant
/// ([`Metadata::actor`](crate::Metadata::actor)), and whatever else was found out about the caller
/// ([`Metadata::local`](crate::Metadata::local)). A request that stays in the process shows what it
/// says ([`AnyRequest::get`]); one from outside is not decoded yet.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether this request may go on.
    ///
    /// # Errors
    /// [`Unauthenticated`](crate::ErrorKind::Unauthenticated) when it must be known who asks,
    /// [`Forbidden`](crate::ErrorKind::Forbidden) when they may not.
    fn authorize(&self, request: &AnyRequest) -> impl Future<Output = Result<()>> + Send;
}

/// A function that needs to wait for nothing is one.
impl<F> Authorizer for F
where
    F: Fn(&AnyRequest) -> Result<()> + Send + Sync + 'static,
{
    async fn authorize(&self, request: &AnyRequest) -> Result<()> {
        self(request)
    }
}

/// Asks an [`Authorizer`] before anything else is done for a request.
///
/// ```
/// use cqrs_core::layer::Authorize;
/// use cqrs_core::{AnyRequest, App, Error, ErrorKind, Failure, Metadata};
/// # use cqrs_core::{Command, Never, Request, RequestKind};
/// # struct Close;
/// # impl Request for Close {
/// #     const NAME: &'static str = "bank.close";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// # }
/// # impl Command for Close {}
/// # async fn close(_: Close) -> Result<(), Never> { Ok(()) }
///
/// fn only_ada(request: &AnyRequest) -> cqrs_core::Result<()> {
///     match request.metadata.actor() {
///         Some("ada") => Ok(()),
///         Some(_) => Err(Error::new(ErrorKind::Forbidden, "only Ada may do this")),
///         None => Err(Error::new(ErrorKind::Unauthenticated, "say who you are")),
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let app = App::builder().handler(close).layer(Authorize::by(only_ada)).build()?;
/// app.send(Close).with(Metadata::default().with_actor("ada")).await?;
/// let Err(Failure::Failed(error)) = app.send(Close).await else { panic!() };
/// assert_eq!(*error.kind(), ErrorKind::Unauthenticated);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
pub struct Authorize<A>(Arc<A>);

impl<A: Authorizer> Authorize<A> {
    /// Asks this one.
    pub fn by(authorizer: A) -> Self {
        Self(Arc::new(authorizer))
    }
}

layer!(Authorize<A>, A: Authorizer);

impl<A: Authorizer> Surround for Authorize<A> {
    async fn surround<S: Inner>(self, request: AnyRequest, inner: S) -> AnyAnswer {
        self.0.authorize(&request).await?;
        inner.run(request).await
    }
}

impl<A> Clone for Authorize<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A> fmt::Debug for Authorize<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorize")
    }
}
