//! The body of a request: JSON, bounded in size and in time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};

use crate::http::origin::only;
use crate::http::problem::Problem;

/// Bytes of a body at most.
pub const BODY_LIMIT: usize = 256 << 10;
/// Bytes over the limit that are read and thrown away, so that the caller has sent all it wants to
/// say and hears the answer. A connection that is closed on unread bytes is reset, and the answer is
/// lost.
const THROWN_AWAY: usize = 4 << 20;
/// How long a body may take.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// The whole body.
///
/// Err: it is over the limit, does not arrive in time, or breaks off. No more than the limit is ever
/// held.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let announced = only(headers, CONTENT_LENGTH.as_str()).flatten();
    let announced = announced.and_then(|length| length.parse::<u64>().ok()).unwrap_or(0);
    if announced > BODY_LIMIT as u64 && headers.contains_key(EXPECT) {
        // It waits to be told to go on, and is told not to.
        return Err(too_large());
    }
    let late = || {
        let detail = format!("the body did not arrive within {} s", READ_WITHIN.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
    };
    tokio::time::timeout(READ_WITHIN, collect(body)).await.map_err(|_| late())?
}

async fn collect(mut body: Body) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut size = 0_usize;
    while let Some(frame) = body.frame().await {
        let broken = |_| Problem::new(StatusCode::BAD_REQUEST, "decode", "the body breaks off");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        size = size.saturating_add(data.len());
        if size > BODY_LIMIT {
            (first, whole) = (Bytes::new(), BytesMut::new());
            if size > BODY_LIMIT + THROWN_AWAY {
                break;
            }
        } else if size == data.len() {
            // Mostly there is one frame, and then nothing is copied.
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
    }
    match size {
        size if size > BODY_LIMIT => Err(too_large()),
        size if size == first.len() => Ok(first),
        _ => Ok(whole.freeze()),
    }
}

/// Whether the body says to be JSON.
pub(crate) fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = only(headers, CONTENT_TYPE.as_str()).flatten().unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "the body must be sent with `Content-Type: application/json`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

fn too_large() -> Problem {
    let detail = format!("a body has at most {BODY_LIMIT} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn frames(sizes: &[usize]) -> Body {
        let frames: Vec<_> =
            sizes.iter().map(|n| Ok::<_, std::io::Error>(vec![b'x'; *n])).collect();
        Body::from_stream(stream::iter(frames))
    }

    async fn size_of(sizes: &[usize]) -> Option<usize> {
        read(&HeaderMap::new(), frames(sizes)).await.ok().map(|body| body.len())
    }

    #[tokio::test]
    async fn a_body_is_put_together_up_to_the_limit() {
        assert_eq!(size_of(&[]).await, Some(0));
        assert_eq!(size_of(&[7]).await, Some(7));
        assert_eq!(size_of(&[7, 0, 5]).await, Some(12));
        assert_eq!(size_of(&[0, 5]).await, Some(5));
        assert_eq!(size_of(&[BODY_LIMIT - 1, 1]).await, Some(BODY_LIMIT));
        assert_eq!(size_of(&[BODY_LIMIT, 1]).await, None);
        assert_eq!(size_of(&[BODY_LIMIT; 30]).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let forever = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let problem = read(&HeaderMap::new(), forever).await.unwrap_err();
        assert_eq!(problem.code(), "request_timeout");
    }
}
