//! What went wrong, as `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use cqrs_core::{Error, ErrorKind, RawRejection};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{StatusCode, header};
use serde::Serialize;

/// Seconds after which a caller may try again what can succeed then.
const TRY_AGAIN_AFTER: &str = "1";

/// A problem, as it goes to the caller.
///
/// `type` is `urn:problem:` and the code; `code` is for programs and stable, `detail` for people.
/// What the service knows about its own insides (paths, the driver's words) is not in it: that goes
/// to the log, under the correlation id of the request.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: String,
    detail: String,
    field: Option<String>,
    try_again: bool,
    allow: Option<HeaderValue>,
    challenge: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    /// A problem with this status, code and text.
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            field: None,
            try_again: false,
            allow: None,
            challenge: false,
        }
    }

    /// A request that is not well formed, and the field, parameter or header to blame.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail).with_field(Some(field))
    }

    /// More is asked for than there is room for.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", detail);
        Self { try_again: true, ..problem }
    }

    /// The caller must bring a token (RFC 6750), and has not brought the right one.
    pub(crate) fn wants_token() -> Self {
        let detail = "this needs the header `Authorization: Bearer` with the right token";
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
        Self { challenge: true, ..problem }
    }

    /// Another method than GET on a resource that is only read.
    pub fn only_get() -> Self {
        Self::method_not_allowed("GET, HEAD")
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let detail = format!("this resource answers to {allow} only");
        let problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        Self { allow: Some(HeaderValue::from_static(allow)), ..problem }
    }

    /// What the domain's no looks like.
    pub(crate) fn rejected(rejection: &RawRejection) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, rejection.code, &rejection.detail)
            .with_field(rejection.field.as_deref())
    }

    /// What an error of the machinery looks like to somebody who called `request`.
    pub(crate) fn failed(request: &str, error: &Error) -> Self {
        let shown = error.to_string();
        let (status, code, detail, field) = match error.kind() {
            // What cannot be decoded is the caller's fault only where it is the caller's request.
            ErrorKind::Decode { message, field } if message == request => {
                (400, "decode", shown, field.as_deref())
            }
            ErrorKind::Invalid { field } => (400, "invalid", shown, field.as_deref()),
            ErrorKind::BeyondHead { .. } => (400, "beyond_head", shown, None),
            ErrorKind::OtherLog { .. } => (400, "other_log", shown, None),
            ErrorKind::Unauthenticated => (401, "unauthenticated", shown, None),
            ErrorKind::Forbidden => (403, "forbidden", shown, None),
            ErrorKind::UnknownName => (404, "unknown_name", shown, None),
            ErrorKind::Conflict(_) => {
                (409, "conflict", "others changed the same meanwhile: send it again".into(), None)
            }
            ErrorKind::InFlight => (409, "in_flight", shown, None),
            ErrorKind::TooLarge { .. } => (413, "too_large", shown, None),
            ErrorKind::IdReused { .. } => (
                422,
                "idempotency_key_reused",
                "this key was used with another body: take a new key for a new request".into(),
                Some("Idempotency-Key"),
            ),
            ErrorKind::Overloaded => (429, "overloaded", shown, None),
            ErrorKind::DeadlineExceeded => (504, "deadline_exceeded", shown, None),
            kind => {
                let code = code_of(kind);
                let detail = if error.is_retryable() {
                    "the service cannot answer now: try again"
                } else {
                    "the service failed to answer; its log has the cause under the correlation id"
                };
                (503, code, detail.into(), None)
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let problem = Self::new(status, code, detail).with_field(field);
        Self { try_again: error.is_retryable(), ..problem }
    }

    pub(crate) fn with_field(self, field: Option<&str>) -> Self {
        Self { field: field.map(str::to_owned), ..self }
    }

    /// Whether the service is to blame, and its log should say why.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// One sentence a status, as RFC 9457 asks for: the same in every occurrence.
    fn title(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "The request is not well formed",
            401 => "The caller is not known",
            403 => "The caller may not do this",
            404 => "There is no such resource",
            405 => "The resource does not answer to this method",
            408 => "The request took too long to arrive",
            409 => "The request came in between others",
            413 => "The request is too large",
            415 => "The body is not of a type that is read here",
            422 => "The request was rejected",
            429 => "There are too many requests",
            504 => "The deadline has passed",
            _ => "The service failed",
        }
    }
}

