//! The task that writes: sends groups, and sees to it that each commit is answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{Commit, Committed, Error, Guard, Result};
use mongodb::ClientSession;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::batch::Batch;
use super::facts::Facts;
use super::judge::Judge;
use super::look::{Mode, look, look_for_marks};
use super::turn::{self, ANSWER};
use super::{Pending, Settings, places, since};
use crate::connect::backoff;
use crate::error::{Trouble, unknown};
use crate::hint::grow;
use crate::orphans::{self, Enrolled};

/// A group ends with this many commits, or with this many bytes in their bodies.
const COMMITS: usize = 512;
const BYTES: usize = 4 << 20;

/// How long others have the turn at most before it is tried again: a random part of it, however often it was.
const JITTER: Duration = Duration::from_millis(30);

/// Who has had the turn for so long may be dead: it is looked after.
const HELD: Duration = Duration::from_secs(2);

/// How often a group is sent again because an index refuses what nobody has found.
const REFUSED: u32 = 3;

/// The one who writes.
pub(super) struct Writing {
    settings: Settings,
    session: Option<Enrolled>,
    facts: Facts,
    /// The last turn that was ours.
    last: i64,
    declared: i64,
    waiting: VecDeque<Pending>,
}

/// What became of an attempt.
struct Attempt {
    results: Vec<Result<Committed>>,
    /// Whether others had the turn since the last time.
    met_others: bool,
}

/// An attempt that came to nothing; or it is not known to what.
struct Failed {
    trouble: Trouble,
    /// It may have been written.
    maybe: bool,
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, maybe: false }
    }
}

