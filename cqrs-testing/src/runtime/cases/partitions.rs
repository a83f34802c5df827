//! Paused, resumed, and given another number of partitions, in the middle of work.

use cqrs_core::{ErrorKind, SubscriptionState};

use super::prelude::*;

cases! {
    "partitions":
    a_paused_subscription_handles_nothing_until_it_is_resumed,
    what_a_paused_one_has_set_aside_waits_and_all_else_settles,
    a_pause_holds_on_every_node_and_after_a_restart,
    another_number_loses_and_repeats_nothing,
    another_number_keeps_what_is_set_aside_in_order,
    another_number_is_reached_though_one_of_two_nodes_dies,
    the_number_of_the_first_start_stays,
    an_unknown_subscription_is_refused,
}

async fn a_paused_subscription_handles_nothing_until_it_is_resumed(probe: Probe) {
    let world = World::new(probe).await;
    let add = |app: AppBuilder| app.event_handler("hear", hear).event_handler("tally", tally);
    let node = world.node(add).await;
    world.note("a", 0).await;
    node.settled().await;
    let done = node.subscriptions().pause("hear").await;
    done.unwrap_or_else(|e| panic!("{e:?}"));
    until("nothing at work", || async { (node.here("hear").await == 0).then_some(()) }).await;
    assert_eq!(node.status("hear").await.state, SubscriptionState::Paused);
    let last = world.note("a", 1).await;
    assert!(node.wait_for("tally", last, PATIENCE).await.is_yes(), "the other one goes on");
    assert_eq!(world.hand.attempts("a", 1), 1, "the paused one was handed nothing");
    assert!(node.status("hear").await.lag > 0);
    let done = node.subscriptions().resume("hear").await;
    done.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(node.wait_for("hear", last, PATIENCE).await.is_yes());
    assert_eq!(world.hand.done("a"), [0, 0, 1, 1]);
    node.stop().await;
}

async fn what_a_paused_one_has_set_aside_waits_and_all_else_settles(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(hears(1)).await;
    world.hand.on("a", Act::Fail);
    world.note("a", 0).await;
    node.settled().await;
    node.subscriptions().pause("hear").await.unwrap_or_else(|e| panic!("{e:?}"));
    until("nothing at work", || async { (node.here("hear").await == 0).then_some(()) }).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.hand.attempts("a", 0), 1, "the paused one does nothing");
    world.hand.relent();
    node.subscriptions().resume("hear").await.unwrap_or_else(|e| panic!("{e:?}"));
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.hand.done("a"), [0], "what was due meanwhile is done");
    node.stop().await;
}

async fn a_pause_holds_on_every_node_and_after_a_restart(probe: Probe) {
    let world = World::new(probe).await;
    let one = world.node(hears(2)).await;
    let other = world.node(hears(2)).await;
    one.subscriptions().pause("hear").await.unwrap_or_else(|e| panic!("{e:?}"));
    until("nothing at work", || async {
        let here = (one.here("hear").await, other.here("hear").await);
        (here == (0, 0) && other.status("hear").await.state == SubscriptionState::Paused)
            .then_some(())
    })
    .await;
    one.stop().await;
    other.stop().await;
    let last = world.note("a", 0).await;
    let node = world.node(hears(2)).await;
    node.settled().await;
    assert_eq!(node.status("hear").await.state, SubscriptionState::Paused);
    assert_eq!(world.hand.count(), 0);
    node.subscriptions().resume("hear").await.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(node.wait_for("hear", last, PATIENCE).await.is_yes());
    assert_eq!(world.hand.done("a"), [0]);
    node.stop().await;
}

async fn another_number_loses_and_repeats_nothing(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_all(Act::Yield);
    let node = world.node(tallies(3)).await;
    let moving = world.moves(&node, "tally", [5, 1, 4]);
    let ((), notes) = world.meanwhile(0, |n| world.note_all(4, n), moving).await;
    node.settled().await;
    for key in 0..4 {
        let done = world.tally(&format!("key-{key}")).await;
        assert_eq!(done, (0..notes).collect::<Vec<_>>(), "key-{key}: each once, in order");
    }
    node.stop().await;
}

