//! The bank that the tests of the app are about.

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Aggregate, App, AppBuilder, Command, Context, Decide, Decision, Event, EventType, Failure,
    Mediator, MessageId, Metadata, Never, Query, ReadLog, Rejection, Repository, Request,
    RequestKind, Store, Wire, Work,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Opened { owner: String },
    Deposited { amount: u64 },
    Withdrawn { amount: u64 },
}

impl Event for AccountEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new("bank.opened", "Opened"),
        EventType::new("bank.deposited", "Deposited"),
        EventType::new("bank.withdrawn", "Withdrawn"),
    ];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Opened { .. } => &Self::TYPES[0],
            Self::Deposited { .. } => &Self::TYPES[1],
            Self::Withdrawn { .. } => &Self::TYPES[2],
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) balance: u64,
    pub(crate) owner: Option<String>,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { owner } => self.owner = Some(owner.clone()),
            AccountEvent::Deposited { amount } => self.balance += amount,
            AccountEvent::Withdrawn { amount } => self.balance -= amount,
        }
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub(crate) enum BankError {
    #[error("the account exists already")]
    Exists,
    #[error("not enough money")]
    Overdrawn,
}

impl Rejection for BankError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists => "bank.exists",
            Self::Overdrawn => "bank.overdrawn",
        }
    }
}

macro_rules! request {
    ($kind:ident $name:ident { $($field:ident: $type:ty),* } = $wire:literal, $output:ty, $error:ty) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub(crate) struct $name { $(pub(crate) $field: $type),* }

        impl Request for $name {
            const NAME: &'static str = $wire;
            const KIND: RequestKind = RequestKind::$kind;
            type Output = $output;
            type Error = $error;

            fn wire() -> Option<Wire<Self>> {
                Some(Wire::json())
            }

            fn again(&self) -> Option<Self> {
                Some(self.clone())
            }
        }

        impl $kind for $name {}
    };
}

request!(Command Open { account: String, owner: String } = "bank.open", MessageId, BankError);
request!(Command Deposit { account: String, amount: u64 } = "bank.deposit", u64, Never);
request!(Command Transfer { from: String, to: String, amount: u64 } = "bank.transfer", u64, BankError);
request!(Query Balance { account: String } = "bank.balance", u64, Never);
request!(Command Twice { account: String } = "bank.twice", u64, Never);

impl Decide<Open> for Account {
    fn target(command: &Open) -> String {
        command.account.clone()
    }

    fn decide(
        &self,
        command: &Open,
        context: &Context<'_>,
    ) -> Result<Decision<AccountEvent, MessageId>, BankError> {
        if context.exists() {
            return Err(BankError::Exists);
        }
        let opened = AccountEvent::Opened { owner: command.owner.clone() };
        Ok(Decision::event(opened).returning(context.new_id()))
    }
}

impl Decide<Deposit> for Account {
    fn target(command: &Deposit) -> String {
        command.account.clone()
    }

    fn decide(
        &self,
        command: &Deposit,
        _: &Context<'_>,
    ) -> Result<Decision<AccountEvent, u64>, Never> {
        let deposited = AccountEvent::Deposited { amount: command.amount };
        Ok(Decision::event(deposited).returning(self.balance + command.amount))
    }
}

pub(crate) async fn transfer(t: Transfer, work: Work) -> Result<u64, Failure<BankError>> {
    let mut from = work.load::<Account>(&t.from).await?;
    let mut to = work.load::<Account>(&t.to).await?;
    if from.balance < t.amount {
        Err(BankError::Overdrawn)?;
    }
    work.record(&mut from, [AccountEvent::Withdrawn { amount: t.amount }])?;
    work.record(&mut to, [AccountEvent::Deposited { amount: t.amount }])?;
    Ok(from.balance)
}

pub(crate) async fn balance(
    q: Balance,
    accounts: Repository<Account>,
) -> Result<u64, Failure<Never>> {
    Ok(accounts.load(&q.account).await?.balance)
}

pub(crate) async fn twice(c: Twice, app: Mediator) -> Result<u64, Failure<Never>> {
    app.send(Deposit { account: c.account.clone(), amount: 1 }).await?;
    app.send(Deposit { account: c.account, amount: 1 }).await
}

pub(crate) fn bank(store: &MemoryStore) -> AppBuilder {
    App::builder()
        .store(store.clone())
        .decides::<Account, Open>()
        .decides::<Account, Deposit>()
        .handler(transfer)
        .handler(balance)
        .handler(twice)
}

pub(crate) fn deposit(amount: u64) -> Deposit {
    Deposit { account: "a".into(), amount }
}

pub(crate) async fn log(store: &MemoryStore) -> Vec<(String, u64, Metadata)> {
    let mut events = Vec::new();
    let mut pages = store.read_log(ReadLog::after(0));
    while let Some(page) = pages.next().await {
        for event in page.unwrap().iter() {
            events.push((event.stream.into(), event.version, event.metadata().unwrap()));
        }
    }
    events
}
