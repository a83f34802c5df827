//! Sinks: the user's own rows are written with the checkpoint, once, or not at all.

use super::prelude::*;
use crate::runtime::world::ROWS;
use crate::store::case::sinks;

cases! {
    "sinks":
    rows_are_written_once_whatever_happens_at_any_commit if sinks,
    a_retry_is_written_once_whatever_happens_at_any_commit if sinks,
    a_commit_that_lands_late_writes_no_rows if sinks,
    a_lease_that_is_lost_in_the_middle_writes_no_rows if sinks,
    poison_parks_its_key_only if sinks,
    a_panic_parks_its_key_only if sinks,
    one_that_fails_is_tried_as_often_as_the_policy_says_and_parks if sinks,
    what_is_parked_is_written_in_order_when_it_is_tried_again if sinks,
    another_number_of_partitions_loses_and_repeats_no_rows if sinks,
}

/// The sink in so many partitions, with pages of a few events.
fn rows(partitions: u32) -> impl Fn(AppBuilder) -> AppBuilder {
    move |app| app.subscription(ROWS, move |s| s.partitions(partitions).batch(3).retry(thrice()))
}

async fn rows_are_written_once_whatever_happens_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT).with_sink();
    let mut deaths = Deaths::default();
    while let Some(round) = deaths.round() {
        let (one, other) = (format!("one-{round}"), format!("other-{round}"));
        for n in 0..3 {
            world.note(&one, n).await;
            world.note(&other, n).await;
        }
        deaths.live(&world, &rows(2)).await;
        assert_eq!(world.rows(&one).await, [0, 1, 2], "{}", deaths.what());
        assert_eq!(world.rows(&other).await, [0, 1, 2], "{}", deaths.what());
        assert!(world.aside(ROWS).await.is_empty(), "{}", deaths.what());
    }
}

async fn a_retry_is_written_once_whatever_happens_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT).with_sink();
    let mut deaths = Deaths::default();
    while let Some(round) = deaths.round() {
        let key = format!("key-{round}");
        world.hand.on_one(&key, 0, Act::FailTimes(2));
        world.notes(&key, 0..2).await;
        // Once with others, once by itself, and then it is set aside.
        deaths.live(&world, &rows(1)).await;
        let aside = world.aside(ROWS).await;
        assert_eq!(world.rows(&key).await, [0, 1], "{}: {aside:?}", deaths.what());
        assert!(aside.is_empty(), "{}: {aside:?}", deaths.what());
    }
}

async fn a_commit_that_lands_late_writes_no_rows(probe: Probe) {
    let world = World::new(probe).await.with_sink();
    let node = world.node(rows(1)).await;
    node.ready().await;
    node.fate.after(0, Mishap::Late);
    world.notes("a", 0..2).await;
    node.settled().await;
    assert_eq!(world.rows("a").await, [0, 1], "they were written again, because nobody knew");
    let landed = node.fate.land().await;
    assert!(landed.is_err(), "what lands late was overtaken: {landed:?}");
    assert_eq!(world.rows("a").await, [0, 1]);
    node.stop().await;
}

async fn a_lease_that_is_lost_in_the_middle_writes_no_rows(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT).with_sink();
    let paused = world.node(rows(1)).await;
    paused.ready().await;
    paused.fate.after(0, Mishap::Held);
    world.note("a", 0).await;
    until("its rows on their way", || async { paused.fate.holds().then_some(()) }).await;
    // It is paused in the middle, as by the system: its lease runs out.
    paused.fate.freeze();
    let other = world.node(rows(1)).await;
    until("the rows of the other node", || async { (world.rows("a").await == [0]).then_some(()) })
        .await;
    let before = paused.fate.answered();
    paused.fate.let_go();
    let answer = paused.fate.answer(before).await;
    assert!(answer.as_ref().is_some_and(is_lost), "its commit is refused: {answer:?}");
    assert_eq!(world.rows("a").await, [0], "and nothing is written");
    paused.fate.thaw();
    let last = world.note("a", 1).await;
    assert!(other.wait_for(ROWS, last, PATIENCE).await.is_yes());
    assert_eq!(world.rows("a").await, [0, 1]);
    paused.stop().await;
    other.stop().await;
}

