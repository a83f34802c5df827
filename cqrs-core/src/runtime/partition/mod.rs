//! One partition of a subscription: reads what comes, in order, hands it on, sets aside what fails,
//! and moves its checkpoint.

mod again;
mod take;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::handler::HandlerError;
use crate::port::Position;
use crate::port::commit::{CheckpointWrite, Fence};
use crate::port::parked::ParkedWrite;
use crate::runtime::aside::{self, Aside};
use crate::runtime::consumer::{Behind, Consumer, Handled};
use crate::runtime::control::{self, Generation};
use crate::runtime::feed::Feed;
use crate::runtime::key::Slice;
use crate::runtime::leases::Claim;
use crate::runtime::node::{Busy, Node, Quit};
use crate::runtime::progress::{SlotId, SlotProgress, SlotState};
use crate::runtime::settings::Subscription;

/// Events that are handled without a checkpoint, at most.
const UNSAVED: u32 = 64;

/// The cause of an event while it is handled: it stays when the process dies in the middle of it.
pub(crate) const DIED: &str = "the node that handled it died";

/// Events that queue up before they are written, at most: a commit takes so many parts.
const BEHIND: usize = 1_000;

/// How often an event is handled anew, at once, when its commit meets a conflict.
const CONFLICTS: u32 = 16;

/// One partition that is this process's.
pub(crate) struct Partition<'a, 'c> {
    pub(crate) node: &'a Arc<Node>,
    pub(crate) quit: &'a Quit,
    pub(crate) settings: &'a Subscription,
    pub(crate) generation: &'a Generation,
    pub(crate) feed: &'a Feed,
    pub(crate) slice: Slice,
    pub(crate) claim: &'a mut Claim<'c>,
    pub(crate) fence: Fence,
    pub(crate) consumer: Box<dyn Consumer>,
    /// It goes no further than this.
    pub(crate) stop_at: Option<Position>,
    pub(crate) state: State,
}

/// Where a partition stands.
pub(crate) struct State {
    pub(crate) slot: SlotId,
    /// Up to here everything is handled or set aside.
    at: Position,
    /// Where its checkpoint stands.
    saved: Position,
    aside: Aside,
    /// Events of blocked keys that are not written yet.
    behind: Vec<ParkedWrite>,
    unsaved: u32,
    saved_at: Instant,
    careful: u32,
    /// When it was last looked what operators asked for, and whether one did in this process since.
    looked_at: tokio::time::Instant,
    asked: watch::Receiver<u64>,
    full: Option<String>,
    /// What is tried again goes before one of its key that waits for an operator.
    overtaking: bool,
    /// It was told that it stands where it is to stop.
    is_told: bool,
}

/// Why a partition has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The process stops, or the subscription is run otherwise from now on.
    Stopped,
    /// It is another node's.
    Lost,
}

impl State {
    /// Reads where a partition stands. `careful`: so many events are handled one by one, each noted
    /// before, because a node died that may have had them in its hands.
    pub(crate) async fn load(
        node: &Node,
        generation: &Generation,
        slice: Slice,
        careful: u32,
    ) -> Result<Self> {
        let checkpoint = node.store.checkpoint(&generation.checkpoint, slice.index).await?;
        let (looked_at, asked) = (tokio::time::Instant::now(), node.parked_changed.subscribe());
        Ok(Self {
            slot: (generation.checkpoint.clone(), slice.index),
            at: checkpoint.unwrap_or(0).max(generation.start),
            saved: checkpoint.unwrap_or(0),
            aside: Aside::load(&*node.store, &generation.parked, slice).await?,
            behind: Vec::new(),
            unsaved: 0,
            saved_at: Instant::now(),
            careful,
            looked_at,
            asked,
            full: None,
            overtaking: false,
            is_told: false,
        })
    }
}

/// How many events a node may have had in its hands when it died.
pub(crate) fn in_hand(consumer: &dyn Consumer, settings: &Subscription) -> u32 {
    if consumer.batches() { settings.batch.max(UNSAVED) } else { UNSAVED }
}

