//! The log of the memory store, read by the page.

use crate::memory::state::State;
use crate::port::page::Page;
use crate::port::read::{PageSize, ReadLog, ReadStream};

/// How many events a reader looks through at most while it holds the lock.
const LOOKED_THROUGH: usize = 16_384;

impl State {
    /// One page of a stream, and what is left to read.
    pub(super) fn stream_page(&self, mut read: ReadStream) -> (Page, Option<ReadStream>) {
        let mut page = Page::default();
        if let Some(schema) = read.wanted_snapshot() {
            let versions = read.from.max(1)..=read.to;
            if let Some((version, body)) = self.snapshots.get(&read.stream, schema, versions) {
                page.begin_with(version, body.as_str());
                read.from = version + 1;
            }
        }
        read.snapshot = None;
        let indices = self.streams.get(&read.stream).map_or(&[][..], Vec::as_slice);
        let from = (read.from.max(1) - 1).min(indices.len() as u64) as usize;
        let to = read.to.min(indices.len() as u64) as usize;
        let mut indices = indices.get(from..to).unwrap_or_default().iter();
        let mut next = || if read.backwards { indices.next_back() } else { indices.next() };
        while let Some(&n) = next() {
            let event = self.recorded(n);
            if read.recorded_until.is_some_and(|until| event.recorded_at > until) {
                continue;
            }
            if is_full(&page, read.page) {
                match read.backwards {
                    true => read.to = event.version,
                    false => read.from = event.version,
                }
                return (page, Some(read));
            }
            page.push(&event);
        }
        (page, None)
    }

    /// One page of the log, and what is left to read.
    pub(super) fn log_page(&self, mut read: ReadLog) -> (Page, Option<ReadLog>) {
        let mut page = Page::default();
        let from = self.first_after(read.after);
        let end = self.log.len().min(from + LOOKED_THROUGH);
        for n in from..end {
            let event = self.recorded(n);
            if read.filter.matches(&event) {
                if is_full(&page, read.page) {
                    page.reach(event.position - 1);
                    read.after = event.position - 1;
                    return (page, Some(read));
                }
                page.push(&event);
            }
        }
        let through_all = end == self.log.len();
        read.after = if through_all { self.last } else { self.log[end].position - 1 };
        page.reach(read.after);
        (page, (!through_all).then_some(read))
    }
}

/// A page takes at least one event, whatever its limits.
fn is_full(page: &Page, size: PageSize) -> bool {
    !page.is_empty() && (page.len() >= size.events as usize || page.size() >= size.bytes)
}
