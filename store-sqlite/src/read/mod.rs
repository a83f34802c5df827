//! Reading: pages of streams, of the log and of documents, each from a snapshot of its own.

mod ahead;
mod documents;
mod log;
mod merge;
mod pool;
mod stream;
mod waiting;

pub(crate) use ahead::pages;
pub(crate) use documents::{count_documents, document, find_documents};
pub(crate) use log::{LogReading, first_matching, log_head};
pub(crate) use pool::Readers;
pub(crate) use stream::StreamReading;
pub(crate) use waiting::{leases, outgoing, parked, timers};

use cqrs_core::{Page, PageSize};

/// A page takes at least one event, whatever its limits.
fn is_full(page: &Page, size: PageSize) -> bool {
    !page.is_empty() && (page.len() >= size.events as usize || page.size() >= size.bytes)
}

/// An empty page with the room that the last one of a reading took. The first starts small: most
/// streams have a few events.
fn empty_page(last: Option<Room>) -> Page {
    let Room { events, bytes } = last.unwrap_or(Room { events: 16, bytes: 4096 });
    Page::with_capacity(events, bytes)
}

/// How much a page took.
#[derive(Debug, Clone, Copy)]
struct Room {
    events: usize,
    bytes: usize,
}

impl Room {
    fn of(page: &Page) -> Self {
        Self { events: page.len(), bytes: page.size() + page.size() / 16 }
    }
}
