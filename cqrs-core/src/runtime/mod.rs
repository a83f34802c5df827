//! The runtime: everything that happens after a commit, as subscriptions to the log.

pub(crate) mod admin;
pub(crate) mod aside;
pub(crate) mod consumer;
pub(crate) mod control;
pub(crate) mod controls;
pub(crate) mod feed;
pub(crate) mod handler;
pub(crate) mod inbound;
pub(crate) mod inline;
pub(crate) mod key;
pub(crate) mod leases;
pub(crate) mod live;
pub(crate) mod live_handler;
pub(crate) mod node;
pub(crate) mod outbound;
pub(crate) mod parking;
pub(crate) mod partition;
pub(crate) mod progress;
pub(crate) mod projection;
pub(crate) mod reached;
pub(crate) mod relay;
pub(crate) mod retry;
pub(crate) mod running;
pub(crate) mod saga;
pub(crate) mod settings;
pub(crate) mod sink;
pub(crate) mod slot;
pub(crate) mod subscriptions;
pub(crate) mod tail;
pub(crate) mod timers;
pub(crate) mod translate;
pub(crate) mod view;
pub(crate) mod wait;

use std::time::Duration;

use futures_util::StreamExt;

use crate::error::Result;
use crate::port::Position;
use crate::port::page::Page;
use crate::port::read::{PageSize, ReadLog};
use crate::port::store::Store;

/// The wait after so many failures of the machinery: from 50 ms to 5 s, with full jitter.
pub(crate) fn backoff(failures: u32) -> Duration {
    let doubled = 50u64.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(5_000);
    Duration::from_millis(10 + fastrand::u64(0..=doubled))
}

/// The page with the one event at a position; `None`: there is none.
pub(crate) async fn read_at(store: &dyn Store, position: Position) -> Result<Option<Page>> {
    let page = PageSize { events: 1, ..PageSize::default() };
    let log = ReadLog { page, ..ReadLog::after(position.saturating_sub(1)) };
    let Some(page) = store.read_log(log).next().await.transpose()? else { return Ok(None) };
    let is_it = page.iter().next().is_some_and(|event| event.position == position);
    Ok(is_it.then_some(page))
}
