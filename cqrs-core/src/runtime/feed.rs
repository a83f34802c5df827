//! The pages of one subscription: from the tail where it has caught up, from the log before that.

use std::sync::{Arc, Mutex as Lock, PoisonError, Weak};

use futures_util::StreamExt;
use tokio::sync::Mutex;

use crate::error::Result;
use crate::port::Position;
use crate::port::filter::Filter;
use crate::port::page::{Page, Recorded};
use crate::port::read::{PageSize, ReadLog};
use crate::runtime::handler::of_stream;
use crate::runtime::key::partition_of;
use crate::runtime::node::Node;
use crate::runtime::tail::Ahead;

/// Pages that are kept for the other partitions.
const KEPT: usize = 4;

/// What the partitions of a subscription read, each page once.
pub(crate) struct Feed {
    filter: Filter,
    page: PageSize,
    /// Where they begin, and the pages.
    read: Mutex<Vec<(Position, Arc<Page>)>>,
    dealt: Lock<Vec<(Weak<Page>, Arc<Dealt>)>>,
}

/// Which events of a page each partition has to handle: their numbers in it, in order.
pub(crate) struct Dealt(Vec<Vec<u32>>);

impl Dealt {
    pub(crate) fn of(&self, partition: u32) -> &[u32] {
        self.0.get(partition as usize).map_or(&[], Vec::as_slice)
    }
}

impl Feed {
    pub(crate) fn new(filter: Filter, batch: u32) -> Self {
        let page = PageSize { events: batch, ..PageSize::default() };
        Self { filter, page, read: Mutex::default(), dealt: Lock::default() }
    }

    /// Whether it lets an event through: the tail's pages hold all of them.
    pub(crate) fn wants(&self, event: &Recorded<'_>) -> bool {
        self.filter.matches(event)
    }

    /// Deals the events of a page to the partitions, once for all of them. What has no key that can be
    /// read goes to the partition of its stream.
    pub(crate) fn deal(
        &self,
        page: &Arc<Page>,
        partitions: u32,
        keys: impl Fn(&Recorded<'_>) -> Result<Vec<String>>,
    ) -> Arc<Dealt> {
        // Held meanwhile: the others want the same.
        let mut known = self.dealt.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &&(Weak<Page>, Arc<Dealt>)| known.0.as_ptr() == Arc::as_ptr(page);
        if let Some((_, dealt)) = known.iter().find(is_it) {
            return dealt.clone();
        }
        let mut dealt = vec![Vec::new(); partitions.max(1) as usize];
        for (n, event) in page.iter().enumerate().filter(|(_, event)| self.wants(event)) {
            if let [all] = &mut dealt[..] {
                all.push(n as u32);
                continue;
            }
            let keys = keys(&event).unwrap_or_else(|_| vec![of_stream(&event)]);
            for key in keys {
                let mine = dealt.get_mut(partition_of(&key, partitions) as usize);
                // Once, though several of its keys are there.
                if let Some(mine) = mine.filter(|mine| mine.last() != Some(&(n as u32))) {
                    mine.push(n as u32);
                }
            }
        }
        let dealt = Arc::new(Dealt(dealt));
        if known.len() == KEPT * 2 {
            known.remove(0);
        }
        known.push((Arc::downgrade(page), dealt.clone()));
        dealt
    }

    /// A page with what comes after a position, and maybe with some before it; `None`: the log ends
    /// there.
    pub(crate) async fn after(&self, node: &Node, position: Position) -> Result<Option<Arc<Page>>> {
        match node.tail.after(position) {
            Ahead::Page(page) => return Ok(Some(page)),
            Ahead::End => return Ok(None),
            Ahead::TooFar => {}
        }
        // Held while it is read: the others want the same page.
        let mut read = self.read.lock().await;
        let has =
            |(from, page): &&(Position, Arc<Page>)| *from <= position && position < page.through();
        if let Some((_, page)) = read.iter().find(has) {
            return Ok(Some(page.clone()));
        }
        let log =
            ReadLog { page: self.page, ..ReadLog::after(position).filter(self.filter.clone()) };
        let Some(page) = node.store.read_log(log).next().await else { return Ok(None) };
        let page = Arc::new(page?);
        if page.through() <= position {
            return Ok(None);
        }
        if read.len() == KEPT {
            read.remove(0);
        }
        read.push((position, page.clone()));
        Ok(Some(page))
    }
}
