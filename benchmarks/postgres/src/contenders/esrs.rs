//! esrs, as its front page says.

use std::sync::Arc;

use async_trait::async_trait;
use esrs::manager::AggregateManager;
use esrs::store::postgres::{PgStore, PgStoreBuilder};
use esrs::{Aggregate, AggregateState};
use futures_util::TryStreamExt;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::filling;
use crate::account::{Account, AccountCommand, AccountEvent, FILLED_AMOUNT, Refused};
use crate::contender::{Bank, Client, Connect, Contender, Result, Totals};

pub(crate) struct Esrs;

#[async_trait]
impl Contender for Esrs {
    fn name(&self) -> &'static str {
        "esrs"
    }

    fn note(&self) -> &'static str {
        "esrs 0.18.0 (sqlx 0.8), `AggregateManager` with optimistic locks and without handlers; \
         replay by `PgStore::stream_events`"
    }

    async fn create(&self, url: &str) -> Result<()> {
        let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
        PgStoreBuilder::<AccountAggregate>::new(pool).try_build().await?;
        Ok(())
    }

    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()> {
        let [opened, deposited] =
            filling::json([&AccountEvent::opened(), &AccountEvent::deposited(FILLED_AMOUNT)])?;
        let statement = include_str!("../sql/esrs_fill.sql");
        filling::fill(url, statement, [accounts, events], &[&opened, &deposited]).await
    }

    async fn connect(&self, url: &str, connect: Connect) -> Result<Box<dyn Bank>> {
        let pool = PgPoolOptions::new().max_connections(connect.pool).connect(url).await?;
        let builder = PgStoreBuilder::new(pool.clone()).without_running_migrations();
        let store = builder.try_build().await?;
        let manager = Arc::new(AggregateManager::new(store.clone()));
        Ok(Box::new(EsrsBank { pool, store, manager }))
    }
}

type Store = PgStore<AccountAggregate>;

struct EsrsBank {
    pool: PgPool,
    store: Store,
    manager: Arc<AggregateManager<Store>>,
}

#[async_trait]
impl Bank for EsrsBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(EsrsClient { manager: Arc::clone(&self.manager) }))
    }

    async fn replay(&self) -> Result<Totals> {
        let mut events = self.store.stream_events(&self.pool);
        let mut totals = Totals::default();
        while let Some(event) = events.try_next().await? {
            totals.add(event.payload.amount());
        }
        Ok(totals)
    }
}

struct EsrsClient {
    manager: Arc<AggregateManager<Store>>,
}

impl EsrsClient {
    async fn load(&self, account: &str) -> Result<AggregateState<Account>> {
        let loaded = self.manager.load(account.parse::<Uuid>()?).await?;
        loaded.ok_or_else(|| format!("there is no account {account}").into())
    }
}

#[async_trait]
impl Client for EsrsClient {
    async fn open(&mut self) -> Result<String> {
        let account = Uuid::now_v7();
        let state = AggregateState::with_id(account);
        self.manager.handle_command(state, AccountCommand::Open).await??;
        Ok(account.to_string())
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        let state = self.load(account).await?;
        self.manager.handle_command(state, AccountCommand::Deposit { amount }).await??;
        Ok(())
    }

    async fn balance(&mut self, account: &str) -> Result<i64> {
        Ok(self.load(account).await?.inner().balance)
    }
}

struct AccountAggregate;

impl Aggregate for AccountAggregate {
    const NAME: &'static str = "account";
    type State = Account;
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Error = Refused;

    fn handle_command(
        state: &Account,
        command: AccountCommand,
    ) -> std::result::Result<Vec<AccountEvent>, Refused> {
        state.decide(command).map(|event| vec![event])
    }

    fn apply_event(mut state: Account, event: AccountEvent) -> Account {
        state.apply(&event);
        state
    }
}
