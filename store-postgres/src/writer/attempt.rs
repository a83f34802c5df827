//! One attempt at a group: sends it, and reads what became of each commit.

use std::sync::Arc;

use cqrs_core::{Committed, Position, Result};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::direct::Shared;
use super::encode::{Group, Known, Param};
use super::verdict::Verdict;
use super::{Pending, Settings};
use crate::error::Trouble;
use crate::hint::grow;
use crate::row::Text;
use crate::statements::Sql;

/// What an attempt is made with.
pub(super) struct Attempt {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Arc<ClientWrapper>,
    pub(super) known: Arc<Known>,
    /// What is known of collections was read just now.
    pub(super) is_fresh: bool,
    /// Whether it is likely that nothing speaks against any of the commits.
    pub(super) hopes: bool,
    /// Whether ids of events are looked for, and not only refused by their index.
    pub(super) looks: bool,
    /// Another attempt may have applied some.
    pub(super) is_repeat: bool,
}

/// What became of a group.
pub(super) enum Outcome {
    /// Each has its answer. `hoped` tells whether it was as hoped, if it was hoped.
    Answered { results: Vec<Result<Committed>>, hoped: Option<bool> },
    /// A collection may have been declared otherwise meanwhile. Nothing was sent.
    Stale,
}

/// What the server made of a group.
struct Applied {
    base: Position,
    head: Position,
    verdicts: Vec<Verdict>,
}

impl Attempt {
    pub(super) async fn run(&self, group: &[Pending]) -> Result<Outcome, Trouble> {
        let outcome = self.send(group).await;
        if outcome.as_ref().is_err_and(Trouble::is_lost) {
            self.shared.groups.lose(&self.client);
            self.shared.alone.lose(&self.client);
        }
        outcome
    }

    async fn send(&self, group: &[Pending]) -> Result<Outcome, Trouble> {
        let mut columns = Group::default();
        let mut places = Vec::with_capacity(group.len());
        for Pending { commit, fingerprint, .. } in group {
            let place = columns.ids.len();
            places.push(columns.add(commit, fingerprint, &self.known).map(|()| place));
        }
        if places.iter().any(Result::is_err) && !self.is_fresh && !self.known.is_empty() {
            return Ok(Outcome::Stale);
        }
        let (applied, hoped) = match columns.ids.is_empty() {
            true => (Applied { base: 0, head: 0, verdicts: Vec::new() }, None),
            false => self.apply(&columns).await?,
        };
        let Applied { base, head, verdicts } = applied;
        let mut by_place: Vec<Option<Verdict>> = columns.lasts.iter().map(|_| None).collect();
        for verdict in verdicts {
            if let Some(place) = by_place.get_mut(verdict.n.wrapping_sub(1)) {
                *place = Some(verdict);
            }
        }
        let mut end = head;
        let results = places.into_iter().zip(group).map(|(place, Pending { commit, .. })| {
            let place = place?;
            let position = match columns.lasts[place] {
                0 => head,
                last => base + last as u64,
            };
            match by_place[place].take() {
                Some(verdict) => match verdict.into_result(commit) {
                    // What an attempt without an answer had applied.
                    Ok(Committed::Before { position, reply: None }) if self.is_repeat => {
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
        grow(&self.shared.settings.grown, end);
        Ok(Outcome::Answered { results, hoped })
    }

    async fn apply(&self, group: &Group<'_>) -> Result<(Applied, Option<bool>), Trouble> {
        let hopes =
            self.hopes && self.shared.settings.statements.prepares() && group.only_appends();
        if hopes && let Some(base) = self.append(group).await? {
            return Ok((Applied { base, head: base, verdicts: Vec::new() }, Some(true)));
        }
        let Settings { terms, .. } = &self.shared.settings;
        let params = group.params(terms, &self.known, false, self.looks)?;
        let sql = match self.shared.settings.statements.prepares() {
            true => Sql::Commit,
            false => Sql::CommitPooled,
        };
        let rows = self.query(sql, &params).await?;
        let row = rows.first().ok_or(Trouble::TooLong)?;
        let verdicts: Option<Text<'_>> = row.try_get(2)?;
        let verdicts = verdicts.map(|Text(json)| Verdict::all(json)).transpose()?;
        let position = |index: usize| -> Result<Position, Trouble> {
            Ok(row.try_get::<_, Option<i64>>(index)?.unwrap_or_default() as u64)
        };
        let (base, head) = (position(0)?, position(1)?);
        let applied = Applied { base, head, verdicts: verdicts.unwrap_or_default() };
        Ok((applied, hopes.then_some(false)))
    }

    /// Appends without a question asked in between; `None`: something speaks against it.
    async fn append(&self, group: &Group<'_>) -> Result<Option<Position>, Trouble> {
        let rows = match group.one_append() {
            Some(params) => self.query(Sql::AppendOne, &params).await,
            None => self.query(Sql::AppendGroup, &group.appends()).await,
        };
        let row = match rows {
            Ok(rows) => rows.into_iter().next(),
            // Another process did it in the moment before the turn came.
            Err(trouble) if trouble.code() == Some(&SqlState::UNIQUE_VIOLATION) => None,
            Err(trouble) => return Err(trouble),
        };
        Ok(row.map(|row| row.try_get::<_, i64>(0)).transpose()?.map(|base| base as u64))
    }

    async fn query(&self, sql: Sql, params: &[Param<'_>]) -> Result<Vec<Row>, Trouble> {
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| &**p as _).collect();
        self.shared.settings.statements.query(&self.client, sql, &params).await
    }
}
