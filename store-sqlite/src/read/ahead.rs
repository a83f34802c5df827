//! A stream of pages that reads ahead of its consumer.

use std::sync::Arc;

use cqrs_core::{Error, ErrorKind, Page, Pages, Result};
use futures_util::stream::{self, StreamExt};
use rusqlite::Connection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;

use super::pool::{Begun, Readers};
use crate::error::Trouble;

/// A page, where there is one, and what is left to read after it.
pub(crate) type Step<R> = (Option<Page>, Option<R>);

type Read<R> = fn(&Connection, R) -> Result<Step<R>, Trouble>;

/// A page may wait for the consumer, and the last word of the thread behind it.
const WAITING: usize = 2;

/// Reads page after page with `step`; the first when it is first asked for. While the consumer works
/// on one, the next is read, by a thread that reads on as long as the consumer keeps up: starting it
/// for every page would cost as much as reading a small one. It stops, and gives its connection back,
/// when two pages wait; and nothing is read ahead when all connections are in use.
pub(crate) fn pages<R: Send + 'static>(
    readers: Arc<Readers>,
    first: R,
    doing: &'static str,
    step: Read<R>,
) -> Pages {
    let pages = stream::unfold(Next::Read(first), move |next| {
        let readers = Arc::clone(&readers);
        async move {
            let mut ahead = match next {
                Next::Ahead(ahead) => ahead,
                Next::Read(read) => match readers.permit().await {
                    Ok(permit) => Ahead::begin(&readers, permit, read, doing, step),
                    Err(error) => return Some((Err(error), Next::End)),
                },
                Next::End => return None,
            };
            let (page, rest) = match ahead.next().await {
                Ok(Said::Page(page)) => return Some((Ok(page), Next::Ahead(ahead))),
                Ok(Said::Stopped(step)) => step,
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

/// What a thread that reads has to say.
enum Said<R> {
    Page(Page),
    /// It reads no further; with its last page, and what is left.
    Stopped(Step<R>),
}

/// A thread that reads. Dropping it ends the reading, after the page at hand.
struct Ahead<R> {
    said: mpsc::Receiver<Result<Said<R>>>,
    _thread: Begun<()>,
}

impl<R: Send + 'static> Ahead<R> {
    fn begin(
        readers: &Arc<Readers>,
        permit: OwnedSemaphorePermit,
        first: R,
        doing: &'static str,
        step: Read<R>,
    ) -> Self {
        let (sender, said) = mpsc::channel(WAITING);
        // A database in memory has one connection, and others wait for it.
        let reads_on = readers.has_own();
        let pages = sender.clone();
        let read_on = move |conn: &Connection| {
            let mut read = first;
            loop {
                let (page, rest) = step(conn, read)?;
                let Some(next) = rest else { break Ok((page, None)) };
                // The other place is for the last word.
                if !reads_on || pages.capacity() < WAITING {
                    break Ok((page, Some(next)));
                }
                if let Some(page) = page
                    && pages.try_send(Ok(Said::Page(page))).is_err()
                {
                    // Nobody is there any more.
                    break Ok((None, None));
                }
                read = next;
            }
        };
        let thread = readers.begin(permit, doing, read_on, move |done| {
            let _ = sender.try_send(done.map(Said::Stopped));
        });
        Self { said, _thread: thread }
    }

    async fn next(&mut self) -> Result<Said<R>> {
        self.said.recv().await.unwrap_or_else(|| {
            let context = "reading was broken off: it panicked, or the runtime was shut down";
            Err(Error::new(ErrorKind::Internal, context))
        })
    }
}
