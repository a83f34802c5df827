//! The account that both sides write and read.

use cqrs_core::{Aggregate, Event, EventType};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Movement {
    pub(crate) account: String,
    pub(crate) amount: u64,
    pub(crate) note: String,
}

impl Movement {
    pub(crate) fn nth(n: usize) -> Self {
        let note = format!("for the {n}th time, with some more words in it");
        Self { account: format!("account-{n}"), amount: n as u64 * 7 % 1000, note }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Opened(Movement),
    Deposited(Movement),
    Withdrawn(Movement),
}

pub(crate) const NAMES: [&str; 3] = ["bank.opened", "bank.deposited", "bank.withdrawn"];

impl Event for AccountEvent {
    const TYPES: &'static [EventType] = &[
        EventType::new(NAMES[0], "Opened"),
        EventType::new(NAMES[1], "Deposited"),
        EventType::new(NAMES[2], "Withdrawn"),
    ];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Opened(_) => &Self::TYPES[0],
            Self::Deposited(_) => &Self::TYPES[1],
            Self::Withdrawn(_) => &Self::TYPES[2],
        }
    }
}

impl AccountEvent {
    pub(crate) fn nth(n: usize) -> Self {
        let movement = Movement::nth(n);
        match n % 3 {
            0 => Self::Opened(movement),
            1 => Self::Deposited(movement),
            _ => Self::Withdrawn(movement),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) balance: i64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = u64;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened(_) => {}
            AccountEvent::Deposited(m) => self.balance += m.amount as i64,
            AccountEvent::Withdrawn(m) => self.balance -= m.amount as i64,
        }
    }
}
