//! Retries: how often, how soon, and what is not tried again.

use cqrs_core::{Clock, HandlerError};

use super::prelude::*;

cases! {
    "retries":
    a_failing_event_is_tried_as_often_as_the_policy_says_and_parks,
    one_that_passes_in_time_is_handled_once,
    waits_lie_between_nothing_and_their_bounds,
    waits_are_spread,
    what_is_fatal_parks_at_once,
    what_the_policy_does_not_retry_parks_at_once,
    a_failing_key_of_a_hundred_delays_no_other,
    a_handler_that_fails_for_an_hour_holds_up_no_other,
    a_panic_is_one_failure_of_one_event,
    attempts_go_on_after_a_restart,
}

async fn a_failing_event_is_tried_as_often_as_the_policy_says_and_parks(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fail);
    world.note("a", 0).await;
    let node = world.node(hears(1)).await;
    node.settled().await;
    for attempts in 1..3 {
        let aside = world.aside("hear").await;
        assert_eq!((aside[0].state, aside[0].attempts), (ParkedState::Retrying, attempts));
        assert_eq!(world.hand.attempts("a", 0), attempts as usize);
        let due = node.next_due().await.unwrap_or_else(|| panic!("nothing is due: {aside:?}"));
        node.advance(due.duration_since(world.clock.now())).await;
    }
    let aside = world.aside("hear").await;
    assert_eq!((aside[0].state, aside[0].attempts, aside[0].due), (ParkedState::Parked, 3, None));
    assert!(aside[0].cause.contains("told to fail"), "{aside:?}");
    node.advance(Duration::from_secs(3600)).await;
    assert_eq!(world.hand.attempts("a", 0), 3, "no further attempt by itself");
    node.stop().await;
}

async fn one_that_passes_in_time_is_handled_once(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::FailTimes(2));
    world.notes("a", 0..3).await;
    let node = world.node(tallies(1)).await;
    node.settled().await;
    assert_eq!(world.tally("a").await, [] as [u32; 0], "what fails leaves nothing");
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.tally("a").await, [0, 1, 2], "each once, in order");
    assert!(world.aside("tally").await.is_empty());
    node.stop().await;
}

async fn waits_lie_between_nothing_and_their_bounds(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fail);
    let policy = RetryPolicy {
        attempts: 8,
        first: Duration::from_secs(1),
        max: Duration::from_secs(20),
        ..RetryPolicy::default()
    };
    let add = move |app: AppBuilder| {
        app.event_handler("hear", hear).subscription("hear", move |s| s.retry(policy))
    };
    let node = world.node(add).await;
    world.note("a", 0).await;
    node.settled().await;
    for attempts in 1..8 {
        let due = node.next_due().await.unwrap_or_else(|| panic!("after {attempts} attempts"));
        let wait = due.duration_since(world.clock.now());
        let bound = Duration::from_secs([1, 2, 4, 8, 16, 20, 20][attempts - 1]);
        assert!(wait <= bound, "{wait:?} after {attempts} attempts, bound {bound:?}");
        // Not a moment earlier.
        if let Some(just_before) = wait.checked_sub(Duration::from_micros(1)) {
            node.advance(just_before).await;
            assert_eq!(world.hand.attempts("a", 0), attempts, "tried too early");
        }
        node.advance(Duration::from_micros(1)).await;
        assert_eq!(world.hand.attempts("a", 0), attempts + 1, "tried when it is due");
    }
    assert_eq!(world.count("hear", ParkedState::Parked).await, 1);
    node.stop().await;
}

async fn waits_are_spread(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_all(Act::Fail);
    for n in 0..40 {
        world.note(&format!("key-{n}"), 0).await;
    }
    let node = world.node(hears(4)).await;
    node.settled().await;
    let now = world.clock.now();
    let mut waits: Vec<_> = world.aside("hear").await.iter().filter_map(|e| e.due).collect();
    assert_eq!(waits.len(), 40);
    waits.sort_unstable();
    let first_half =
        waits.iter().filter(|due| due.duration_since(now) < Duration::from_millis(100));
    let first_half = first_half.count();
    assert!((5..=35).contains(&first_half), "full jitter: {first_half} of 40 in the first half");
    waits.dedup();
    assert!(waits.len() > 30, "not all at the same time: {waits:?}");
    node.stop().await;
}

