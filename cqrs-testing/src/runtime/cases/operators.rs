//! What operators ask for, on any node: another attempt, another body, no attempt any more.

use cqrs_core::{ErrorKind, Payload};
use serde_json::json;

use super::prelude::*;
use crate::store::make::body;

cases! {
    "operators":
    a_retry_asked_for_elsewhere_is_done_while_new_events_arrive,
    all_are_retried_at_once,
    an_edited_body_is_handled,
    what_is_discarded_is_not_handled_and_its_key_goes_on,
    a_retry_has_all_attempts_again,
    what_waits_for_another_cannot_be_retried,
}

async fn a_retry_asked_for_elsewhere_is_done_while_new_events_arrive(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("a", 0, Act::Fatal);
    world.notes("a", 0..10).await;
    let node = world.node(tallies(2)).await;
    node.settled().await;
    world.hand.relent();
    let id = world.aside("tally").await[0].id();
    // A node that runs nothing: an operator's tool.
    let app = cqrs_core::App::builder().shared_store(world.store().await);
    let app = app.clock(world.clock.clone()).build().unwrap_or_else(|e| panic!("{e:?}"));
    let parked = app.parked().unwrap_or_else(|e| panic!("{e:?}"));
    let (asked, ()) = tokio::join!(parked.retry(&id), async {
        for n in 10..40 {
            world.note("a", n).await;
        }
    });
    asked.unwrap_or_else(|e| panic!("{e:?}"));
    until("all of the key", || async { (world.tally("a").await.len() >= 40).then_some(()) }).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, (0..40).collect::<Vec<_>>(), "each once, in order");
    assert!(world.aside("tally").await.is_empty());
    node.stop().await;
}

async fn all_are_retried_at_once(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_all(Act::Fatal);
    for key in ["a", "b", "c"] {
        world.notes(key, 0..4).await;
    }
    let node = world.node(hears(2)).await;
    node.settled().await;
    world.hand.relent();
    let asked = node.parked().retry_all(FindParked::of("hear")).await;
    assert_eq!(asked.unwrap_or_else(|e| panic!("{e:?}")), 3, "one of each key");
    node.settled().await;
    for key in ["a", "b", "c"] {
        assert_eq!(world.hand.done(key), [0, 1, 2, 3]);
    }
    assert!(world.aside("hear").await.is_empty());
    node.stop().await;
}

async fn an_edited_body_is_handled(probe: Probe) {
    let world = World::new(probe).await;
    let at = world.write("a", vec![garbled()]).await;
    world.note("a", 1).await;
    let node = world.node(tallies(4)).await;
    node.settled().await;
    let id = world.aside("tally").await[0].id();
    let right = Payload::Json(body(&json!({ "key": "a", "n": 0 })));
    let done = node.parked().edit(&id, right).await;
    done.unwrap_or_else(|e| panic!("{e:?}"));
    node.settled().await;
    assert_eq!(world.tally("a").await, [0, 1]);
    assert!(world.aside("tally").await.is_empty());
    let log = world.probe.log().await;
    let recorded = log.iter().find(|event| event.position == at);
    let recorded = recorded.map(|event| event.body.clone());
    assert_eq!(recorded, Some((&garbled().payload).into()), "what is recorded stays as it is");
    node.stop().await;
}

async fn what_is_discarded_is_not_handled_and_its_key_goes_on(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_one("a", 1, Act::Fatal);
    world.notes("a", 0..4).await;
    let node = world.node(tallies(1)).await;
    node.settled().await;
    world.hand.relent();
    let id = world.aside("tally").await[0].id();
    let done = node.parked().discard(&id, "it is a test").await;
    done.unwrap_or_else(|e| panic!("{e:?}"));
    node.settled().await;
    assert_eq!(world.tally("a").await, [0, 2, 3], "without what was given up");
    assert_eq!(world.hand.attempts("a", 1), 1);
    assert!(world.aside("tally").await.is_empty());
    node.stop().await;
}

async fn a_retry_has_all_attempts_again(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fail);
    world.note("a", 0).await;
    let node = world.node(hears(1)).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.hand.attempts("a", 0), 3);
    node.retry(world.aside("hear").await[0].id()).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.hand.attempts("a", 0), 6);
    let aside = world.aside("hear").await;
    assert_eq!((aside[0].state, aside[0].attempts), (ParkedState::Parked, 3), "{aside:?}");
    node.stop().await;
}

async fn what_waits_for_another_cannot_be_retried(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fatal);
    world.notes("a", 0..2).await;
    let node = world.node(hears(1)).await;
    node.settled().await;
    let aside = world.aside("hear").await;
    let asked = node.parked().retry(&aside[1].id()).await;
    assert_eq!(asked.map_err(|e| e.kind().clone()), Err(ErrorKind::UnknownName), "{aside:?}");
    let unknown = "99999@hear".parse().unwrap_or_else(|e| panic!("{e:?}"));
    let asked = node.parked().retry(&unknown).await;
    assert_eq!(asked.map_err(|e| e.kind().clone()), Err(ErrorKind::UnknownName));
    node.stop().await;
}
