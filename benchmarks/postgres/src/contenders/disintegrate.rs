//! disintegrate with disintegrate-postgres, as their front page says.

use std::sync::Arc;

use async_trait::async_trait;
use disintegrate::serde::json::Json;
use disintegrate::{
    Decision, Event, EventStore, LoadState, NoSnapshot, StateMutate, StateQuery, StreamItem, query,
};
use disintegrate_postgres::{PgDecisionMaker, PgEventId, PgEventStore, decision_maker};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::filling::{self, ACCOUNT};
use crate::account::{Account, FILLED_AMOUNT, Refused, SHORT_REFERENCE};
use crate::contender::{Bank, Client, Connect, Contender, Result, Totals};
use crate::server;

pub(crate) struct Disintegrate;

#[async_trait]
impl Contender for Disintegrate {
    fn name(&self) -> &'static str {
        "disintegrate"
    }

    fn note(&self) -> &'static str {
        "disintegrate 4.0.0 with disintegrate-postgres 4.0.1 (sqlx 0.8), JSON, `NoSnapshot`; its \
         transactions are serializable and its reads end before the oldest append in flight: a \
         command that fails for either is given again at once; \
         replay by `EventStore::stream`; its own set-up needs PostgreSQL 16, so its tables are made by \
         hand with one literal changed"
    }

    async fn create(&self, url: &str) -> Result<()> {
        let client = server::connect(url).await?;
        Ok(client.batch_execute(include_str!("../sql/disintegrate_create.sql")).await?)
    }

    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()> {
        let account = ACCOUNT.to_owned();
        let [opened, deposited] = filling::json([
            &BankEvent::opened(account.clone()),
            &BankEvent::deposited(account, FILLED_AMOUNT),
        ])?;
        let statement = include_str!("../sql/disintegrate_fill.sql");
        filling::fill(url, statement, [accounts, events], &[&opened, &deposited]).await
    }

    async fn connect(&self, url: &str, connect: Connect) -> Result<Box<dyn Bank>> {
        let pool = PgPoolOptions::new().max_connections(connect.pool).connect(url).await?;
        let store = PgEventStore::new_uninitialized(pool, Json::default());
        let maker = Arc::new(decision_maker(store.clone(), NoSnapshot));
        Ok(Box::new(DisintegrateBank { store, maker }))
    }
}

type Store = PgEventStore<BankEvent, Json<BankEvent>>;
type Maker = PgDecisionMaker<BankEvent, Json<BankEvent>, NoSnapshot>;

struct DisintegrateBank {
    store: Store,
    maker: Arc<Maker>,
}

#[async_trait]
impl Bank for DisintegrateBank {
    async fn client(&self) -> Result<Box<dyn Client>> {
        let (store, maker) = (self.store.clone(), Arc::clone(&self.maker));
        Ok(Box::new(DisintegrateClient { store, maker, repeats: 0 }))
    }

    async fn replay(&self) -> Result<Totals> {
        let all = query!(BankEvent);
        let mut events = self.store.stream::<BankEvent>(&all);
        let mut totals = Totals::default();
        while let Some(item) = events.try_next().await? {
            if let StreamItem::Event(event) = item {
                totals.add(event.into_inner().amount());
            }
        }
        Ok(totals)
    }
}

struct DisintegrateClient {
    store: Store,
    maker: Arc<Maker>,
    repeats: u64,
}

impl DisintegrateClient {
    /// Until no other commit is in the way, which is the user's business here.
    async fn make<D>(&mut self, decision: D) -> Result<()>
    where
        D: Decision<StateQuery = AccountState, Event = BankEvent, Error = Refused> + Clone,
    {
        loop {
            match self.maker.make(decision.clone()).await {
                Ok(_) => return Ok(()),
                Err(disintegrate::DecisionError::StateStore(error)) if in_the_way(&*error) => {
                    self.repeats += 1;
                }
                // It reads no further than the oldest append in flight, so that for a while a client
                // may not see what it has stored itself.
                Err(disintegrate::DecisionError::Domain(UNSEEN)) => self.repeats += 1,
                Err(error) => return Err(error.to_string().into()),
            }
        }
    }
}

