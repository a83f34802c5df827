//! What is set aside: only its key waits, in order, up to a limit.

use super::prelude::*;

cases! {
    "parking":
    poison_parks_its_key_only,
    events_queue_behind_a_parked_one_and_follow_it_in_order,
    what_is_parked_is_parked_after_a_restart,
    the_limit_behind_a_key_makes_its_partition_wait,
    an_event_that_cannot_be_read_parks,
    an_entry_tells_what_it_is_about,
}

async fn poison_parks_its_key_only(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("a", 1, Act::Fatal);
    for n in 0..4 {
        for key in ["a", "b", "c"] {
            world.note(key, n).await;
        }
    }
    let node = world.node(hears(1)).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [0], "what was before the poison");
    assert_eq!(world.hand.done("b"), [0, 1, 2, 3]);
    assert_eq!(world.hand.done("c"), [0, 1, 2, 3]);
    let states: Vec<_> = world.aside("hear").await.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [ParkedState::Parked, ParkedState::Behind, ParkedState::Behind]);
    node.stop().await;
}

async fn events_queue_behind_a_parked_one_and_follow_it_in_order(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("a", 0, Act::Fatal);
    let node = world.node(tallies(2)).await;
    for n in 0..20 {
        world.note("a", n).await;
        world.note("b", n).await;
    }
    node.settled().await;
    assert_eq!(world.aside("tally").await.len(), 20);
    assert_eq!(world.tally("a").await, [] as [u32; 0]);
    world.hand.relent();
    node.retry(world.aside("tally").await[0].id()).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, (0..20).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(world.aside("tally").await.len(), 0, "nothing is left");
    world.note("a", 20).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, (0..21).collect::<Vec<_>>(), "the key is free again");
    node.stop().await;
}

async fn what_is_parked_is_parked_after_a_restart(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("a", 0, Act::Fatal);
    world.notes("a", 0..3).await;
    let node = world.node(hears(2)).await;
    node.settled().await;
    node.stop().await;
    world.hand.relent();
    let node = world.node(hears(2)).await;
    world.notes("a", 3..5).await;
    world.notes("b", 0..2).await;
    node.settled().await;
    assert_eq!(
        world.hand.done("a"),
        [] as [u32; 0],
        "it waits for an operator, and the key with it"
    );
    assert_eq!(world.hand.done("b"), [0, 1]);
    node.retry(world.aside("hear").await[0].id()).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [0, 1, 2, 3, 4]);
    node.stop().await;
}

async fn the_limit_behind_a_key_makes_its_partition_wait(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fatal);
    world.notes("a", 0..10).await;
    for n in 0..20 {
        world.note(&format!("key-{n}"), n).await;
    }
    let add = |app: AppBuilder| {
        app.event_handler("tally", tally).subscription("tally", |s| s.partitions(4).behind(3))
    };
    let node = world.node(add).await;
    node.settled().await;
    let aside = world.aside("tally").await;
    assert_eq!(aside.len(), 4, "one and three behind it: {aside:?}");
    let status = node.status("tally").await;
    let full =
        matches!(&status.state, cqrs_core::SubscriptionState::Full(key) if key.contains('a'));
    assert!(full, "it tells why it waits: {status:?}");
    let done = world.hand.count();
    assert!((1..20).contains(&done), "the other partitions go on, and its own waits: {done}");
    world.hand.relent();
    node.retry(aside[0].id()).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, (0..10).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(world.hand.count(), 30, "it went on");
    node.stop().await;
}

async fn an_event_that_cannot_be_read_parks(probe: Probe) {
    let world = World::new(probe).await;
    let at = world.write("a", vec![garbled()]).await;
    world.notes("a", 0..2).await;
    world.notes("b", 0..2).await;
    let node = world.node(hears(4)).await;
    node.settled().await;
    let aside = world.aside("hear").await;
    assert_eq!(aside.len(), 3, "it is set aside once, with those behind it: {aside:?}");
    assert_eq!((aside[0].position, aside[0].state), (at, ParkedState::Parked));
    assert!(!aside[0].cause.is_empty(), "with its cause (P6)");
    assert_eq!(world.hand.done("a"), [] as [u32; 0]);
    assert_eq!(world.hand.done("b"), [0, 1]);
    node.stop().await;
}

async fn an_entry_tells_what_it_is_about(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fatal);
    let at = world.note("a", 7).await;
    let node = world.node(hears(4)).await;
    node.settled().await;
    let parked = node.parked();
    let found = parked.list(FindParked::of("hear")).await.unwrap_or_else(|e| panic!("{e:?}"));
    let entry = &found[0];
    assert_eq!((entry.position, entry.message.as_str()), (at, "notes.noted"), "{entry:?}");
    assert!(entry.key.ends_with("note/a") && entry.cause.contains("for good"), "{entry:?}");
    let shown = parked.show(&entry.id()).await.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(shown.entries, found);
    assert_eq!(shown.body, Some(noted("a", 7).payload));
    node.stop().await;
}
