//! One message on its way: carried, and settled with what follows; or set aside, with its attempts.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::saga::outcome::Outcome;
use crate::error::{Conflict, Error, ErrorKind, Result};
use crate::handler::HandlerError;
use crate::message::timestamp::Timestamp;
use crate::port::commit::{Commit, DocumentWrite, Expected, Fence, Settled};
use crate::port::outgoing::{FindOutgoing, Outgoing, PendingMessage, Tries};
use crate::port::parked::{FindParked, ParkedEntry, ParkedState, ParkedWrite};
use crate::runtime::aside::{cut, why};
use crate::runtime::backoff;
use crate::runtime::node::{Node, Stopping};
use crate::runtime::partition::is_lost;
use crate::runtime::relay::carry::{Carried, NoWay, Told, Way};
use crate::runtime::relay::lanes::{Notes, Turn, Until, Wait};
use crate::runtime::relay::verdict::{Verdict, is_passing, judged, may_begin, verdict};
use crate::runtime::relay::{NAME, Relay};
use crate::runtime::saga::{self, Place};

/// How often a saga is asked anew, at once, when its commit meets a conflict; and how often a store
/// that is out of reach is asked.
const AGAIN: u32 = 16;

/// One message whose turn it is.
pub(super) struct Errand {
    pub(super) relay: Arc<Relay>,
    pub(super) node: Arc<Node>,
    pub(super) fence: Fence,
    pub(super) partition: u32,
    pub(super) turn: Turn,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Came {
    /// It is settled.
    Done,
    /// It waits, and its lane with it.
    Waits(Wait),
    /// The process stops: it is as if it had not been begun.
    Stopped,
    /// The partition is another node's.
    Lost,
}

/// What a saga is told.
enum Telling<'a> {
    Nothing,
    Outcome(&'a Told, &'a Outcome),
    Timer(&'a Told),
}

impl Errand {
    pub(super) async fn run(self) -> Came {
        match self.try_run().await {
            Ok(came) => came,
            Err(error) if is_lost(&error) => Came::Lost,
            // An operator changed what is set aside: looked at anew.
            Err(error) if is_conflict_of_parked(&error) => {
                let notes = Notes { is_aside: true, ..self.turn.notes };
                Came::Waits(Wait { until: Until::Soon(Instant::now()), notes })
            }
            Err(error) => {
                let lane = &self.turn.lane;
                tracing::warn!(lane, %error, "a message waits for the store; trying again");
                self.soon(self.turn.notes.is_aside)
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.node.clock.now()
    }

    /// It is tried again soon, and that counts as no attempt.
    fn soon(&self, is_aside: bool) -> Came {
        let (notes, wait) = self.passing(is_aside);
        Came::Waits(Wait { until: Until::Soon(Instant::now() + wait), notes })
    }

    /// It is tried again by the clock, and that counts as no attempt: nobody waits for it.
    fn later(&self, is_aside: bool) -> (Timestamp, Came) {
        let (notes, wait) = self.passing(is_aside);
        let due = self.now().saturating_add(wait);
        (due, Came::Waits(Wait { until: Until::Due(due), notes }))
    }

    /// It is tried again soon, here or elsewhere, and that counts as no attempt.
    fn elsewhere(&self, is_aside: bool) -> Came {
        let (notes, wait) = self.passing(is_aside);
        Came::Waits(Wait { until: Until::Elsewhere(Instant::now() + wait), notes })
    }

    fn passing(&self, is_aside: bool) -> (Notes, Duration) {
        let passing = self.turn.notes.passing.saturating_add(1);
        let wait = self.node.settings.relay_retry.delay(passing, fastrand::f64());
        (Notes { is_aside, passing }, wait)
    }

    fn waits(&self, due: Option<Timestamp>, is_aside: bool) -> Came {
        let notes = Notes { is_aside, passing: 0 };
        Came::Waits(Wait { until: due.into(), notes })
    }

    async fn try_run(&self) -> Result<Came> {
        let entry = match self.turn.notes.is_aside {
            true => self.entry().await?,
            false => None,
        };
        let Some(pending) = self.message().await? else {
            // It was settled before.
            self.forget(entry.as_ref()).await?;
            return Ok(Came::Done);
        };
        let PendingMessage { position, recorded_at, mut message } = pending;
        if let Some(due) = message.not_before.filter(|due| *due > self.now()) {
            return Ok(self.waits(Some(due), entry.is_some()));
        }
        if let Some(entry) = &entry {
            match entry.state {
                ParkedState::Parked => return Ok(self.waits(None, true)),
                ParkedState::Discarding => return self.discard(&message, entry).await,
                _ => {}
            }
            if let Some(due) = entry.due.filter(|due| *due > self.now()) {
                return Ok(self.waits(Some(due), true));
            }
            if let Some(edited) = &entry.edited {
                message.body = edited.clone();
            }
        }
        let told = self.relay.told(&message);
        let way = told.and_then(|told| {
            let way = self.relay.way(&message, told.as_ref())?;
            Ok((told, way))
        });
        let (told, way) = match way {
            Ok(way) => way,
            Err(NoWay::Failed(error)) => {
                tracing::warn!(name = &*message.name, %error, "a message has no way");
                return Ok(self.soon(entry.is_some()));
            }
            Err(NoWay::Unknown(what, name)) => {
                self.relay.tell_unknown(what, &name);
                return Ok(self.elsewhere(entry.is_some()));
            }
        };
        let entry = match entry {
            None => None,
            Some(entry) => {
                let policy = &self.node.settings.relay_retry;
                if !may_begin(message.tries, policy, entry.attempts) {
                    // It was being handled when the process ended, each time.
                    let cause =
                        format!("{}; given up after {} attempts", entry.cause, entry.attempts);
                    let (attempts, error) = (entry.attempts, HandlerError::fatal(cause));
                    let tries = message.tries;
                    return self
                        .failed(&message, Some(&entry), told.as_ref(), tries, attempts, error)
                        .await;
                }
                Some(self.begin(entry).await?)
            }
        };
        let attempts = entry.as_ref().map_or(1, |entry| entry.attempts);
        let is_timer = matches!(way, Way::Timer);
        let pending = PendingMessage { position, recorded_at, message: message.clone() };
        let carried = tokio::select! {
            carried = way.take(&pending) => carried,
            () = self.node.until(Stopping::Abandoning) => {
                self.give_back(entry.as_ref(), self.now(), None).await?;
                return Ok(Came::Stopped);
            }
        };
        let (entry, told) = (entry.as_ref(), told.as_ref());
        let telling = match (&carried, told) {
            (Carried::Failed(_), _) => None,
            (Carried::Answered(outcome, _), Some(told)) => Some(Telling::Outcome(told, outcome)),
            // A "no" that nobody hears waits for an operator.
            (Carried::Answered(_, Some(no)), None) => {
                return self.park(&message, entry, None, attempts, no).await;
            }
            (Carried::Done, Some(told)) if is_timer => Some(Telling::Timer(told)),
            (Carried::Answered(_, None) | Carried::Done, _) => Some(Telling::Nothing),
        };
        let Some(telling) = telling else {
            let Carried::Failed(error) = carried else { return Ok(Came::Done) };
            if is_passing(&error) {
                return self.pass(&message, entry, &error).await;
            }
            let (tries, error) = (message.tries, judged(error));
            return self.failed(&message, entry, told, tries, attempts, error).await;
        };
        match self.conclude(&message, entry, &telling).await? {
            Ok(()) => Ok(Came::Done),
            // It was answered: that the saga does not take it in is no failure of the command.
            Err(error) => match error.cause().downcast_ref::<Error>() {
                Some(passing) if is_passing(passing) => self.pass(&message, entry, passing).await,
                _ => self.failed(&message, entry, None, Tries::Policy, attempts, error).await,
            },
        }
    }

    /// The message; `None`: it is settled.
    async fn message(&self) -> Result<Option<PendingMessage>> {
        if let Some(message) = &self.turn.message {
            return Ok(Some(message.clone()));
        }
        let mut find = FindOutgoing::after(self.turn.position.saturating_sub(1));
        find.page.events = 1;
        let found = self.node.store.outgoing(find).await?.pop();
        Ok(found.filter(|found| found.position == self.turn.position))
    }

    async fn entry(&self) -> Result<Option<ParkedEntry>> {
        let find = FindParked::of(NAME).at(self.turn.position).key(&*self.turn.lane).limit(1);
        Ok(self.node.store.parked(find).await?.pop())
    }

    /// Notes an attempt before it is made (P12).
    async fn begin(&self, entry: ParkedEntry) -> Result<ParkedEntry> {
        let attempts = entry.attempts + 1;
        let (state, due) = (ParkedState::Retrying, Some(self.now()));
        self.put(ParkedWrite { state, due, attempts, ..entry.to_write() }, None).await?;
        Ok(ParkedEntry { version: entry.version + 1, attempts, state, due, ..entry })
    }

    /// An attempt does not count.
    async fn give_back(
        &self,
        entry: Option<&ParkedEntry>,
        due: Timestamp,
        cause: Option<String>,
    ) -> Result<()> {
        let Some(entry) = entry else { return Ok(()) };
        let back = ParkedWrite {
            state: ParkedState::Retrying,
            due: Some(due),
            attempts: entry.attempts.saturating_sub(1),
            ..entry.to_write()
        };
        let cause = cause.unwrap_or_else(|| back.cause.clone());
        self.put(ParkedWrite { cause, ..back }, None).await
    }

    /// It may pass by itself.
    async fn pass(
        &self,
        message: &Outgoing,
        entry: Option<&ParkedEntry>,
        error: &Error,
    ) -> Result<Came> {
        let (name, passing) = (&*message.name, self.turn.notes.passing);
        tracing::debug!(name, %error, passing, "a message did not get through; trying again");
        if entry.is_none() {
            return Ok(self.soon(false));
        }
        let (due, came) = self.later(true);
        self.give_back(entry, due, Some(cut(&error.to_string()))).await?;
        Ok(came)
    }

    /// It failed: it is tried again, told of, or set aside.
    async fn failed(
        &self,
        message: &Outgoing,
        entry: Option<&ParkedEntry>,
        told: Option<&Told>,
        tries: Tries,
        attempts: u32,
        error: HandlerError,
    ) -> Result<Came> {
        let policy = &self.node.settings.relay_retry;
        let cause = why(&error);
        let (name, position) = (&*message.name, self.turn.position);
        match verdict(tries, policy, attempts, &error, told.is_some()) {
            Verdict::Tell => {
                let Some(to) = told else { return Ok(Came::Done) };
                tracing::warn!(
                    name,
                    position,
                    cause,
                    attempts,
                    "a message failed; its saga is told"
                );
                let outcome = Outcome::Failed(cause);
                match self.conclude(message, entry, &Telling::Outcome(to, &outcome)).await? {
                    Ok(()) => Ok(Came::Done),
                    Err(error) => {
                        let cause = why(&error);
                        self.park(message, entry, told, attempts, &cause).await
                    }
                }
            }
            Verdict::Park => self.park(message, entry, told, attempts, &cause).await,
            Verdict::Again(wait) => {
                tracing::warn!(name, position, cause, attempts, "a message failed; trying again");
                let due = Some(self.now().saturating_add(wait));
                let write =
                    self.write(message, entry, ParkedState::Retrying, due, &cause, attempts);
                // One that is never parked shows where it was sent from, once.
                let shows = attempts == policy.attempts.max(1);
                let told = told.filter(|_| shows && tries == Tries::UntilAnswered);
                self.put_telling(write, message, told, &cause).await?;
                Ok(self.waits(due, true))
            }
        }
    }

    async fn park(
        &self,
        message: &Outgoing,
        entry: Option<&ParkedEntry>,
        told: Option<&Told>,
        attempts: u32,
        cause: &str,
    ) -> Result<Came> {
        let (name, position) = (&*message.name, self.turn.position);
        tracing::warn!(name, position, cause, attempts, "a message is parked");
        let write = self.write(message, entry, ParkedState::Parked, None, cause, attempts);
        self.put_telling(write, message, told, cause).await?;
        Ok(self.waits(None, true))
    }

    fn write(
        &self,
        message: &Outgoing,
        entry: Option<&ParkedEntry>,
        state: ParkedState,
        due: Option<Timestamp>,
        cause: &str,
        attempts: u32,
    ) -> ParkedWrite {
        ParkedWrite {
            subscription: NAME.to_owned(),
            position: self.turn.position,
            expected: entry.map_or(Expected::NoStream, |entry| Expected::Exactly(entry.version)),
            partition: self.partition,
            key: self.turn.lane.clone(),
            message: message.name.clone().into_owned(),
            state,
            due,
            cause: cut(cause),
            attempts,
            edited: entry.and_then(|entry| entry.edited.clone()),
        }
    }

    /// Sets it aside, and notes that where it was sent from.
    async fn put_telling(
        &self,
        write: ParkedWrite,
        message: &Outgoing,
        told: Option<&Told>,
        cause: &str,
    ) -> Result<()> {
        let Some(told) = told else { return self.put(write, None).await };
        for _ in 0..AGAIN {
            let place = self.place(message, told);
            let noted = saga::failing(place, &told.answer_to, cause).await;
            let noted = noted.unwrap_or_else(|error| {
                tracing::warn!(%error, "a saga cannot be told that a step does not get through");
                None
            });
            match self.put(write.clone(), noted).await {
                Err(error) if is_conflict_of_document(&error) => {}
                done => return done,
            }
        }
        self.put(write, None).await
    }

    async fn put(&self, write: ParkedWrite, document: Option<DocumentWrite>) -> Result<()> {
        let commit = Commit {
            fences: vec![self.fence.clone()],
            documents: document.into_iter().collect(),
            parked: vec![write],
            ..Commit::default()
        };
        self.node.store.commit(commit).await.map(drop)
    }

    /// An operator gave it up: who waits for the answer is told.
    async fn discard(&self, message: &Outgoing, entry: &ParkedEntry) -> Result<Came> {
        let told = match self.relay.told(message) {
            Ok(told) => told,
            Err(NoWay::Failed(error)) => return Err(error),
            Err(NoWay::Unknown(what, name)) => {
                self.relay.tell_unknown(what, &name);
                return Ok(self.elsewhere(true));
            }
        };
        let is_command = message.kind == crate::OutgoingKind::Command;
        let outcome = Outcome::Failed(entry.cause.clone());
        let telling = match &told {
            Some(told) if is_command => Telling::Outcome(told, &outcome),
            _ => Telling::Nothing,
        };
        match self.conclude(message, Some(entry), &telling).await? {
            Ok(()) => Ok(Came::Done),
            Err(error) => {
                let cause = format!("{}; {error}", entry.cause);
                self.park(message, Some(entry), None, entry.attempts, &cause).await
            }
        }
    }

    /// An entry whose message is gone.
    async fn forget(&self, entry: Option<&ParkedEntry>) -> Result<()> {
        let Some(entry) = entry else { return Ok(()) };
        let commit = Commit {
            fences: vec![self.fence.clone()],
            settled: vec![settled(entry)],
            ..Commit::default()
        };
        self.node.store.commit(commit).await.map(drop)
    }

    fn place<'a>(&'a self, message: &'a Outgoing, told: &'a Told) -> Place<'a> {
        Place {
            store: &*self.node.store,
            now: self.now(),
            key: &told.answer_to.key,
            metadata: &message.metadata,
        }
    }

