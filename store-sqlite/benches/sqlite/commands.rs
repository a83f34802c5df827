//! Commands on accounts of 1,000 events: folded from all of them, from a snapshot, and hot.

use std::sync::Arc;
use std::time::Instant;

use cqrs_core::{
    Aggregate, Command, Context, Decide, Decision, Metadata, Never, Repository, Request,
    RequestKind, Storage,
};
use serde::{Deserialize, Serialize};
use store_sqlite::{SqliteStore, Synchronous};

use crate::domain::{AccountEvent, Movement};
use crate::{Outcome, ROUNDS, Rates};

const ACCOUNTS: u64 = 50;
const EVENTS: usize = 1_000;

struct Deposit {
    account: u64,
    times: usize,
}

impl Command for Deposit {}

impl Request for Deposit {
    const NAME: &'static str = "bank.deposit";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = Never;
}

macro_rules! account {
    ($name:ident in $category:literal, $storage:expr) => {
        #[derive(Debug, Default, Serialize, Deserialize)]
        struct $name {
            balance: u64,
        }

        impl Aggregate for $name {
            const CATEGORY: &'static str = $category;
            type Id = u64;
            type Event = AccountEvent;

            fn apply(&mut self, event: &AccountEvent) {
                let (AccountEvent::Opened(m)
                | AccountEvent::Deposited(m)
                | AccountEvent::Withdrawn(m)) = event;
                self.balance += m.amount;
            }

            fn storage() -> Storage<Self> {
                $storage
            }
        }

        impl Decide<Deposit> for $name {
            fn target(command: &Deposit) -> u64 {
                command.account
            }

            fn decide(
                &self,
                c: &Deposit,
                _: &Context<'_>,
            ) -> Result<Decision<AccountEvent>, Never> {
                let events = (0..c.times).map(|n| AccountEvent::Deposited(Movement::nth(n)));
                Ok(Decision::events(events))
            }
        }
    };
}

account!(Folded in "folded", Storage::events());
account!(Snapped in "snapped", Storage::snapshots(100));

/// One caller, one command after the other, without the wait for the disk.
pub(crate) async fn measure() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::builder().synchronous(Synchronous::Normal);
    let store = store.open(folder.path().join("commands.db")).await?;
    let folded = Repository::<Folded>::new(Arc::new(store.clone()));
    let snapped = Repository::<Snapped>::new(Arc::new(store.clone()));
    let hot = folded.clone().cached(ACCOUNTS as usize);
    deposit(&folded, EVENTS).await?;
    deposit(&snapped, EVENTS).await?;
    let (mut from_snapshots, mut from_memory) = (Rates::default(), Rates::default());
    for _ in 0..ROUNDS {
        let floor = deposit(&folded, 1).await?;
        from_snapshots.floor.push(floor);
        from_snapshots.ours.push(deposit(&snapped, 1).await?);
        // Catches up with the round above.
        deposit(&hot, 1).await?;
        from_memory.floor.push(floor);
        from_memory.ours.push(deposit(&hot, 1).await?);
    }
    from_snapshots.compare("commands on 1,000 events, a snapshot every 100", "folded");
    from_memory.compare("commands on 1,000 events, kept in memory", "folded");
    store.close().await?;
    Ok(())
}

/// A deposit on each account; how many a second.
async fn deposit<A: Decide<Deposit>>(accounts: &Repository<A>, times: usize) -> Outcome<f64> {
    let started = Instant::now();
    for account in 0..ACCOUNTS {
        accounts.execute(&Deposit { account, times }, &Metadata::default()).await?;
    }
    Ok(ACCOUNTS as f64 / started.elapsed().as_secs_f64())
}
