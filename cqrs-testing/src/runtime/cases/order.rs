//! Order: by key, one at a time, and keys side by side.

use std::collections::BTreeSet;

use cqrs_core::Metadata;

use super::prelude::*;

cases! {
    "order":
    events_of_a_key_are_handled_in_order_and_one_at_a_time,
    partitions_run_side_by_side,
    every_event_is_handled_however_small_the_pages,
    the_key_of_the_metadata_comes_before_the_stream,
    what_is_committed_while_it_runs_is_handled_in_order,
    each_subscription_handles_all,
    tenants_are_apart,
}

async fn events_of_a_key_are_handled_in_order_and_one_at_a_time(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_all(Act::Yield);
    let keys: Vec<String> = (0..8).map(|n| format!("key-{n}")).collect();
    for n in 0..20 {
        for key in &keys {
            world.note(key, n).await;
        }
    }
    let node = world.node(hears(4)).await;
    node.settled().await;
    for key in &keys {
        assert_eq!(world.hand.done(key), (0..20).collect::<Vec<_>>(), "{key} in order, each once");
    }
    assert_eq!(world.hand.clashes(), BTreeSet::new(), "one event of a key at a time");
    node.stop().await;
}

async fn partitions_run_side_by_side(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_all(Act::Hold);
    for n in 0..20 {
        world.note(&format!("key-{n}"), 0).await;
    }
    let node = world.node(hears(4)).await;
    until("an event in hand in each partition", || async {
        let held = (0..20).filter(|n| world.hand.holds(&format!("key-{n}"))).count();
        (held == 4).then_some(())
    })
    .await;
    world.hand.relent();
    node.settled().await;
    assert_eq!(world.hand.count(), 20);
    node.stop().await;
}

async fn every_event_is_handled_however_small_the_pages(probe: Probe) {
    let world = World::new(probe).await;
    for n in 0..5 {
        world.notes("a", n * 20..n * 20 + 20).await;
        world.write("x", vec![crossed("x"), crossed("x")]).await;
    }
    let add = |app: AppBuilder| {
        app.event_handler("hear", hear).subscription("hear", |s| s.partitions(1).batch(7))
    };
    let node = world.node(add).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), (0..100).collect::<Vec<_>>(), "each once, in order");
    node.stop().await;
}

async fn the_key_of_the_metadata_comes_before_the_stream(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("bad", Act::Fail);
    let keyed = |key: &str, n| {
        let metadata = Metadata::default().with_partition_key("shared");
        cqrs_core::NewEvent { metadata, ..noted(key, n) }
    };
    world.write("bad", vec![keyed("bad", 0)]).await;
    world.write("one", vec![keyed("one", 0)]).await;
    world.note("two", 0).await;
    let node = world.node(hears(4)).await;
    node.settled().await;
    assert_eq!(world.hand.all(), [("two".to_owned(), 0)], "those of the key wait, whatever stream");
    world.hand.relent();
    node.advance(Duration::from_secs(60)).await;
    assert_eq!(world.hand.all()[1..], [("bad".to_owned(), 0), ("one".to_owned(), 0)]);
    node.stop().await;
}

async fn what_is_committed_while_it_runs_is_handled_in_order(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(hears(4)).await;
    node.ready().await;
    let store = world.store().await;
    let writing = (0..4).map(|key| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..25 {
                let commit =
                    to_stream(&format!("key-{key}"), vec![noted(&format!("key-{key}"), n)]);
                let done = crate::store::handle::patiently(|| store.commit(commit.clone())).await;
                done.unwrap_or_else(|e| panic!("{e:?}"));
            }
        })
    });
    for writing in writing.collect::<Vec<_>>() {
        writing.await.unwrap_or_else(|e| panic!("{e:?}"));
    }
    node.settled().await;
    for key in 0..4 {
        let done = world.hand.done(&format!("key-{key}"));
        assert_eq!(done, (0..25).collect::<Vec<_>>(), "each once, in order");
    }
    node.stop().await;
}

async fn each_subscription_handles_all(probe: Probe) {
    let world = World::new(probe).await;
    world.notes("a", 0..3).await;
    let add = |app: AppBuilder| {
        app.event_handler("one", tally).event_handler("two", hear).event_handler("three", hear)
    };
    let node = world.node(add).await;
    world.notes("a", 3..5).await;
    node.settled().await;
    assert_eq!(world.hand.count(), 15, "three times five");
    assert_eq!(world.tally("a").await, [0, 1, 2, 3, 4]);
    node.stop().await;
}

async fn tenants_are_apart(probe: Probe) {
    let world = World::new(probe).await;
    let mut of_tenant = to_stream("a", vec![noted("bad", 0)]);
    of_tenant.appends[0].stream.tenant = Some("acme".into());
    world.hand.on("bad", Act::Fatal);
    world.commit(of_tenant).await;
    world.notes("a", 0..2).await;
    let node = world.node(hears(4)).await;
    node.settled().await;
    assert_eq!(world.hand.done("a"), [0, 1], "the same stream of another tenant is another key");
    assert_eq!(world.count("hear", ParkedState::Parked).await, 1);
    node.stop().await;
}
