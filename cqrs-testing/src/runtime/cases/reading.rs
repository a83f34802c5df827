//! The log is read once for all who stand at the same place.

use super::prelude::*;

cases! {
    "reading":
    what_is_new_is_read_once_for_all_subscriptions,
    what_was_there_is_read_once_for_all_partitions,
}

async fn what_is_new_is_read_once_for_all_subscriptions(probe: Probe) {
    let world = World::new(probe).await;
    let add = |app: AppBuilder| {
        app.event_handler("one", hear)
            .event_handler("two", hear)
            .event_handler("three", hear)
            .event_handler("four", hear)
            .event_handler("five", hear)
    };
    let node = world.node(add).await;
    node.ready().await;
    node.settled().await;
    let (_, before) = node.fate.reads();
    for n in 0..40 {
        world.note(&format!("key-{n}"), 0).await;
    }
    node.settled().await;
    assert_eq!(world.hand.count(), 200, "five times forty");
    let (_, events) = node.fate.reads();
    assert_eq!(events - before, 40, "each event is read once, by twenty partitions");
    node.stop().await;
}

async fn what_was_there_is_read_once_for_all_partitions(probe: Probe) {
    let world = World::new(probe).await;
    for n in 0..10 {
        world.notes(&format!("key-{n}"), 0..40).await;
    }
    let add = |app: AppBuilder| {
        app.event_handler("hear", hear).subscription("hear", |s| s.partitions(8).batch(100))
    };
    let node = world.node(add).await;
    node.settled().await;
    assert_eq!(world.hand.count(), 400);
    let (_, events) = node.fate.reads();
    // Partitions that fall behind by several pages read them again, and some look is a first page.
    assert!(events < 2000, "{events} events were read for eight partitions of 400");
    node.stop().await;
}
