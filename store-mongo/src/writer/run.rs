//! The task that writes: sends groups, and sees to it that each commit is answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{Commit, Committed, Error, ErrorKind, Guard, LogId, Result};
use mongodb::ClientSession;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::batch::Batch;
use super::facts::Facts;
use super::judge::Judge;
use super::look::{Mode, look, look_for_marks};
use super::turn::{self, ANSWER};
use super::{Pending, Settings, places, since};
use crate::alone::alone;
use crate::connect::backoff;
use crate::error::{Trouble, unknown};
use crate::hint::grow;
use crate::orphans::{Enrolled, Waits};

/// A group ends with this many commits, or with this many bytes in their bodies.
const COMMITS: usize = 512;
const BYTES: usize = 4 << 20;

/// How long others have the turn at most before it is tried again: a random part of it, however often it was.
const JITTER: Duration = Duration::from_millis(30);

/// How often a group is sent again because an index refuses what nobody has found.
const REFUSED: u32 = 3;

/// The one who writes.
pub(super) struct Writing {
    settings: Settings,
    session: Option<Enrolled>,
    facts: Facts,
    /// The log, and the last turn in it that was ours.
    log: Option<LogId>,
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
            log: None,
            last: i64::MIN,
            declared: i64::MIN,
            waiting: VecDeque::new(),
        }
    }

    /// Runs until nobody is there who could commit, and everything is answered.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Pending>) {
        let mut closing = self.settings.closing.clone();
        loop {
            if *closing.borrow() {
                // What is in the queue is still written.
                queue.close();
            }
            // More stays in the queue, whose end is to be felt.
            while self.waiting.len() < COMMITS
                && let Ok(pending) = queue.try_recv()
            {
                self.waiting.push_back(pending);
            }
            if self.waiting.is_empty() {
                tokio::select! {
                    next = queue.recv() => match next {
                        Some(pending) => self.waiting.push_back(pending),
                        None => return,
                    },
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
                let mut rest = &mut group[..];
                while let [pending, others @ ..] = rest {
                    match self.send(std::slice::from_ref(pending)).await {
                        Ok(mut attempt) => pending.tell(attempt.results.remove(0)),
                        Err(failed) => {
                            let is_away = failed.trouble.is_passing();
                            let refusal = self.refusal(failed, &pending.commit);
                            if is_away {
                                // And so it is for all that are left, which nobody has sent.
                                refuse(others, &Arc::new(self.unsent(&refusal)));
                            }
                            pending.tell(Err(refusal));
                            if is_away {
                                break;
                            }
                        }
                    }
                    rest = others;
                }
                false
            }
            Err(failed) => {
                let refusal = Arc::new(self.refusal(failed, &group[0].commit));
                refuse(&mut group, &refusal);
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

    /// For commits that were not sent.
    fn unsent(&self, error: &Error) -> Error {
        let place = &self.settings.connector.place;
        let context = format!("{place} was lost before the commit was sent; try again ({error})");
        Error::new(ErrorKind::Unavailable, context)
    }

    /// Sends a group until it is known what became of it, for as long as there is patience: since the last of it came.
    async fn send(&mut self, group: &[Pending]) -> Result<Attempt, Failed> {
        let patience = self.settings.connector.patience;
        let began = group.iter().map(|pending| pending.since).max().unwrap_or_else(Instant::now);
        let (mut attempts, mut refused) = (0, 0);
        let (mut mode, mut maybe, mut waits) = (Mode::Hoping, false, Waits::default());
        loop {
            let attempt = match alone(&self.settings.one, patience).await {
                Ok(_one) => self.attempt(group, mode, maybe).await,
                Err(trouble) => Err(trouble.into()),
            };
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
                waits.for_others(&self.settings.connector).await;
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
        if let Err(Failed { trouble, .. }) = &done {
            // What was read under another declaration was never sure.
            match self.facts.declared == self.declared {
                true => self.facts.next_group(),
                false => self.facts = Facts::default(),
            }
            turn::end(&self.settings.connector, session, trouble).await;
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
        let is_another = self.log.is_some_and(|log| log != turn.log) || turn.number <= self.last;
        if is_another {
            // It was restored to an older state.
            seen.forget();
        }
        if turn.declared != self.facts.declared || is_another {
            self.facts = Facts { declared: turn.declared, ..Facts::default() };
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
            let looked = look_for_marks(db, session, commits, judge.facts);
            let longest = connector.patience.max(ANSWER);
            timeout(longest, looked).await.map_err(|_| Trouble::TooLong)??;
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
        (self.log, self.last, self.declared) = (Some(turn.log), turn.number, turn.declared);
        for (stream, version) in &self.facts.streams {
            seen.note(stream, *version);
        }
        self.facts.next_group();
        grow(grown, turn.head);
        Ok(Attempt { results, met_others })
    }
}

/// Tells all of them the same. An error has no copies.
fn refuse(group: &mut [Pending], error: &Arc<Error>) {
    for pending in group {
        let copy = Error::new(error.kind().clone(), error.to_string());
        pending.tell(Err(copy.with_source(error.clone())));
    }
}

/// Whether a commit asks for events that match.
fn looks(commit: &Commit) -> bool {
    commit.guards.iter().any(|guard| matches!(guard, Guard::NoneMatching { .. }))
}
