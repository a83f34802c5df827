//! A span for every request, with its ids and its outcome.

use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

use crate::error::{Error, ErrorKind, Failure, Rejection};
use crate::handler::{AnyAnswer, AnyRequest};
use crate::layer::surround::{Inner, Surround, Surrounded, layer};
use crate::message::request::RequestKind;

/// Makes a `tracing` span around every request: `request` with the fields `name`, `kind`,
/// `message_id`, `keyed_id` (that of [`Idempotency`](crate::layer::Idempotency), under which a
/// command with a key is recorded), `correlation_id`, `causation_id`, `tenant`, `actor`, `traceparent`, `outcome`
/// (`answered`, `rejected`, `failed`), `code` (of the rejection), `position` and `error` (the
/// [name](crate::ErrorKind::name) of its kind). Never what the request or its answer says.
///
/// A failure of the machinery is also an event: of level `WARN` where the caller may try again or is
/// to blame, otherwise of level `ERROR`, with the text of the error. (That text may quote what a
/// panic or a driver said. The text of a request that cannot be decoded is not in it.)
///
/// What succeeds or is rejected is told by the span alone. A subscriber shows it when it reports
/// spans that close:
///
/// ```
/// use tracing_subscriber::fmt::format::FmtSpan;
///
/// tracing_subscriber::fmt().with_span_events(FmtSpan::CLOSE).init();
/// ```
///
/// See the [module](crate::layer) for an example of the layer.
#[derive(Debug, Clone, Default)]
pub struct Trace(());

impl Trace {
    /// Spans of level `INFO`.
    pub fn new() -> Self {
        Self(())
    }
}

layer!(Trace);

impl Surround for Trace {
    async fn surround<S: Inner>(self, request: AnyRequest, inner: S) -> AnyAnswer {
        let span = span(&request);
        let answer = inner.run(request).instrument(span.clone()).await;
        record(&span, &answer);
        answer
    }
}

fn span(request: &AnyRequest) -> Span {
    let metadata = &request.metadata;
    let kind = match request.kind() {
        RequestKind::Command => "command",
        RequestKind::Query => "query",
    };
    let span = tracing::info_span!(
        "request",
        name = request.name(),
        kind,
        message_id = Empty,
        keyed_id = Empty,
        correlation_id = metadata.correlation(),
        causation_id = metadata.causation().map(display),
        tenant = metadata.tenant(),
        actor = metadata.actor(),
        traceparent = metadata.traceparent(),
        outcome = Empty,
        code = Empty,
        position = Empty,
        error = Empty,
    );
    // An id is made when it is asked for: not for a span that nobody looks at.
    if !span.is_disabled() {
        span.record("message_id", display(metadata.id()));
    }
    span
}

fn record(span: &Span, answer: &AnyAnswer) {
    match answer {
        Ok(reply) => {
            span.record("outcome", "answered");
            if let Some(position) = reply.position() {
                span.record("position", position);
            }
        }
        Err(Failure::Rejected(rejection)) => {
            span.record("outcome", "rejected");
            span.record("code", rejection.code());
        }
        Err(Failure::Failed(error)) => {
            span.record("outcome", "failed");
            span.record("error", error.kind().name());
            let late = *error.kind() == ErrorKind::DeadlineExceeded;
            if late || error.is_retryable() || error.is_of_the_caller() {
                let error = &*without_payload(error);
                tracing::warn!(parent: span, error, "the request failed");
            } else {
                tracing::error!(parent: span, ?error, "the request failed");
            }
        }
    }
}

/// What a decoder says quotes what it could not decode, and that is part of the request.
fn without_payload(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Decode { message, field: Some(field) } => {
            format!("`{field}` of `{message}` cannot be decoded")
        }
        ErrorKind::Decode { message, field: None } => format!("`{message}` cannot be decoded"),
        _ => error.to_string(),
    }
}
