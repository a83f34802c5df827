//! evento on PostgreSQL, as its front page says.

use std::sync::Arc;

use async_trait::async_trait;
use evento::cursor::Args;
use evento::metadata::Event;
use evento::migrator::{Migrate, Plan};
use evento::{
    EventFilter, Executor, Postgres, Projection, ProjectionAggregate, RoutingKey, TenantFilter,
};
use sqlx_0_9::postgres::PgPoolOptions;

use super::filling;
use crate::account::{FILLED_AMOUNT, REFERENCE, Refused};
use crate::contender::{Bank, Client, Connect, Contender, Result, Totals};

/// How many events one read brings. Its subscriptions take 300; but each read walks the index from
/// the start, so that this is kind to it.
const PAGE: u16 = 10_000;

pub(crate) struct Evento;

#[async_trait]
impl Contender for Evento {
    fn name(&self) -> &'static str {
        "evento"
    }

    fn note(&self) -> &'static str {
        "evento 2.0.0-alpha.38 (sqlx 0.9; the newest, and what its front page tells to pin; 1.8.0 is \
         the newest without `alpha`), `snapshot(none)`; its events are bitcode, not JSON; replay by \
         `Executor::read` in pages of 10,000"
    }

    async fn create(&self, url: &str) -> Result<()> {
        let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
        let mut connection = pool.acquire().await?;
        let migrator = evento::sql_migrator::new::<sqlx_0_9::Postgres>()?;
        migrator.run(&mut *connection, &Plan::apply_all()).await?;
        Ok(())
    }

    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()> {
        let opened = bitcode::encode(&opened());
        let deposited = bitcode::encode(&deposited(FILLED_AMOUNT));
        let metadata = bitcode::encode(&evento::metadata::Metadata::default());
        let statement = include_str!("../sql/evento_fill.sql");
        let more: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&opened, &deposited, &metadata];
        filling::fill(url, statement, [accounts, events], &more).await
    }

    async fn connect(&self, url: &str, connect: Connect) -> Result<Box<dyn Bank>> {
        let pool = PgPoolOptions::new().max_connections(connect.pool).connect(url).await?;
        Ok(Box::new(EventoBank { executor: pool.into() }))
    }
}

struct EventoBank {
    executor: Postgres,
}

#[async_trait]
impl Bank for EventoBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(EventoClient { executor: self.executor.clone() }))
    }

    async fn replay(&self) -> Result<Totals> {
        let of_accounts: Arc<[EventFilter]> = [EventFilter::by_type::<Account>()].into();
        let mut totals = Totals::default();
        let mut after = None;
        loop {
            let page = Args::forward(PAGE, after);
            let of_accounts = Some(Arc::clone(&of_accounts));
            let no_key = Some(RoutingKey::Value(None));
            let read =
                self.executor.read(of_accounts, no_key, TenantFilter::All, page, None).await?;
            for edge in &read.edges {
                totals.add(match AccountEvent::try_from(&edge.node)? {
                    AccountEvent::Opened(_) => 0,
                    AccountEvent::Deposited(deposited) => deposited.amount,
                });
            }
            if !read.page_info.has_next_page {
                return Ok(totals);
            }
            after = read.page_info.end_cursor;
        }
    }
}

struct EventoClient {
    executor: Postgres,
}

impl EventoClient {
    async fn load(&self, account: &str) -> Result<AccountRow> {
        let row = accounts().load(account).execute(&self.executor).await?;
        row.ok_or_else(|| format!("there is no account {account}").into())
    }
}

#[async_trait]
impl Client for EventoClient {
    async fn open(&mut self) -> Result<String> {
        Ok(evento::create().event(&opened()).commit(&self.executor).await?)
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        let row = self.load(account).await?;
        if amount <= 0 {
            return Err(Refused("a deposit is more than nothing").into());
        }
        row.write()?.event(&deposited(amount)).commit(&self.executor).await?;
        Ok(())
    }

    async fn balance(&mut self, account: &str) -> Result<i64> {
        Ok(self.load(account).await?.balance)
    }
}

#[evento::aggregate(name = "bank/Account")]
pub enum Account {
    Opened { owner: String, reference: String },
    Deposited { amount: i64, reference: String },
}

fn opened() -> Opened {
    Opened { owner: "Ada".to_owned(), reference: REFERENCE.to_owned() }
}

fn deposited(amount: i64) -> Deposited {
    Deposited { amount, reference: REFERENCE.to_owned() }
}

/// Always replayed from its first event.
#[evento::projection(id = id)]
#[evento::snapshot(none)]
pub struct AccountRow {
    pub id: String,
    pub balance: i64,
}

#[evento::handler]
async fn on_opened(event: Event<Opened>, row: &mut AccountRow) -> anyhow::Result<()> {
    row.id = event.aggregate_id.to_owned();
    Ok(())
}

#[evento::handler]
async fn on_deposited(event: Event<Deposited>, row: &mut AccountRow) -> anyhow::Result<()> {
    row.balance += event.data.amount;
    Ok(())
}

fn accounts<E: Executor>() -> Projection<E, AccountRow> {
    Projection::new::<Account>().handler(on_opened()).handler(on_deposited()).strict()
}
