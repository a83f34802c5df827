//! Reading: pages of streams and of the log, each from a snapshot of its own.

mod ahead;
mod log;
mod merge;
mod pool;
mod stream;

pub(crate) use ahead::pages;
pub(crate) use log::{LogReading, first_matching, log_head};
pub(crate) use pool::Readers;
pub(crate) use stream::stream_page;

use cqrs_core::{Page, PageSize};

/// A page takes at least one event, whatever its limits.
fn is_full(page: &Page, size: PageSize) -> bool {
    !page.is_empty() && (page.len() >= size.events as usize || page.size() >= size.bytes)
}

/// Room for a first page: enough that few have to grow, little enough for one event.
fn empty_page(size: PageSize) -> Page {
    let events = size.events.min(1024) as usize;
    Page::with_capacity(events, size.bytes.min(events * 256))
}