/// The name of a kind, for programs.
fn code_of(kind: &ErrorKind) -> &'static str {
    match kind {
        // Of something stored, which is none of the caller's business.
        ErrorKind::Decode { .. } => ErrorKind::Internal.name(),
        kind => kind.name(),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let json = Json {
            r#type: format!("urn:problem:{}", self.code),
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: &self.code,
            field: self.field.as_deref(),
        };
        // Texts and a number: there is nothing in it that JSON cannot take.
        let mut response = Response::new(Body::from(serde_json::to_vec(&json).unwrap_or_default()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.try_again {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(TRY_AGAIN_AFTER));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, allow);
        }
        if self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use cqrs_core::Conflict;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;

    async fn sent(error: &Error) -> (u16, Value, bool) {
        let response = Problem::failed("learning.create_course", error).into_response();
        let (status, again) =
            (response.status().as_u16(), response.headers().contains_key(RETRY_AFTER));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap(), again)
    }

    /// Every kind: its status, its code, the field it blames, whether to try again, whether its own
    /// words are shown.
    #[tokio::test]
    async fn every_kind_of_error_has_its_answer() {
        let decode = |message: &str| {
            let field = Some("title".to_owned());
            ErrorKind::Decode { message: message.to_owned(), field }
        };
        let too_large = ErrorKind::TooLarge { what: "a".into(), size: 2, limit: 1 };
        let conflict = ErrorKind::Conflict(Conflict::NoneMatching { after: 1, found: 2 });
        let other_log = ErrorKind::OtherLog { expected: "a".into(), actual: "b".into() };
        let undecodable = ErrorKind::Undecodable {
            stream: "course/17".into(),
            version: 1,
            position: 1,
            event_type: "learning.course_created".into(),
        };
        let reused = ErrorKind::IdReused { id: "17".into() };
        let invalid = ErrorKind::Invalid { field: Some("title".into()) };
        let none = Value::Null;
        let title = json!("title");
        let key = json!("Idempotency-Key");
        for (kind, status, code, field, again, shown) in [
            (decode("learning.create_course"), 400, "decode", &title, false, true),
            // A document that cannot be read is not the caller's fault.
            (decode("course"), 503, "internal", &none, false, false),
            (invalid, 400, "invalid", &title, false, true),
            (
                ErrorKind::BeyondHead { position: 2, head: 1 },
                400,
                "beyond_head",
                &none,
                false,
                true,
            ),
            (other_log, 400, "other_log", &none, false, true),
            (ErrorKind::Unauthenticated, 401, "unauthenticated", &none, false, true),
            (ErrorKind::Forbidden, 403, "forbidden", &none, false, true),
            (ErrorKind::UnknownName, 404, "unknown_name", &none, false, true),
            (conflict, 409, "conflict", &none, false, false),
            (ErrorKind::InFlight, 409, "in_flight", &none, true, true),
            (too_large, 413, "too_large", &none, false, true),
            (reused, 422, "idempotency_key_reused", &key, false, false),
            (ErrorKind::Overloaded, 429, "overloaded", &none, true, true),
            (ErrorKind::Unavailable, 503, "unavailable", &none, true, false),
            (ErrorKind::OutcomeUnknown, 503, "outcome_unknown", &none, true, false),
            (ErrorKind::Unsupported { part: "inbox" }, 503, "unsupported", &none, false, false),
            (undecodable, 503, "undecodable", &none, false, false),
            (ErrorKind::Panicked, 503, "panicked", &none, false, false),
            (ErrorKind::Internal, 503, "internal", &none, false, false),
            (ErrorKind::DeadlineExceeded, 504, "deadline_exceeded", &none, false, true),
        ] {
            let error = Error::new(kind, "in /srv/secret.db");
            let (sent, body, tries_again) = sent(&error).await;
            assert_eq!((sent, tries_again), (status, again), "{error:?}");
            assert_eq!((&body["code"], &body["field"]), (&json!(code), field), "{error:?}");
            assert_eq!(body["type"], format!("urn:problem:{code}"));
            assert_eq!(body["status"], status);
            assert_eq!(body["detail"] == "in /srv/secret.db", shown, "{error:?}: {body}");
        }
    }
}
