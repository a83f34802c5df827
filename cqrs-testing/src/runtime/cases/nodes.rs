//! Several nodes on one store: they share the partitions, and take over from the dead.

use super::prelude::*;
use crate::runtime::node::Node;
use crate::runtime::trips::{NAME as SAGA, at_rest, book, done, errand, sends, travelled, trips};

cases! {
    "nodes":
    two_nodes_share_the_partitions,
    two_nodes_that_live_do_nothing_twice,
    a_node_takes_over_from_the_dead_and_nothing_is_done_twice,
    a_stopped_node_leaves_nothing_to_wait_for,
    what_a_node_asks_for_when_it_is_stopped_is_given_back_too,
    an_event_that_kills_the_process_parks_after_its_attempts,
    two_nodes_share_sagas_and_messages_and_do_each_step_once,
    sagas_and_messages_of_a_node_that_dies_are_finished_by_the_other,
}

async fn two_nodes_share_the_partitions(probe: Probe) {
    let world = World::new(probe).await.lease(Duration::from_secs(2));
    let one = world.node(tallies(8)).await;
    until("all partitions on one node", || async { (one.here("tally").await == 8).then_some(()) })
        .await;
    let other = world.node(tallies(8)).await;
    until("a fair share on each", || async {
        let (one, other) = (one.here("tally").await, other.here("tally").await);
        (one + other == 8 && one.abs_diff(other) <= 2).then_some(())
    })
    .await;
    // And both work.
    for n in 0..20 {
        world.note(&format!("key-{n}"), 0).await;
    }
    world.handled(20).await;
    one.stop().await;
    until("all partitions on the other", || async {
        (other.here("tally").await == 8).then_some(())
    })
    .await;
    other.stop().await;
}

async fn two_nodes_that_live_do_nothing_twice(probe: Probe) {
    let world = World::new(probe).await;
    let one = world.node(hears(4)).await;
    let mut other = None;
    for n in 0..150 {
        world.note(&format!("key-{}", n % 10), n / 10).await;
        if n == 50 {
            other = Some(world.node(hears(4)).await);
        }
        if n == 100 {
            let other = other.as_ref().unwrap_or_else(|| panic!("started before"));
            until("partitions on both", || async { (other.here("hear").await > 0).then_some(()) })
                .await;
        }
    }
    world.handled(150).await;
    one.stop().await;
    if let Some(other) = other {
        other.settled().await;
        other.stop().await;
    }
    for key in 0..10 {
        let done = world.hand.done(&format!("key-{key}"));
        assert_eq!(done, (0..15).collect::<Vec<_>>(), "each once, in order");
    }
}

async fn a_node_takes_over_from_the_dead_and_nothing_is_done_twice(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let one = world.node(tallies(4)).await;
    let other = world.node(tallies(4)).await;
    until("partitions on both", || async {
        (one.here("tally").await > 0 && other.here("tally").await > 0).then_some(())
    })
    .await;
    for n in 0..30 {
        for key in 0..6 {
            world.note(&format!("key-{key}"), n).await;
        }
        if n == 15 {
            break;
        }
    }
    // In the middle of its work, without a word.
    one.kill();
    for n in 16..30 {
        for key in 0..6 {
            world.note(&format!("key-{key}"), n).await;
        }
    }
    let last = world.note("last", 0).await;
    assert!(other.wait_for("tally", last, PATIENCE).await.is_yes(), "the other takes over");
    other.settled().await;
    for key in 0..6 {
        let done = world.tally(&format!("key-{key}")).await;
        assert_eq!(done, (0..30).collect::<Vec<_>>(), "key-{key}: each once, in order");
    }
    other.stop().await;
}

async fn a_stopped_node_leaves_nothing_to_wait_for(probe: Probe) {
    let world = World::new(probe).await.lease(LONG);
    world.note("a", 0).await;
    let node = world.node(tallies(4)).await;
    node.settled().await;
    node.stop().await;
    let left = world.probe.leases("").await.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(left.is_empty(), "leases are given back: {left:?}");
    world.note("a", 1).await;
    // The next one would have to wait for ten minutes.
    let node = world.node(tallies(4)).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, [0, 1]);
    node.stop().await;
}

async fn what_a_node_asks_for_when_it_is_stopped_is_given_back_too(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(tallies(4)).await;
    node.settled().await;
    // It asks from time to time, and the question is long on its way to the store.
    let fate = node.fate.clone();
    fate.slow_down();
    until("a question on its way", || async { (fate.on_their_way() > 0).then_some(()) }).await;
    node.stop().await;
    until("the end of the question", || async { (fate.on_their_way() == 0).then_some(()) }).await;
    let left = world.probe.leases("").await.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(left.is_empty(), "leases are given back: {left:?}");
}

