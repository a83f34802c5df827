//! Stores that read the log wrongly, or not to its end.

use std::sync::OnceLock;

use async_trait::async_trait;
use cqrs_core::memory::MemoryStore;
use cqrs_core::{Filter, Head, Hint, Pages, ReadLog, Recorded, Result, Store};
use futures_util::{FutureExt, StreamExt};

use crate::base::{Fault, changed, rebuilt};

/// Gives the events of a page in another order.
#[derive(Debug, Default)]
pub(crate) struct ReordersAPage;

#[async_trait]
impl Fault for ReordersAPage {
    fn read_log(&self, store: &MemoryStore, read: ReadLog) -> Pages {
        changed(store.read_log(read), |page| {
            let events: Vec<Recorded<'_>> = page.iter().collect();
            rebuilt(&page, events.into_iter().rev())
        })
    }
}

/// Says of the first page that it reaches to the end of the log.
#[derive(Debug, Default)]
pub(crate) struct RunsAhead;

#[async_trait]
impl Fault for RunsAhead {
    fn read_log(&self, store: &MemoryStore, read: ReadLog) -> Pages {
        let head = store.head().now_or_never().and_then(Result::ok).map(|head| head.position);
        changed(store.read_log(read), move |mut page| {
            page.reach(head.unwrap_or_default());
            page
        })
    }
}

/// Loses every seventh event.
#[derive(Debug, Default)]
pub(crate) struct DropsAnEvent;

#[async_trait]
impl Fault for DropsAnEvent {
    fn read_log(&self, store: &MemoryStore, read: ReadLog) -> Pages {
        changed(store.read_log(read), |page| {
            rebuilt(&page, page.iter().filter(|event| event.position % 7 != 0))
        })
    }
}

/// Has no hints, and a head that does not move.
#[derive(Debug, Default)]
pub(crate) struct StandsStill(OnceLock<Head>);

#[async_trait]
impl Fault for StandsStill {
    async fn head(&self, store: &MemoryStore) -> Result<Head> {
        let head = store.head().await?;
        Ok(*self.0.get_or_init(|| head))
    }

    fn hint(&self, _: &MemoryStore) -> Hint {
        Hint::never()
    }
}

/// Gives what was recorded before as well.
#[derive(Debug, Default)]
pub(crate) struct IgnoresSince;

#[async_trait]
impl Fault for IgnoresSince {
    fn read_log(&self, store: &MemoryStore, mut read: ReadLog) -> Pages {
        read.filter.since = None;
        store.read_log(read)
    }
}

/// Finds nothing by its tags.
#[derive(Debug, Default)]
pub(crate) struct FindsNoTags;

#[async_trait]
impl Fault for FindsNoTags {
    fn read_log(&self, store: &MemoryStore, mut read: ReadLog) -> Pages {
        if !read.filter.tags.is_empty() {
            read.filter = Filter::default().category("none");
        }
        store.read_log(read)
    }
}

/// Says of a page without events that it reaches nowhere.
#[derive(Debug, Default)]
pub(crate) struct EndsAtTheLastMatch;

#[async_trait]
impl Fault for EndsAtTheLastMatch {
    fn read_log(&self, store: &MemoryStore, read: ReadLog) -> Pages {
        let matches = |page: &Result<cqrs_core::Page>| {
            let is_empty = page.as_ref().is_ok_and(cqrs_core::Page::is_empty);
            std::future::ready(!is_empty)
        };
        store.read_log(read).filter(matches).boxed()
    }
}