    /// Settles the message, with what its saga makes of the answer. The inner error: what the saga
    /// says, or that its commit cannot be taken.
    async fn conclude(
        &self,
        message: &Outgoing,
        entry: Option<&ParkedEntry>,
        telling: &Telling<'_>,
    ) -> Result<Result<(), HandlerError>> {
        let mut again = 0;
        loop {
            let commit = match telling {
                Telling::Nothing => Ok(Commit::default()),
                Telling::Outcome(told, outcome) => {
                    told.saga.outcome(self.place(message, told), outcome).await
                }
                Telling::Timer(told) => {
                    // Nobody else writes such a step.
                    let generation = told.answer_to.step.parse().unwrap_or(0);
                    let place = self.place(message, told);
                    told.saga.timer(place, &message.name, generation).await
                }
            };
            let mut commit = match commit {
                Ok(commit) => commit,
                Err(error) => return Ok(Err(error)),
            };
            let sets_timers = !commit.timers.is_empty();
            commit.fences.push(self.fence.clone());
            commit.settled.push(Settled::Outgoing(message.metadata.id()));
            commit.settled.extend(entry.map(settled));
            let Err(error) = self.node.store.commit(commit).await else {
                if sets_timers {
                    self.node.timers_changed.notify_one();
                }
                return Ok(Ok(()));
            };
            again += 1;
            match error.kind() {
                _ if is_lost(&error) => return Err(error),
                // Its outcome was not known before, and is now.
                ErrorKind::Conflict(Conflict::Settled { .. }) => return Ok(Ok(())),
                _ if again >= AGAIN && is_passing(&error) => return Err(error),
                ErrorKind::Conflict(_) => {
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..5))).await;
                }
                // Here, and not by carrying it once more.
                _ if is_passing(&error) => tokio::time::sleep(backoff(again)).await,
                _ => return Ok(Err(HandlerError::fatal(error))),
            }
        }
    }
}

fn settled(entry: &ParkedEntry) -> Settled {
    Settled::Parked {
        subscription: entry.subscription.clone(),
        position: entry.position,
        key: entry.key.clone(),
    }
}

fn is_conflict_of_parked(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict(Conflict::Parked { .. }))
}

fn is_conflict_of_document(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict(Conflict::Document { .. }))
}
