//! `GET /manifest`: what the service answers to.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::CONTENT_TYPE;

use crate::http::gateway::Shared;

/// The app's own description of itself.
pub(crate) async fn manifest(State(gateway): State<Arc<Shared>>) -> Response {
    // Names, numbers and schemas: there is nothing in it that JSON cannot take.
    let json = serde_json::to_vec(gateway.app.manifest()).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], json).into_response()
}
