//! A layer for one request, put around all of them.

use std::future::Ready;

use cqrs_core::{AnyRejection, AnyReply, App, AppBuilder, Failure};
use cqrs_derive::{Command, Rejection};
use serde::{Deserialize, Serialize};
use tower::retry::{Policy, RetryLayer};

#[derive(Clone, Serialize, Deserialize, Command)]
#[command(name = "test.ping", error = No)]
struct Ping;

#[derive(Debug, thiserror::Error, Serialize, Deserialize, Rejection)]
#[error("no")]
#[rejection(code = "test.no")]
struct No;

async fn ping(_: Ping) -> Result<(), No> {
    Ok(())
}

/// Tries again what can be cloned: `AnyRequest` cannot.
#[derive(Clone)]
struct Again;

impl<R: Clone> Policy<R, AnyReply, Failure<AnyRejection>> for Again {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut R,
        _: &mut Result<AnyReply, Failure<AnyRejection>>,
    ) -> Option<Self::Future> {
        None
    }

    fn clone_request(&mut self, request: &R) -> Option<R> {
        Some(request.clone())
    }
}

fn app() -> AppBuilder {
    App::builder().handler(ping).layer(RetryLayer::new(Again))
}

fn main() {}
