//! Commands on accounts: each loads its account, decides, and appends an event, from so many clients at once.

use std::time::{Duration, Instant};

use cqrs_core::App;
use store_mongo::MongoStore;

use crate::domain::{ACCOUNTS, Account, Deposit};
use crate::{Outcome, ROUNDS, Rates, by_hand, emptied};

pub(crate) async fn measure(
    url: &str,
    clients: usize,
    seconds: f64,
    bar: Option<f64>,
) -> Outcome<()> {
    let mut rates = Rates::default();
    for _ in 0..ROUNDS {
        rates.floor.push(by_hand::commands(url, clients, seconds).await?);
        rates.ours.push(ours(url, clients, seconds).await?);
    }
    rates.report(&format!("commands, clients: {clients}"), bar);
    Ok(())
}

async fn ours(url: &str, clients: usize, seconds: f64) -> Outcome<f64> {
    let name = "bench_ours";
    emptied(url, name).await?;
    let store = MongoStore::builder(url).database(name).connect().await?;
    let app = App::builder().store(store.clone()).decides::<Account, Deposit>();
    let app = app.build()?;
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let clients = (0..clients).map(|_| {
        let app = app.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while Instant::now() < until {
                app.send(Deposit { account: fastrand::u64(..ACCOUNTS) }).await?;
                done += 1;
            }
            Outcome::Ok(done)
        })
    });
    let mut done = 0;
    for client in clients.collect::<Vec<_>>() {
        done += client.await??;
    }
    store.close().await;
    emptied(url, name).await?;
    Ok(f64::from(done) / seconds)
}
