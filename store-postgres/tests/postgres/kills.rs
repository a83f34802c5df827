//! A server that is killed under load, and started again.
//!
//! `SERVER_KILLS` makes it longer.

use std::time::{Duration, Instant};

use crate::load::{self, RECOVERS, patient_and_not};
use crate::short::{Own, wanted};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_however_often_the_server_is_killed() {
    let kills = wanted("SERVER_KILLS", 3);
    let mut own = tokio::task::spawn_blocking(Own::start).await.unwrap();
    let stores = patient_and_not(&own.url()).await;
    let load = load::begin(&stores, own.url()).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        load.goes_on(fastrand::u64(1..20), Duration::from_secs(30)).await;
        // A random moment, not a wait for something.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..20_000))).await;
        own = tokio::task::spawn_blocking(move || {
            own.server.kill().unwrap();
            own.server.start_again().unwrap();
            own
        })
        .await
        .unwrap();
        let accepts = Instant::now();
        load.goes_on(1, RECOVERS).await;
        slowest = slowest.max(accepts.elapsed());
    }
    let done = load.end(&stores[0]).await;
    println!("{kills} kills, {done}; commits went on within {slowest:?}");
    for store in stores {
        store.close().await;
    }
}
