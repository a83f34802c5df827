//! Handlers of events without a checkpoint: on every node, from its start on, for what happens now.

use std::sync::Arc;

use crate::error::Result;
use crate::handler::HandlerError;
use crate::port::Position;
use crate::port::commit::Commit;
use crate::port::page::{Page, Recorded};
use crate::runtime::backoff;
use crate::runtime::consumer::{Consumer, Handling};
use crate::runtime::control::Control;
use crate::runtime::controls;
use crate::runtime::feed::Feed;
use crate::runtime::key::Slice;
use crate::runtime::node::{Node, Quit, Stopping};
use crate::runtime::progress::{SlotId, SlotProgress, SlotState};
use crate::runtime::slot::Definition;

/// One of the partitions of a live handler.
pub(crate) struct Live {
    pub(crate) node: Arc<Node>,
    pub(crate) definition: Arc<Definition>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) slice: Slice,
    pub(crate) at: Position,
}

impl Live {
    /// All partitions of a handler, from a position on.
    pub(crate) fn all(node: &Arc<Node>, definition: &Arc<Definition>, at: Position) -> Vec<Self> {
        let settings = &definition.settings;
        let feed = Arc::new(Feed::new(controls::filter(definition), settings.batch));
        let partition = |index| Self {
            node: node.clone(),
            definition: definition.clone(),
            feed: feed.clone(),
            slice: Slice { index, of: settings.partitions },
            at,
        };
        (0..settings.partitions).map(partition).collect()
    }

    /// Runs until it is told to quit.
    pub(crate) async fn run(mut self, quit: Quit) {
        let Definition { name, settings, subscriber } = &*self.definition.clone();
        let control = Control::new(name, 1, settings.partitions, self.at);
        let mut consumer = subscriber.clone().consumer(&self.node, &control.live);
        let mut tail = self.node.tail.watch();
        let mut failures = 0;
        while !quit.is_set() {
            let page = self.feed.after(&self.node, self.at).await;
            match page {
                Ok(Some(page)) => {
                    failures = 0;
                    let node = self.node.clone();
                    let _busy = node.activity.begin();
                    self.take_in(&mut *consumer, &page, &quit).await;
                    self.report(SlotState::Running);
                }
                Ok(None) => {
                    failures = 0;
                    self.report(SlotState::Running);
                    let at = self.at;
                    tokio::select! {
                        _ = tail.wait_for(|end| *end > at) => {}
                        () = quit.set() => {}
                    }
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(handler = name, %error, failures, "the log cannot be read");
                    tokio::time::sleep(backoff(failures)).await;
                }
            }
        }
        self.node.progress.remove(&self.slot());
    }

    async fn take_in(&mut self, consumer: &mut dyn Consumer, page: &Arc<Page>, quit: &Quit) {
        for event in page.iter() {
            if event.position <= self.at || !self.feed.wants(&event) {
                continue;
            }
            if quit.is_set() {
                return;
            }
            // One that cannot be read is told of by the partition of its stream, as others are.
            let keys = consumer.keys(&event).unwrap_or_default();
            if keys.iter().any(|key| self.slice.has(key)) {
                self.take(consumer, page, &event).await;
            }
            self.at = event.position;
        }
        self.at = self.at.max(page.through());
    }

    /// Handles an event, as often as the policy says.
    async fn take(&self, consumer: &mut dyn Consumer, page: &Arc<Page>, event: &Recorded<'_>) {
        let policy = &self.definition.settings.retry;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let handling = Handling { page, event: *event, key: "", replay: false };
            let done = tokio::select! {
                done = self.attempt(consumer, handling) => done,
                () = self.node.until(Stopping::Abandoning) => return,
            };
            let Err(error) = done else { return };
            let (handler, position) = (self.definition.name, event.position);
            let Some(wait) = policy.next(attempts, &error) else {
                tracing::warn!(handler, position, %error, attempts, "an event is passed over");
                return;
            };
            tracing::debug!(handler, position, %error, attempts, "an event failed; again");
            let due = self.node.clock.now().saturating_add(wait);
            self.report(SlotState::Waiting(due));
            let _rest = self.node.activity.rest();
            tokio::select! {
                () = self.node.clock.sleep_until(due) => {}
                () = self.node.until(Stopping::Draining) => return,
            }
        }
    }

    async fn attempt(
        &self,
        consumer: &mut dyn Consumer,
        handling: Handling<'_>,
    ) -> Result<(), HandlerError> {
        let handled = consumer.one(handling).await?;
        let commit: Commit = handled.commit;
        if !commit.is_nothing() {
            self.node.store.commit(commit).await?;
        }
        Ok(())
    }

    fn slot(&self) -> SlotId {
        (format!("{} (live)", self.definition.name), self.slice.index)
    }

    fn report(&self, state: SlotState) {
        let progress = SlotProgress { position: self.at, state, blocked: 0 };
        self.node.progress.report(&self.slot(), progress);
    }
}