async fn another_number_keeps_what_is_set_aside_in_order(probe: Probe) {
    let world = World::new(probe).await;
    for key in 0..6 {
        world.hand.on_one(&format!("key-{key}"), 0, Act::Fatal);
        world.notes(&format!("key-{key}"), 0..3).await;
    }
    let node = world.node(tallies(2)).await;
    node.settled().await;
    let done = node.subscriptions().repartition("tally", 5, PATIENCE).await;
    done.unwrap_or_else(|e| panic!("{e:?}"));
    for key in 0..6 {
        world.notes(&format!("key-{key}"), 3..5).await;
    }
    node.settled().await;
    assert_eq!(world.aside("tally").await.len(), 30, "all of them still wait");
    world.hand.relent();
    let asked = node.parked().retry_all(FindParked::of("tally")).await;
    assert_eq!(asked.unwrap_or_else(|e| panic!("{e:?}")), 6);
    node.settled().await;
    for key in 0..6 {
        assert_eq!(world.tally(&format!("key-{key}")).await, [0, 1, 2, 3, 4]);
    }
    node.stop().await;
}

async fn another_number_is_reached_though_one_of_two_nodes_dies(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    world.hand.on_all(Act::Yield);
    let survivor = world.node(tallies(4)).await;
    let (mut notes, mut deaths) = (0, 0);
    for (round, partitions) in [3, 5, 2, 4, 3, 6, 2, 5].into_iter().enumerate() {
        world.alone("tally", &survivor).await;
        let doomed = world.node(tallies(4)).await;
        world.shared("tally", [&survivor, &doomed]).await;
        let mishap = if round % 2 == 0 { Mishap::DiesAfter } else { Mishap::DiesBefore };
        doomed.fate.after(round as u32 * 2, mishap);
        let moving = world.passing(world.moves(&survivor, "tally", [partitions]));
        ((), notes) = world.meanwhile(notes, |n| world.note_all(6, n), moving).await;
        let head = world.probe.end().await;
        let done = async {
            assert!(survivor.wait_for("tally", head, PATIENCE).await.is_yes());
            until("nothing set aside", || async {
                world.aside("tally").await.is_empty().then_some(())
            })
            .await;
        };
        world.passing(done).await;
        for key in (0..6).map(|key| format!("key-{key}")) {
            let tally = world.tally(&key).await;
            assert_eq!(tally, (0..notes).collect::<Vec<_>>(), "{key}: each once, in order");
        }
        deaths += u32::from(doomed.fate.is_dead());
        doomed.kill();
    }
    assert!(deaths > 2, "it was to die in the middle: {deaths}");
    survivor.stop().await;
}

async fn the_number_of_the_first_start_stays(probe: Probe) {
    let world = World::new(probe).await;
    world.notes("a", 0..3).await;
    let node = world.node(tallies(2)).await;
    node.settled().await;
    node.stop().await;
    world.notes("a", 3..6).await;
    // Another number in the code changes nothing by itself.
    let node = world.node(tallies(7)).await;
    node.settled().await;
    assert_eq!(node.status("tally").await.partitions, 2);
    assert_eq!(world.tally("a").await, [0, 1, 2, 3, 4, 5]);
    node.stop().await;
}

async fn an_unknown_subscription_is_refused(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(tallies(2)).await;
    let subscriptions = node.subscriptions();
    let refused = subscriptions.pause("no such").await.map_err(|e| e.kind().clone());
    assert_eq!(refused, Err(ErrorKind::UnknownName));
    let refused = subscriptions.get("no such").await.map_err(|e| e.kind().clone());
    assert_eq!(refused, Err(ErrorKind::UnknownName));
    let refused = node.app.wait_for("no such", 0, PATIENCE).await.map_err(|e| e.kind().clone());
    assert_eq!(refused, Err(ErrorKind::UnknownName));
    node.stop().await;
}
