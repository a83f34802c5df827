//! This suite, on `store-postgres`: by replay, with snapshots, and with the cache.

use std::sync::Arc;

use async_trait::async_trait;
use cqrs_core::{
    Command, Context, Decide, Decision, Metadata, ReadLog, Rejection, Repository, Request,
    RequestKind, Store,
};
use cqrs_derive::{Aggregate, Event};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use store_postgres::PostgresStore;
use uuid::Uuid;

use super::filling;
use crate::account::{Account, AccountCommand, AccountEvent, FILLED_AMOUNT, Refused};
use crate::contender::{Bank, Client, Connect, Contender, Measure, Result, Totals};
use crate::server;

/// Accounts that the cache keeps.
const CACHED: usize = 100_000;

/// How the accounts are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    Replayed,
    FromSnapshots,
    Cached,
}

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Event)]
enum Booked {
    #[event(name = "bank.opened")]
    Opened { owner: String, reference: String },
    #[event(name = "bank.deposited")]
    Deposited { amount: i64, reference: String },
}

impl Booked {
    fn amount(&self) -> i64 {
        match self {
            Self::Opened { .. } => 0,
            Self::Deposited { amount, .. } => *amount,
        }
    }
}

impl From<AccountEvent> for Booked {
    fn from(event: AccountEvent) -> Self {
        match event {
            AccountEvent::Opened { owner, reference } => Self::Opened { owner, reference },
            AccountEvent::Deposited { amount, reference } => Self::Deposited { amount, reference },
        }
    }
}

/// What is asked of an account.
struct Ask {
    account: String,
    /// Nothing opens it.
    amount: Option<i64>,
}

impl Command for Ask {}

impl Request for Ask {
    const NAME: &'static str = "bank.ask";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = No;
}

/// Why it was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct No(String);

impl std::fmt::Display for No {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for No {}

impl Rejection for No {
    fn code(&self) -> &'static str {
        "bank.refused"
    }
}

macro_rules! account {
    ($name:ident, $($storage:tt)*) => {
        #[derive(Debug, Clone, Default, Serialize, Deserialize, Aggregate)]
        #[aggregate(category = "account", id = String, event = Booked $($storage)*)]
        struct $name {
            opened: bool,
            balance: i64,
        }

        impl $name {
            fn on(&mut self, event: &Booked) {
                self.opened = true;
                self.balance += event.amount();
            }
        }

        impl Decide<Ask> for $name {
            fn target(command: &Ask) -> String {
                command.account.clone()
            }

            fn decide(&self, command: &Ask, _: &Context<'_>) -> std::result::Result<Decision<Booked>, No> {
                let account = Account { opened: self.opened, balance: self.balance };
                let event = decide(&account, command.amount).map_err(|Refused(why)| No(why.to_owned()))?;
                Ok(Decision::event(event.into()))
            }
        }
    };
}

account!(Folded,);
account!(Snapped, , snapshot(every = 20));

fn decide(account: &Account, amount: Option<i64>) -> std::result::Result<AccountEvent, Refused> {
    account.decide(amount.map_or(AccountCommand::Open, |amount| AccountCommand::Deposit { amount }))
}

