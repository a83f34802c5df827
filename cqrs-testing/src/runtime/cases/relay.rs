//! The relay: what commits send, in order of their keys, once, and when it is time.

use cqrs_core::{Clock, FindOutgoing, Outgoing};

use super::prelude::*;
use crate::runtime::trips::{done, errand, office, sends};

cases! {
    "relay":
    messages_of_a_key_are_sent_in_order,
    a_failing_one_holds_up_its_key_only,
    one_is_not_sent_before_its_time,
    they_have_one_effect_whatever_happens_at_any_commit,
    a_rejected_one_parks_and_its_key_waits,
    one_that_fails_too_often_parks,
    one_that_is_discarded_is_not_sent,
    a_repeat_of_a_message_has_no_second_effect,
}

const RELAY: &str = "cqrs.relay";

async fn pending(world: &World) -> usize {
    let pending = world.probe.outgoing(FindOutgoing::after(0)).await;
    pending.unwrap_or_else(|e| panic!("{e:?}")).len()
}

async fn messages_of_a_key_are_sent_in_order(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_all(Act::Yield);
    for n in 0..10 {
        for key in ["a", "b", "c"] {
            world.probe.answered(sends([errand(&n.to_string(), key)])).await;
        }
    }
    let node = world.node(office).await;
    for n in 10..20 {
        world.probe.answered(sends(["a", "b", "c"].map(|key| errand(&n.to_string(), key)))).await;
    }
    node.settled().await;
    for key in ["a", "b", "c"] {
        let expected: Vec<String> = (0..20).map(|n: u32| n.to_string()).collect();
        assert_eq!(done(&world, key).await, expected, "each once, in order");
    }
    assert_eq!(pending(&world).await, 0);
    node.stop().await;
}

async fn a_failing_one_holds_up_its_key_only(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("1 of a", Act::FailTimes(2));
    for n in 0..4 {
        world.probe.answered(sends(["a", "b"].map(|key| errand(&n.to_string(), key)))).await;
    }
    let node = world.node(office).await;
    node.settled().await;
    assert_eq!(done(&world, "a").await, ["0"]);
    assert_eq!(done(&world, "b").await, ["0", "1", "2", "3"], "the other key goes on");
    node.advance(Duration::from_secs(60)).await;
    assert_eq!(done(&world, "a").await, ["0", "1", "2", "3"], "each once, in order");
    assert!(world.aside(RELAY).await.is_empty());
    node.stop().await;
}

async fn one_is_not_sent_before_its_time(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(office).await;
    let due = world.clock.now().saturating_add(Duration::from_secs(3600));
    let later = Outgoing { not_before: Some(due), ..errand("later", "a") };
    world.probe.answered(sends([later, errand("after it", "a"), errand("now", "b")])).await;
    node.settled().await;
    assert_eq!(done(&world, "b").await, ["now"]);
    node.advance(Duration::from_secs(3599)).await;
    assert_eq!(done(&world, "a").await, [] as [&str; 0], "not yet, nor what is behind it");
    node.advance(Duration::from_secs(2)).await;
    assert_eq!(done(&world, "a").await, ["later", "after it"]);
    node.stop().await;
}

async fn they_have_one_effect_whatever_happens_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let mut deaths = Deaths::default();
    while let Some(round) = deaths.round() {
        let (one, other) = (format!("one-{round}"), format!("other-{round}"));
        let messages = [errand("0", &one), errand("0", &other), errand("1", &one)];
        world.probe.answered(sends(messages)).await;
        deaths.live(&world, &office).await;
        assert_eq!(done(&world, &one).await, ["0", "1"], "{}", deaths.what());
        assert_eq!(done(&world, &other).await, ["0"], "{}", deaths.what());
        assert_eq!(pending(&world).await, 0, "{}", deaths.what());
    }
}

async fn a_rejected_one_parks_and_its_key_waits(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("0 of a", Act::Reject);
    world.probe.answered(sends([errand("0", "a"), errand("1", "a"), errand("0", "b")])).await;
    let node = world.node(office).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(done(&world, "a").await, [] as [&str; 0]);
    assert_eq!(done(&world, "b").await, ["0"]);
    let aside = world.aside(RELAY).await;
    assert_eq!((aside[0].state, aside[0].attempts), (ParkedState::Parked, 1), "{aside:?}");
    world.hand.relent();
    node.retry(aside[0].id()).await;
    node.settled().await;
    assert_eq!(done(&world, "a").await, ["0", "1"]);
    assert_eq!((pending(&world).await, world.aside(RELAY).await.len()), (0, 0));
    node.stop().await;
}

async fn one_that_fails_too_often_parks(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("0 of a", Act::Fail);
    world.probe.answered(sends([errand("0", "a")])).await;
    let node = world.node(office).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.hand.attempts("0 of a", 0), 3, "as often as the policy says");
    let aside = world.aside(RELAY).await;
    assert_eq!((aside[0].state, aside[0].attempts), (ParkedState::Parked, 3), "{aside:?}");
    // Also after a restart.
    node.stop().await;
    let node = world.node(office).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.hand.attempts("0 of a", 0), 3);
    node.stop().await;
}

async fn one_that_is_discarded_is_not_sent(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("0 of a", Act::Reject);
    world.probe.answered(sends([errand("0", "a"), errand("1", "a")])).await;
    let node = world.node(office).await;
    node.settled().await;
    world.hand.relent();
    let id = world.aside(RELAY).await[0].id();
    node.parked().discard(&id, "it is a test").await.unwrap_or_else(|e| panic!("{e:?}"));
    node.settled().await;
    assert_eq!(done(&world, "a").await, ["1"]);
    assert_eq!((pending(&world).await, world.aside(RELAY).await.len()), (0, 0));
    node.stop().await;
}

async fn a_repeat_of_a_message_has_no_second_effect(probe: Probe) {
    let world = World::new(probe).await;
    let message = errand("0", "a");
    world.probe.answered(sends([message.clone()])).await;
    let node = world.node(office).await;
    node.settled().await;
    assert_eq!(done(&world, "a").await, ["0"]);
    // As if it had never been settled.
    world.probe.answered(sends([message])).await;
    node.settled().await;
    assert_eq!(done(&world, "a").await, ["0"], "its id is in the inbox");
    assert_eq!(pending(&world).await, 0);
    node.stop().await;
}
