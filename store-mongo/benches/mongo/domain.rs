//! The account that both sides write and read.

use cqrs_core::{
    Aggregate, Command, Context, Decide, Decision, Event, EventType, Never, Request, RequestKind,
};
use serde::{Deserialize, Serialize};

/// Accounts that are written to.
pub(crate) const ACCOUNTS: u64 = 1_000;

pub(crate) const NAME: &str = "bank.deposited";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deposited {
    pub(crate) amount: u64,
    pub(crate) note: String,
}

impl Deposited {
    pub(crate) fn some() -> Self {
        Self { amount: 700, note: "a deposit of the bank that is measured here".into() }
    }
}

impl Event for Deposited {
    const TYPES: &'static [EventType] = &[EventType::new(NAME, "Deposited")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

#[derive(Debug, Default)]
pub(crate) struct Account {
    balance: u64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = u64;
    type Event = Deposited;

    fn apply(&mut self, event: &Deposited) {
        self.balance += event.amount;
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deposit {
    pub(crate) account: u64,
}

impl Request for Deposit {
    const NAME: &'static str = "bank.deposit";
    const KIND: RequestKind = RequestKind::Command;
    type Output = u64;
    type Error = Never;
}

impl Command for Deposit {}

impl Decide<Deposit> for Account {
    fn target(command: &Deposit) -> u64 {
        command.account
    }

    fn decide(&self, _: &Deposit, _: &Context<'_>) -> Result<Decision<Deposited, u64>, Never> {
        Ok(Decision::event(Deposited::some()).returning(self.balance))
    }
}
