//! A layer whose service cannot be cloned.

use std::time::Duration;

use cqrs_core::{App, AppBuilder};
use cqrs_derive::{Command, Rejection};
use serde::{Deserialize, Serialize};
use tower::limit::RateLimitLayer;

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

fn app() -> AppBuilder {
    App::builder().handler(ping).layer(RateLimitLayer::new(1, Duration::from_secs(1)))
}

fn main() {}