async fn what_is_fatal_parks_at_once(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fatal);
    world.notes("a", 0..2).await;
    let node = world.node(hears(1)).await;
    node.settled().await;
    let aside = world.aside("hear").await;
    assert_eq!((aside[0].state, aside[0].attempts), (ParkedState::Parked, 1), "{aside:?}");
    assert_eq!(node.next_due().await, None);
    assert_eq!(world.hand.attempts("a", 0), 1);
    node.stop().await;
}

async fn what_the_policy_does_not_retry_parks_at_once(probe: Probe) {
    fn is_busy(error: &HandlerError) -> bool {
        error.to_string().contains("busy")
    }
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fail);
    world.note("a", 0).await;
    let add = |app: AppBuilder| {
        let policy = RetryPolicy { retries: is_busy, ..RetryPolicy::default() };
        app.event_handler("hear", hear).subscription("hear", move |s| s.retry(policy))
    };
    let node = world.node(add).await;
    node.settled().await;
    assert_eq!(world.count("hear", ParkedState::Parked).await, 1);
    assert_eq!(world.hand.attempts("a", 0), 1);
    node.stop().await;
}

async fn a_failing_key_of_a_hundred_delays_no_other(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("key-17", Act::Fail);
    for key in 0..100 {
        world.notes(&format!("key-{key}"), 0..3).await;
    }
    let node = world.node(hears(4)).await;
    // Not a moment passes in virtual time.
    node.settled().await;
    for key in (0..100).filter(|key| *key != 17) {
        assert_eq!(world.hand.done(&format!("key-{key}")), [0, 1, 2], "key-{key}");
    }
    assert_eq!(world.aside("hear").await.len(), 3);
    node.stop().await;
}

async fn a_handler_that_fails_for_an_hour_holds_up_no_other(probe: Probe) {
    let world = World::new(probe).await;
    let add = |app: AppBuilder| {
        // As often as it takes: nothing parks.
        let policy = RetryPolicy { attempts: u32::MAX, ..RetryPolicy::default() };
        app.event_handler("fails", hear)
            .subscription("fails", move |s| s.retry(policy))
            .event_handler("tally", tally_quietly)
    };
    let node = world.node(add).await;
    world.hand.on_all(Act::Fail);
    for minute in 0..60 {
        world.note("a", minute).await;
        node.advance(Duration::from_secs(60)).await;
        let seen = world.tally("a").await;
        assert_eq!(seen.len() as u32, minute + 1, "the other one has seen all");
    }
    assert_eq!(world.hand.count(), 0);
    world.hand.relent();
    node.advance(Duration::from_secs(60)).await;
    assert_eq!(
        world.hand.done("a"),
        (0..60).collect::<Vec<_>>(),
        "all of it, in order, afterwards"
    );
    node.stop().await;
}

/// Keeps a tally whatever the hand says.
async fn tally_quietly(
    note: crate::runtime::notes::Noted,
    work: cqrs_core::Work,
) -> Result<(), HandlerError> {
    crate::runtime::notes::add(&work, &note.key, [note.n]).await
}

async fn a_panic_is_one_failure_of_one_event(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Panic);
    world.notes("a", 0..2).await;
    world.notes("b", 0..2).await;
    let node = world.node(hears(1)).await;
    node.settled().await;
    assert_eq!(world.hand.done("b"), [0, 1], "its siblings go on");
    let aside = world.aside("hear").await;
    assert_eq!((aside[0].state, aside[0].attempts), (ParkedState::Retrying, 1));
    assert!(aside[0].cause.contains("told to panic"), "{aside:?}");
    world.hand.relent();
    node.advance(Duration::from_secs(60)).await;
    assert_eq!(world.hand.done("a"), [0, 1]);
    node.stop().await;
}

async fn attempts_go_on_after_a_restart(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("a", Act::Fail);
    world.note("a", 0).await;
    let node = world.node(hears(2)).await;
    node.settled().await;
    node.stop().await;
    let node = world.node(hears(2)).await;
    node.advance(Duration::from_secs(600)).await;
    assert_eq!(world.hand.attempts("a", 0), 3, "three in all, and not three for each process");
    assert_eq!(world.count("hear", ParkedState::Parked).await, 1);
    node.stop().await;
}