impl Writing {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            session: None,
            facts: Facts::default(),
            last: i64::MIN,
            declared: i64::MIN,
            waiting: VecDeque::new(),
        }
    }

    /// Runs until nobody is there who could commit, and everything is answered.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Pending>) {
        let mut closing = self.settings.closing.clone();
        loop {
            while let Ok(pending) = queue.try_recv() {
                self.waiting.push_back(pending);
            }
            if self.waiting.is_empty() {
                tokio::select! {
                    next = queue.recv() => match next {
                        Some(pending) => self.waiting.push_back(pending),
                        None => return,
                    },
                    // What is in the queue is still written.
                    _ = async { closing.wait_for(|closing| *closing).await.is_ok() }, if !queue.is_closed() => {
                        queue.close();
                    }
                }
                continue;
            }
            let group = self.group();
            if self.write(group).await {
                // Whoever else wants the turn has not waited all the time.
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..4))).await;
            }
        }
    }

    /// The next group. Who must find no event that matches comes first.
    fn group(&mut self) -> Vec<Pending> {
        let (mut group, mut size) = (Vec::new(), 0);
        while let Some(next) = self.waiting.front() {
            let bytes = next.commit.bodies();
            let is_full = group.len() == COMMITS || size + bytes > BYTES || looks(&next.commit);
            if is_full && !group.is_empty() {
                break;
            }
            size += bytes;
            let next = self.waiting.pop_front();
            // Nobody is written for who has gone.
            group.extend(next.filter(|next| next.answer.as_ref().is_none_or(|a| !a.is_closed())));
        }
        group
    }

    /// Writes a group and answers its members. Whether others write as well.
    async fn write(&mut self, mut group: Vec<Pending>) -> bool {
        if group.is_empty() {
            return false;
        }
        match self.send(&group).await {
            Ok(Attempt { results, met_others }) => {
                for (pending, result) in group.iter_mut().zip(results) {
                    pending.tell(result);
                }
                met_others
            }
            // One of them is to blame: each by itself shows which.
            Err(failed) if group.len() > 1 && !failed.maybe && !failed.trouble.is_passing() => {
                let trouble = failed.trouble;
                tracing::warn!(commits = group.len(), ?trouble, "a group failed: one by one");
                for mut pending in group {
                    match self.send(std::slice::from_ref(&pending)).await {
                        Ok(mut attempt) => pending.tell(attempt.results.remove(0)),
                        Err(failed) => {
                            let refusal = self.refusal(failed, &pending.commit);
                            pending.tell(Err(refusal));
                        }
                    }
                }
                false
            }
            Err(failed) => {
                // An error has no copies.
                let error = Arc::new(self.refusal(failed, &group[0].commit));
                for pending in &mut group {
                    let copy = Error::new(error.kind().clone(), error.to_string());
                    pending.tell(Err(copy.with_source(error.clone())));
                }
                false
            }
        }
    }

    fn refusal(&self, Failed { trouble, maybe }: Failed, commit: &Commit) -> Error {
        let place = &self.settings.connector.place;
        match maybe {
            true => unknown(trouble, place),
            false => trouble.into_error_of(commit, "committing", place),
        }
    }

    /// Sends a group until it is known what became of it, for as long as there is patience.
    async fn send(&mut self, group: &[Pending]) -> Result<Attempt, Failed> {
        let patience = self.settings.connector.patience;
        let (began, mut attempts, mut refused) = (Instant::now(), 0, 0);
        let (mut mode, mut maybe, mut held) = (Mode::Hoping, false, None::<Instant>);
        loop {
            let one = self.settings.one.clone();
            let one = one.lock().await;
            let attempt = self.attempt(group, mode, maybe).await;
            drop(one);
            let Failed { trouble, maybe: now_maybe } = match attempt {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            maybe |= now_maybe;
            if maybe {
                // The ids of the commits tell what became of it.
                mode = Mode::Careful;
            }
            let pause = if matches!(trouble, Trouble::Duplicate) {
                mode = Mode::Careful;
                refused += 1;
                if refused > REFUSED {
                    return Err(Failed { trouble, maybe });
                }
                Duration::ZERO
            } else if trouble.is_conflict() {
                let since = *held.get_or_insert_with(Instant::now);
                if since.elapsed() > HELD {
                    held = None;
                    orphans::free(&self.settings.connector).await;
                }
                JITTER.mul_f64(fastrand::f64())
            } else if trouble.is_passing() || trouble.is_transient() || trouble.is_unknown() {
                attempts += 1;
                backoff(attempts)
            } else {
                return Err(Failed { trouble, maybe });
            };
            if began.elapsed() + pause > patience {
                return Err(Failed { trouble, maybe });
            }
            tracing::trace!(?trouble, ?mode, "a group is sent again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &mut self,
        group: &[Pending],
        mode: Mode,
        is_repeat: bool,
    ) -> Result<Attempt, Failed> {
        let kept = self.session.take();
        let mut enrolled = Enrolled::or_new(kept, &self.settings.connector).await?;
        let session = &mut enrolled.session;
        let done = self.attempt_in(session, group, mode, is_repeat).await;
        if done.is_err() {
            self.facts.next_group();
            turn::abort(session).await;
        }
        self.session = Some(enrolled);
        done
    }

    async fn attempt_in(
        &mut self,
        session: &mut ClientSession,
        group: &[Pending],
        mode: Mode,
        is_repeat: bool,
    ) -> Result<Attempt, Failed> {
        let Settings { connector, seen, kept, grown, .. } = &self.settings;
        let db = &connector.db;
        let places = group.iter().map(|pending| places(&pending.commit)).sum();
        turn::begin(session).await?;
        let mut turn = turn::take(db, session, places).await?;
        let promised = turn::promised(&turn, places);
        let met_others = turn.number != self.last + 1;
        if turn.number <= self.last {
            // It was restored to an older state.
            seen.forget();
        }
        if turn.declared != self.declared || turn.number <= self.last {
            self.facts = Facts::default();
        }
        self.facts.commits_since = since(turn.now, kept.commit_ids);
        self.facts.inbox_since = since(turn.now, kept.inbox);
        let looked = look(db, session, group, &mut self.facts, seen, turn.head, mode);
        timeout(connector.patience.max(ANSWER), looked).await.map_err(|_| Trouble::TooLong)??;
        let mut batch = Batch::default();
        let mut judge = Judge { facts: &mut self.facts, turn: &mut turn, batch: &mut batch };
        let mut results = Vec::with_capacity(group.len());
        for (n, Pending { commit, fingerprint, .. }) in group.iter().enumerate() {
            results.push(judge.judge(n, commit, *fingerprint));
        }
        // What was handled before is told so, whatever speaks against it now.
        let is_applied = |result: &Result<Committed>| matches!(result, Ok(Committed::Now { .. }));
        let others = || group.iter().zip(&results).filter(|(_, result)| !is_applied(result));
        if mode == Mode::Hoping && others().next().is_some() {
            let commits = others().map(|(pending, _)| &pending.commit);
            look_for_marks(db, session, commits, judge.facts).await?;
            for (Pending { commit, fingerprint, .. }, result) in group.iter().zip(&mut results) {
                if !is_applied(result)
                    && let Some(before) = judge.before(commit, *fingerprint).transpose()
                {
                    *result = before;
                }
            }
        }
        for result in &mut results {
            // What an attempt without an answer had written.
            if let Ok(Committed::Before { position, reply: None }) = result
                && is_repeat
            {
                *result = Ok(Committed::Now { position: *position });
            }
        }
        let written = batch.write(db, session, &turn, promised, mode);
        let written = timeout(connector.patience.max(ANSWER), written).await;
        written.map_err(|_| Trouble::TooLong)??;
        turn::commit(session).await.map_err(|trouble| Failed {
            // A conflict is one of before: nothing is written then.
            maybe: !trouble.is_transient(),
            trouble,
        })?;
        connector.note(session);
        (self.last, self.declared) = (turn.number, turn.declared);
        for (stream, version) in &self.facts.streams {
            seen.note(stream, *version);
        }
        self.facts.next_group();
        grow(grown, turn.head);
        Ok(Attempt { results, met_others })
    }
}

/// Whether a commit asks for events that match.
fn looks(commit: &Commit) -> bool {
    commit.guards.iter().any(|guard| matches!(guard, Guard::NoneMatching { .. }))
}
