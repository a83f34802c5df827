//! A stream of pages that reads one page ahead of its consumer.

use std::sync::Arc;

use cqrs_core::{Error, ErrorKind, Page, Pages, Result};
use futures_util::stream::{self, StreamExt};
use rusqlite::Connection;
use tokio::task::JoinHandle;

use super::pool::Readers;
use crate::error::Trouble;

/// A page, where there is one, and what is left to read after it.
pub(crate) type Step<R> = (Option<Page>, Option<R>);

/// Reads page after page with `step`. While the consumer works on one, the next is read; never more
/// than one, and none after the last. The first is read when it is first asked for.
pub(crate) fn pages<R: Send + 'static>(
    readers: Arc<Readers>,
    first: R,
    doing: &'static str,
    step: fn(&Connection, R) -> Result<Step<R>, Trouble>,
) -> Pages {
    let pages = stream::unfold(Next::Read(first), move |next| {
        let readers = Arc::clone(&readers);
        async move {
            let done = match next {
                Next::Read(read) => readers.run(doing, move |conn| step(conn, read)).await,
                Next::Ahead(task) => task.join().await,
                Next::End => return None,
            };
            let (page, rest) = match done {
                Ok(step) => step,
                Err(error) => return Some((Err(error), Next::End)),
            };
            let next = match rest {
                None => Next::End,
                Some(read) => Next::Ahead(Ahead(tokio::spawn(async move {
                    readers.run(doing, move |conn| step(conn, read)).await
                }))),
            };
            Some((Ok(page?), next))
        }
    });
    pages.boxed()
}

enum Next<R> {
    Read(R),
    Ahead(Ahead<R>),
    End,
}

/// A page that is being read; dropping it ends the reading.
struct Ahead<R>(JoinHandle<Result<Step<R>>>);

impl<R> Ahead<R> {
    async fn join(mut self) -> Result<Step<R>> {
        (&mut self.0).await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, "reading ahead was broken off").with_source(error))
        })
    }
}

impl<R> Drop for Ahead<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
