//! `GET /health`: whether requests can be answered.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

use crate::http::gateway::Shared;
use crate::http::problem::Problem;

#[derive(Serialize)]
struct Health {
    status: &'static str,
    /// Which log the store holds.
    log: String,
    /// Its last position.
    position: u64,
}

/// Answers from the store, for a service that cannot read it is of no use.
pub(crate) async fn health(State(gateway): State<Arc<Shared>>) -> Result<Response, Problem> {
    let head = gateway.store.head().await.map_err(|error| gateway.unreadable("health", &error))?;
    let health = Health { status: "ok", log: head.log.to_string(), position: head.position };
    // Texts and a number: there is nothing in it that JSON cannot take.
    let json = serde_json::to_vec(&health).unwrap_or_default();
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    Ok((headers, json).into_response())
}
