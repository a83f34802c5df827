//! One partition of the relay that is this node's: reads what waits, and sends it lane by lane.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::error::{Result, panic_text};
use crate::port::Position;
use crate::port::commit::Fence;
use crate::port::outgoing::{FindOutgoing, PendingMessage};
use crate::port::parked::{FindParked, ParkedEntry};
use crate::runtime::aside;
use crate::runtime::key::Slice;
use crate::runtime::leases::Claim;
use crate::runtime::node::{Node, Quit};
use crate::runtime::partition::Ended;
use crate::runtime::progress::{SlotProgress, SlotState};
use crate::runtime::relay::errand::{Came, Errand};
use crate::runtime::relay::lanes::{Lanes, Notes, Until, Wait};
use crate::runtime::relay::{NAME, Relay, lane_of};

/// Messages that are read at once.
const PAGE: u32 = 256;

pub(super) struct Attending<'a> {
    relay: &'a Arc<Relay>,
    node: &'a Arc<Node>,
    slice: Slice,
    fence: Fence,
    lanes: Lanes,
    /// Up to here all messages were read.
    cursor: Position,
    /// Up to here all messages that there are were read.
    seen: Position,
    errands: JoinSet<(String, Came)>,
}

impl<'a> Attending<'a> {
    pub(super) fn new(
        relay: &'a Arc<Relay>,
        node: &'a Arc<Node>,
        slice: Slice,
        fence: Fence,
    ) -> Self {
        let (lanes, errands) = (Lanes::default(), JoinSet::new());
        Self { relay, node, slice, fence, lanes, cursor: 0, seen: 0, errands }
    }

