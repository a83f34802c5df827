//! `GET /manifest`: what the service answers to.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::CONTENT_TYPE;

use crate::http::gateway::Shared;

/// The app's own description of itself, without what another service answers to.
pub(crate) async fn manifest(State(gateway): State<Arc<Shared>>) -> Response {
    let mut manifest = gateway.app.manifest().clone();
    manifest.requests.retain(|request| !request.remote);
    // Names, numbers and schemas: there is nothing in it that JSON cannot take.
    let json = serde_json::to_vec(&manifest).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}
