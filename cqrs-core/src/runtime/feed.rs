//! The pages of one subscription: from the tail where it has caught up, from the log before that.

use std::sync::{Arc, Mutex as Lock, PoisonError, Weak};

use futures_util::StreamExt;
use tokio::sync::Mutex;

use crate::error::Result;
use crate::port::Position;
use crate::port::filter::Filter;
use crate::port::page::{Page, Recorded};
use crate::port::read::{PageSize, ReadLog};
use crate::port::store::Pages;
use crate::runtime::handler::of_stream;
use crate::runtime::key::partition_of;
use crate::runtime::node::Node;
use crate::runtime::tail::Ahead;

/// Pages that are kept for the other partitions.
const KEPT: usize = 4;

/// A reading is ended when it was not needed so often.
const UNUSED: u32 = 64;

/// What the partitions of a subscription read, each page once.
pub(crate) struct Feed {
    filter: Filter,
    page: PageSize,
    read: Mutex<Read>,
    dealt: Lock<Vec<(Weak<Page>, Arc<Dealt>)>>,
}

#[derive(Default)]
struct Read {
    /// Where they begin, and the pages.
    kept: Vec<(Position, Arc<Page>)>,
    /// A reading that goes on after a position: the store reads ahead of whoever asks.
    ahead: Option<(Position, Pages)>,
    /// How often nobody wanted it.
    unused: u32,
}

impl Read {
    async fn page(
        &mut self,
        position: Position,
        node: &Node,
        log: ReadLog,
    ) -> Result<Option<Page>> {
        self.unused = 0;
        if let Some((_, mut pages)) = self.ahead.take_if(|(at, _)| *at == position)
            && let Some(page) = pages.next().await.transpose()?
        {
            self.ahead = Some((page.through(), pages));
            return Ok(Some(page));
        }
        let mut pages = node.store.read_log(log);
        let page = pages.next().await.transpose()?;
        self.ahead = page.as_ref().map(|page| (page.through(), pages));
        Ok(page)
    }

    /// Somebody needed no reading. When nobody does for long, it is ended.
    fn pass(&mut self) {
        self.unused = self.unused.saturating_add(1);
        if self.unused == UNUSED {
            self.ahead = None;
        }
    }
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
        let ahead = node.tail.after(position);
        if !matches!(ahead, Ahead::TooFar)
            && let Ok(mut read) = self.read.try_lock()
        {
            read.pass();
        }
        match ahead {
            Ahead::Page(page) => return Ok(Some(page)),
            Ahead::End => return Ok(None),
            Ahead::TooFar => {}
        }
        // Held while it is read: the others want the same page.
        let mut read = self.read.lock().await;
        let has =
            |(from, page): &&(Position, Arc<Page>)| *from <= position && position < page.through();
        if let Some((_, page)) = read.kept.iter().find(has) {
            return Ok(Some(page.clone()));
        }
        let log =
            ReadLog { page: self.page, ..ReadLog::after(position).filter(self.filter.clone()) };
        let Some(page) = read.page(position, node, log).await? else { return Ok(None) };
        let page = Arc::new(page);
        if page.through() <= position {
            return Ok(None);
        }
        if read.kept.len() == KEPT {
            read.kept.remove(0);
        }
        read.kept.push((position, page.clone()));
        Ok(Some(page))
    }
}
