//! One partition of a subscription: reads what comes, in order, hands it on, sets aside what fails,
//! and moves its checkpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::handler::HandlerError;
use crate::port::Position;
use crate::port::commit::{CheckpointWrite, Commit, Expected, Fence, Settled};
use crate::port::page::{Page, Recorded};
use crate::port::parked::{FindParked, ParkedEntry, ParkedState, ParkedWrite};
use crate::runtime::aside::{self, Aside};
use crate::runtime::consumer::{Behind, Consumer, Handled, Handling, Stretch};
use crate::runtime::control::{self, Generation};
use crate::runtime::feed::Feed;
use crate::runtime::handler::of_stream;
use crate::runtime::key::Slice;
use crate::runtime::leases::Claim;
use crate::runtime::node::{Busy, Node, Quit, Stopping};
use crate::runtime::progress::{SlotId, SlotProgress, SlotState};
use crate::runtime::settings::Subscription;

/// Events that are handled without a checkpoint, at most.
const UNSAVED: u32 = 64;

/// Events that are handled one by one, each noted before, after a node died in the middle of work.
const CAREFUL: u32 = 64;

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
    /// Reads where a partition stands. `careful`: its last owner died.
    pub(crate) async fn load(
        node: &Node,
        generation: &Generation,
        slice: Slice,
        careful: bool,
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
            careful: if careful { CAREFUL } else { 0 },
            looked_at,
            asked,
            full: None,
            overtaking: false,
            is_told: false,
        })
    }
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

    /// Handles what a page has for this partition, as far as it gets.
    async fn take_in(&mut self, page: &Arc<Page>) -> Result<()> {
        let to = self.stop_at.map_or(page.through(), |stop| stop.min(page.through()));
        let dealt = self.feed.deal(page, self.slice.of, |event| self.consumer.keys(event));
        let mine = dealt.of(self.slice.index).iter().filter_map(|n| page.get(*n as usize));
        let is_new = |e: &Recorded<'_>| e.position > self.state.at && e.position <= to;
        let events: Vec<Recorded<'_>> = mine.filter(is_new).collect();
        let together = self.consumer.batches() && self.state.careful == 0;
        let batch = if together { self.settings.batch as usize } else { usize::MAX };
        for stretch in events.chunks(batch.max(1)) {
            let done = together && self.take_together(page, stretch).await?;
            if !done && !self.take_singly(page, stretch).await? {
                return Ok(());
            }
            if self.quit.is_set() {
                return Ok(());
            }
        }
        // What the filter skips is passed as well (P9).
        self.state.at = self.state.at.max(to);
        Ok(())
    }

    /// Handles several events in one commit. False: they are to be handled one by one.
    async fn take_together(&mut self, page: &Arc<Page>, events: &[Recorded<'_>]) -> Result<bool> {
        let Some(last) = events.last() else { return Ok(true) };
        let aside = &self.state.aside;
        let is_blocked = |key: &str| aside.is_blocked(key);
        // A stretch that is partly a replay is handled one by one.
        let replay = last.position <= self.generation.replay_to;
        if !replay && events.first().is_some_and(|e| e.position <= self.generation.replay_to) {
            return Ok(false);
        }
        let (slice, any_blocked) = (self.slice, !aside.is_empty());
        let is_blocked = &is_blocked;
        let stretch = Stretch { page, events, slice, replay, any_blocked, is_blocked };
        let node = self.node;
        let handled = tokio::select! {
            handled = self.consumer.many(stretch) => handled,
            // One by one none is begun any more.
            () = node.until(Stopping::Abandoning) => return Ok(false),
        };
        let handled = match handled {
            Ok(handled) => handled,
            Err(error) => {
                tracing::debug!(%error, slot = ?self.state.slot, "several at once: one by one");
                self.consumer.forget();
                return Ok(false);
            }
        };
        let room = |behind: &Behind| self.state.aside.has_room(&behind.key, self.settings.behind);
        if !handled.behind.iter().all(room) {
            self.consumer.forget();
            return Ok(false);
        }
        if handled.is_nothing() {
            self.passed(last.position, events.len() as u32).await?;
            return Ok(true);
        }
        match self.write(handled, last.position).await {
            Ok(()) => Ok(true),
            Err(error) if is_of_the_content(&error) => {
                tracing::debug!(%error, slot = ?self.state.slot, "several at once: one by one");
                self.consumer.forget();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Handles events one by one. False: it was stopped, or is full.
    async fn take_singly(&mut self, page: &Arc<Page>, events: &[Recorded<'_>]) -> Result<bool> {
        for event in events {
            if self.quit.is_set() || !self.claim.holds(self.fence.token) {
                return Ok(false);
            }
            if !self.take(page, event).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Handles one event for its keys in this partition. False: there is no room for it.
    async fn take(&mut self, page: &Arc<Page>, event: &Recorded<'_>) -> Result<bool> {
        let keys = match self.consumer.keys(event) {
            Ok(keys) => keys,
            Err(error) => return self.take_unreadable(event, error).await,
        };
        let mut free = Vec::with_capacity(keys.len());
        let mut blocked = Vec::new();
        for key in keys.into_iter().filter(|key| self.slice.has(key)) {
            if !self.state.aside.is_blocked(&key) || self.consumer.overtakes(event, &key).await? {
                free.push(key);
            } else if self.state.aside.has_room(&key, self.settings.behind) {
                blocked.push(key);
            } else {
                return Ok(self.fill(&key));
            }
        }
        let is_new = |key: &&String| !self.state.aside.is_blocked(key);
        if let Some(key) = free.iter().find(is_new)
            && !self.state.aside.has_room(key, self.settings.behind)
        {
            let key = key.clone();
            return Ok(self.fill(&key));
        }
        for key in blocked {
            self.queue(key, event.position, event.event_type.to_owned());
        }
        if free.is_empty() {
            self.state.at = event.position;
            let parts = self.node.store.capabilities().limits.parts;
            if self.state.behind.len() >= BEHIND.min(parts / 2) {
                self.save().await?;
            }
            return Ok(true);
        }
        let overtakes = free.iter().any(|key| self.state.aside.is_blocked(key));
        if self.state.careful > 0 && !overtakes {
            self.state.careful -= 1;
            return self.take_carefully(event, &free).await;
        }
        self.take_free(page, event, free).await
    }

    async fn take_free(
        &mut self,
        page: &Arc<Page>,
        event: &Recorded<'_>,
        mut free: Vec<String>,
    ) -> Result<bool> {
        let mut conflicts = 0;
        while !free.is_empty() {
            match self.handle(page, event, &free).await? {
                Attempt::Done => break,
                Attempt::Abandoned => {
                    // The event is taken again: nothing of it may be written now.
                    let at = self.state.at;
                    self.state.behind.retain(|write| write.position <= at);
                    return Ok(false);
                }
                Attempt::Conflict(_) if conflicts < CONFLICTS => {
                    conflicts += 1;
                    self.consumer.forget();
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..5))).await;
                }
                Attempt::Conflict(error) => {
                    self.consumer.forget();
                    let error = HandlerError::from(error);
                    for key in free.drain(..) {
                        self.set_aside(event, &key, &error);
                    }
                }
                Attempt::Failed(key, error) => {
                    self.consumer.forget();
                    self.set_aside(event, &key, &error);
                    free.retain(|other| *other != key);
                }
            }
        }
        self.state.at = event.position;
        if !self.state.behind.is_empty() {
            // What is set aside is known before anything else is done.
            self.save().await?;
        }
        Ok(true)
    }

    /// An event that cannot be read is parked by the partition of its stream.
    async fn take_unreadable(&mut self, event: &Recorded<'_>, error: Error) -> Result<bool> {
        let key = of_stream(event);
        if self.slice.has(&key) {
            if self.state.aside.is_blocked(&key) {
                if !self.state.aside.has_room(&key, self.settings.behind) {
                    return Ok(self.fill(&key));
                }
                self.queue(key, event.position, event.event_type.to_owned());
            } else {
                self.set_aside(event, &key, &fatal(error));
            }
            self.state.at = event.position;
            self.save().await?;
        }
        self.state.at = event.position;
        Ok(true)
    }

    /// Handles an event for these keys, and commits.
    async fn handle(
        &mut self,
        page: &Arc<Page>,
        event: &Recorded<'_>,
        keys: &[String],
    ) -> Result<Attempt> {
        let mut handled = Handled::default();
        for key in keys {
            let replay = event.position <= self.generation.replay_to;
            let handling = Handling { page, event: *event, key, replay };
            let node = self.node;
            let done = tokio::select! {
                done = self.consumer.one(handling) => done,
                () = node.until(Stopping::Abandoning) => return Ok(Attempt::Abandoned),
            };
            match done {
                Ok(done) => handled.and(done),
                Err(error) => return Ok(Attempt::Failed(key.clone(), error)),
            }
        }
        // What it goes before may go on when it is written.
        let mut woken = Vec::new();
        for key in keys.iter().filter(|key| self.state.aside.is_blocked(key)) {
            handled.commit.parked.extend(self.wake(key).await?);
            woken.push(key);
        }
        if handled.is_nothing() {
            // The events of a stretch may have been passed one by one, in another commit.
            self.passed(event.position, 1).await?;
            return Ok(Attempt::Done);
        }
        match self.write(handled, event.position).await {
            Ok(()) => {
                let now = self.node.clock.now();
                woken.into_iter().for_each(|key| self.state.aside.set_due(key, Some(now)));
                Ok(Attempt::Done)
            }
            Err(error) if is_lost(&error) => Err(error),
            Err(error) if error.is_conflict() => Ok(Attempt::Conflict(error)),
            Err(error) if is_of_the_content(&error) => {
                let key = keys.first().cloned().unwrap_or_default();
                Ok(Attempt::Failed(key, fatal(error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Notes the event before it is handled, so that one which kills the process is known.
    async fn take_carefully(&mut self, event: &Recorded<'_>, keys: &[String]) -> Result<bool> {
        let now = self.node.clock.now();
        for key in keys {
            let write =
                self.entry(event, key, ParkedState::Retrying, Some(now), DIED.to_owned(), 0);
            self.state.behind.push(write);
            self.state.aside.add(key, Some(now));
        }
        self.state.at = event.position;
        self.save().await?;
        for key in keys {
            self.go_on(key).await?;
        }
        Ok(true)
    }

    /// Sets an event aside that failed the first time. It is written with what comes next.
    fn set_aside(&mut self, event: &Recorded<'_>, key: &str, error: &HandlerError) {
        let wait = self.settings.retry.next(1, error);
        let due = wait.map(|wait| self.node.clock.now().saturating_add(wait));
        let state = if due.is_some() { ParkedState::Retrying } else { ParkedState::Parked };
        tracing::warn!(
            slot = ?self.state.slot, position = event.position, event = event.event_type, key,
            %error, %state, "an event failed and is set aside"
        );
        let write = self.entry(event, key, state, due, aside::cut(&error.to_string()), 1);
        self.state.behind.push(write);
        self.state.aside.add(key, due);
    }

    fn entry(
        &self,
        event: &Recorded<'_>,
        key: &str,
        state: ParkedState,
        due: Option<crate::Timestamp>,
        cause: String,
        attempts: u32,
    ) -> ParkedWrite {
        ParkedWrite {
            subscription: self.generation.parked.clone(),
            position: event.position,
            expected: Expected::NoStream,
            partition: self.slice.index,
            key: key.to_owned(),
            message: event.event_type.to_owned(),
            state,
            due,
            cause,
            attempts,
            edited: None,
        }
    }

    /// Lets an event wait behind another one of its key.
    fn queue(&mut self, key: String, position: Position, message: String) {
        self.state.aside.add(&key, None);
        let parked = &self.generation.parked;
        self.state.behind.push(aside::behind(parked, self.slice, key, position, message));
    }

    /// There is no room for what waits behind a key: the partition waits.
    fn fill(&mut self, key: &str) -> bool {
        tracing::warn!(slot = ?self.state.slot, key, "too much waits behind one key; waiting");
        self.state.full = Some(key.to_owned());
        false
    }

    /// Lets the first one of a key go on that waits for an operator: it is tried at once.
    async fn wake(&self, key: &str) -> Result<Option<ParkedWrite>> {
        let first = self.first(key).await?.filter(|first| first.state == ParkedState::Parked);
        Ok(first.map(|first| ParkedWrite {
            state: ParkedState::Retrying,
            due: Some(self.node.clock.now()),
            attempts: 0,
            ..first.to_write()
        }))
    }

    async fn first(&self, key: &str) -> Result<Option<ParkedEntry>> {
        let find = FindParked::of(&*self.generation.parked).key(key).limit(1);
        Ok(self.node.store.parked(find).await?.pop())
    }

    /// One that failed when it went before the first of its key, which waits for an operator.
    async fn overtaking(&self, key: &str) -> Result<Option<ParkedEntry>> {
        let find = FindParked::of(&*self.generation.parked).key(key);
        let find = find.state(ParkedState::Retrying).limit(1);
        Ok(self.node.store.parked(find).await?.pop())
    }

    /// Goes on with a key that waits, as far as it gets.
    async fn go_on(&mut self, key: &str) -> Result<()> {
        loop {
            if self.quit.is_set() {
                return Ok(());
            }
            let Some(entry) = self.first(key).await? else {
                self.state.aside.free(key);
                return Ok(());
            };
            self.state.overtaking = entry.state == ParkedState::Parked;
            let entry = match entry.state {
                ParkedState::Parked => match self.overtaking(key).await? {
                    Some(entry) => entry,
                    None => {
                        self.state.aside.set_due(key, None);
                        return Ok(());
                    }
                },
                _ => entry,
            };
            let due = match entry.state {
                ParkedState::Behind | ParkedState::Parked => None,
                ParkedState::Retrying | ParkedState::Discarding => entry.due,
            };
            if let Some(due) = due.filter(|due| *due > self.node.clock.now()) {
                self.state.aside.set_due(key, Some(due));
                return Ok(());
            }
            let goes_on = match entry.state {
                ParkedState::Discarding => {
                    self.settle(&entry, Handled::default()).await?;
                    true
                }
                _ => self.retry(entry).await?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Tries an entry again. Whether its key goes on.
    async fn retry(&mut self, entry: ParkedEntry) -> Result<bool> {
        let policy = self.settings.retry;
        if entry.attempts >= policy.attempts {
            // It was being handled when the process ended, each time.
            let cause = format!("{}; given up after {} attempts", entry.cause, entry.attempts);
            self.park(&entry, aside::cut(&cause)).await?;
            return Ok(false);
        }
        // Of those that ran when a process died, one at a time is tried again: that one is to blame
        // when it happens again, and not all that ran beside it.
        let _alone = match entry.attempts > 0 && entry.cause == DIED {
            false => None,
            true => tokio::select! {
                alone = self.node.suspects.lock() => Some(alone),
                () = self.quit.set() => return Ok(false),
            },
        };
        // Noted before it runs (P12). When the process dies of it, the others go on for a while.
        let attempts = entry.attempts + 1;
        let wait = policy.delay(attempts, fastrand::f64());
        let started = ParkedWrite {
            state: ParkedState::Retrying,
            due: Some(self.node.clock.now().saturating_add(wait)),
            cause: DIED.to_owned(),
            attempts,
            ..entry.to_write()
        };
        if !self.put(started).await? {
            return Ok(false);
        }
        let entry = ParkedEntry { version: entry.version + 1, attempts, ..entry };
        let Some(page) = self.fetch(&entry).await? else {
            let cause = "the event is not in the log any more".to_owned();
            self.park(&entry, cause).await?;
            return Ok(false);
        };
        let Some(event) = page.iter().next() else { return Ok(false) };
        let replay = event.position <= self.generation.replay_to;
        let mut conflicts = 0;
        let error = loop {
            let handling = Handling { page: &page, event, key: &entry.key, replay };
            let node = self.node;
            let done = tokio::select! {
                done = self.consumer.one(handling) => done,
                () = node.until(Stopping::Abandoning) => {
                    // It costs no attempt (P16).
                    let back = ParkedWrite {
                        state: ParkedState::Retrying,
                        due: Some(self.node.clock.now()),
                        attempts: attempts - 1,
                        ..entry.to_write()
                    };
                    self.put(back).await?;
                    return Ok(false);
                }
            };
            match done {
                Err(error) => break error,
                Ok(handled) => match self.settle(&entry, handled).await {
                    Ok(()) => return Ok(true),
                    Err(error) if is_lost(&error) => return Err(error),
                    Err(error) if error.is_conflict() && conflicts < CONFLICTS => {
                        conflicts += 1;
                        self.consumer.forget();
                    }
                    Err(error) if error.is_conflict() => break error.into(),
                    Err(error) if is_of_the_content(&error) => break fatal(error),
                    Err(error) => return Err(error),
                },
            }
        };
        self.consumer.forget();
        let cause = aside::cut(&error.to_string());
        match policy.next(attempts, &error) {
            Some(wait) => {
                let due = Some(self.node.clock.now().saturating_add(wait));
                let state = ParkedState::Retrying;
                if self.put(ParkedWrite { state, due, cause, ..entry.to_write() }).await? {
                    self.state.aside.set_due(&entry.key, due);
                }
            }
            None => self.park(&entry, cause).await?,
        }
        Ok(false)
    }

    async fn park(&mut self, entry: &ParkedEntry, cause: String) -> Result<()> {
        tracing::warn!(id = %entry.id(), key = entry.key, cause, "an event is parked");
        let (state, due) = (ParkedState::Parked, None);
        if self.put(ParkedWrite { state, due, cause, ..entry.to_write() }).await? {
            self.state.aside.set_due(&entry.key, None);
        }
        Ok(())
    }

    /// Changes an entry. False: an operator was faster, and it is looked at anew at once.
    async fn put(&mut self, write: ParkedWrite) -> Result<bool> {
        let (fences, key) = (vec![self.fence.clone()], write.key.clone());
        let commit = Commit { parked: vec![write], fences, ..Commit::default() };
        match self.node.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict(Conflict::Parked { .. })) => {
                self.state.aside.set_due(&key, Some(self.node.clock.now()));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes what came of an entry, which is done.
    async fn settle(&mut self, entry: &ParkedEntry, handled: Handled) -> Result<()> {
        let Handled { mut commit, sink, behind: _ } = handled;
        if self.state.overtaking {
            // What it goes before may go on when it is written.
            commit.parked.extend(self.wake(&entry.key).await?);
        }
        commit.fences.push(self.fence.clone());
        commit.settled.push(Settled::Parked {
            subscription: entry.subscription.clone(),
            position: entry.position,
            key: entry.key.clone(),
        });
        match sink {
            Some(events) => self.consumer.write(events, commit).await?,
            None => drop(self.node.store.commit(commit).await?),
        }
        self.consumer.written();
        self.state.aside.done(&entry.key);
        Ok(())
    }

    /// The event of an entry, with what an operator put in the place of its body.
    async fn fetch(&self, entry: &ParkedEntry) -> Result<Option<Arc<Page>>> {
        let page = crate::runtime::read_at(&*self.node.store, entry.position).await?;
        let Some(page) = page else { return Ok(None) };
        let Some(edited) = &entry.edited else { return Ok(Some(Arc::new(page))) };
        let mut changed = Page::default();
        for event in page.iter() {
            changed.push(&event.with(edited.as_ref()));
        }
        Ok(Some(Arc::new(changed)))
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
