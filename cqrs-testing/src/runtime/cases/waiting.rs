//! Whoever wrote waits until what follows can be read, on any node (P15).

use cqrs_core::{ErrorKind, Reached, Waited};

use super::prelude::*;

cases! {
    "waiting":
    yes_once_it_is_handled,
    yes_on_a_node_that_does_not_handle_it,
    yes_where_events_are_noted_before_they_are_handled,
    not_yet_while_it_is_in_hand,
    parked_when_its_key_is,
    a_command_waits_for_what_follows_from_it,
    a_position_beyond_the_head_is_refused,
    the_lag_tells_what_is_left,
}

async fn yes_once_it_is_handled(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(tallies(2)).await;
    for n in 0..20 {
        let written = world.note("a", n).await;
        let reached = node.wait_for("tally", written, PATIENCE).await;
        assert_eq!(reached, Reached::Yes);
        assert_eq!(world.tally("a").await.len() as u32, n + 1, "what was waited for is there");
    }
    node.stop().await;
}

async fn yes_on_a_node_that_does_not_handle_it(probe: Probe) {
    let world = World::new(probe).await;
    let one = world.node(tallies(4)).await;
    let other = world.node(tallies(4)).await;
    until("partitions on each", || async {
        let (one, other) = (one.here("tally").await, other.here("tally").await);
        (one > 0 && other > 0 && one + other == 4).then_some(())
    })
    .await;
    for key in 0..8 {
        let key = format!("key-{key}");
        let written = world.note(&key, 0).await;
        for node in [&one, &other] {
            assert_eq!(node.wait_for("tally", written, PATIENCE).await, Reached::Yes);
            assert_eq!(world.tally(&key).await, [0], "what was waited for is there");
        }
    }
    one.stop().await;
    other.stop().await;
}

async fn yes_where_events_are_noted_before_they_are_handled(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let node = world.node(tallies(1)).await;
    world.note("a", 0).await;
    node.settled().await;
    node.kill();
    // The next one takes over from a dead one, and is careful for a while.
    let node = world.node(tallies(1)).await;
    for n in 1..20 {
        let written = world.note("a", n).await;
        let reached = node.wait_for("tally", written, PATIENCE).await;
        assert_eq!(reached, Reached::Yes, "nothing is wrong with it");
        assert_eq!(world.tally("a").await.len() as u32, n + 1, "what was waited for is there");
    }
    node.stop().await;
}

async fn not_yet_while_it_is_in_hand(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(tallies(1)).await;
    node.ready().await;
    let before = world.note("b", 0).await;
    node.settled().await;
    world.hand.on("a", Act::Hold);
    let written = world.note("a", 0).await;
    world.hand.held("a").await;
    let short = Duration::from_millis(50);
    assert_eq!(node.wait_for("tally", written, short).await, Reached::NotYet);
    assert_eq!(node.wait_for("tally", before, short).await, Reached::Yes);
    world.hand.relent();
    assert_eq!(node.wait_for("tally", written, PATIENCE).await, Reached::Yes);
    node.stop().await;
}

async fn parked_when_its_key_is(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("a", 1, Act::Fatal);
    let node = world.node(tallies(1)).await;
    let before = world.note("a", 0).await;
    let parked = world.note("a", 1).await;
    let behind = world.note("a", 2).await;
    let beside = world.note("b", 0).await;
    node.settled().await;
    let id = world.aside("tally").await[0].id();
    assert_eq!(id.position, parked);
    assert_eq!(node.wait_for("tally", before, PATIENCE).await, Reached::Yes);
    assert_eq!(node.wait_for("tally", parked, PATIENCE).await, Reached::Parked(id.clone()));
    assert_eq!(node.wait_for("tally", behind, PATIENCE).await, Reached::Parked(id.clone()));
    assert_eq!(node.wait_for("tally", beside, PATIENCE).await, Reached::Yes);
    world.hand.relent();
    node.retry(id).await;
    node.settled().await;
    assert_eq!(node.wait_for("tally", behind, PATIENCE).await, Reached::Yes);
    node.stop().await;
}

async fn a_command_waits_for_what_follows_from_it(probe: Probe) {
    let world = World::new(probe).await;
    let add = |app: AppBuilder| tallies(2)(app).decides::<Notebook, Note>();
    let node = world.node(add).await;
    for n in 0..10 {
        let sent = node.app.send(Note { key: "a".into(), n }).and_wait(["tally"]).await;
        let Waited { position, reached, .. } = sent.unwrap_or_else(|e| panic!("{e:?}"));
        assert!(position.is_some() && reached.is_yes(), "{reached:?}");
        assert_eq!(world.tally("a").await.len() as u32, n + 1, "what was waited for is there");
    }
    world.hand.on("bad", Act::Fatal);
    let sent = node.app.send(Note { key: "bad".into(), n: 0 }).and_wait(["tally"]).await;
    let Waited { position, reached, .. } = sent.unwrap_or_else(|e| panic!("{e:?}"));
    assert!(
        matches!(&reached, Reached::Parked(id) if Some(id.position) == position),
        "{reached:?}"
    );
    node.stop().await;
}

async fn a_position_beyond_the_head_is_refused(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(tallies(1)).await;
    let head = world.note("a", 0).await;
    let refused = node.app.wait_for("tally", head + 1, PATIENCE).await;
    let refused = refused.map_err(|error| error.kind().clone());
    assert_eq!(refused, Err(ErrorKind::BeyondHead { position: head + 1, head }));
    node.stop().await;
}

async fn the_lag_tells_what_is_left(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(hears(1)).await;
    node.ready().await;
    let first = world.note("a", 0).await;
    node.settled().await;
    world.hand.on_one("a", 1, Act::Hold);
    let head = world.notes("a", 1..11).await;
    world.hand.held("a").await;
    let status = node.status("hear").await;
    assert_eq!((status.position, status.head, status.lag), (first, head, head - first));
    world.hand.relent();
    node.settled().await;
    let status = node.status("hear").await;
    assert_eq!((status.position, status.head, status.lag), (head, head, 0));
    node.stop().await;
}
