//! The pages of one subscription: from the tail where it has caught up, from the log before that.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::Mutex;

use crate::error::Result;
use crate::port::Position;
use crate::port::filter::Filter;
use crate::port::page::Page;
use crate::port::read::{PageSize, ReadLog};
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
}

impl Feed {
    pub(crate) fn new(filter: Filter, batch: u32) -> Self {
        let page = PageSize { events: batch, ..PageSize::default() };
        Self { filter, page, read: Mutex::default() }
    }

    /// Whether it lets an event through: the tail's pages hold all of them.
    pub(crate) fn wants(&self, event: &crate::Recorded<'_>) -> bool {
        self.filter.matches(event)
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
