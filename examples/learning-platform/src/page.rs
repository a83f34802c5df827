//! `GET /`: one page to try the service with.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cqrs_core::MessageId;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use crate::http::Problem;

const PAGE: &str = include_str!("page.html");

/// The route of the page.
pub fn route() -> Router {
    Router::new().route("/", get(page).fallback(|| async { Problem::only_get() }))
}

/// Nothing runs in the page but what came with it: its script and its style carry a word that is new
/// for each answer.
async fn page() -> Response {
    let nonce = MessageId::fresh().derived("nonce", 0).to_string();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, PAGE.replace("NONCE", &nonce)).into_response()
}
