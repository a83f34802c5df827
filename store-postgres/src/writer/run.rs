//! The task that writes: sends groups, and sees to it that each commit is answered.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use cqrs_core::{Commit, Committed, Error, ErrorKind, Result};
use deadpool_postgres::ClientWrapper;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::attempt::{Attempt, Outcome};
use super::direct::Shared;
use super::encode::Known;
use super::pace::Pace;
use super::waiting::Waiting;
use super::{Pending, Settings, collections};
use crate::connect::backoff;
use crate::error::{Trouble, unknown};
use crate::hint::grow;
use crate::statements::Sql;

/// How often a group is sent again because a collection was declared otherwise meanwhile.
const DECLARED: u32 = 5;

/// How long a group waits at most for a commit that somebody sent alone. The two would only be one after
/// the other in the database.
const TURN: Duration = Duration::from_millis(2);

/// After so many groups of one commit, one after the other, it is worth while to have a connection for
/// who is alone; after as many again, if it is lost.
const LONE: u64 = 16;

/// The one who writes.
pub(super) struct Writing {
    shared: Arc<Shared>,
    known: Arc<Known>,
    /// While something is on its way.
    turn: Option<OwnedSemaphorePermit>,
}

/// A group that was sent, and what came of it.
type Flight = (Vec<Pending>, Result<Outcome, Trouble>);

type Flights = FuturesOrdered<BoxFuture<'static, Flight>>;

