//! One statement for many commands: what a cache of accounts leaves to be done.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Client as Connection;
use uuid::Uuid;

use super::group::{Append, Commit, Grouping, Load, Work as _, connections};
use super::tables::{self, Loaded};
use crate::account::AccountCommand;
use crate::contender::{Bank, Client, Connect, Contender, Measure, Result, Totals};

/// Groups in flight at once.
const COMMITS: usize = 1;

pub(crate) struct KnownVersions;

#[async_trait]
impl Contender for KnownVersions {
    fn name(&self) -> &'static str {
        "floor: group commit, known versions"
    }

    fn note(&self) -> &'static str {
        "tokio-postgres; the client still has its account, so that nothing is loaded"
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
        let connections = connections(url, COMMITS).await?;
        let mut commits = Vec::new();
        for connection in &connections {
            commits.push(Commit::over(connection).await?);
        }
        let connection = Arc::clone(&connections[0]);
        Ok(Box::new(KnownVersionsBank { connection, commit: Grouping::among(commits) }))
    }
}

struct KnownVersionsBank {
    connection: Arc<Connection>,
    commit: Grouping<Commit>,
}

#[async_trait]
impl Bank for KnownVersionsBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        let connection = Arc::clone(&self.connection);
        let (commit, known) = (self.commit.clone(), Loaded::default());
        Ok(Box::new(KnownVersionsClient { connection, commit, known }))
    }

    async fn replay(&self) -> Result<Totals> {
        tables::replay(&self.connection).await
    }
}

struct KnownVersionsClient {
    connection: Arc<Connection>,
    commit: Grouping<Commit>,
    /// The account that was opened last.
    known: Loaded,
}

impl KnownVersionsClient {
    async fn give(&mut self, account: &str, command: AccountCommand) -> Result<()> {
        let event = self.known.account.decide(command)?;
        let (stream, version) = (account.to_owned(), self.known.version + 1);
        self.commit.ask(Append { stream, version, event: event.clone() }).await?;
        self.known.account.apply(&event);
        self.known.version = version;
        Ok(())
    }
}

#[async_trait]
impl Client for KnownVersionsClient {
    async fn open(&mut self) -> Result<String> {
        self.known = Loaded::default();
        let account = Uuid::now_v7().to_string();
        self.give(&account, AccountCommand::Open).await?;
        Ok(account)
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        self.give(account, AccountCommand::Deposit { amount }).await
    }

    /// By replay: it is the check of what is known.
    async fn balance(&mut self, account: &str) -> Result<i64> {
        let load = Load::over(&self.connection).await?;
        let mut answers = load.together(&[account.to_owned()]).await;
        Ok(answers.remove(0)?.loaded()?.account.balance)
    }
}
