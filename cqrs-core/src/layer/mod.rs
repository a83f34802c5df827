//! Layers: what runs around the handlers of an app, whoever calls them.
//!
//! Any tower layer whose service is `Clone` is one, around all requests
//! ([`AppBuilder::layer`](crate::AppBuilder::layer)) or around those of one type
//! ([`AppBuilder::layer_for`](crate::AppBuilder::layer_for)). Calls from inside the process and
//! calls by name from outside pass through the same layers; outputs and rejections keep their
//! types.
//!
//! ```
//! use std::time::Duration;
//! use cqrs_core::layer::{ConcurrencyLimit, Retry, Timeout, Trace};
//! use cqrs_core::{App, ErrorKind, Failure, Never, Query, Request, RequestKind};
//!
//! struct Slow;
//! # impl Request for Slow {
//! #     const NAME: &'static str = "slow";
//! #     const KIND: RequestKind = RequestKind::Query;
//! #     type Output = ();
//! #     type Error = Never;
//! # }
//! # impl Query for Slow {}
//! async fn slow(_: Slow) -> Result<(), Never> {
//!     tokio::time::sleep(Duration::from_secs(60)).await;
//!     Ok(())
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let app = App::builder()
//!     .handler(slow)
//!     .layer(Trace::new())                                    // the outermost
//!     .layer(Timeout::after(Duration::from_secs(2)))
//!     .layer(ConcurrencyLimit::at_most(64))
//!     .layer_for::<Slow, _>(tower::limit::ConcurrencyLimitLayer::new(1))
//!     .build()?;
//! let Err(Failure::Failed(error)) = app.ask(Slow).await else { panic!() };
//! assert_eq!(*error.kind(), ErrorKind::DeadlineExceeded);
//! # let _ = Retry::attempts_at_most(3);
//! # Ok::<_, cqrs_core::BoxError>(())
//! # }).unwrap();
//! ```
//!
//! # Order
//!
//! The layer that is added first is the outermost, as with tower's `ServiceBuilder`. One that works
//! well for a service: [`Trace`], [`Observe`], [`Timeout`], [`Authorize`], [`Idempotency`],
//! [`ConcurrencyLimit`], [`Retry`].
//!
//! Around one request type, layers that look at whether the next one is ready (tower's `LoadShed`
//! around its `ConcurrencyLimit`) go into one `ServiceBuilder`: each
//! [`layer_for`](crate::AppBuilder::layer_for) is always ready for the one outside.
//!
//! # A layer of your own
//!
//! It is a `tower::Layer` with a service that takes [`AnyRequest`](crate::AnyRequest) and answers
//! [`AnyAnswer`](crate::AnyAnswer); for short ones, [`around`] makes one of a function. An error that
//! a layer makes is an [`Error`](crate::Error); a boxed one is unpacked on the way out.

mod around;
mod authorize;
mod idempotency;
mod limit;
mod observe;
mod retry;
mod surround;
mod timeout;
mod trace;
mod validate;

pub use around::{Around, Next, around};
pub use authorize::{Authorize, Authorizer};
pub use idempotency::Idempotency;
pub use limit::ConcurrencyLimit;
pub use observe::{Handled, Observe, Observer, Outcome};
pub use retry::Retry;
pub use surround::Surrounded;
pub use timeout::Timeout;
pub use trace::Trace;
pub use validate::{Validate, Validated};
