//! eventcore with eventcore-postgres, as their front pages say.

use async_trait::async_trait;
use eventcore::{
    Command, CommandError, CommandLogic, Event, NewEvents, RetryPolicy, StreamId, execute,
};
use eventcore_postgres::{MaxConnections, PostgresConfig, PostgresEventStore};
use eventcore_types::{BatchSize, EventFilter, EventPage, EventReader, EventStore};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::filling::{self, ACCOUNT};
use crate::account::{Account, FILLED_AMOUNT, Refused, SHORT_REFERENCE};
use crate::contender::{Bank, Client, Connect, Contender, Result, Totals};

/// What its own projections read at once.
const PAGE: usize = 1_000;

pub(crate) struct Eventcore;

#[async_trait]
impl Contender for Eventcore {
    fn name(&self) -> &'static str {
        "eventcore"
    }

    fn note(&self) -> &'static str {
        "eventcore 2.1.0 with eventcore-postgres 2.1.0 (sqlx 0.8), `execute`; replay by \
         `EventReader::read_events` in the pages of 1,000 of its projections"
    }

    async fn create(&self, url: &str) -> Result<()> {
        PostgresEventStore::new(url).await?.migrate().await;
        Ok(())
    }

    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()> {
        let account = StreamId::try_new(ACCOUNT)?;
        let [opened, deposited] = filling::json([
            &BankEvent::opened(account.clone()),
            &BankEvent::deposited(account, FILLED_AMOUNT),
        ])?;
        let statement = include_str!("../sql/eventcore_fill.sql");
        filling::fill(url, statement, [accounts, events], &[&opened, &deposited]).await
    }

    async fn connect(&self, url: &str, connect: Connect) -> Result<Box<dyn Bank>> {
        let connections = connect.pool.try_into()?;
        let max_connections = MaxConnections::new(connections);
        let config = PostgresConfig { max_connections, ..PostgresConfig::default() };
        let store = PostgresEventStore::with_config(url, config).await?;
        Ok(Box::new(EventcoreBank { store }))
    }
}

struct EventcoreBank {
    store: PostgresEventStore,
}

#[async_trait]
impl Bank for EventcoreBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(EventcoreClient { store: self.store.clone() }))
    }

    async fn replay(&self) -> Result<Totals> {
        let mut totals = Totals::default();
        let mut next = Some(EventPage::first(BatchSize::new(PAGE)));
        while let Some(page) = next {
            let events = self.store.read_events::<BankEvent>(EventFilter::all(), page).await?;
            next = page.next_from_results(&events);
            events.iter().for_each(|(event, _)| totals.add(event.amount()));
        }
        Ok(totals)
    }
}

struct EventcoreClient {
    store: PostgresEventStore,
}

#[async_trait]
impl Client for EventcoreClient {
    async fn open(&mut self) -> Result<String> {
        let account = Uuid::now_v7().to_string();
        let account_id = StreamId::try_new(account.as_str())?;
        execute(&self.store, Open { account_id }, RetryPolicy::new()).await?;
        Ok(account)
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        let account_id = StreamId::try_new(account)?;
        execute(&self.store, Deposit { account_id, amount }, RetryPolicy::new()).await?;
        Ok(())
    }

    async fn balance(&mut self, account: &str) -> Result<i64> {
        let account_id = StreamId::try_new(account)?;
        let events = self.store.read_stream::<BankEvent>(account_id).await?;
        Ok(events.map(|event| event.map(|event| event.amount())).try_fold(0, sum).await?)
    }
}

async fn sum(sum: i64, amount: i64) -> std::result::Result<i64, eventcore_types::EventStoreError> {
    Ok(sum + amount)
}

/// Of about 100 bytes, with the id that this library wants in the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum BankEvent {
    Opened { account_id: StreamId, owner: String, reference: String },
    Deposited { account_id: StreamId, amount: i64, reference: String },
}

impl BankEvent {
    fn opened(account_id: StreamId) -> Self {
        Self::Opened { account_id, owner: "Ada".to_owned(), reference: SHORT_REFERENCE.to_owned() }
    }

    fn deposited(account_id: StreamId, amount: i64) -> Self {
        Self::Deposited { account_id, amount, reference: SHORT_REFERENCE.to_owned() }
    }

    fn amount(&self) -> i64 {
        match self {
            Self::Opened { .. } => 0,
            Self::Deposited { amount, .. } => *amount,
        }
    }
}

impl Event for BankEvent {
    fn stream_id(&self) -> &StreamId {
        match self {
            Self::Opened { account_id, .. } | Self::Deposited { account_id, .. } => account_id,
        }
    }

    fn event_type_name() -> &'static str {
        "BankEvent"
    }
}

fn applied(mut account: Account, event: &BankEvent) -> Account {
    account.opened = true;
    account.balance += event.amount();
    account
}

fn refused(refused: Refused) -> CommandError {
    CommandError::BusinessRuleViolation(Box::new(refused))
}

#[derive(Command)]
struct Open {
    #[stream]
    account_id: StreamId,
}

impl CommandLogic for Open {
    type Event = BankEvent;
    type State = Account;

    fn apply(&self, state: Account, event: &BankEvent) -> Account {
        applied(state, event)
    }

    fn handle(&self, state: Account) -> std::result::Result<NewEvents<BankEvent>, CommandError> {
        if state.opened {
            return Err(refused(Refused("the account is open already")));
        }
        Ok(vec![BankEvent::opened(self.account_id.clone())].into())
    }
}

#[derive(Command)]
struct Deposit {
    #[stream]
    account_id: StreamId,
    amount: i64,
}

impl CommandLogic for Deposit {
    type Event = BankEvent;
    type State = Account;

    fn apply(&self, state: Account, event: &BankEvent) -> Account {
        applied(state, event)
    }

    fn handle(&self, state: Account) -> std::result::Result<NewEvents<BankEvent>, CommandError> {
        state.may_deposit(self.amount).map_err(refused)?;
        Ok(vec![BankEvent::deposited(self.account_id.clone(), self.amount)].into())
    }
}