impl Partition<'_, '_> {
    /// Runs until it is stopped or lost.
    ///
    /// Errors: what the store says; it begins again from its checkpoint then.
    pub(crate) async fn run(mut self) -> Result<Ended> {
        let ended = match self.run_on().await {
            Ok(()) => self.save().await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => Ok(Ended::Stopped),
            Err(error) if is_lost(&error) => Ok(Ended::Lost),
            Err(error) => Err(error),
        }
    }

    async fn run_on(&mut self) -> Result<()> {
        let node = self.node;
        // Until it is known what there is to do.
        let mut busy = Some(node.activity.begin());
        self.report();
        // What is set aside and what is new take turns: neither keeps the other waiting.
        while !self.is_over() {
            if !self.stands_still() {
                self.see_to_aside().await?;
            }
            if self.is_over() {
                return Ok(());
            }
            let page = match &self.state.full {
                Some(_) => None,
                None if self.stands_still() => None,
                None => self.feed.after(self.node, self.state.at).await?,
            };
            match page {
                Some(page) => {
                    busy = busy.or_else(|| Some(node.activity.begin()));
                    self.take_in(&page).await?;
                    let late = self.state.saved_at.elapsed() >= self.node.settings.checkpoint;
                    if late || !self.state.behind.is_empty() {
                        self.save().await?;
                    }
                    self.report();
                }
                None => self.rest(busy.take()).await?,
            }
        }
        Ok(())
    }

    /// Whether it is given up: told to quit, lost, or in order because it is another node's turn.
    fn is_over(&self) -> bool {
        self.quit.is_set() || !self.claim.holds(self.fence.token)
    }

    /// Looks what operators asked for, from time to time, and goes on with one key whose time has come.
    async fn see_to_aside(&mut self) -> Result<()> {
        let is_asked = self.state.asked.has_changed().unwrap_or(false);
        if is_asked || self.state.looked_at.elapsed() >= self.node.settings.poll {
            self.look().await?;
        }
        if let Some(key) = self.state.aside.due(self.node.clock.now()) {
            let _busy = self.node.activity.begin();
            self.save().await?;
            self.go_on(&key).await?;
            // There may be room now.
            self.state.full = None;
            self.report();
        }
        Ok(())
    }

    /// Takes note of what operators asked for.
    async fn look(&mut self) -> Result<()> {
        // Before it is looked: what is asked for meanwhile is looked for again.
        self.state.asked.mark_unchanged();
        self.state.looked_at = tokio::time::Instant::now();
        if self.state.aside.is_empty() {
            return Ok(());
        }
        let node = self.node;
        let _busy = node.activity.begin();
        self.state.aside.look(&*node.store, &self.generation.parked, node.clock.now()).await
    }

    /// Whether it has come to where it is to stop: what it has set aside is for those who go on.
    fn stands_still(&self) -> bool {
        self.stop_at.is_some_and(|stop| self.state.at >= stop)
    }

    /// Nothing is to be done now: waits until something may be.
    async fn rest(&mut self, busy: Option<Busy<'_>>) -> Result<()> {
        let stands_still = self.stands_still();
        if !self.state.behind.is_empty() || (stands_still && self.state.at != self.state.saved) {
            self.save().await?;
        }
        let (node, at) = (self.node, self.state.at);
        if stands_still && !self.state.is_told {
            let slot = self.generation.slot(self.slice.index);
            control::stand(&*node.store, slot, at, self.fence.clone()).await?;
            self.state.is_told = true;
        }
        drop(busy);
        let mut tail = node.tail.watch();
        let mut asked = self.state.asked.clone();
        let waits = self.state.full.is_some() || stands_still;
        let grown = async {
            match waits {
                false => drop(tail.wait_for(|end| *end > at).await),
                true => std::future::pending().await,
            }
        };
        let due = async {
            match self.state.aside.next_due() {
                Some(due) if !stands_still => node.clock.sleep_until(due).await,
                _ => std::future::pending().await,
            }
        };
        let look = async {
            match self.state.aside.is_empty() || stands_still {
                false => tokio::time::sleep_until(self.state.looked_at + node.settings.poll).await,
                true => std::future::pending().await,
            }
        };
        let since = self.state.saved_at.elapsed();
        let save = async {
            match self.state.at == self.state.saved {
                false => tokio::time::sleep(node.settings.checkpoint.saturating_sub(since)).await,
                true => std::future::pending().await,
            }
        };
        enum Woken {
            Go,
            Look,
            Save,
        }
        let token = self.fence.token;
        let woken = tokio::select! {
            () = grown => Woken::Go,
            () = due => Woken::Go,
            () = look => Woken::Look,
            _ = asked.changed() => Woken::Look,
            () = save => Woken::Save,
            () = self.quit.set() => Woken::Go,
            () = self.claim.lost(token) => Woken::Go,
        };
        match woken {
            Woken::Go => Ok(()),
            Woken::Look => self.look().await,
            Woken::Save => self.save().await,
        }
    }

