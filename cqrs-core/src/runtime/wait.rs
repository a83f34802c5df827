//! Waiting until what was written can be read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use crate::app::{App, Inner};
use crate::error::Result;
use crate::message::id::MessageId;
use crate::port::Position;
use crate::port::parked::{FindParked, ParkedEntry, ParkedId, ParkedState};
use crate::port::read::ReadLog;
use crate::port::store::Store;
use crate::runtime::consumer::Consumer;
use crate::runtime::handler::key_of;
use crate::runtime::partition::DIED;
use crate::runtime::running::Started;
use crate::runtime::slot::Definition;
use crate::runtime::{controls, reached};

/// Positions of one commit, as far back as is looked for its events.
const COMMIT: u64 = 1_024;

/// Whether a subscription has come as far as was waited for. See [`App::wait_for`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// It has handled everything up to there.
    Yes,
    /// It has come so far, and has set aside this one, of a key that is in the commit at that position:
    /// it shows what was before it.
    Parked(ParkedId),
    /// It has not come so far in time.
    NotYet,
}

impl Reached {
    /// Whether everything is handled.
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }
}

/// What came of a command, and whether the subscriptions have come so far. See
/// [`Sending::and_wait`](crate::Sending::and_wait).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited<T> {
    /// The answer.
    pub output: T,
    /// Position of the commit; `None` when nothing was written.
    pub position: Option<Position>,
    /// The first answer of a subscription that is not yes; yes if there is none.
    pub reached: Reached,
}

impl App {
    /// Waits until a subscription has handled everything up to a position, on whichever node: so that
    /// who wrote can read what follows from it (P15).
    ///
    /// ```
    /// use std::time::Duration;
    /// use cqrs_core::{App, Position, Reached, Result};
    ///
    /// async fn fresh(app: &App, written: Position) -> Result<bool> {
    ///     let reached = app.wait_for("bank.balances", written, Duration::from_secs(5)).await?;
    ///     Ok(reached == Reached::Yes)
    /// }
    /// # let _ = fresh;
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) when the app is not started,
    /// [`UnknownName`](crate::ErrorKind::UnknownName) when it has no such subscription,
    /// [`BeyondHead`](crate::ErrorKind::BeyondHead) when the log does not reach so far; when the store
    /// cannot be read.
    pub async fn wait_for(
        &self,
        subscription: &str,
        position: Position,
        patience: Duration,
    ) -> Result<Reached> {
        wait_for(&self.0, subscription, position, patience).await
    }
}

/// See [`App::wait_for`].
pub(crate) async fn wait_for(
    app: &Inner,
    subscription: &str,
    position: Position,
    patience: Duration,
) -> Result<Reached> {
    let started = app.started()?;
    if app.following.is_at_once(subscription) {
        started.node.store.head().await?.admits(None, position)?;
        return Ok(Reached::Yes);
    }
    if let Some(live) = started.lives.iter().find(|known| known.name() == subscription) {
        started.node.store.head().await?.admits(None, position)?;
        let reached = tokio::time::timeout(patience, live.reach(position)).await;
        return Ok(reached.map_or(Reached::NotYet, |()| Reached::Yes));
    }
    let found = started.definitions.iter().find(|known| known.name == subscription);
    let definition = found.ok_or_else(|| controls::unknown(subscription))?;
    started.node.store.head().await?.admits(None, position)?;
    let waited = wait(started, definition, position);
    tokio::time::timeout(patience, waited).await.unwrap_or(Ok(Reached::NotYet))
}

async fn wait(
    started: &Arc<Started>,
    definition: &Arc<Definition>,
    position: Position,
) -> Result<Reached> {
    let node = &started.node;
    let mut progress = node.progress.watch();
    loop {
        progress.borrow_and_update();
        let Some(control) = started.controls.get(definition.name) else {
            return Err(controls::unknown(definition.name));
        };
        if reached::is_at(node, definition, &control.live, position).await?
            && let Some(reached) =
                parked(started, definition, &control.live.parked, position).await?
        {
            return Ok(reached);
        }
        // Another node's progress is looked for; one's own tells by itself.
        let _ = tokio::time::timeout(node.settings.poll, progress.changed()).await;
    }
}

/// Whether an event of the commit that ends at a position, or an earlier one of its key, is set
/// aside; `None`: it is being handled, or about to be.
async fn parked(
    started: &Arc<Started>,
    definition: &Arc<Definition>,
    parked: &str,
    position: Position,
) -> Result<Option<Reached>> {
    let node = &started.node;
    let now = node.clock.now();
    let store = &*node.store;
    if store.parked(FindParked::of(parked).limit(1)).await?.is_empty() {
        return Ok(Some(Reached::Yes));
    }
    let Some(control) = started.controls.get(definition.name) else {
        return Err(controls::unknown(definition.name));
    };
    let consumer = definition.subscriber.clone().consumer(node, &control.live);
    for key in keys_of_commit(store, &*consumer, position).await? {
        let first = store.parked(FindParked::of(parked).key(&*key).limit(1)).await?;
        let before = |entry: &&ParkedEntry| {
            entry.position <= position && entry.state != ParkedState::Discarding
        };
        if let Some(entry) = first.iter().find(before) {
            // After a node died, events are noted before they are handled.
            let is_at_hand = entry.cause == DIED || entry.due.is_some_and(|due| due <= now);
            return Ok((!is_at_hand).then(|| Reached::Parked(entry.id())));
        }
    }
    Ok(Some(Reached::Yes))
}

/// The keys of the events of the commit that ends at a position. Its last position may be that of a
/// message that it sent: what was written before it for the same cause belongs to it. What has no
/// cause stands alone.
async fn keys_of_commit(
    store: &dyn Store,
    consumer: &dyn Consumer,
    position: Position,
) -> Result<BTreeSet<String>> {
    let mut written: Vec<(Option<MessageId>, Vec<String>)> = Vec::new();
    let mut pages = store.read_log(ReadLog::after(position.saturating_sub(COMMIT)));
    while let Some(page) = pages.next().await.transpose()? {
        for event in page.iter().take_while(|event| event.position <= position) {
            let keys = consumer.keys(&event).or_else(|_| key_of(&event).map(|key| vec![key]))?;
            written.push((event.metadata()?.causation(), keys));
        }
        if page.through() >= position {
            break;
        }
    }
    let Some((cause, last)) = written.pop() else { return Ok(BTreeSet::new()) };
    let together = written.into_iter().rev().take_while(|(c, _)| c.is_some() && *c == cause);
    Ok(together.flat_map(|(_, keys)| keys).chain(last).collect())
}