async fn poison_parks_its_key_only(probe: Probe) {
    parks_its_key_only(probe, Act::Fatal).await;
}

async fn a_panic_parks_its_key_only(probe: Probe) {
    parks_its_key_only(probe, Act::Panic).await;
}

async fn parks_its_key_only(probe: Probe, act: Act) {
    let world = World::new(probe).await.with_sink();
    world.hand.on_one("a", 1, act);
    for n in 0..4 {
        // It is the last one of those that are written together.
        for key in ["b", "c", "a"] {
            world.note(key, n).await;
        }
    }
    let node = world.node(rows(1)).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.rows("a").await, [0], "what was before the poison");
    assert_eq!(world.rows("b").await, [0, 1, 2, 3]);
    assert_eq!(world.rows("c").await, [0, 1, 2, 3]);
    let states: Vec<_> = world.aside(ROWS).await.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [ParkedState::Parked, ParkedState::Behind, ParkedState::Behind]);
    node.stop().await;
}

async fn one_that_fails_is_tried_as_often_as_the_policy_says_and_parks(probe: Probe) {
    let world = World::new(probe).await.with_sink();
    world.hand.on("a", Act::Fail);
    world.note("a", 0).await;
    let node = world.node(rows(1)).await;
    node.advance(Duration::from_secs(600)).await;
    let aside = world.aside(ROWS).await;
    assert_eq!((aside[0].state, aside[0].attempts), (ParkedState::Parked, 3), "{aside:?}");
    assert!(aside[0].cause.contains("told to fail"), "with its cause: {aside:?}");
    assert_eq!(world.hand.attempts("a", 0), 4, "three, and one with its page");
    assert_eq!(world.rows("a").await, [] as [u32; 0], "nothing of them is written");
    node.stop().await;
}

async fn what_is_parked_is_written_in_order_when_it_is_tried_again(probe: Probe) {
    let world = World::new(probe).await.with_sink();
    world.hand.on_one("a", 0, Act::Fatal);
    world.notes("a", 0..5).await;
    world.notes("b", 0..5).await;
    let node = world.node(rows(2)).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.rows("a").await, [] as [u32; 0]);
    assert_eq!(world.rows("b").await, [0, 1, 2, 3, 4]);
    assert_eq!(world.aside(ROWS).await.len(), 5);
    // Still a poison: nothing of the attempt is written.
    node.retry(world.aside(ROWS).await[0].id()).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.rows("a").await, [] as [u32; 0]);
    world.hand.relent();
    node.retry(world.aside(ROWS).await[0].id()).await;
    node.settled().await;
    assert_eq!(world.rows("a").await, [0, 1, 2, 3, 4], "each once, in order");
    assert!(world.aside(ROWS).await.is_empty(), "nothing is left");
    world.note("a", 5).await;
    node.settled().await;
    assert_eq!(world.rows("a").await, [0, 1, 2, 3, 4, 5], "the key is free again");
    node.stop().await;
}

async fn another_number_of_partitions_loses_and_repeats_no_rows(probe: Probe) {
    let world = World::new(probe).await.with_sink();
    let node = world.node(rows(3)).await;
    let moving = world.moves(&node, ROWS, [5, 1, 4]);
    let ((), notes) = world.meanwhile(0, |n| world.note_all(4, n), moving).await;
    node.settled().await;
    for key in 0..4 {
        let rows = world.rows(&format!("key-{key}")).await;
        assert_eq!(rows, (0..notes).collect::<Vec<_>>(), "key-{key}: each once, in order");
    }
    node.stop().await;
}
