//! `GET /health` and `GET /health/ready`: whether requests can be answered, and should be sent here.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

use crate::http::gateway::Shared;
use crate::http::problem::Problem;

/// Answers whether requests should be sent here: not before what follows the log has caught up, and
/// not any more once the service stops.
pub(crate) async fn ready(State(gateway): State<Arc<Shared>>) -> Result<Response, Problem> {
    if gateway.is_ready() {
        return Ok(json(r#"{"status":"ready"}"#));
    }
    let detail = "the service is still catching up, or stops";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail))
}

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
    Ok(json(serde_json::to_vec(&health).unwrap_or_default()))
}

fn json(body: impl Into<Body>) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, body.into()).into_response()
}
