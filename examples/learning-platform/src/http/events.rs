//! `GET /events`: the log as server-sent events, from any position on and then live.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use cqrs_core::{PageSize, Pages, Position, ReadLog, Store};
use futures_util::{StreamExt, stream};
use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use crate::http::gateway::Shared;
use crate::http::origin::only;
use crate::http::problem::Problem;
use crate::http::record;
use crate::http::stop::Stop;
use crate::http::tail::Tail;

/// Streams that may be open at once.
pub(crate) const STREAMS: usize = 256;
/// What a stream holds of the log: a page that is sent and one or two that wait.
const PAGE: PageSize = PageSize { events: 256, bytes: 64 << 10 };
/// A quiet stream says so, lest something between here and there takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Milliseconds after which a browser that lost the stream comes back.
const GREETING: &str = "retry: 1000\n\n";

/// Sends the events after a position, and goes on as they come.
///
/// Err: the position is none, lies past the end of the log, or too many streams are open.
pub(crate) async fn events(
    State(gateway): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = position(&headers, query.as_deref().unwrap_or_default())?;
    let permit = Arc::clone(&gateway.streams).try_acquire_owned().map_err(|_| {
        Problem::overloaded(format!("{STREAMS} streams of events are open: close one"))
    })?;
    let mut pages = read(&*gateway.store, after);
    // The first page tells whether the log goes so far. It waits here until it can be sent.
    let first =
        pages.next().await.transpose().map_err(|error| gateway.unreadable("events", &error))?;
    let following = Following {
        at: after,
        pages: Some(stream::iter(first.map(Ok)).chain(pages).boxed()),
        store: Arc::clone(&gateway.store),
        tail: Arc::clone(&gateway.tail),
        stop: gateway.stop.clone(),
        _permit: permit,
    };
    let chunks = stream::unfold(following, async |mut following| {
        let chunk = following.next().await?;
        Some((Ok::<_, Infallible>(chunk), following))
    });
    let greeting = stream::iter([Ok(Bytes::from_static(GREETING.as_bytes()))]);
    let mut response = Response::new(Body::from_stream(greeting.chain(chunks)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers what it passes on would keep live events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Where to begin. A browser that comes back names the last event it saw, and that counts more than
/// the address it first asked for.
fn position(headers: &HeaderMap, query: &str) -> Result<Position, Problem> {
    let parse = |name: &str, text: Option<&str>| {
        let digits =
            text.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
            Problem::invalid(name, "a position is a whole number, and is given once")
        })
    };
    if let Some(last) = only(headers, "last-event-id") {
        return parse("Last-Event-ID", last);
    }
    let mut after = query.split('&').filter_map(|pair| match pair.split_once('=') {
        Some(("after", value)) => Some(value),
        None if pair == "after" => Some(""),
        _ => None,
    });
    match (after.next(), after.next()) {
        (None, _) => Ok(0),
        (Some(value), None) => parse("after", Some(value)),
        (Some(_), Some(_)) => parse("after", None),
    }
}

fn read(store: &dyn Store, after: Position) -> Pages {
    store.read_log(ReadLog { page: PAGE, ..ReadLog::after(after) })
}

/// One open stream. Nothing is read until it can be sent.
struct Following {
    at: Position,
    /// `None`: everything was sent, up to `at`.
    pages: Option<Pages>,
    store: Arc<dyn Store>,
    tail: Arc<Tail>,
    stop: Stop,
    _permit: OwnedSemaphorePermit,
}

impl Following {
    /// What to send next. `None`: the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        let quiet = sleep_until(Instant::now() + KEEP_ALIVE);
        tokio::pin!(quiet);
        loop {
            let Some(pages) = &mut self.pages else {
                tokio::select! {
                    biased;
                    () = self.stop.wait() => return None,
                    () = self.tail.past(self.at) => self.pages = Some(read(&*self.store, self.at)),
                    () = &mut quiet => return Some(Bytes::from_static(b":\n\n")),
                }
                continue;
            };
            let page = tokio::select! {
                biased;
                () = self.stop.wait() => return None,
                page = pages.next() => page,
            };
            match page {
                None => self.pages = None,
                Some(Ok(page)) => {
                    self.at = self.at.max(page.through());
                    if !page.is_empty() {
                        return Some(record::page(&page));
                    }
                }
                Some(Err(error)) => {
                    tracing::error!(%error, at = self.at, "a stream of events broke off");
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: Option<&str>, query: &str) -> Option<Position> {
        let mut headers = HeaderMap::new();
        if let Some(last) = last {
            headers.insert("last-event-id", HeaderValue::from_str(last).unwrap());
        }
        position(&headers, query).ok()
    }

    #[test]
    fn a_stream_begins_where_it_is_told_to() {
        assert_eq!(at(None, ""), Some(0));
        assert_eq!(at(None, "other=1"), Some(0));
        assert_eq!(at(None, "after=17"), Some(17));
        assert_eq!(at(Some("18"), "after=17"), Some(18));
    }

    #[test]
    fn a_position_that_is_none_is_refused() {
        for query in ["after", "after=", "after=-1", "after=+1", "after=1.0", "after=x"] {
            assert_eq!(at(None, query), None, "{query}");
        }
        assert_eq!(at(None, "after=1&after=1"), None);
        assert_eq!(at(None, "after=18446744073709551616"), None);
        assert_eq!(at(Some("x"), "after=17"), None);
    }
}
