//! Takes events in: several at once, or one by one, and sets aside what fails.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Attempt, BEHIND, CONFLICTS, DIED, Partition, fatal, is_lost, is_of_the_content, refused,
};
use crate::error::{Error, Result};
use crate::handler::HandlerError;
use crate::port::Position;
use crate::port::commit::Expected;
use crate::port::page::{Page, Recorded};
use crate::port::parked::{ParkedState, ParkedWrite};
use crate::runtime::aside;
use crate::runtime::consumer::{Handled, Handling, Stretch};
use crate::runtime::handler::of_stream;
use crate::runtime::node::Stopping;

impl Partition<'_, '_> {
    /// Handles what a page has for this partition, as far as it gets.
    pub(super) async fn take_in(&mut self, page: &Arc<Page>) -> Result<()> {
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
    pub(super) async fn take_together(
        &mut self,
        page: &Arc<Page>,
        events: &[Recorded<'_>],
    ) -> Result<bool> {
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
        if !self.state.aside.has_room_for(&handled.behind, self.settings.behind) {
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
    pub(super) async fn take_singly(
        &mut self,
        page: &Arc<Page>,
        events: &[Recorded<'_>],
    ) -> Result<bool> {
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
    pub(super) async fn take(&mut self, page: &Arc<Page>, event: &Recorded<'_>) -> Result<bool> {
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

    pub(super) async fn take_free(
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
    pub(super) async fn take_unreadable(
        &mut self,
        event: &Recorded<'_>,
        error: Error,
    ) -> Result<bool> {
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
    pub(super) async fn handle(
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
                Ok(Attempt::Failed(key, refused(error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Notes the event before it is handled, so that one which kills the process is known.
    pub(super) async fn take_carefully(
        &mut self,
        event: &Recorded<'_>,
        keys: &[String],
    ) -> Result<bool> {
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
    pub(super) fn set_aside(&mut self, event: &Recorded<'_>, key: &str, error: &HandlerError) {
        let wait = self.settings.retry.next(1, error);
        let due = wait.map(|wait| self.node.clock.now().saturating_add(wait));
        let state = if due.is_some() { ParkedState::Retrying } else { ParkedState::Parked };
        tracing::warn!(
            slot = ?self.state.slot, position = event.position, event = event.event_type, key,
            %error, %state, "an event failed and is set aside"
        );
        let write = self.entry(event, key, state, due, aside::why(error), 1);
        self.state.behind.push(write);
        self.state.aside.add(key, due);
    }

    pub(super) fn entry(
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
    pub(super) fn queue(&mut self, key: String, position: Position, message: String) {
        self.state.aside.add(&key, None);
        let parked = &self.generation.parked;
        self.state.behind.push(aside::behind(parked, self.slice, key, position, message));
    }

    /// There is no room for what waits behind a key: the partition waits.
    pub(super) fn fill(&mut self, key: &str) -> bool {
        tracing::warn!(slot = ?self.state.slot, key, "too much waits behind one key; waiting");
        self.state.full = Some(key.to_owned());
        false
    }
}
