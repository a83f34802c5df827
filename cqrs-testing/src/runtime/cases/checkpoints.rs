//! Checkpoints: what they pass, and what they do not.

use super::prelude::*;

cases! {
    "checkpoints":
    one_never_passes_what_is_not_handled,
    one_passes_what_the_filter_skips,
    one_that_lands_late_moves_nothing_back,
    what_was_handled_is_not_handled_again,
    partitions_have_their_own,
}

async fn one_never_passes_what_is_not_handled(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("b", 0, Act::Hold);
    let first = world.notes("a", 0..3).await;
    let held = world.note("b", 0).await;
    let head = world.notes("a", 3..6).await;
    let node = world.node(tallies(1)).await;
    world.hand.held("b").await;
    // Its lease is renewed, others commit, time passes.
    world.notes("c", 0..3).await;
    until("the checkpoint before what is held", || async {
        (world.stands("tally", 0).await <= first).then_some(())
    })
    .await;
    assert!(world.stands("tally", 0).await < held, "a checkpoint passed what is in hand");
    node.kill();
    assert!(world.stands("tally", 0).await < held, "a checkpoint passed what died in hand");

    world.hand.relent();
    let world = world.lease(SHORT);
    let node = world.node(tallies(1)).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.tally("b").await, [0], "what was in hand is handled by the next process");
    assert_eq!(world.tally("a").await, [0, 1, 2, 3, 4, 5], "and what came after it");
    node.stop().await;
    assert!(world.stands("tally", 0).await >= head, "all of it is handled");
}

async fn one_passes_what_the_filter_skips(probe: Probe) {
    let world = World::new(probe).await;
    world.note("a", 0).await;
    let node = world.node(hears(2)).await;
    node.settled().await;
    let head = world.write("a", vec![crossed("a")]).await;
    until("the checkpoints at the head", || async {
        let stands = (world.stands("hear", 0).await, world.stands("hear", 1).await);
        (stands == (head, head)).then_some(())
    })
    .await;
    node.stop().await;
}

async fn one_that_lands_late_moves_nothing_back(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(hears(1)).await;
    node.ready().await;
    // The first checkpoint is under way for very long.
    node.fate.after(0, Mishap::Late);
    world.notes("a", 0..5).await;
    until("a checkpoint under way", || async { node.fate.has_come().then_some(()) }).await;
    node.settled().await;
    let head = world.notes("a", 5..10).await;
    node.settled().await;
    until("the checkpoint at the head", || async {
        (world.stands("hear", 0).await == head).then_some(())
    })
    .await;
    let landed = node.fate.land().await;
    assert!(landed.is_err(), "what lands late was overtaken: {landed:?}");
    assert_eq!(world.stands("hear", 0).await, head, "the checkpoint is where it was");
    node.stop().await;
}

async fn what_was_handled_is_not_handled_again(probe: Probe) {
    let world = World::new(probe).await;
    for key in ["a", "b", "c", "d"] {
        world.notes(key, 0..10).await;
    }
    let node = world.node(hears(3)).await;
    node.settled().await;
    node.stop().await;
    assert_eq!(world.hand.count(), 40);
    let node = world.node(hears(3)).await;
    node.settled().await;
    node.stop().await;
    assert_eq!(world.hand.count(), 40, "a new start begins where the last one stopped");
}

async fn partitions_have_their_own(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Hold);
    let held = world.note("a", 0).await;
    for n in 0..20 {
        world.note(&format!("key-{n}"), n).await;
    }
    let head = world.note("last", 0).await;
    let node = world.node(hears(4)).await;
    world.hand.held("a").await;
    until("three checkpoints at the head", || async {
        let mut stands = Vec::new();
        for partition in 0..4 {
            stands.push(world.stands("hear", partition).await);
        }
        let done = stands.iter().filter(|at| **at == head).count();
        (done == 3 && stands.iter().filter(|at| **at < held).count() == 1).then_some(())
    })
    .await;
    world.hand.relent();
    node.settled().await;
    node.stop().await;
}