impl Writing {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, known: Arc::default(), turn: None }
    }

    /// Runs until nobody is there who could commit, and everything is answered.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Pending>) {
        let (mut waiting, mut flights) = (Waiting::default(), Flights::new());
        let (mut pace, mut lone, mut is_open) = (Pace::default(), 0u64, true);
        let mut wanted: Option<Instant> = None;
        let shared = self.shared.clone();
        let mut closing = shared.settings.closing.clone();
        while is_open || !waiting.is_empty() || !flights.is_empty() {
            let wants_turn = self.turn.is_none() && !waiting.is_empty();
            wanted = wants_turn.then(|| wanted.unwrap_or_else(Instant::now));
            let by = wanted.unwrap_or_else(Instant::now) + TURN;
            tokio::select! {
                biased;
                Some(flight) = flights.next(), if !flights.is_empty() => {
                    self.land(flight, &mut flights).await;
                }
                turn = shared.turn.clone().acquire_owned(), if wants_turn => {
                    self.turn = turn.ok();
                }
                () = tokio::time::sleep_until(by.into()), if wants_turn && flights.is_empty() => {}
                next = queue.recv(), if is_open && waiting.has_room() => match next {
                    Some(pending) => waiting.push(pending),
                    None => is_open = false,
                },
                () = shared.left.notified() => drop(tokio::spawn(look(shared.clone()))),
                // What is in the queue is still written.
                _ = async { closing.wait_for(|closing| *closing).await.is_ok() }, if !queue.is_closed() => {
                    queue.close();
                }
            }
            waiting.gather(&mut queue);
            while let Some(pending) = waiting.troubled.pop() {
                self.take_over(pending, &mut flights).await;
            }
            // Nobody is waited for who does not ask for his answer.
            let may_go = self.turn.is_some() || (wants_turn && Instant::now() >= by);
            pace.arrive(flights.len());
            while (flights.is_empty() && may_go && !waiting.is_empty())
                || pace.goes_beside(waiting.len())
            {
                let group = waiting.group();
                pace.depart(group.len());
                shared.last.store(group.len(), Relaxed);
                lone = if group.len() == 1 { lone + 1 } else { 0 };
                if lone > 0 && lone.is_multiple_of(LONE) {
                    drop(tokio::spawn(put_alone(shared.clone())));
                }
                self.start(group, &mut flights).await;
                pace.arrive(flights.len());
            }
            if flights.is_empty() && waiting.is_empty() {
                self.turn = None;
            }
        }
        // Whoever commits alone is waited for, if he asks for his answer.
        if self.turn.is_none() {
            let turn = shared.turn.clone().acquire_owned();
            let turn = tokio::time::timeout(Duration::from_secs(1), turn).await;
            self.turn = turn.ok().and_then(std::result::Result::ok);
        }
        shared.turn.close();
    }

    /// Sees to a commit that somebody sent alone, without an answer.
    async fn take_over(&mut self, mut pending: Pending, flights: &mut Flights) {
        self.drain(flights).await;
        let first = pending.first.take();
        self.settle(vec![pending], first).await;
    }

    /// Sends a group.
    async fn start(&mut self, mut group: Vec<Pending>, flights: &mut Flights) {
        group.retain(|pending| !pending.answer.is_closed());
        let group = self.knowing(group).await;
        if group.is_empty() {
            return;
        }
        // A connection that is to be made is waited for; others are still waited for on the last one.
        if let Err(trouble) = self.connected().await {
            tracing::debug!(?trouble, "no connection to send a group on");
            self.drain(flights).await;
            return self.settle(group, None).await;
        }
        let Some(attempt) = self.attempt(false, false, false) else {
            self.drain(flights).await;
            return self.settle(group, None).await;
        };
        flights.push_back(Box::pin(async move {
            let outcome = attempt.run(&group).await;
            (group, outcome)
        }));
    }

    fn attempt(&self, is_fresh: bool, looks: bool, is_repeat: bool) -> Option<Attempt> {
        Some(Attempt {
            shared: self.shared.clone(),
            client: self.shared.groups.client()?,
            known: self.known.clone(),
            is_fresh,
            hopes: self.shared.hopes() && !is_repeat && !looks,
            looks,
            is_repeat,
        })
    }

    /// Answers a group that came back, or sees to it.
    async fn land(&mut self, (group, outcome): Flight, flights: &mut Flights) {
        match outcome {
            Ok(Outcome::Answered { results, hoped }) => {
                self.shared.note(hoped);
                answer(group, results);
            }
            outcome => {
                let mut beside = Vec::new();
                while let Some(flight) = flights.next().await {
                    beside.push(flight);
                }
                self.settle(group, Some(outcome)).await;
                for (group, outcome) in beside {
                    self.settle(group, Some(outcome)).await;
                }
            }
        }
    }

    /// Waits for all that is on its way.
    async fn drain(&mut self, flights: &mut Flights) {
        while let Some((group, outcome)) = flights.next().await {
            self.settle(group, Some(outcome)).await;
        }
    }

    /// Sees to it that a group is answered, whatever came of the first attempt, if there was one. Nothing
    /// else is on its way.
    async fn settle(&mut self, group: Vec<Pending>, first: Option<Result<Outcome, Trouble>>) {
        match self.send(&group, false, first).await {
            Ok(results) => answer(group, results),
            // One of them is to blame: each by itself shows which.
            Err(trouble) if is_of_the_content(&trouble) => {
                tracing::debug!(commits = group.len(), ?trouble, "a group failed: one by one");
                for pending in group {
                    let alone = [pending];
                    let result = match self.send(&alone, true, None).await {
                        Ok(results) => results,
                        Err(trouble) => vec![Err(self.refusal(trouble))],
                    };
                    answer(alone.into(), result);
                }
            }
            Err(trouble) => {
                // An error has no copies.
                let error = Arc::new(self.refusal(trouble));
                for pending in group {
                    let copy = Error::new(error.kind().clone(), error.to_string());
                    let _ = pending.answer.send(Err(copy.with_source(error.clone())));
                }
            }
        }
    }

    fn refusal(&self, trouble: Trouble) -> Error {
        trouble.into_error("committing", &self.shared.settings.connector.place)
    }

    /// Leaves out those whose documents belong to no collection, or to one that cannot be read.
    async fn knowing(&mut self, group: Vec<Pending>) -> Vec<Pending> {
        let mut knowing = Vec::with_capacity(group.len());
        for pending in group {
            match self.know(&pending.commit).await {
                Ok(()) => knowing.push(pending),
                Err(error) => drop(pending.answer.send(Err(error))),
            }
        }
        knowing
    }

    async fn know(&mut self, commit: &Commit) -> Result<()> {
        let mut writes = commit.documents.iter().chain(&commit.views);
        if writes.all(|write| self.known.contains_key(&*write.key.collection)) {
            return Ok(());
        }
        let Settings { connector, statements, .. } = &self.shared.settings;
        collections::know(connector, statements, commit, Arc::make_mut(&mut self.known)).await
    }

    async fn know_anew(&mut self, group: &[Pending]) -> Result<()> {
        self.known = Arc::default();
        for pending in group {
            self.know(&pending.commit).await?;
        }
        Ok(())
    }

    /// Sends a group until there is an answer, for as long as it is worth while: the ids of the commits
    /// tell what an attempt without an answer came to. `first`: it was sent already.
    async fn send(
        &mut self,
        group: &[Pending],
        looks: bool,
        mut first: Option<Result<Outcome, Trouble>>,
    ) -> Result<Vec<Result<Committed>>, Trouble> {
        let began = Instant::now();
        let (mut attempts, mut maybe_applied, mut declared) = (0, false, 0);
        loop {
            let (outcome, was_sent) = match first.take() {
                Some(outcome) => (outcome, true),
                None => match self.connected().await {
                    Ok(()) => match self.attempt(declared > 0, looks, maybe_applied) {
                        Some(attempt) => (attempt.run(group).await, true),
                        None => (Err(Trouble::TooLong), false),
                    },
                    Err(trouble) => (Err(trouble), false),
                },
            };
            let answered = match outcome {
                Ok(Outcome::Answered { results, .. }) => return Ok(results),
                Ok(Outcome::Stale) => None,
                Err(trouble) if is_stale(&trouble) && declared < DECLARED => None,
                Err(trouble) => Some(trouble),
            };
            let trouble = match answered {
                Some(trouble) => trouble,
                None => {
                    declared += 1;
                    match self.know_anew(group).await {
                        Ok(()) => continue,
                        Err(error) => Trouble::Final(error),
                    }
                }
            };
            maybe_applied |= was_sent && trouble.is_lost();
            let is_late = began.elapsed() >= self.shared.settings.patience;
            let may_pass = trouble.is_lost() || self.shared.groups.client().is_none();
            if !may_pass || is_late || matches!(trouble, Trouble::Final(_)) {
                return Err(match maybe_applied {
                    true => unknown(trouble, &self.shared.settings.connector.place).into(),
                    false => trouble,
                });
            }
            attempts += 1;
            tracing::warn!(?trouble, attempts, "the database is out of reach; trying again");
            tokio::time::sleep(backoff(attempts)).await;
        }
    }

    /// Sees to it that there is a connection.
    async fn connected(&mut self) -> Result<(), Trouble> {
        if self.shared.groups.client().is_none() {
            let client = opened(&self.shared.settings).await?;
            self.shared.groups.put(client);
        }
        Ok(())
    }
}

