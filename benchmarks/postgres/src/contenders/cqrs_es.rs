//! cqrs-es with postgres-es, as the front pages of both say.

use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventStore, QueryReplay};
use cqrs_es::{Aggregate, DomainEvent, EventEnvelope, EventStore, Query};
use postgres_es::{PostgresCqrs, PostgresEventRepository, postgres_cqrs};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use uuid::Uuid;

use super::filling;
use crate::account::{Account, AccountCommand, AccountEvent, FILLED_AMOUNT, Refused};
use crate::contender::{Bank, Client, Connect, Contender, Result, Totals};
use crate::server;

pub(crate) struct CqrsEs;

#[async_trait]
impl Contender for CqrsEs {
    fn name(&self) -> &'static str {
        "cqrs-es"
    }

    fn note(&self) -> &'static str {
        "cqrs-es 0.5.0 with postgres-es 0.5.0 (sqlx 0.8), `postgres_cqrs` without queries; replay by \
         `QueryReplay::replay_all`"
    }

    async fn create(&self, url: &str) -> Result<()> {
        let client = server::connect(url).await?;
        Ok(client.batch_execute(include_str!("../sql/cqrs_es_create.sql")).await?)
    }

    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()> {
        let [opened, deposited] =
            filling::json([&AccountEvent::opened(), &AccountEvent::deposited(FILLED_AMOUNT)])?;
        let statement = include_str!("../sql/cqrs_es_fill.sql");
        filling::fill(url, statement, [accounts, events], &[&opened, &deposited]).await
    }

    async fn connect(&self, url: &str, connect: Connect) -> Result<Box<dyn Bank>> {
        // As `default_postgress_pool`, which has ten connections.
        let pool = PgPoolOptions::new().max_connections(connect.pool).connect(url).await?;
        let cqrs = Arc::new(postgres_cqrs(pool.clone(), Vec::new(), ()));
        Ok(Box::new(CqrsEsBank { pool, cqrs }))
    }
}

struct CqrsEsBank {
    pool: PgPool,
    cqrs: Arc<PostgresCqrs<Account>>,
}

#[async_trait]
impl Bank for CqrsEsBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        let repository = PostgresEventRepository::new(self.pool.clone());
        let store = PersistedEventStore::new_event_store(repository);
        Ok(Box::new(CqrsEsClient { cqrs: Arc::clone(&self.cqrs), store }))
    }

    async fn replay(&self) -> Result<Totals> {
        let counted = Counted::default();
        let repository = PostgresEventRepository::new(self.pool.clone());
        QueryReplay::<_, _, Account>::new(repository, counted.clone()).replay_all().await?;
        Ok(Totals {
            events: counted.0.events.load(Ordering::Relaxed),
            balance: counted.0.balance.load(Ordering::Relaxed),
        })
    }
}

struct CqrsEsClient {
    cqrs: Arc<PostgresCqrs<Account>>,
    store: PersistedEventStore<PostgresEventRepository, Account>,
}

#[async_trait]
impl Client for CqrsEsClient {
    async fn open(&mut self) -> Result<String> {
        let account = Uuid::now_v7().to_string();
        self.cqrs.execute(&account, AccountCommand::Open).await?;
        Ok(account)
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        Ok(self.cqrs.execute(account, AccountCommand::Deposit { amount }).await?)
    }

    async fn balance(&mut self, account: &str) -> Result<i64> {
        let context = self.store.load_aggregate(account).await?;
        Ok(context.aggregate.balance)
    }
}

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Error = Refused;
    type Services = ();

    async fn handle(
        &mut self,
        command: AccountCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> std::result::Result<(), Refused> {
        let event = self.decide(command)?;
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, event: AccountEvent) {
        Self::apply(self, &event);
    }
}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

#[derive(Default)]
struct Sums {
    events: AtomicU64,
    balance: AtomicI64,
}

#[derive(Clone, Default)]
struct Counted(Arc<Sums>);

#[async_trait]
impl Query<Account> for Counted {
    async fn dispatch(&self, _account: &str, events: &[EventEnvelope<Account>]) {
        for event in events {
            self.0.events.fetch_add(1, Ordering::Relaxed);
            self.0.balance.fetch_add(event.payload.amount(), Ordering::Relaxed);
        }
    }
}
