//! Stores that read wrongly.

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Filter, Head, Page, PageSize, Pages, PayloadRef, ReadLog, ReadStream, Recorded, Store,
    Timestamp,
};
use futures_util::{FutureExt, StreamExt, future, stream};

use crate::base::{Fault, changed, rebuilt};

/// Declares a fault that overrides `read_log`.
macro_rules! log_fault {
    ($(#[$doc:meta])* $name:ident, |$store:ident, $read:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl Fault for $name {
            fn read_log(&self, $store: &MemoryStore, $read: ReadLog) -> Pages {
                $body
            }
        }
    };
}

/// Declares a fault that overrides `read_stream`.
macro_rules! stream_fault {
    ($(#[$doc:meta])* $name:ident, |$store:ident, $read:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl Fault for $name {
            fn read_stream(&self, $store: &MemoryStore, $read: ReadStream) -> Pages {
                $body
            }
        }
    };
}

/// The head, now: the store in memory never waits.
fn head(store: &MemoryStore) -> Head {
    store.head().now_or_never().and_then(Result::ok).expect("it is there at once")
}

/// Reads with another filter.
fn filtered(store: &MemoryStore, read: ReadLog, change: impl Fn(&mut Filter)) -> Pages {
    let mut read = read;
    change(&mut read.filter);
    store.read_log(read)
}

log_fault! {
    /// Gives the events of a page in another order.
    ReordersAPage, |store, read| {
        changed(store.read_log(read), |page| rebuilt(&page, page.iter().rev()))
    }
}

log_fault! {
    /// Begins each further page one event too late.
    SkipsAnEventBetweenPages, |store, read| {
        let mut first = true;
        changed(store.read_log(read), move |page| {
            let skip = usize::from(!std::mem::take(&mut first) && page.len() > 1);
            rebuilt(&page, page.iter().skip(skip))
        })
    }
}

log_fault! {
    /// Begins each further page with the last event of the one before.
    RepeatsAnEventBetweenPages, |store, read| {
        let mut last: Option<Page> = None;
        changed(store.read_log(read), move |page| {
            let before = last.take().unwrap_or_default();
            let again = rebuilt(&page, before.iter().rev().take(1).chain(page.iter()));
            last = Some(page);
            again
        })
    }
}

log_fault! {
    /// Numbers before it commits: now and then an event shows only after later ones (P4).
    ShowsAnEventLate, |store, read| {
        let head = head(store).position;
        let late = move |event: &Recorded<'_>| {
            event.position.is_multiple_of(5) && event.position < head && event.position + 3 > head
        };
        changed(store.read_log(read), move |page| {
            rebuilt(&page, page.iter().filter(|event| !late(event)))
        })
    }
}

log_fault! {
    /// Tells of the last event only, not how far it looked.
    StopsAtTheLastMatch, |store, read| {
        changed(store.read_log(read), |page| {
            let mut made = Page::default();
            page.iter().for_each(|event| made.push(&event));
            made
        })
    }
}

log_fault! {
    /// Ends after one page.
    EndsBeforeTheHead, |store, read| store.read_log(read).take(1).boxed()
}

log_fault! {
    /// Has no page where there is no event.
    HasNoEmptyPage, |store, read| {
        let full = |page: &cqrs_core::Result<Page>| !page.as_ref().is_ok_and(Page::is_empty);
        store.read_log(read).filter(move |page| future::ready(full(page))).boxed()
    }
}

log_fault! {
    /// Takes a position beyond the head for one that is not reached yet.
    TakesAPositionBeyondTheHead, |store, read| {
        let after = read.after.min(head(store).position);
        store.read_log(ReadLog { after, ..read })
    }
}

log_fault! {
    /// Does not look at whose position it is.
    TakesAPositionOfAnotherLog, |store, read| store.read_log(ReadLog { log: None, ..read })
}