/// Looks how far the log goes: a commit was left before it was known. This is asked on the same connection,
/// and so answered after it.
async fn look(shared: Arc<Shared>) {
    let Some(client) = shared.alone.client() else { return };
    let Settings { statements, grown, .. } = &shared.settings;
    let head = async {
        let row = statements.one(&client, Sql::Head, &[]).await?;
        Ok::<_, Trouble>(row.try_get::<_, i64>(1)? as u64)
    };
    match head.await {
        Ok(head) => grow(grown, head),
        Err(trouble) => tracing::debug!(?trouble, "it is not known how far the log goes"),
    }
}

/// Sees to it that there is a connection for those who are alone, if that is possible.
async fn put_alone(shared: Arc<Shared>) {
    let Ok(_one) = shared.putting.try_acquire() else { return };
    if !shared.settings.statements.prepares() || shared.alone.client().is_some() {
        return;
    }
    match opened(&shared.settings).await {
        Ok(client) => drop(shared.alone.put(client)),
        Err(trouble) => tracing::debug!(?trouble, "all commits go by the same connection"),
    }
}

/// A connection to write with, which has looked whether the log was restored.
async fn opened(settings: &Settings) -> Result<ClientWrapper, Trouble> {
    let Settings { connector, statements, terms, schema, .. } = settings;
    let client = connector.own().await?;
    let row = statements.one(&client, Sql::NoteRestore, &[&terms.lock_timeout]).await?;
    if row.try_get(0)? {
        let place = &connector.place;
        tracing::warn!(%place, schema, "the log was restored: its positions go on far behind");
    }
    if statements.prepares() {
        statements.one(&client, Sql::OwnSettings, &[&terms.lock_timeout]).await?;
    }
    Ok(client)
}

fn answer(group: Vec<Pending>, results: Vec<Result<Committed>>) {
    for (pending, result) in group.into_iter().zip(results) {
        // Whoever asked may have gone.
        let _ = pending.answer.send(result);
    }
}

/// Whether a collection was declared otherwise meanwhile.
fn is_stale(trouble: &Trouble) -> bool {
    trouble.code().is_some_and(|code| code.code() == "CQ002")
}

/// Whether it is what a commit says that was refused, and not the machinery.
fn is_of_the_content(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Ours(error) | Trouble::Final(error) => !matches!(
            error.kind(),
            ErrorKind::Unavailable | ErrorKind::OutcomeUnknown | ErrorKind::Internal
        ),
        Trouble::Postgres(_) => !trouble.is_lost() && !trouble.is_passing(),
        Trouble::TooLong => false,
    }
}
