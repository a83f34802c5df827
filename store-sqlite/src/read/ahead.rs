//! A stream of pages that reads one page ahead of its consumer.

use std::sync::Arc;

use cqrs_core::{Page, Pages};
use futures_util::stream::{self, StreamExt};
use rusqlite::Connection;

use super::pool::{Begun, Readers};
use crate::error::Trouble;

/// A page, where there is one, and what is left to read after it.
pub(crate) type Step<R> = (Option<Page>, Option<R>);

/// Reads page after page with `step`. While the consumer works on one, the next is read; never more
/// than one, none after the last, and none when all connections are in use. The first is read when
/// it is first asked for.
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
                Next::Ahead(begun) => begun.end().await,
                Next::End => return None,
            };
            let (page, rest) = match done {
                Ok(step) => step,
                Err(error) => return Some((Err(error), Next::End)),
            };
            let next = match rest {
                None => Next::End,
                // In no task of its own: that would be one more thread to wake for every page.
                Some(read) => match readers.try_permit() {
                    Some(permit) => {
                        let begun = readers.begin(permit, doing, move |conn| step(conn, read));
                        Next::Ahead(begun)
                    }
                    None => Next::Read(read),
                },
            };
            Some((Ok(page?), next))
        }
    });
    pages.boxed()
}

enum Next<R> {
    Read(R),
    Ahead(Begun<Step<R>>),
    End,
}
