//! The task that writes: sends groups one after the other, and sees to it that each commit is answered.

use std::sync::Arc;
use std::time::Instant;

use cqrs_core::{Commit, Committed, Error, ErrorKind, Position, Result};
use deadpool_postgres::ClientWrapper;
use tokio::sync::mpsc;
use tokio_postgres::types::ToSql;

use super::encode::{Group, Known};
use super::verdict::Verdict;
use super::{Pending, QUEUE, Settings, Waiting, collections};
use crate::connect::backoff;
use crate::error::{Trouble, unknown};
use crate::row::Text;
use crate::statements::Sql;

/// How often a group is sent again because a collection was declared otherwise meanwhile.
const DECLARED: u32 = 5;

/// The one who writes.
pub(super) struct Writing {
    settings: Settings,
    client: Option<ClientWrapper>,
    known: Known,
}

/// What the server made of a group.
struct Applied {
    base: Position,
    head: Position,
    verdicts: Vec<Verdict>,
}

impl Writing {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, client: None, known: Known::new() }
    }

    /// Runs until nobody is there who could commit, and everything is answered.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Pending>) {
        let mut waiting = Waiting::default();
        loop {
            if waiting.0.is_empty() {
                let next = tokio::select! {
                    next = queue.recv() => next,
                    _ = self.settings.closing.wait_for(|closing| *closing), if !queue.is_closed() => {
                        // What is in the queue is still written.
                        queue.close();
                        continue;
                    }
                };
                match next {
                    Some(pending) => waiting.0.push_back(pending),
                    None => return,
                }
            }
            while waiting.0.len() < QUEUE
                && let Ok(pending) = queue.try_recv()
            {
                waiting.0.push_back(pending);
            }
            let group = waiting.group();
            self.write(group).await;
        }
    }

    /// Writes a group, and answers all of it.
    async fn write(&mut self, mut group: Vec<Pending>) {
        group.retain(|pending| !pending.answer.is_closed());
        let group = self.knowing(group).await;
        let commits: Vec<&Commit> = group.iter().map(|pending| &pending.commit).collect();
        if commits.is_empty() {
            return;
        }
        match self.send(&group, false).await {
            Ok(results) => answer(group, results),
            // One of them is to blame: each by itself shows which.
            Err(trouble) if is_of_the_content(&trouble) => {
                tracing::debug!(commits = group.len(), ?trouble, "a group failed: one by one");
                for pending in group {
                    let alone = [pending];
                    let result = match self.send(&alone, true).await {
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
        trouble.into_error("committing", &self.settings.connector.place)
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
        let Settings { connector, statements, .. } = &self.settings;
        let known = &mut self.known;
        collections::know(connector, statements, commit, known).await
    }

    async fn know_anew(&mut self, group: &[Pending]) -> Result<()> {
        self.known.clear();
        for pending in group {
            self.know(&pending.commit).await?;
        }
        Ok(())
    }

    /// Sends a group until there is an answer, for as long as it is worth while: the ids of the commits
    /// tell what an attempt without an answer came to.
    async fn send(
        &mut self,
        group: &[Pending],
        looks: bool,
    ) -> Result<Vec<Result<Committed>>, Trouble> {
        let began = Instant::now();
        let (mut attempts, mut maybe_applied, mut declared) = (0, false, 0);
        loop {
            let trouble = match self.connected().await {
                Ok(()) => match self.attempt(group, looks, maybe_applied).await {
                    Ok(results) => return Ok(results),
                    Err(trouble) => {
                        maybe_applied |= trouble.is_lost();
                        trouble
                    }
                },
                Err(trouble) => trouble,
            };
            if trouble.is_lost() || self.client.as_ref().is_some_and(|client| client.is_closed()) {
                self.client = None;
            }
            if trouble.code().is_some_and(|code| code.code() == "CQ002") && declared < DECLARED {
                declared += 1;
                self.know_anew(group).await?;
                continue;
            }
            let is_late = began.elapsed() >= self.settings.patience;
            let may_pass = trouble.is_lost() || self.client.is_none();
            if !may_pass || is_late {
                return Err(match maybe_applied {
                    true => unknown(trouble, &self.settings.connector.place).into(),
                    false => trouble,
                });
            }
            attempts += 1;
            tracing::warn!(?trouble, attempts, "the database is out of reach; trying again");
            tokio::time::sleep(backoff(attempts)).await;
        }
    }

    /// The columns of a group, and the place of each commit in it; where one cannot be written, why.
    fn encode<'a>(&self, group: &'a [Pending]) -> (Group<'a>, Vec<Result<usize>>) {
        let mut columns = Group::default();
        let mut places = Vec::with_capacity(group.len());
        for Pending { commit, fingerprint, .. } in group {
            let place = columns.ids.len();
            places.push(columns.add(commit, fingerprint, &self.known).map(|()| place));
        }
        (columns, places)
    }

    async fn attempt(
        &mut self,
        group: &[Pending],
        looks: bool,
        is_repeat: bool,
    ) -> Result<Vec<Result<Committed>>, Trouble> {
        let (mut columns, mut places) = self.encode(group);
        if places.iter().any(Result::is_err) && !self.known.is_empty() {
            // A collection may have been declared otherwise meanwhile.
            self.know_anew(group).await?;
            (columns, places) = self.encode(group);
        }
        let lasts = columns.lasts.clone();
        let applied = match lasts.is_empty() {
            true => Applied { base: 0, head: 0, verdicts: Vec::new() },
            false => self.apply(&columns, looks).await?,
        };
        let Applied { base, head, verdicts } = applied;
        let mut by_place: Vec<Option<Verdict>> = lasts.iter().map(|_| None).collect();
        for verdict in verdicts {
            if let Some(place) = by_place.get_mut(verdict.n.wrapping_sub(1)) {
                *place = Some(verdict);
            }
        }
        let mut end = head;
        let results = places.into_iter().zip(group).map(|(place, Pending { commit, .. })| {
            let place = place?;
            let position = match lasts[place] {
                0 => head,
                last => base + last as u64,
            };
            match by_place[place].take() {
                Some(verdict) => match verdict.into_result(commit) {
                    // What an attempt without an answer had applied.
                    Ok(Committed::Before { position, reply: None }) if is_repeat => {
                        Ok(Committed::Now { position })
                    }
                    result => result,
                },
                None => {
                    end = end.max(position);
                    Ok(Committed::Now { position })
                }
            }
        });
        let results = results.collect();
        self.settings.grown.send_if_modified(|grown| {
            let has_grown = end > *grown;
            *grown = end.max(*grown);
            has_grown
        });
        Ok(results)
    }

    async fn apply(&mut self, group: &Group<'_>, looks: bool) -> Result<Applied, Trouble> {
        let Some(client) = &self.client else { return Err(Trouble::TooLong) };
        let Settings { statements, terms, .. } = &self.settings;
        let params = group.params(terms, &self.known, false, looks)?;
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| &**p as _).collect();
        let row = statements.one(client, Sql::Commit, &params).await?;
        let verdicts: Option<Text<'_>> = row.try_get(2)?;
        let verdicts = verdicts.map(|Text(json)| Verdict::all(json)).transpose()?;
        Ok(Applied {
            base: row.try_get::<_, i64>(0)? as u64,
            head: row.try_get::<_, i64>(1)? as u64,
            verdicts: verdicts.unwrap_or_default(),
        })
    }

    /// Sees to it that there is a connection, which has looked whether the log was restored.
    async fn connected(&mut self) -> Result<(), Trouble> {
        if self.client.as_ref().is_some_and(|client| !client.is_closed()) {
            return Ok(());
        }
        let Settings { connector, statements, terms, schema, .. } = &self.settings;
        let client = connector.own().await?;
        let row = statements.one(&client, Sql::NoteRestore, &[&terms.lock_timeout]).await?;
        if row.try_get(0)? {
            let place = &connector.place;
            tracing::warn!(%place, schema, "the log was restored: its positions go on far behind");
        }
        self.client = Some(client);
        Ok(())
    }
}

fn answer(group: Vec<Pending>, results: Vec<Result<Committed>>) {
    for (pending, result) in group.into_iter().zip(results) {
        // Whoever asked may have gone.
        let _ = pending.answer.send(result);
    }
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
