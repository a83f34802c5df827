//! Nodes that die again and again: killed from outside, or by an event.

use std::time::Duration;

use cqrs_core::ParkedState;

use crate::common::within;
use crate::nodes::{Does, Log, Node};

#[tokio::test(flavor = "multi_thread")]
async fn nodes_killed_at_random_moments_lose_nothing_and_repeat_nothing() {
    let kills = std::env::var("NODE_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let log = Log::begin().await;
    let start = || Node::start(&log.path, 8);
    let mut nodes = [start(), start()];
    for _ in 0..kills {
        log.goes_on(fastrand::u64(1..40)).await;
        // A random moment, not a wait for something.
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..20_000))).await;
        let victims: &[usize] = [&[0][..], &[1], &[0, 1]][fastrand::usize(0..3)];
        for victim in victims {
            nodes[*victim].process.kill();
        }
        for victim in victims {
            nodes[*victim] = start();
        }
    }
    log.goes_on(50).await;
    let parked = log.parked().await;
    let handlers = log.end(&[]).await;
    println!("{} events by {} processes", handlers.values().sum::<usize>(), handlers.len());
    assert!(parked.is_empty(), "{parked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_kills_its_process_parks_and_the_other_keys_go_on() {
    const ATTEMPTS: u32 = 3;
    let log = Log::begin().await;
    let start = || Node::start(&log.path, ATTEMPTS);
    let mut node = start();
    log.goes_on(20).await;
    log.write("deadly", Does::Nothing).await;
    log.write("deadly", Does::Abort).await;
    log.write("deadly", Does::Nothing).await;
    let mut deaths = 0;
    within(Duration::from_secs(60), "it is parked", async || {
        if node.has_ended() {
            deaths += 1;
            node = start();
        }
        !log.parked().await.is_empty()
    })
    .await;
    let [entry] = &log.parked().await[..] else { panic!("more is parked") };
    assert_eq!((&*entry.key, entry.attempts), ("note/deadly", ATTEMPTS), "{entry:?}");
    assert!(entry.cause.contains("died"), "{entry:?}");
    // The first time, it was not yet known to be deadly.
    assert_eq!(deaths, ATTEMPTS + 1);
    log.goes_on(100).await;
    within(Duration::from_secs(20), "the next one of its key waits", async || {
        let behind = log.aside(ParkedState::Behind).await;
        behind.len() == 1 && behind[0].key == "note/deadly"
    })
    .await;
    assert!(!node.has_ended());
    assert_eq!(log.parked().await.len(), 1);
    log.end(&["deadly"]).await;
}
