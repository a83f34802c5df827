//! Where a subscription begins when it runs for the first time.

use cqrs_core::ErrorKind;

use super::prelude::*;
use crate::store::handle::later_than;
use crate::store::make::account;

cases! {
    "start":
    at_the_beginning_it_handles_all_there_is,
    now_it_handles_what_is_recorded_from_then_on,
    after_a_position_it_handles_what_comes_then,
    since_a_time_it_handles_what_was_recorded_then_or_later,
    only_the_first_start_counts,
    a_start_beyond_the_head_is_refused,
}

fn from(start: Start) -> impl Fn(AppBuilder) -> AppBuilder {
    move |app| {
        app.event_handler("hear", hear).subscription("hear", move |s| s.partitions(2).start(start))
    }
}

async fn at_the_beginning_it_handles_all_there_is(probe: Probe) {
    let world = World::new(probe).await;
    world.notes("a", 0..3).await;
    let node = world.node(from(Start::Beginning)).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [0, 1, 2]);
    node.stop().await;
}

async fn now_it_handles_what_is_recorded_from_then_on(probe: Probe) {
    let world = World::new(probe).await;
    world.notes("a", 0..3).await;
    let node = world.node(from(Start::Now)).await;
    world.notes("a", 3..5).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [3, 4]);
    node.stop().await;
}

async fn after_a_position_it_handles_what_comes_then(probe: Probe) {
    let world = World::new(probe).await;
    let position = world.notes("a", 0..3).await;
    world.notes("a", 3..5).await;
    let node = world.node(from(Start::After(position))).await;
    world.notes("a", 5..6).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [3, 4, 5]);
    node.stop().await;
}

async fn since_a_time_it_handles_what_was_recorded_then_or_later(probe: Probe) {
    let world = World::new(probe).await;
    world.notes("a", 0..3).await;
    let log = world.probe.log().await;
    let then = log.last().map(|event| event.recorded_at);
    let then = then.unwrap_or_else(|| panic!("nothing was recorded: {log:?}"));
    let since = later_than(&world.probe, &account("clock"), then).await;
    world.notes("a", 3..5).await;
    let node = world.node(from(Start::Since(since))).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [3, 4]);
    node.stop().await;
}

async fn only_the_first_start_counts(probe: Probe) {
    let world = World::new(probe).await;
    world.notes("a", 0..3).await;
    let node = world.node(from(Start::Beginning)).await;
    node.settled().await;
    node.stop().await;
    world.notes("a", 3..5).await;
    let node = world.node(from(Start::Now)).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [0, 1, 2, 3, 4], "its checkpoint says where it stands");
    node.stop().await;
    // Also when nothing was handled before the process ended.
    let now = |app: AppBuilder| {
        app.event_handler("late", hear).subscription("late", |s| s.start(Start::Now))
    };
    world.node(now).await.stop().await;
    world.note("b", 0).await;
    let node = world.node(now).await;
    node.settled().await;
    assert_eq!(world.hand.done("b"), [0], "now was the first start");
    node.stop().await;
}

async fn a_start_beyond_the_head_is_refused(probe: Probe) {
    let world = World::new(probe).await;
    let head = world.notes("a", 0..3).await;
    let refused = world.try_node(from(Start::After(head + 5))).await;
    let refused = refused.map(|_| ()).map_err(|e| e.kind().clone());
    assert_eq!(refused, Err(ErrorKind::BeyondHead { position: head + 5, head }));
}
