//! JSON Schemas in the manifest.

use cqrs_core::memory::MemoryStore;
use cqrs_core::{Aggregate, App, Context, Decide, Decision, Never};
use cqrs_derive::{Aggregate, Command, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, JsonSchema, Command)]
#[command(name = "bank.deposit", schema)]
struct Deposit {
    account: String,
    amount: u32,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(schema)]
enum AccountEvent {
    #[event(name = "bank.deposited")]
    Deposited { amount: u32 },
    #[event(name = "bank.closed")]
    Closed,
}

#[derive(Default, Aggregate)]
#[aggregate(category = "account", id = String, event = AccountEvent)]
struct Account {
    balance: u32,
    open: bool,
}

impl Account {
    fn on(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { amount } => self.balance += amount,
            AccountEvent::Closed => self.open = false,
        }
    }
}

impl Decide<Deposit> for Account {
    fn target(deposit: &Deposit) -> String {
        deposit.account.clone()
    }
    fn decide(&self, d: &Deposit, _: &Context<'_>) -> Result<Decision<AccountEvent>, Never> {
        Ok(Decision::event(AccountEvent::Deposited { amount: d.amount }))
    }
}

#[derive(Clone, Serialize, Deserialize, JsonSchema, Event)]
#[event(name = "bank.audited", schema)]
struct Audited {
    by: String,
}

#[test]
fn the_manifest_shows_the_schemas_that_were_asked_for() {
    assert_eq!(Account::CATEGORY, "account");
    let app = App::builder()
        .store(MemoryStore::default())
        .decides::<Account, Deposit>()
        .reads::<Audited>()
        .build()
        .unwrap();
    let manifest = serde_json::to_value(app.manifest()).unwrap();
    let request = &manifest["requests"][0]["schemas"]["request"]["properties"];
    assert_eq!(request["amount"]["type"], "integer");
    let property = |n: usize, field: &str| {
        manifest["events"][n]["schema"]["properties"][field]["type"].clone()
    };
    assert_eq!(manifest["events"][0]["name"], "bank.audited");
    assert_eq!(property(0, "by"), "string");
    assert_eq!(manifest["events"][1]["schema"]["type"], "object");
    assert_eq!(property(2, "amount"), "integer");
}
