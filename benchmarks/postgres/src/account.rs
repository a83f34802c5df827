//! The bank account: what can happen to it, and what it decides.

use serde::{Deserialize, Serialize};

/// With it an event is about 100 bytes of JSON.
pub(crate) const REFERENCE: &str = "standing order 4711-0815 of the first day of each month";

/// With it an event that carries the id of its account is about 100 bytes of JSON.
pub(crate) const SHORT_REFERENCE: &str = "T-4711";

/// What each deposit brings of the accounts that are there from the start.
pub(crate) const FILLED_AMOUNT: i64 = 7;

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum AccountEvent {
    Opened { owner: String, reference: String },
    Deposited { amount: i64, reference: String },
}

impl AccountEvent {
    pub(crate) fn opened() -> Self {
        Self::Opened { owner: "Ada".to_owned(), reference: REFERENCE.to_owned() }
    }

    pub(crate) fn deposited(amount: i64) -> Self {
        Self::Deposited { amount, reference: REFERENCE.to_owned() }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "Opened",
            Self::Deposited { .. } => "Deposited",
        }
    }

    /// What it adds to the balance.
    pub(crate) fn amount(&self) -> i64 {
        match self {
            Self::Opened { .. } => 0,
            Self::Deposited { amount, .. } => *amount,
        }
    }
}

/// What is asked of an account.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AccountCommand {
    Open,
    Deposit { amount: i64 },
}

/// An account as its events make it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) opened: bool,
    pub(crate) balance: i64,
}

impl Account {
    pub(crate) fn apply(&mut self, event: &AccountEvent) {
        self.opened = true;
        self.balance += event.amount();
    }

    pub(crate) fn decide(&self, command: AccountCommand) -> Result<AccountEvent, Refused> {
        match command {
            AccountCommand::Open if self.opened => Err(Refused("the account is open already")),
            AccountCommand::Open => Ok(AccountEvent::opened()),
            AccountCommand::Deposit { amount } => {
                self.may_deposit(amount).map(|()| AccountEvent::deposited(amount))
            }
        }
    }

    pub(crate) fn may_deposit(&self, amount: i64) -> Result<(), Refused> {
        if !self.opened {
            return Err(Refused("the account is not open"));
        }
        if amount <= 0 {
            return Err(Refused("a deposit is more than nothing"));
        }
        Ok(())
    }
}

/// Why an account did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_about_a_hundred_bytes_of_json() {
        for event in [AccountEvent::opened(), AccountEvent::deposited(42)] {
            let bytes = serde_json::to_vec(&event).unwrap().len();
            assert!((90..=115).contains(&bytes), "{bytes}");
        }
    }
}