    /// Runs until it is stopped or lost.
    ///
    /// Errors: what the store says; it begins again then.
    pub(super) async fn run(&mut self, claim: &mut Claim<'_>, quit: &Quit) -> Result<Ended> {
        let node = self.node;
        self.load().await?;
        let mut tail = node.tail.watch();
        let mut parked = node.parked_changed.subscribe();
        let mut looks = interval(node.settings.poll);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut busy, mut is_stale) = (None, true);
        loop {
            if quit.is_set() || !claim.holds(self.fence.token) {
                return Ok(self.finish(claim).await);
            }
            busy = busy.or_else(|| Some(node.activity.begin()));
            self.lanes.wake(node.clock.now(), Instant::now());
            if self.read(std::mem::take(&mut is_stale)).await? {
                // What was read goes before more is read.
                self.begin();
                while let Some(ended) = self.errands.try_join_next() {
                    if self.take_in(ended) == Some(Ended::Lost) {
                        return Ok(Ended::Lost);
                    }
                }
                continue;
            }
            self.begin();
            self.report();
            if self.errands.is_empty() && !self.lanes.has_ready() {
                busy = None;
            }
            let (seen, reads) = (self.seen, self.may_read());
            let grown = async {
                match reads {
                    true => drop(tail.wait_for(|end| *end > seen).await),
                    false => std::future::pending().await,
                }
            };
            let (next_due, next_soon) = (self.lanes.next_due(), self.lanes.next_soon());
            let due = async {
                match next_due {
                    Some(due) => node.clock.sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let soon = async {
                match next_soon {
                    Some(when) => sleep_until(when).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ended) = self.errands.join_next() => {
                    if self.take_in(ended) == Some(Ended::Lost) {
                        return Ok(Ended::Lost);
                    }
                }
                () = grown => {}
                () = due => {}
                () = soon => {}
                _ = looks.tick() => {
                    is_stale = true;
                    self.look().await?;
                }
                _ = parked.changed() => self.look().await?,
                () = quit.set() => {}
                () = claim.lost(self.fence.token) => {}
            }
        }
    }

    /// Finds what is set aside.
    async fn load(&mut self) -> Result<()> {
        let mut find = FindParked::of(NAME).limit(1_000);
        loop {
            let page = self.node.store.parked(find.clone()).await?;
            let is_last = page.len() < find.limit as usize;
            find.after = page.last().map(ParkedEntry::place);
            for entry in page.iter().filter(|entry| self.slice.has(&entry.key)) {
                self.lanes.set_aside(&entry.key, entry.position, aside::due(entry));
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Takes note of what operators asked for, maybe on other nodes.
    async fn look(&mut self) -> Result<()> {
        if self.lanes.blocked() == 0 {
            return Ok(());
        }
        let _busy = self.node.activity.begin();
        let mut find = FindParked::of(NAME).due_by(self.node.clock.now());
        loop {
            let page = self.node.store.parked(find.clone()).await?;
            let is_last = page.len() < find.limit as usize;
            find.after = page.last().map(ParkedEntry::place);
            for entry in page.iter().filter(|entry| self.slice.has(&entry.key)) {
                self.lanes.look_at(&entry.key, entry.position);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn may_read(&self) -> bool {
        self.lanes.has_room(PAGE as usize) && self.lanes.may_go_ahead()
    }

    /// Reads on, where there is room. Whether there may be more to read now.
    async fn read(&mut self, is_stale: bool) -> Result<bool> {
        if let Some(from) = self.lanes.hungry_from()
            && self.lanes.has_room(PAGE as usize)
        {
            self.read_again(from).await?;
            return Ok(true);
        }
        // Known before it is read: no message turns up at or below it later (P4).
        let end = self.node.tail.end();
        if !self.may_read() || (self.seen >= end && !is_stale) {
            return Ok(false);
        }
        let page = self.page(self.cursor).await?;
        let Some(last) = page.last() else {
            self.seen = self.seen.max(end);
            return Ok(false);
        };
        self.cursor = last.position;
        self.seen = self.seen.max(self.cursor);
        page.into_iter().for_each(|message| self.offer(message));
        Ok(true)
    }

    /// Reads what lanes had no room for.
    async fn read_again(&mut self, from: Position) -> Result<()> {
        let taking = self.lanes.begin_again(from);
        let (mut through, to) = (from.saturating_sub(1), self.cursor);
        let mut outcome = Ok(());
        while through < to && self.lanes.has_room(PAGE as usize) && self.lanes.are_taking(&taking) {
            match self.page(through).await {
                Ok(page) => {
                    through = page.last().map_or(to, |last| last.position);
                    page.into_iter().for_each(|message| self.offer(message));
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        self.lanes.end_again(taking, through, to);
        outcome
    }

    async fn page(&self, after: Position) -> Result<Vec<PendingMessage>> {
        let mut find = FindOutgoing::after(after);
        find.page.events = PAGE;
        self.node.store.outgoing(find).await
    }

    fn offer(&mut self, message: PendingMessage) {
        let lane = lane_of(&message.message, &self.node.store.capabilities().limits);
        if self.slice.has(&lane) {
            self.lanes.offer(lane, message);
        }
    }

    /// Begins to send what may go.
    fn begin(&mut self) {
        let at_once = self.node.settings.relay_at_once.max(1) as usize;
        while self.errands.len() < at_once {
            let Some(turn) = self.lanes.next() else { return };
            let (lane, notes) = (turn.lane.clone(), turn.notes);
            let (relay, node) = (self.relay.clone(), self.node.clone());
            let (fence, partition) = (self.fence.clone(), self.slice.index);
            let errand = Errand { relay, node, fence, partition, turn };
            self.errands.spawn(async move {
                // Handlers and sagas are guarded each; this is for what is between them.
                let came = AssertUnwindSafe(errand.run()).catch_unwind().await;
                let came = came.unwrap_or_else(|panic| {
                    let text = panic_text(&*panic);
                    tracing::error!(lane, text, "the relay panicked; trying again");
                    let passing = notes.passing + 1;
                    let until = Until::Soon(Instant::now() + crate::runtime::backoff(passing));
                    Came::Waits(Wait { until, notes: Notes { passing, ..notes } })
                });
                (lane, came)
            });
        }
    }

    /// Takes note of what came of a message.
    fn take_in(&mut self, ended: Result<(String, Came), JoinError>) -> Option<Ended> {
        // Only what is aborted has no answer, and nobody is told of that.
        let (lane, came) = ended.ok()?;
        match came {
            Came::Done => self.lanes.done(&lane),
            Came::Waits(wait) => self.lanes.block(&lane, wait),
            Came::Lost => return Some(Ended::Lost),
            Came::Stopped => return Some(Ended::Stopped),
        }
        None
    }

    /// Nothing new is begun: waits for what is on its way.
    async fn finish(&mut self, claim: &mut Claim<'_>) -> Ended {
        let _busy = self.node.activity.begin();
        while !self.errands.is_empty() {
            tokio::select! {
                ended = self.errands.join_next() => {
                    if ended.and_then(|ended| self.take_in(ended)) == Some(Ended::Lost) {
                        return Ended::Lost;
                    }
                }
                () = claim.gone(self.fence.token) => return Ended::Lost,
            }
        }
        match claim.is_gone(self.fence.token) {
            true => Ended::Lost,
            false => Ended::Stopped,
        }
    }

    fn report(&self) {
        let open = self.lanes.open_from().map(|position| position.saturating_sub(1));
        let position = open.map_or(self.seen, |open| open.min(self.seen));
        let state = self.lanes.next_due().map_or(SlotState::Running, SlotState::Waiting);
        let blocked = self.lanes.blocked();
        let slot = (NAME.to_owned(), self.slice.index);
        self.node.progress.report(&slot, SlotProgress { position, state, blocked });
    }
}