#[async_trait]
impl Contender for Suite {
    fn name(&self) -> &'static str {
        match self {
            Self::Replayed => "this suite: by replay",
            Self::FromSnapshots => "this suite: with snapshots",
            Self::Cached => "this suite: with the cache",
        }
    }

    fn note(&self) -> &'static str {
        match self {
            Self::Replayed => "store-postgres; `Repository::execute`, the default",
            Self::FromSnapshots => "as before; `Storage::snapshots(20)`",
            Self::Cached => "as before; `Repository::cached(100_000)`",
        }
    }

    fn floor(&self) -> Option<&'static str> {
        Some(match self {
            Self::Replayed | Self::FromSnapshots => "floor: group load + group commit",
            Self::Cached => "floor: group commit, known versions",
        })
    }

    fn takes_part(&self, measure: Measure) -> bool {
        measure != Measure::Replay || *self == Self::Replayed
    }

    async fn create(&self, url: &str) -> Result<()> {
        PostgresStore::connect(url).await?.close().await;
        Ok(())
    }

    async fn fill(&self, url: &str, accounts: i32, events: i32) -> Result<()> {
        let opened = AccountEvent::opened();
        let deposited = AccountEvent::deposited(FILLED_AMOUNT);
        let body = |event: &AccountEvent| -> Result<String> {
            // Without the tag, which is the type of the event.
            let tagged = serde_json::to_value(event)?;
            let body = tagged.as_object().and_then(|tagged| tagged.values().next());
            Ok(serde_json::to_string(&body)?)
        };
        let statement = include_str!("../sql/suite_fill.sql");
        let bodies = [body(&opened)?, body(&deposited)?];
        filling::fill(url, statement, [accounts, events], &[&bodies[0], &bodies[1]]).await?;
        let client = server::connect(url).await?;
        client
            .batch_execute("SELECT setval('cqrs.positions', max(position)) FROM cqrs.events")
            .await?;
        Ok(())
    }

    async fn connect(&self, url: &str, _: Connect) -> Result<Box<dyn Bank>> {
        let store: Arc<dyn Store> = Arc::new(PostgresStore::connect(url).await?);
        Ok(match self {
            Self::Replayed => Box::new(SuiteBank::<Folded>::new(store, None)),
            Self::FromSnapshots => Box::new(SuiteBank::<Snapped>::new(store, None)),
            Self::Cached => Box::new(SuiteBank::<Folded>::new(store, Some(CACHED))),
        })
    }
}

/// An account of either kind.
trait Balance: Decide<Ask, Id = String> {
    fn balance(&self) -> i64;
}

impl Balance for Folded {
    fn balance(&self) -> i64 {
        self.balance
    }
}

impl Balance for Snapped {
    fn balance(&self) -> i64 {
        self.balance
    }
}

struct SuiteBank<A: Balance> {
    store: Arc<dyn Store>,
    accounts: Repository<A>,
}

impl<A: Balance> SuiteBank<A> {
    fn new(store: Arc<dyn Store>, cached: Option<usize>) -> Self {
        let accounts = Repository::new(store.clone());
        let accounts = match cached {
            Some(cached) => accounts.cached(cached),
            None => accounts,
        };
        Self { store, accounts }
    }
}

#[async_trait]
impl<A: Balance> Bank for SuiteBank<A> {
    async fn client(&self) -> Result<Box<dyn Client>> {
        Ok(Box::new(SuiteClient(self.accounts.clone())))
    }

    async fn replay(&self) -> Result<Totals> {
        let mut pages = self.store.read_log(ReadLog::after(0));
        let mut totals = Totals::default();
        while let Some(page) = pages.next().await {
            let page = page?;
            for event in page.iter() {
                let event = event.decode::<Booked>()?.ok_or("an event of another kind")?;
                let metadata = event.metadata()?;
                std::hint::black_box((&event, &metadata));
                totals.add(event.data.amount());
            }
        }
        Ok(totals)
    }
}

struct SuiteClient<A: Balance>(Repository<A>);

impl<A: Balance> SuiteClient<A> {
    async fn ask(&self, account: &str, amount: Option<i64>) -> Result<()> {
        let ask = Ask { account: account.to_owned(), amount };
        self.0.execute(&ask, &Metadata::default()).await?;
        Ok(())
    }
}

#[async_trait]
impl<A: Balance> Client for SuiteClient<A> {
    async fn open(&mut self) -> Result<String> {
        let account = Uuid::now_v7().to_string();
        self.ask(&account, None).await?;
        Ok(account)
    }

    async fn deposit(&mut self, account: &str, amount: i64) -> Result<()> {
        self.ask(account, Some(amount)).await
    }

    async fn balance(&mut self, account: &str) -> Result<i64> {
        Ok(self.0.load(&account.to_owned()).await?.balance())
    }
}