log_fault! {
    /// Does not filter by type.
    IgnoresTypes, |store, read| filtered(store, read, |filter| filter.types.clear())
}

log_fault! {
    /// Filters by one of the tags only.
    LooksAtOneTag, |store, read| filtered(store, read, |filter| filter.tags.truncate(1))
}

log_fault! {
    /// Does not filter by tenant.
    IgnoresTenants, |store, read| filtered(store, read, |filter| filter.tenant = None)
}

log_fault! {
    /// Does not filter by time.
    IgnoresSince, |store, read| filtered(store, read, |filter| filter.since = None)
}

log_fault! {
    /// Filters by category alone when streams are asked for.
    MistakesStreams, |store, read| filtered(store, read, |filter| {
        filter.categories = filter.streams.drain(..).map(|stream| stream.category).collect();
    })
}

log_fault! {
    /// Tells times of a clock that runs backwards.
    GoesBackInTime, |store, read| {
        changed(store.read_log(read), |page| {
            let back = |event: Recorded<'_>| Timestamp::from_micros(-(event.position as i64));
            let mut made = Page::default();
            page.iter().for_each(|event| made.push(&Recorded { recorded_at: back(event), ..event }));
            made.reach(page.through());
            made
        })
    }
}

log_fault! {
    /// Makes pages of any size in bytes.
    IgnoresTheBytesOfAPage, |store, read| {
        let page = PageSize { bytes: usize::MAX, ..read.page };
        store.read_log(ReadLog { page, ..read })
    }
}

log_fault! {
    /// Gives what is erased as a body of nothing.
    ForgetsThatItIsErased, |store, read| {
        changed(store.read_log(read), |page| {
            let mut made = Page::default();
            for event in page.iter() {
                let data = if event.is_erased() { PayloadRef::Json("null") } else { event.data };
                made.push(&event.with(data));
            }
            made.reach(page.through());
            made
        })
    }
}

stream_fault! {
    /// Takes no tenant for the tenant without a name.
    MistakesTheEmptyTenant, |store, read| {
        let mut read = read;
        read.stream.tenant = read.stream.tenant.filter(|tenant| !tenant.is_empty());
        store.read_stream(read)
    }
}

stream_fault! {
    /// Reads the oldest page first, also backwards.
    ReadsPagesForwards, |store, read| {
        if !read.backwards {
            return store.read_stream(read);
        }
        let pages = store.read_stream(ReadStream { backwards: false, ..read });
        changed(pages, |page| rebuilt(&page, page.iter().rev()))
    }
}

stream_fault! {
    /// Reads to the end, wherever it should end.
    ReadsTooFar, |store, read| store.read_stream(ReadStream { to: u64::MAX, ..read })
}

stream_fault! {
    /// Reads what was recorded later, too.
    ReadsTheFuture, |store, read| {
        store.read_stream(ReadStream { recorded_until: None, ..read })
    }
}

stream_fault! {
    /// Has one empty page where there is no stream.
    InventsAPage, |store, read| {
        let empty = stream::iter([Ok(Page::default())]);
        store.read_stream(read).chain(empty).boxed()
    }
}

/// The events as `less` makes them.
fn with(pages: Pages, less: impl Fn(&mut Recorded<'_>) + Send + 'static) -> Pages {
    changed(pages, move |page| {
        let mut made = Page::default();
        for mut event in page.iter() {
            less(&mut event);
            made.push(&event);
        }
        made
    })
}

stream_fault! {
    /// Leaves the version of the body out as well.
    LeavesOutWhatAFoldNeeds, |store, read| {
        let to_fold = read.to_fold;
        with(store.read_stream(read), move |event| {
            if to_fold {
                event.schema_version = 1;
            }
        })
    }
}

stream_fault! {
    /// Reads without tags, whatever it is read for.
    ReadsEverythingToFold, |store, read| {
        with(store.read_stream(read), |event| event.joined_tags = "")
    }
}
