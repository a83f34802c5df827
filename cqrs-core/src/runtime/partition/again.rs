//! Goes on with what is set aside: another attempt, and what queued up behind it.

use std::sync::Arc;

use super::{CONFLICTS, DIED, Partition, is_lost, is_of_the_content, refused};
use crate::error::{Conflict, ErrorKind, Result};
use crate::port::commit::{Commit, Settled};
use crate::port::page::Page;
use crate::port::parked::{FindParked, ParkedEntry, ParkedState, ParkedWrite};
use crate::runtime::aside;
use crate::runtime::consumer::{Handled, Handling};
use crate::runtime::node::Stopping;

impl Partition<'_, '_> {
    /// Lets the first one of a key go on that waits for an operator: it is tried at once.
    pub(super) async fn wake(&self, key: &str) -> Result<Option<ParkedWrite>> {
        let first = self.first(key).await?.filter(|first| first.state == ParkedState::Parked);
        Ok(first.map(|first| ParkedWrite {
            state: ParkedState::Retrying,
            due: Some(self.node.clock.now()),
            attempts: 0,
            ..first.to_write()
        }))
    }

    pub(super) async fn first(&self, key: &str) -> Result<Option<ParkedEntry>> {
        let find = FindParked::of(&*self.generation.parked).key(key).limit(1);
        Ok(self.node.store.parked(find).await?.pop())
    }

    /// One that failed when it went before the first of its key, which waits for an operator.
    pub(super) async fn overtaking(&self, key: &str) -> Result<Option<ParkedEntry>> {
        let find = FindParked::of(&*self.generation.parked).key(key);
        let find = find.state(ParkedState::Retrying).limit(1);
        Ok(self.node.store.parked(find).await?.pop())
    }

    /// Goes on with a key that waits, as far as it gets.
    pub(super) async fn go_on(&mut self, key: &str) -> Result<()> {
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
    pub(super) async fn retry(&mut self, entry: ParkedEntry) -> Result<bool> {
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
                    Err(error) if is_of_the_content(&error) => break refused(error),
                    Err(error) => return Err(error),
                },
            }
        };
        self.consumer.forget();
        let cause = aside::why(&error);
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

    pub(super) async fn park(&mut self, entry: &ParkedEntry, cause: String) -> Result<()> {
        tracing::warn!(id = %entry.id(), key = entry.key, cause, "an event is parked");
        let (state, due) = (ParkedState::Parked, None);
        if self.put(ParkedWrite { state, due, cause, ..entry.to_write() }).await? {
            self.state.aside.set_due(&entry.key, None);
        }
        Ok(())
    }

    /// Changes an entry. False: an operator was faster, and it is looked at anew at once.
    pub(super) async fn put(&mut self, write: ParkedWrite) -> Result<bool> {
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
    pub(super) async fn settle(&mut self, entry: &ParkedEntry, handled: Handled) -> Result<()> {
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
    pub(super) async fn fetch(&self, entry: &ParkedEntry) -> Result<Option<Arc<Page>>> {
        let page = crate::runtime::read_at(&*self.node.store, entry.position).await?;
        let Some(page) = page else { return Ok(None) };
        let Some(edited) = &entry.edited else { return Ok(Some(Arc::new(page))) };
        let mut changed = Page::default();
        for event in page.iter() {
            changed.push(&event.with(edited.as_ref()));
        }
        Ok(Some(Arc::new(changed)))
    }
}
