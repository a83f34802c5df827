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

/// Pages that are kept, of however few bytes: where only messages were sent, they hold no event.
const PAGES: usize = 4_096;

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
        // Each begins where the one before it ends.
        let first = pages.kept.partition_point(|(_, page)| page.through() <= position);
        match pages.kept.get(first) {
            Some((from, page)) if *from <= position => Ahead::Page(page.clone()),
            _ => Ahead::TooFar,
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
            while (kept.bytes > KEPT && kept.kept.len() > 1) || kept.kept.len() > PAGES {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryStore;
    use crate::port::commit::Commit;
    use crate::port::outgoing::{Outgoing, OutgoingKind};
    use crate::{Json, Payload};

    #[tokio::test]
    async fn what_is_kept_is_bounded_also_where_no_event_comes() {
        let (store, tail) = (MemoryStore::default(), Tail::at(0));
        for _ in 0..PAGES + 100 {
            let body = Payload::Json(Json::parse("{}").unwrap());
            let sent = Outgoing::new(OutgoingKind::Message, "told", "all", body);
            store.commit(Commit { outgoing: vec![sent], ..Commit::default() }).await.unwrap();
            assert!(tail.read_on(&store).await.unwrap());
        }
        assert_eq!(tail.pages().kept.len(), PAGES);
        assert!(matches!(tail.after(0), Ahead::TooFar));
        let Ahead::Page(page) = tail.after(tail.end() - 7) else { panic!("it is kept") };
        assert_eq!(page.through(), tail.end() - 6);
        assert!(matches!(tail.after(tail.end()), Ahead::End));
    }
}