async fn an_event_that_kills_the_process_parks_after_its_attempts(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    // Whoever handles it dies in the middle.
    world.hand.on("killer", Act::Hold);
    world.notes("a", 0..3).await;
    let killer = world.note("killer", 0).await;
    world.notes("a", 3..6).await;
    let mut deaths = 0;
    loop {
        let node = world.node(tallies(1)).await;
        let dies = until("the killer in hand, or parked", || async {
            let parked = world.count("tally", ParkedState::Parked).await > 0;
            // What ran when the process died is not tried again at once.
            world.clock.advance(Duration::from_secs(1));
            (parked || world.hand.holds("killer")).then_some(!parked)
        })
        .await;
        if !dies {
            node.settled().await;
            let aside = world.aside("tally").await;
            assert_eq!(aside.len(), 1, "{aside:?}");
            assert_eq!((aside[0].position, aside[0].attempts), (killer, 3), "{aside:?}");
            assert_eq!(world.tally("a").await, [0, 1, 2, 3, 4, 5], "the others go on");
            world.hand.relent();
            node.retry(aside[0].id()).await;
            node.settled().await;
            assert_eq!(world.tally("killer").await, [0], "once it kills no more");
            node.stop().await;
            break;
        }
        node.kill();
        deaths += 1;
        assert!(deaths <= 4, "three attempts, and the one before it was known");
        until("the process to be gone", || async { (!world.hand.holds("killer")).then_some(()) })
            .await;
    }
    assert!(deaths >= 3, "it was tried as often as the policy says: {deaths}");
}

/// With as many partitions of the relay as a saga has.
async fn relaying(probe: Probe) -> World {
    let mut world = World::new(probe).await.lease(SHORT);
    world.settings.relay_partitions = 4;
    world.hand.on_all(Act::Yield);
    world
}

/// What two nodes are to do: trips, and messages in the order of their keys.
struct Work {
    trips: Vec<String>,
    keys: Vec<String>,
}

impl Work {
    async fn begun(world: &World, name: &str, number: u32) -> Self {
        let named = |what| (0..number).map(move |n| format!("{what}-{name}-{n}")).collect();
        let work = Self { trips: named("trip"), keys: named("key") };
        for (trip, key) in work.trips.iter().zip(&work.keys) {
            book(world, trip).await;
            for n in 0..3 {
                world.probe.answered(sends([errand(&n.to_string(), key)])).await;
            }
        }
        work
    }

    /// It is done, and once.
    async fn is_done(&self, world: &World, node: &Node) {
        world.passing(at_rest(world, node)).await;
        for trip in &self.trips {
            travelled(world, trip).await;
        }
        for key in &self.keys {
            assert_eq!(done(world, key).await, ["0", "1", "2"], "{key}: each once, in order");
        }
    }
}

async fn two_nodes_share_sagas_and_messages_and_do_each_step_once(probe: Probe) {
    let world = relaying(probe).await.lease(Duration::from_secs(4));
    let one = world.node(trips).await;
    let other = world.node(trips).await;
    world.shared(SAGA, [&one, &other]).await;
    world.relayed_by(2).await;
    let work = Work::begun(&world, "both", 20).await;
    work.is_done(&world, &one).await;
    let handled = world.hand.count();
    assert_eq!(handled, 20 * (3 + 3), "while both live, each command is handled once");
    one.stop().await;
    other.stop().await;
}

async fn sagas_and_messages_of_a_node_that_dies_are_finished_by_the_other(probe: Probe) {
    let world = relaying(probe).await;
    let survivor = world.node(trips).await;
    let mut deaths = 0;
    for round in 0..8 {
        world.alone(SAGA, &survivor).await;
        world.relayed_by(1).await;
        let doomed = world.node(trips).await;
        world.shared(SAGA, [&survivor, &doomed]).await;
        world.relayed_by(2).await;
        // In the middle of its work, without a word.
        let mishap = if round % 4 == 3 { Mishap::DiesBefore } else { Mishap::DiesAfter };
        doomed.fate.after(round, mishap);
        let work = Work::begun(&world, &round.to_string(), 4).await;
        work.is_done(&world, &survivor).await;
        deaths += u32::from(doomed.fate.is_dead());
        doomed.kill();
    }
    assert!(deaths > 3, "it was to die in the middle: {deaths}");
    survivor.stop().await;
}
