//! The end of the log, read once for all who stand there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;

use crate::error::Result;
use crate::port::Position;
use crate::port::page::Page;
use crate::port::read::ReadLog;
use crate::port::store::Store;

/// Bytes of pages that are kept for those who are a little behind.
const KEPT: usize = 4 << 20;

/// The last pages of the log, and where it ends.
pub(crate) struct Tail {
    pages: Mutex<Pages>,
    end: watch::Sender<Position>,
}

#[derive(Default)]
struct Pages {
    kept: VecDeque<(Position, Arc<Page>)>,
    bytes: usize,
}

/// What the tail has after a position.
pub(crate) enum Ahead {
    /// A page with what comes next, and maybe more before it.
    Page(Arc<Page>),
    /// Nothing: the log ends there, as far as is known.
    End,
    /// The position is too far back: read the log.
    TooFar,
}

impl Tail {
    /// A tail that begins at the end of the log.
    pub(crate) fn at(end: Position) -> Self {
        Self { pages: Mutex::default(), end: watch::Sender::new(end) }
    }

    /// Where the log ends, as far as is known.
    pub(crate) fn end(&self) -> Position {
        *self.end.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }

    pub(crate) fn after(&self, position: Position) -> Ahead {
        let pages = self.pages();
        if position >= self.end() {
            return Ahead::End;
        }
        let first = pages
            .kept
            .iter()
            .position(|(from, page)| *from <= position && position < page.through());
        match first.and_then(|first| pages.kept.get(first)) {
            Some((_, page)) => Ahead::Page(page.clone()),
            None => Ahead::TooFar,
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is new. Whether there was anything.
    pub(crate) async fn read_on(&self, store: &dyn Store) -> Result<bool> {
        let from = self.end();
        let mut at = from;
        let mut pages = store.read_log(ReadLog::after(at));
        while let Some(page) = pages.next().await {
            let page = Arc::new(page?);
            if page.through() <= at {
                continue;
            }
            let mut kept = self.pages();
            kept.bytes += page.size();
            kept.kept.push_back((at, page.clone()));
            while kept.bytes > KEPT && kept.kept.len() > 1 {
                if let Some((_, page)) = kept.kept.pop_front() {
                    kept.bytes -= page.size();
                }
            }
            at = page.through();
            // Under the lock: who sees the new end finds the page.
            self.end.send_replace(at);
            drop(kept);
        }
        Ok(at > from)
    }

    /// Reads on whenever there may be something, until it is dropped.
    pub(crate) async fn follow(&self, store: &Arc<dyn Store>, poll: Duration) {
        let mut hint = store.hint();
        let mut failures = 0u32;
        loop {
            match self.read_on(&**store).await {
                Ok(_) => {
                    failures = 0;
                    let _ = tokio::time::timeout(poll, hint.changed()).await;
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(%error, failures, "the log cannot be read; trying again");
                    tokio::time::sleep(crate::runtime::backoff(failures)).await;
                }
            }
        }
    }
}
