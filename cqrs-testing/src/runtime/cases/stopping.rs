//! A stop finishes what is in hand; what takes too long runs again and costs nothing (P16).

use super::prelude::*;

cases! {
    "stopping":
    in_the_middle_of_a_page_what_is_in_hand_is_finished,
    what_takes_too_long_is_given_up_uncommitted,
    a_retry_that_is_given_up_costs_no_attempt,
    a_stop_with_nothing_in_hand_ends_at_once,
}

async fn in_the_middle_of_a_page_what_is_in_hand_is_finished(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(hears(1)).await;
    node.ready().await;
    world.hand.on_one("a", 4, Act::Hold);
    world.notes("a", 0..10).await;
    world.hand.held("a").await;
    let readiness = node.readiness();
    let stopping = tokio::spawn(node.stop());
    until("the stop to begin", || async { (!readiness.is_ready()).then_some(()) }).await;
    world.hand.relent();
    stopping.await.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(world.hand.done("a"), [0, 1, 2, 3, 4], "what was in hand, and nothing new");
    let log = world.probe.log().await;
    assert_eq!(world.stands("hear", 0).await, log[4].position, "the checkpoint is written");
    assert!(world.aside("hear").await.is_empty(), "nothing parks because of it");
    let node = world.node(hears(1)).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), (0..10).collect::<Vec<_>>(), "the rest, each once");
    node.stop().await;
}

async fn what_takes_too_long_is_given_up_uncommitted(probe: Probe) {
    let world = World::new(probe).await.lease(LONG);
    let node = world.node(tallies(1)).await;
    world.hand.on_one("a", 1, Act::Hold);
    world.notes("a", 0..3).await;
    until("the second one in hand", || async { (world.hand.attempts("a", 1) == 1).then_some(()) })
        .await;
    node.stop_within(Duration::from_millis(50)).await;
    assert!(!world.hand.holds("a"), "it is given up");
    assert_eq!(world.tally("a").await, [0], "without its effect");
    assert!(world.aside("tally").await.is_empty(), "nothing parks because of it");
    world.hand.relent();
    let node = world.node(tallies(1)).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, [0, 1, 2], "it runs again");
    node.stop().await;
}

async fn a_retry_that_is_given_up_costs_no_attempt(probe: Probe) {
    let world = World::new(probe).await.lease(LONG);
    let node = world.node(tallies(1)).await;
    world.hand.on("a", Act::Fail);
    world.note("a", 0).await;
    node.settled().await;
    world.hand.on("a", Act::Hold);
    world.clock.advance(Duration::from_secs(60));
    world.hand.held("a").await;
    node.stop_within(Duration::from_millis(50)).await;
    let aside = world.aside("tally").await;
    assert_eq!((aside[0].state, aside[0].attempts), (ParkedState::Retrying, 1), "{aside:?}");
    world.hand.relent();
    let node = world.node(tallies(1)).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, [0], "it is tried again at once");
    node.stop().await;
}

async fn a_stop_with_nothing_in_hand_ends_at_once(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(hears(4)).await;
    node.ready().await;
    let begun = std::time::Instant::now();
    node.stop_within(Duration::from_secs(60)).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "it did not wait for the bound");
}