    /// Writes what was handled, with what queued up, and moves the checkpoint.
    async fn write(&mut self, handled: Handled, to: Position) -> Result<()> {
        let Handled { mut commit, sink, behind } = handled;
        let (parked, slice) = (&self.generation.parked, self.slice);
        commit.parked.extend(self.state.behind.iter().cloned());
        commit.parked.extend(
            behind.iter().cloned().map(|event| {
                aside::behind(parked, slice, event.key, event.position, event.message)
            }),
        );
        commit.checkpoint = Some(CheckpointWrite {
            subscription: self.generation.checkpoint.clone(),
            partition: self.slice.index,
            from: self.state.saved,
            to,
            fence: Some(self.fence.clone()),
        });
        commit.leave_out_snapshots(&self.node.store.capabilities().limits);
        match sink {
            Some(events) => self.consumer.write(events, commit).await?,
            None => drop(self.node.store.commit(commit).await?),
        }
        self.consumer.written();
        for Behind { key, .. } in behind {
            self.state.aside.add(&key, None);
        }
        self.state.behind.clear();
        (self.state.at, self.state.saved) = (to, to);
        (self.state.unsaved, self.state.saved_at) = (0, Instant::now());
        self.report();
        Ok(())
    }

    /// Notes that events were handled of which nothing is to be written. From time to time the
    /// checkpoint is.
    async fn passed(&mut self, at: Position, events: u32) -> Result<()> {
        self.state.at = at;
        self.state.unsaved = self.state.unsaved.saturating_add(events);
        let late = self.state.saved_at.elapsed() >= self.node.settings.checkpoint;
        if self.state.unsaved >= UNSAVED || late { self.save().await } else { Ok(()) }
    }

    /// Moves the checkpoint to where everything is handled.
    async fn save(&mut self) -> Result<()> {
        if self.state.at == self.state.saved && self.state.behind.is_empty() {
            return Ok(());
        }
        self.write(Handled::default(), self.state.at).await
    }

    fn report(&self) {
        let state = match &self.state.full {
            None => SlotState::Running,
            Some(key) => SlotState::Full(key.clone()),
        };
        let (position, blocked) = (self.state.at, self.state.aside.len());
        let progress = SlotProgress { position, state, blocked };
        self.node.progress.report(&self.state.slot, progress);
    }
}

/// What came of an attempt to handle an event.
enum Attempt {
    Done,
    /// Others were faster: it is handled anew.
    Conflict(Error),
    /// It failed for this key.
    Failed(String, HandlerError),
    /// The process stops.
    Abandoned,
}

fn fatal(error: Error) -> HandlerError {
    HandlerError::fatal(error)
}

/// What a commit was refused for, as the failure of its event. What a sink made of the event may come
/// out otherwise the next time; all else is refused again.
fn refused(error: Error) -> HandlerError {
    match error.kind() {
        ErrorKind::EventNotHandled { fatal: false, .. } => HandlerError::from(error),
        _ => fatal(error),
    }
}

/// Whether the partition is another node's.
pub(crate) fn is_lost(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Conflict(Conflict::Lease { .. } | Conflict::Checkpoint { .. })
    )
}

/// Whether it is the content of a commit that was refused, and not the machinery.
fn is_of_the_content(error: &Error) -> bool {
    if is_lost(error) {
        return false;
    }
    matches!(
        error.kind(),
        ErrorKind::Conflict(_)
            | ErrorKind::Invalid { .. }
            | ErrorKind::TooLarge { .. }
            | ErrorKind::Unsupported { .. }
            | ErrorKind::IdReused { .. }
            | ErrorKind::EventNotHandled { .. }
            | ErrorKind::Undecodable { .. }
            | ErrorKind::Decode { .. }
    )
}
