//! Two statements for many commands: one loads their streams, one inserts their events.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Client as Connection;
use uuid::Uuid;

use super::group::{Append, Commit, Grouping, Load, connections};
use super::tables;
use crate::account::AccountCommand;
use crate::contender::{Bank, Client, Connect, Contender, Measure, Result, Totals};

/// Groups of each kind in flight at once: with two of them the groups are half as large, and the
/// flushes to disk twice as many.
const LOADS: usize = 1;
const COMMITS: usize = 1;

pub(crate) struct Grouped;

#[async_trait]
impl Contender for Grouped {
    fn name(&self) -> &'static str {
        "floor: group load + group commit"
    }

    fn note(&self) -> &'static str {
        "tokio-postgres; what arrives while the last group is in flight is the next group: one \
         statement loads the streams of many, one inserts the events of many, a verdict each"
    }

    fn takes_part(&self, measure: Measure) -> bool {
        measure != Measure::Replay
    }

    async fn create(&self, url: &str) -> Result<()> {
        tables::create(url).await
    }

    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()> {
        tables::fill(url, accounts, events).await
    }

    async fn connect(&self, url: &str, _connect: Connect) -> Result<Box<dyn Bank>> {
        let (mut loads, mut commits) = (Vec::new(), Vec::new());
        let connections = connections(url, LOADS + COMMITS).await?;
        for connection in &connections[..LOADS] {
            loads.push(Load::over(connection).await?);
        }
        for connection in &connections[LOADS..] {
            commits.push(Commit::over(connection).await?);
        }
        let (load, commit) = (Grouping::among(loads), Grouping::among(commits));
        Ok(Box::new(GroupedBank { connection: Arc::clone(&connections[0]), load, commit }))
    }
}

struct GroupedBank {
    connection: Arc<Connection>,
    load: Grouping<Load>,
    commit: Grouping<Commit>,
}

#[async_trait]
impl Bank for GroupedBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(GroupedClient { load: self.load.clone(), commit: self.commit.clone() }))
    }

    async fn replay(&self) -> Result<Totals> {
        tables::replay(&self.connection).await
    }
}

struct GroupedClient {
    load: Grouping<Load>,
    commit: Grouping<Commit>,
}

impl GroupedClient {
    async fn give(&self, account: &str, command: AccountCommand) -> Result<()> {
        let loaded = self.load.ask(account.to_owned()).await?.loaded()?;
        let event = loaded.account.decide(command)?;
        let (stream, version) = (account.to_owned(), loaded.version + 1);
        self.commit.ask(Append { stream, version, event }).await
    }
}

#[async_trait]
impl Client for GroupedClient {
    async fn open(&mut self) -> Result<String> {
        let account = Uuid::now_v7().to_string();
        self.give(&account, AccountCommand::Open).await?;
        Ok(account)
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        self.give(account, AccountCommand::Deposit { amount }).await
    }

    async fn balance(&mut self, account: &str) -> Result<i64> {
        Ok(self.load.ask(account.to_owned()).await?.loaded()?.account.balance)
    }
}
