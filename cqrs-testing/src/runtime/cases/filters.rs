//! What a subscription lets through, and what it passes without a look.

use cqrs_core::{Commit, Filter, NewEvent, StreamId};

use super::prelude::*;

cases! {
    "filters":
    only_the_types_that_the_handler_takes,
    only_a_category,
    only_a_stream,
    only_with_a_tag,
    only_of_a_tenant,
    one_that_matches_nothing_keeps_up_on_every_node,
}

fn filtered(filter: Filter) -> impl Fn(AppBuilder) -> AppBuilder {
    move |app| {
        let filter = filter.clone();
        app.event_handler("hear", hear)
            .subscription("hear", move |s| s.partitions(4).filter(filter))
    }
}

/// The keys of what is handled of these commits: when they are there before the start, and when they
/// come afterwards. It reads the log for the first, and its tail for the others.
async fn handled(world: &World, filter: Filter, commits: fn() -> Vec<Commit>) -> Vec<String> {
    for commit in commits() {
        world.commit(commit).await;
    }
    let node = world.node(filtered(filter)).await;
    node.settled().await;
    for commit in commits() {
        world.commit(commit).await;
    }
    node.settled().await;
    node.stop().await;
    let mut keys: Vec<String> = world.hand.all().into_iter().map(|(key, _)| key).collect();
    keys.sort();
    keys
}

async fn only_the_types_that_the_handler_takes(probe: Probe) {
    let world = World::new(probe).await;
    world.write("a", vec![noted("a", 0), crossed("a"), noted("a", 1)]).await;
    let add =
        |app: AppBuilder| app.event_handler("hear", hear).event_handler("crossed", hear_crossed);
    let node = world.node(add).await;
    node.settled().await;
    assert_eq!(world.hand.count(), 3, "each handler its own type");
    world.write("a", vec![crossed("a"), noted("a", 2)]).await;
    node.settled().await;
    assert_eq!(world.hand.count(), 5);
    node.stop().await;
}

async fn only_a_category(probe: Probe) {
    let world = World::new(probe).await;
    let handled = handled(&world, Filter::default().category("other"), || {
        let mut other = to_stream("b", vec![noted("b", 0)]);
        other.appends[0].stream = StreamId::new("other", "b");
        vec![to_stream("a", vec![noted("a", 0)]), other]
    });
    assert_eq!(handled.await, ["b", "b"]);
}

async fn only_a_stream(probe: Probe) {
    let world = World::new(probe).await;
    let filter = Filter::default().stream(StreamId::new("note", "b"));
    let handled = handled(&world, filter, || {
        vec![to_stream("a", vec![noted("a", 0)]), to_stream("b", vec![noted("b", 0)])]
    });
    assert_eq!(handled.await, ["b", "b"]);
}

async fn only_with_a_tag(probe: Probe) {
    let world = World::new(probe).await;
    let handled = handled(&world, Filter::default().tag("red"), || {
        let red = NewEvent { tags: vec!["blue".into(), "red".into()], ..noted("red", 0) };
        let blue = NewEvent { tags: vec!["blue".into()], ..noted("blue", 0) };
        vec![to_stream("a", vec![blue, red, noted("none", 0)])]
    });
    assert_eq!(handled.await, ["red", "red"]);
}

async fn only_of_a_tenant(probe: Probe) {
    let world = World::new(probe).await;
    let handled = handled(&world, Filter::default().tenant("acme"), || {
        let mut acme = to_stream("a", vec![noted("acme", 0)]);
        acme.appends[0].stream.tenant = Some("acme".into());
        vec![to_stream("a", vec![noted("nobody", 0)]), acme]
    });
    assert_eq!(handled.await, ["acme", "acme"]);
}

async fn one_that_matches_nothing_keeps_up_on_every_node(probe: Probe) {
    let mut world = World::new(probe).await;
    // Where nothing is handled no checkpoint is written in the time of this case.
    world.settings.checkpoint = Duration::from_secs(3600);
    let filter = || Filter::default().tag("never");
    let one = world.node(filtered(filter())).await;
    let other = world.node(filtered(filter())).await;
    until("partitions on each", || async {
        let (one, other) = (one.here("hear").await, other.here("hear").await);
        (one > 0 && other > 0 && one + other == 4).then_some(())
    })
    .await;
    let mut head = 0;
    for n in 0..50 {
        head = world.notes("a", n * 10..n * 10 + 10).await;
    }
    for node in [&one, &other] {
        assert!(node.wait_for("hear", head, PATIENCE).await.is_yes());
        assert_eq!(node.status("hear").await.lag, 0);
    }
    assert_eq!(world.hand.count(), 0);
    one.stop().await;
    other.stop().await;
}
