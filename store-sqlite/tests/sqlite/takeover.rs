//! Two nodes share the partitions of a subscription, and one takes over from the other: killed,
//! stopped and woken, or ended in order.

use std::time::Duration;

use cqrs_core::Store;

use crate::common::within;
use crate::nodes::{COUNT, Does, LEASE, Log, Node, PARTITIONS};

/// What this machine may be late by, beyond what is promised.
const NOISE: Duration = Duration::from_secs(3);

/// Ten seconds and then some: for what is promised without a time.
const LONG: Duration = Duration::from_secs(20);

/// A log, and two nodes that have half of the partitions each.
async fn shared() -> (Log, Node, Node) {
    let log = Log::begin().await;
    let (one, two) = (Node::start(&log.path, 8), Node::start(&log.path, 8));
    share(&one, &two).await;
    log.goes_on(50).await;
    (log, one, two)
}

async fn share(one: &Node, two: &Node) {
    within(LONG, "both have a half", async || {
        (one.here(), two.here()) == (PARTITIONS / 2, PARTITIONS / 2)
    })
    .await;
}

/// Waits until a node has all partitions.
async fn takes_all(node: &Node, bound: Duration) {
    let took = within(bound, "it takes over", async || node.here() == PARTITIONS).await;
    println!("took over after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_the_partitions() {
    let (log, one, two) = shared().await;
    let held = log.store.leases(&format!("{COUNT}/")).await.unwrap();
    let mut holders: Vec<_> = held.iter().map(|lease| &lease.holder).collect();
    assert_eq!(held.len(), PARTITIONS as usize, "{held:?}");
    holders.sort();
    holders.dedup();
    assert_eq!(holders.len(), 2, "{held:?}");
    let handlers = log.end(&[]).await;
    assert!([one.id(), two.id()].iter().all(|id| handlers.contains_key(id)), "{handlers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_partitions_of_a_killed_node_go_on_elsewhere_and_nothing_is_handled_twice() {
    let (log, mut one, two) = shared().await;
    one.process.kill();
    takes_all(&two, LEASE + NOISE).await;
    log.goes_on(50).await;
    assert!(log.parked().await.is_empty());
    log.end(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_wakes_up_commits_nothing_for_what_it_has_lost_and_gets_its_share_again() {
    let (log, one, two) = shared().await;
    one.pause(&log).await;
    takes_all(&two, LEASE + NOISE).await;
    log.goes_on(50).await;
    one.hush();
    one.process.go_on();
    share(&one, &two).await;
    log.goes_on(50).await;
    assert!(log.parked().await.is_empty());
    log.end(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_woken_handler_did_is_refused_when_another_node_has_done_it() {
    let log = Log::begin().await;
    let one = Node::start(&log.path, 8);
    takes_all(&one, LONG).await;
    log.write("slow", Does::Takes { millis: 5_000 }).await;
    within(LONG, "the handler runs", async || one.said("begins slow 0")).await;
    one.pause(&log).await;
    assert!(!one.said("ends slow 0"), "this machine was too slow");
    let two = Node::start(&log.path, 8);
    takes_all(&two, LEASE + LONG).await;
    within(LONG, "it is handled elsewhere", async || two.said("ends slow 0")).await;
    log.goes_on(50).await;
    one.hush();
    one.process.go_on();
    within(LONG, "the first handler ends as well", async || one.said("ends slow 0")).await;
    share(&one, &two).await;
    log.write("slow", Does::Nothing).await;
    let handlers = log.end(&[]).await;
    assert!([one.id(), two.id()].iter().all(|id| handlers.contains_key(id)), "{handlers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_hands_over_at_once_and_leaves_nothing_behind() {
    let (log, mut one, two) = shared().await;
    one.tell_to_stop();
    within(LONG, "it stops", async || one.said("stopped")).await;
    // Nothing that others would have to wait for.
    let leases = log.store.leases("").await.unwrap();
    takes_all(&two, LEASE + NOISE).await;
    within(LONG, "the process ends", async || one.has_ended()).await;
    let later = log.store.leases(&format!("{COUNT}/")).await.unwrap();
    let stays = &later[0].holder;
    assert!(leases.iter().all(|lease| lease.holder == *stays), "{leases:?}");
    log.goes_on(50).await;
    assert!(log.parked().await.is_empty());
    log.end(&[]).await;
}
