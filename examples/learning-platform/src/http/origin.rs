//! Where a request comes from: correlation and trace, in on the headers and out again.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cqrs_core::{MessageId, Metadata};
use hyper::HeaderMap;
use hyper::header::HeaderValue;

use crate::http::problem::Problem;

const CORRELATION: &str = "x-correlation-id";
const TRACEPARENT: &str = "traceparent";
/// Characters that a correlation id has at most.
const CORRELATION_LIMIT: usize = 128;

/// What is known of a request before it is looked at: which id it gets, and which conversation and
/// trace it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    id: MessageId,
    correlation: Box<str>,
    traceparent: Option<Box<str>>,
}

impl Origin {
    /// Err: the header is there and is no correlation id. The origin is then a new one.
    fn of(headers: &HeaderMap) -> (Self, Result<(), Problem>) {
        let id = MessageId::fresh();
        let (correlation, checked) = match only(headers, CORRELATION) {
            Some(Some(text)) if is_visible(text, CORRELATION_LIMIT) => (text.into(), Ok(())),
            Some(_) => (id.to_string().into(), Err(no_correlation())),
            None => (id.to_string().into(), Ok(())),
        };
        let traceparent = only(headers, TRACEPARENT).flatten().and_then(traceparent);
        (Self { id, correlation, traceparent }, checked)
    }

    /// Metadata of the request.
    pub(crate) fn metadata(&self) -> Metadata {
        let metadata = Metadata::of(self.id).with_correlation(self.correlation.clone());
        match &self.traceparent {
            Some(traceparent) => metadata.with_traceparent(traceparent.clone()),
            None => metadata,
        }
    }

    fn answer(&self, headers: &mut HeaderMap) {
        // Both were checked to be visible ASCII.
        if let Ok(value) = HeaderValue::from_str(&self.correlation) {
            headers.insert(CORRELATION, value);
        }
        let traceparent = self.traceparent.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(value)) = traceparent {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// Gives each request its origin, and each answer its headers.
pub(crate) async fn trace(mut request: Request, next: Next) -> Response {
    let (origin, checked) = Origin::of(request.headers());
    let mut response = match checked {
        Ok(()) => {
            request.extensions_mut().insert(origin.clone());
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    origin.answer(response.headers_mut());
    response
}

fn no_correlation() -> Problem {
    let detail = format!("a correlation id has 1 to {CORRELATION_LIMIT} visible ASCII characters");
    Problem::invalid("X-Correlation-Id", detail)
}

/// The one value of a header. `None`: it is not there; `Some(None)`: it is there several times, or
/// is not ASCII.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { None } else { first.to_str().ok() })
}

/// Whether it has at least one and at most so many characters, all of them visible ASCII.
pub(crate) fn is_visible(text: &str, limit: usize) -> bool {
    !text.is_empty() && text.len() <= limit && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The header in the form of version 00 (W3C Trace Context, section 3.2); `None` when it is not
/// valid, and then the trace begins anew, as the specification says.
fn traceparent(text: &str) -> Option<Box<str>> {
    let known = text.get(..55)?;
    let (version, rest) = known.split_once('-')?;
    let mut parts = rest.split('-');
    let (trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let valid = hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && !zero(trace)
        && hex(parent, 16)
        && !zero(parent)
        && hex(flags, 2)
        && parts.next().is_none();
    // A later version may go on after a dash, version 00 may not.
    let ended = text.len() == 55 || (version != "00" && text[55..].starts_with('-'));
    (valid && ended).then(|| format!("00-{rest}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_traceparent_is_kept() {
        assert_eq!(traceparent(VALID).as_deref(), Some(VALID));
    }

    #[test]
    fn one_of_a_later_version_is_read_as_far_as_it_is_known() {
        let later = VALID.replacen("00-", "cc-", 1);
        assert_eq!(traceparent(&format!("{later}-what-next")).as_deref(), Some(VALID));
        assert_eq!(traceparent(&later).as_deref(), Some(VALID));
        assert_eq!(traceparent(&format!("{later}.more")), None);
    }

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        for invalid in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\u{e9}",
        ] {
            assert_eq!(traceparent(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_correlation_id_is_bounded_and_visible() {
        assert!(is_visible("order-17/b", 128));
        assert!(is_visible(&"x".repeat(128), 128));
        for not in ["", " ", "a b", "a\tb", "\u{e9}", &"x".repeat(129)] {
            assert!(!is_visible(not, 128), "{not:?}");
        }
    }
}
