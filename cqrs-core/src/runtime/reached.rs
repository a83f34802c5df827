//! How far a subscription has come: on this node, or on another one.

use std::sync::Arc;

use futures_util::StreamExt;

use crate::error::Result;
use crate::port::Position;
use crate::port::commit::{Commit, Settled};
use crate::port::parked::FindParked;
use crate::port::read::{PageSize, ReadLog};
use crate::runtime::control::{Control, Generation};
use crate::runtime::controls;
use crate::runtime::key::Slice;
use crate::runtime::node::Node;
use crate::runtime::slot::Definition;

/// Events that are read at once to see whether one of them is a partition's, and how often.
const LOOK: u32 = 32;
const LOOKS: usize = 32;

/// Up to here all partitions of a generation have handled everything.
pub(crate) async fn position(
    node: &Arc<Node>,
    definition: &Arc<Definition>,
    generation: &Generation,
) -> Result<Position> {
    let mut lowest = Position::MAX;
    for index in 0..generation.partitions {
        lowest = lowest.min(of_partition(node, definition, generation, index).await?);
    }
    Ok(lowest)
}

/// Whether all partitions have come so far.
pub(crate) async fn is_at(
    node: &Arc<Node>,
    definition: &Arc<Definition>,
    generation: &Generation,
    wanted: Position,
) -> Result<bool> {
    for index in 0..generation.partitions {
        let here = node.progress.of(&controls::slot(generation, index));
        if here.is_some_and(|here| here.position >= wanted) {
            continue;
        }
        if of_partition(node, definition, generation, index).await? < wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Where one partition stands. One that another node runs has passed what its filter skips, too,
/// though its checkpoint is not written each time (P9).
async fn of_partition(
    node: &Arc<Node>,
    definition: &Arc<Definition>,
    generation: &Generation,
    index: u32,
) -> Result<Position> {
    if let Some(here) = node.progress.of(&controls::slot(generation, index)) {
        return Ok(here.position);
    }
    let checkpoint = node.store.checkpoint(&generation.checkpoint, index).await?.unwrap_or(0);
    let at = checkpoint.max(generation.start);
    let slice = Slice { index, of: generation.partitions };
    let consumer = definition.subscriber.clone().consumer(node, generation);
    // Most often the first few tell: it is asked again and again until a partition has begun.
    let page = PageSize { events: LOOK, ..PageSize::default() };
    let log = ReadLog { page, ..ReadLog::after(at).filter(controls::filter(definition)) };
    let mut pages = node.store.read_log(log).take(LOOKS);
    let mut through = at;
    while let Some(page) = pages.next().await.transpose()? {
        for event in page.iter() {
            // One that cannot be read is some partition's.
            let is_its =
                consumer.keys(&event).map_or(true, |keys| keys.iter().any(|k| slice.has(k)));
            if is_its {
                return Ok(through.max(event.position - 1));
            }
        }
        through = through.max(page.through());
    }
    Ok(through)
}

/// Removes what a retired generation had set aside. Whether anything is left.
pub(crate) async fn purge_parked(
    node: &Arc<Node>,
    control: &Control,
    retired: &Generation,
) -> Result<bool> {
    if control.running().any(|generation| generation.parked == retired.parked) {
        return Ok(false);
    }
    let entries = node.store.parked(FindParked::of(&*retired.parked).limit(500)).await?;
    if entries.is_empty() {
        return Ok(false);
    }
    let settled = entries.into_iter().map(|entry| Settled::Parked {
        subscription: entry.subscription,
        position: entry.position,
        key: entry.key,
    });
    let commit = Commit { settled: settled.collect(), ..Commit::default() };
    node.store.commit(commit).await?;
    Ok(true)
}
