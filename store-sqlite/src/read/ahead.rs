//! A stream of pages that reads ahead of its consumer.

use std::sync::Arc;

use cqrs_core::{Page, Pages};
use futures_util::stream::{self, StreamExt};
use rusqlite::Connection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::pool::{Begun, Readers};
use crate::error::Trouble;

/// A page, where there is one, and what is left to read after it.
pub(crate) type Step<R> = (Option<Page>, Option<R>);

type Read<R> = fn(&Connection, R) -> Result<Step<R>, Trouble>;

/// Reads page after page with `step`; the first when it is first asked for. While the consumer works
/// on one, the next is read, by a thread that reads on as long as the consumer keeps up: starting it
/// for every page would cost as much as reading a small one. It stops, and gives its connection back,
/// when two pages wait; and there is none when all connections are in use.
pub(crate) fn pages<R: Send + 'static>(
    readers: Arc<Readers>,
    first: R,
    doing: &'static str,
    step: Read<R>,
) -> Pages {
    let pages = stream::unfold(Next::Read(first), move |next| {
        let readers = Arc::clone(&readers);
        async move {
            let done = match next {
                Next::Read(read) => readers.run(doing, move |conn| step(conn, read)).await,
                Next::Ahead(mut ahead) => match ahead.pages.recv().await {
                    Some(page) => return Some((Ok(page), Next::Ahead(ahead))),
                    None => ahead.rest.end().await,
                },
                Next::End => return None,
            };
            let (page, rest) = match done {
                Ok(step) => step,
                Err(error) => return Some((Err(error), Next::End)),
            };
            let next = match rest {
                None => Next::End,
                Some(read) => match readers.try_permit() {
                    Some(permit) => Next::Ahead(Ahead::begin(&readers, permit, read, doing, step)),
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
    Ahead(Ahead<R>),
    End,
}

/// A thread that reads. Dropping it ends the reading after the page at hand.
struct Ahead<R> {
    pages: mpsc::Receiver<Page>,
    /// What it ended with, after the pages that it sent.
    rest: Begun<Step<R>>,
}

impl<R: Send + 'static> Ahead<R> {
    fn begin(
        readers: &Arc<Readers>,
        permit: OwnedSemaphorePermit,
        mut read: R,
        doing: &'static str,
        step: Read<R>,
    ) -> Self {
        let (sender, pages) = mpsc::channel(1);
        // A database in memory has one connection, and others wait for it.
        let reads_on = readers.has_own();
        let rest = readers.begin(permit, doing, move |conn| {
            loop {
                let (page, rest) = step(conn, read)?;
                let Some(next) = rest else { break Ok((page, None)) };
                if !reads_on {
                    break Ok((page, Some(next)));
                }
                if let Some(page) = page {
                    match sender.try_send(page) {
                        Ok(()) => {}
                        Err(TrySendError::Full(page)) => break Ok((Some(page), Some(next))),
                        Err(TrySendError::Closed(_)) => break Ok((None, None)),
                    }
                }
                read = next;
            }
        });
        Self { pages, rest }
    }
}
