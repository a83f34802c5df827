//! Handlers without a checkpoint: for what happens now, on every node.

use super::prelude::*;

cases! {
    "live":
    it_hears_what_happens_from_now_on,
    it_hears_it_on_every_node,
    it_has_no_checkpoint,
    what_fails_is_tried_again_and_then_passed_over,
}

fn live(app: AppBuilder) -> AppBuilder {
    app.event_handler("live", hear).subscription("live", |s| s.live().partitions(2).retry(thrice()))
}

async fn it_hears_what_happens_from_now_on(probe: Probe) {
    let world = World::new(probe).await;
    world.notes("a", 0..3).await;
    let node = world.node(live).await;
    world.notes("a", 3..5).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [3, 4]);
    node.stop().await;
    world.notes("a", 5..7).await;
    let node = world.node(live).await;
    world.notes("a", 7..9).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [3, 4, 7, 8], "what happened in between is over");
    node.stop().await;
}

async fn it_hears_it_on_every_node(probe: Probe) {
    let world = World::new(probe).await;
    let one = world.node(live).await;
    let other = world.node(live).await;
    world.notes("a", 0..3).await;
    world.handled(6).await;
    let mut done = world.hand.done("a");
    done.sort_unstable();
    assert_eq!(done, [0, 0, 1, 1, 2, 2]);
    one.stop().await;
    other.stop().await;
}

async fn it_has_no_checkpoint(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(live).await;
    world.notes("a", 0..3).await;
    node.settled().await;
    node.stop().await;
    assert_eq!(world.probe.stands("live", 0).await, None);
    assert_eq!(world.probe.stands("live", 1).await, None);
    assert!(world.aside("live").await.is_empty());
}

async fn what_fails_is_tried_again_and_then_passed_over(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("a", 0, Act::Fail);
    world.hand.on_one("a", 2, Act::FailTimes(1));
    let node = world.node(live).await;
    world.notes("a", 0..4).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.hand.attempts("a", 0), 3);
    assert_eq!(world.hand.done("a"), [1, 2, 3], "what comes after it is heard");
    assert!(world.aside("live").await.is_empty(), "nothing is set aside");
    node.stop().await;
}
