//! Handlers of several events at once.

use super::prelude::*;

cases! {
    "batches":
    events_are_handled_together_up_to_the_size,
    a_poison_is_found_one_by_one_and_parks_its_key_only,
    what_waits_for_its_key_is_not_in_a_batch,
}

fn many(app: AppBuilder) -> AppBuilder {
    app.event_handler("many", tally_many)
        .subscription("many", |s| s.partitions(1).batch(10).retry(thrice()))
}

async fn events_are_handled_together_up_to_the_size(probe: Probe) {
    let world = World::new(probe).await;
    for n in 0..10 {
        for key in ["a", "b", "c"] {
            world.note(key, n).await;
        }
    }
    let node = world.node(many).await;
    node.settled().await;
    assert_eq!(world.hand.calls(), [10, 10, 10]);
    for key in ["a", "b", "c"] {
        assert_eq!(world.tally(key).await, (0..10).collect::<Vec<_>>());
    }
    node.stop().await;
}

async fn a_poison_is_found_one_by_one_and_parks_its_key_only(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("b", 2, Act::Fatal);
    for n in 0..6 {
        for key in ["a", "b", "c"] {
            world.note(key, n).await;
        }
    }
    let node = world.node(many).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, [0, 1, 2, 3, 4, 5], "each once, in order");
    assert_eq!(world.tally("b").await, [0, 1]);
    assert_eq!(world.tally("c").await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(world.aside("many").await.len(), 4);
    world.hand.relent();
    node.retry(world.aside("many").await[0].id()).await;
    node.settled().await;
    assert_eq!(world.tally("b").await, [0, 1, 2, 3, 4, 5]);
    node.stop().await;
}

async fn what_waits_for_its_key_is_not_in_a_batch(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("b", 0, Act::Fatal);
    world.note("b", 0).await;
    let node = world.node(many).await;
    node.settled().await;
    world.hand.relent();
    for n in 1..4 {
        for key in ["a", "b"] {
            world.note(key, n).await;
        }
    }
    node.settled().await;
    assert_eq!(world.tally("a").await, [1, 2, 3]);
    assert_eq!(world.tally("b").await, [] as [u32; 0], "they queue up");
    node.retry(world.aside("many").await[0].id()).await;
    node.settled().await;
    assert_eq!(world.tally("b").await, [0, 1, 2, 3], "each once, in order");
    node.stop().await;
}