/// What a client hears whose account is open, but cannot be seen yet.
const UNSEEN: Refused = Refused("the account is not open");

/// Whether the transaction failed only because it was not alone.
fn in_the_way(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    match error.downcast_ref::<disintegrate_postgres::Error>() {
        Some(disintegrate_postgres::Error::Concurrency) => true,
        Some(disintegrate_postgres::Error::Database(sqlx::Error::Database(error))) => {
            matches!(error.code().as_deref(), Some("40001" | "40P01"))
        }
        _ => false,
    }
}

#[async_trait]
impl Client for DisintegrateClient {
    async fn open(&mut self) -> Result<String> {
        let account = Uuid::now_v7().to_string();
        self.make(Open { account: account.clone() }).await?;
        Ok(account)
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        self.make(Deposit { account: account.to_owned(), amount }).await
    }

    async fn balance(&mut self, account: &str) -> Result<i64> {
        let states = disintegrate::EventSourcedStateStore::<PgEventId, _, _, _>::new(
            self.store.clone(),
            NoSnapshot,
        );
        let loaded = states.load(AccountState::of(account)).await?;
        Ok(loaded.state().account.balance)
    }

    fn repeats(&self) -> u64 {
        self.repeats
    }
}

/// Of about 100 bytes, with the id that this library wants in the event.
#[derive(Debug, Clone, PartialEq, Eq, Event, Serialize, Deserialize)]
enum BankEvent {
    Opened {
        #[id]
        account_id: String,
        owner: String,
        reference: String,
    },
    Deposited {
        #[id]
        account_id: String,
        amount: i64,
        reference: String,
    },
}

impl BankEvent {
    fn opened(account_id: String) -> Self {
        Self::Opened { account_id, owner: "Ada".to_owned(), reference: SHORT_REFERENCE.to_owned() }
    }

    fn deposited(account_id: String, amount: i64) -> Self {
        Self::Deposited { account_id, amount, reference: SHORT_REFERENCE.to_owned() }
    }

    fn amount(&self) -> i64 {
        match self {
            Self::Opened { .. } => 0,
            Self::Deposited { amount, .. } => *amount,
        }
    }
}

#[derive(Debug, Clone, Default, StateQuery, Serialize, Deserialize)]
#[state_query(BankEvent)]
struct AccountState {
    #[id]
    account_id: String,
    account: Account,
}

impl AccountState {
    fn of(account: &str) -> Self {
        Self { account_id: account.to_owned(), account: Account::default() }
    }
}

impl StateMutate for AccountState {
    fn mutate(&mut self, event: BankEvent) {
        self.account.opened = true;
        self.account.balance += event.amount();
    }
}

#[derive(Clone)]
struct Open {
    account: String,
}

impl Decision for Open {
    type Event = BankEvent;
    type StateQuery = AccountState;
    type Error = Refused;

    fn state_query(&self) -> AccountState {
        AccountState::of(&self.account)
    }

    fn process(&self, state: &AccountState) -> std::result::Result<Vec<BankEvent>, Refused> {
        if state.account.opened {
            return Err(Refused("the account is open already"));
        }
        Ok(vec![BankEvent::opened(self.account.clone())])
    }
}

#[derive(Clone)]
struct Deposit {
    account: String,
    amount: i64,
}

impl Decision for Deposit {
    type Event = BankEvent;
    type StateQuery = AccountState;
    type Error = Refused;

    fn state_query(&self) -> AccountState {
        AccountState::of(&self.account)
    }

    fn process(&self, state: &AccountState) -> std::result::Result<Vec<BankEvent>, Refused> {
        state.account.may_deposit(self.amount)?;
        Ok(vec![BankEvent::deposited(self.account.clone(), self.amount)])
    }
}
