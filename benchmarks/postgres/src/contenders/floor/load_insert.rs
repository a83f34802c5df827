//! Two statements for a command: load the stream, insert the next event.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio_postgres::types::Json;
use tokio_postgres::{Client as Connection, Statement};
use uuid::Uuid;

use super::tables::{self, Loaded};
use crate::account::AccountCommand;
use crate::contender::{Bank, Client, Connect, Contender, Measure, Result, Totals};
use crate::server;

/// More connections than this bring nothing on two cores: clients share them, in turns on the wire.
const MOST_CONNECTIONS: usize = 64;

pub(crate) struct LoadInsert;

#[async_trait]
impl Contender for LoadInsert {
    fn name(&self) -> &'static str {
        "floor: load + insert"
    }

    fn note(&self) -> &'static str {
        "tokio-postgres; select the events of the stream, insert the next one under its version; a \
         connection for each client up to 64, beyond that shared"
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

    async fn connect(&self, url: &str, connect: Connect) -> Result<Box<dyn Bank>> {
        let mut lines = Vec::new();
        for _ in 0..connect.clients.min(MOST_CONNECTIONS) {
            lines.push(Line::to(url).await?);
        }
        Ok(Box::new(LoadInsertBank { lines, next: AtomicUsize::new(0) }))
    }
}

struct LoadInsertBank {
    lines: Vec<Line>,
    next: AtomicUsize,
}

#[async_trait]
impl Bank for LoadInsertBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.lines.len();
        Ok(Box::new(self.lines[next].clone()))
    }

    async fn replay(&self) -> Result<Totals> {
        tables::replay(&self.lines[0].connection).await
    }
}

/// A connection with its statements.
#[derive(Clone)]
struct Line {
    connection: Arc<Connection>,
    load: Statement,
    insert: Statement,
}

impl Line {
    async fn to(url: &str) -> Result<Self> {
        let connection = server::connect(url).await?;
        let load = connection.prepare(include_str!("../../sql/floor_load.sql")).await?;
        let insert = connection.prepare(include_str!("../../sql/floor_insert.sql")).await?;
        Ok(Self { connection: Arc::new(connection), load, insert })
    }

    async fn load(&self, account: &str) -> Result<Loaded> {
        tables::loaded(&self.connection.query(&self.load, &[&account]).await?)
    }

    async fn give(&self, account: &str, command: AccountCommand) -> Result<()> {
        let Loaded { account: state, version } = self.load(account).await?;
        let event = state.decide(command)?;
        let (version, name, id, event) = (version + 1, event.name(), Uuid::now_v7(), Json(&event));
        self.connection.execute(&self.insert, &[&account, &version, &name, &id, &event]).await?;
        Ok(())
    }
}

#[async_trait]
impl Client for Line {
    async fn open(&mut self) -> Result<String> {
        let account = Uuid::now_v7().to_string();
        self.give(&account, AccountCommand::Open).await?;
        Ok(account)
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        self.give(account, AccountCommand::Deposit { amount }).await
    }

    async fn balance(&mut self, account: &str) -> Result<i64> {
        Ok(self.load(account).await?.account.balance)
    }
}
