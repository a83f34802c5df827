//! The primary of three members is killed under load, and started again.
//!
//! `SERVER_KILLS` makes it longer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::Store;
use cqrs_testing::Load;
use store_mongo::MongoStore;

use crate::own::{Own, wanted};

/// Within this time commits go on.
const RECOVERS: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_however_often_the_primary_is_killed() {
    let kills = wanted("SERVER_KILLS", 2);
    let mut own = Own::begin(3).await;
    let soon = MongoStore::builder(own.url()).patience(Duration::from_millis(20));
    let stores = [MongoStore::connect(&own.url()).await.unwrap(), soon.connect().await.unwrap()];
    let stores = stores.map(|store| Arc::new(store) as Arc<dyn Store>);
    let load = Load::begin(&stores).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        load.goes_on(fastrand::u64(1..20), Duration::from_secs(30)).await;
        // A random moment, not a wait for something.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..20_000))).await;
        let (back, primary) = tokio::task::spawn_blocking(move || {
            let primary = own.set.primary().unwrap();
            own.set.kill(primary).unwrap();
            (own, primary)
        })
        .await
        .unwrap();
        own = back;
        let killed = Instant::now();
        load.goes_on(1, RECOVERS).await;
        slowest = slowest.max(killed.elapsed());
        own = tokio::task::spawn_blocking(move || {
            own.set.start_again(primary).unwrap();
            own
        })
        .await
        .unwrap();
    }
    let done = load.end(&*stores[0]).await;
    println!("{kills} kills, {done}; commits went on within {slowest:?}");
}
