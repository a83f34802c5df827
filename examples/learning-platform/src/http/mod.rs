//! HTTP for an app: its public commands and queries by name, its log as server-sent events.
//!
//! It depends on `cqrs-core` and not on the domain, so that it can become a crate of its own.
//!
//! | request | answer |
//! |---|---|
//! | `POST /commands/{name}`, `POST /queries/{name}` | the output, as JSON; `X-Position` where something was written |
//! | `GET /events?after=POSITION` | the log from there on, then live |
//! | `GET /manifest` | what the service answers to |
//! | `GET /health` | whether it can answer |
//! | `GET /health/ready` | whether requests should be sent here |
//! | `GET /admin/subscriptions` | how far what follows the log is, for those with the [`AdminToken`] |
//! | `GET /admin/parked` | what is set aside |
//! | `POST /admin/parked/{id}/retry`, `POST /admin/parked/{id}/discard` | another attempt, or none |
//!
//! Every answer has an `X-Correlation-Id`, and the `traceparent` of its request. What went wrong is a
//! [`Problem`].
//!
//! ```
//! use std::sync::Arc;
//! use cqrs_core::App;
//! use cqrs_core::memory::MemoryStore;
//! use learning_platform::http::{self, Gateway, Stop};
//!
//! # async fn example() -> Result<(), cqrs_core::BoxError> {
//! let store = Arc::new(MemoryStore::default());
//! let app = App::builder().shared_store(store.clone()).build()?;
//! let (stopper, stop) = Stop::new();
//! let router = http::finish(Gateway::new(app, store, stop.clone()).router());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let served = tokio::spawn(http::serve(listener, router, stop));
//! stopper.stop();
//! served.await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```

mod admin;
mod body;
mod call;
mod caller;
mod events;
mod gateway;
mod health;
mod idempotency;
mod manifest;
mod origin;
mod problem;
mod record;
mod serve;
mod stop;
mod tail;
mod token;

pub use body::BODY_LIMIT;
pub use caller::Caller;
pub use gateway::{Gateway, finish};
pub use problem::Problem;
pub use serve::serve;
pub use stop::{Stop, Stopper};
pub use token::AdminToken;
