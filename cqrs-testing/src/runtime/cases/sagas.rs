//! Sagas: started, continued, timed, taken back, cancelled, and through deaths at every commit.

use cqrs_core::{Clock, FindSagas, FindTimers, SagaStatus, Sagas, Timestamp};

use super::prelude::*;
use crate::runtime::node::Node;
use crate::runtime::trips::{
    NAME, PATIENCE as LATE, Travel, at_rest, book, done, instance, tell, travelled, trips,
};

cases! {
    "sagas":
    one_goes_its_way_and_completes,
    each_step_is_done_once_whatever_happens_at_any_commit,
    what_was_done_is_taken_back_in_reverse_order,
    it_is_taken_back_once_though_the_process_dies_at_any_commit,
    an_event_before_its_start_waits_for_it,
    two_starts_at_once_make_one,
    a_timer_fires_when_it_is_due,
    a_cancelled_timer_does_not_fire,
    a_rescheduled_timer_fires_once_at_its_later_time,
    a_timer_that_fell_due_while_nothing_ran_fires_at_the_next_start,
    a_timer_fires_once_though_the_process_dies_at_any_commit,
    what_comes_after_the_end_is_ignored,
    they_are_found_by_status_and_when_overdue,
    one_that_is_cancelled_takes_back_what_it_did,
    a_failed_step_is_tried_again,
    another_number_of_partitions_loses_and_repeats_nothing,
    another_number_is_reached_though_one_of_two_nodes_dies,
}

async fn call_off(world: &World, trip: &str) {
    tell(world, Travel::CalledOff { trip: trip.to_owned() }).await;
}

async fn plan(world: &World, trip: &str) {
    tell(world, Travel::Planned { trip: trip.to_owned() }).await;
}

async fn timers(world: &World) -> usize {
    let find = FindTimers { owner: NAME.to_owned(), due_by: Timestamp::MAX, limit: 100 };
    world.probe.timers(find).await.unwrap_or_else(|e| panic!("{e:?}")).len()
}

fn sagas(node: &Node) -> Sagas {
    node.app.sagas().unwrap_or_else(|e| panic!("{e:?}"))
}

async fn one_goes_its_way_and_completes(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(trips).await;
    book(&world, "17").await;
    node.settled().await;
    assert_eq!(done(&world, "17").await, ["hotel", "flight", "car"]);
    assert_eq!(instance(&world, "17").await.status, SagaStatus::Completed);
    assert_eq!(timers(&world).await, 0, "nothing is left");
    assert_eq!(node.next_due().await, None);
    node.stop().await;
}

async fn each_step_is_done_once_whatever_happens_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let mut deaths = Deaths::default();
    while let Some(round) = deaths.round() {
        let trip = format!("trip-{round}");
        book(&world, &trip).await;
        deaths.live(&world, &trips).await;
        let seen = done(&world, &trip).await;
        assert_eq!(seen, ["hotel", "flight", "car"], "{}", deaths.what());
        let status = instance(&world, &trip).await.status;
        assert_eq!(status, SagaStatus::Completed, "{}", deaths.what());
        assert_eq!(timers(&world).await, 0, "{}", deaths.what());
    }
}

async fn what_was_done_is_taken_back_in_reverse_order(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("car of 17", Act::Reject);
    let node = world.node(trips).await;
    book(&world, "17").await;
    node.settled().await;
    let seen = done(&world, "17").await;
    assert_eq!(seen, ["hotel", "flight", "cancel flight", "cancel hotel"]);
    let ended = instance(&world, "17").await;
    assert_eq!((ended.status, ended.reason.as_deref()), (SagaStatus::Failed, Some("taken back")));
    node.stop().await;
}

async fn it_is_taken_back_once_though_the_process_dies_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let mut deaths = Deaths::of(&[Mishap::DiesAfter]);
    while let Some(round) = deaths.round() {
        let trip = format!("trip-{round}");
        world.hand.on(&format!("flight of {trip}"), Act::Reject);
        book(&world, &trip).await;
        deaths.live(&world, &trips).await;
        assert_eq!(done(&world, &trip).await, ["hotel", "cancel hotel"], "{}", deaths.what());
        let status = instance(&world, &trip).await.status;
        assert_eq!(status, SagaStatus::Failed, "{}", deaths.what());
    }
}

async fn an_event_before_its_start_waits_for_it(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(trips).await;
    call_off(&world, "17").await;
    book(&world, "18").await;
    node.settled().await;
    let aside = world.aside(NAME).await;
    assert_eq!((aside.len(), aside[0].state), (1, ParkedState::Parked), "{aside:?}");
    assert_eq!(instance(&world, "18").await.status, SagaStatus::Completed, "others go on");
    // Its own start is not held up by it.
    book(&world, "17").await;
    node.settled().await;
    assert!(world.aside(NAME).await.is_empty(), "it was handled by itself");
    let history = instance(&world, "17").await.history;
    assert!(history.iter().any(|h| h.what.contains("trips.called_off")), "{history:?}");
    node.stop().await;
}

async fn two_starts_at_once_make_one(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(trips).await;
    let (one, other) = (Travel::Booked { trip: "17".into() }, Travel::Booked { trip: "17".into() });
    tokio::join!(tell(&world, one), tell(&world, other));
    node.settled().await;
    assert_eq!(done(&world, "17").await, ["hotel", "flight", "car"]);
    let all = sagas(&node).list(FindSagas::default()).await.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(all.len(), 1);
    node.stop().await;
}

async fn a_timer_fires_when_it_is_due(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(trips).await;
    plan(&world, "17").await;
    node.settled().await;
    assert_eq!(node.next_due().await, Some(world.clock.now().saturating_add(LATE)));
    node.advance(LATE - Duration::from_secs(1)).await;
    assert_eq!(done(&world, "17").await, [] as [&str; 0], "not a moment earlier");
    node.advance(Duration::from_secs(1)).await;
    assert_eq!(done(&world, "17").await, ["remind"]);
    assert_eq!(instance(&world, "17").await.status, SagaStatus::Completed);
    node.stop().await;
}

async fn a_cancelled_timer_does_not_fire(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(trips).await;
    plan(&world, "17").await;
    node.settled().await;
    call_off(&world, "17").await;
    node.settled().await;
    assert_eq!(timers(&world).await, 0);
    node.advance(LATE * 2).await;
    assert_eq!(done(&world, "17").await, [] as [&str; 0]);
    node.stop().await;
}

async fn a_rescheduled_timer_fires_once_at_its_later_time(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(trips).await;
    plan(&world, "17").await;
    node.advance(LATE / 2).await;
    tell(&world, Travel::Delayed { trip: "17".into() }).await;
    node.settled().await;
    assert_eq!(timers(&world).await, 1, "one timer of a name");
    node.advance(LATE * 3 / 4).await;
    assert_eq!(done(&world, "17").await, [] as [&str; 0], "its first time is over");
    node.advance(LATE / 4).await;
    assert_eq!(done(&world, "17").await, ["remind"]);
    node.advance(LATE * 2).await;
    assert_eq!(done(&world, "17").await, ["remind"]);
    node.stop().await;
}

async fn a_timer_that_fell_due_while_nothing_ran_fires_at_the_next_start(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(trips).await;
    plan(&world, "17").await;
    node.settled().await;
    node.stop().await;
    world.clock.advance(LATE * 5);
    let node = world.node(trips).await;
    node.settled().await;
    assert_eq!(done(&world, "17").await, ["remind"]);
    node.stop().await;
}

async fn a_timer_fires_once_though_the_process_dies_at_any_commit(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let mut deaths = Deaths::of(&[Mishap::DiesBefore, Mishap::DiesAfter]);
    while let Some(round) = deaths.round() {
        let trip = format!("trip-{round}");
        plan(&world, &trip).await;
        // An hour of virtual time passes.
        deaths.live(&world, &trips).await;
        assert_eq!(done(&world, &trip).await, ["remind"], "{}", deaths.what());
        assert_eq!(timers(&world).await, 0, "{}", deaths.what());
    }
}

async fn what_comes_after_the_end_is_ignored(probe: Probe) {
    let world = World::new(probe).await;
    let node = world.node(trips).await;
    book(&world, "17").await;
    node.settled().await;
    let before = instance(&world, "17").await;
    call_off(&world, "17").await;
    book(&world, "17").await;
    node.settled().await;
    let after = instance(&world, "17").await;
    assert_eq!((after.status, after.updated_at), (before.status, before.updated_at));
    assert_eq!(after.history.len(), before.history.len());
    assert_eq!(done(&world, "17").await, ["hotel", "flight", "car"]);
    assert!(world.aside(NAME).await.is_empty());
    node.stop().await;
}

async fn they_are_found_by_status_and_when_overdue(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("car of bad", Act::Reject);
    world.hand.on("flight of stuck", Act::Fail);
    let node = world.node(trips).await;
    for trip in ["good", "bad", "stuck"] {
        book(&world, trip).await;
    }
    node.settled().await;
    let keys = async |find: FindSagas| {
        let found = sagas(&node).list(find).await.unwrap_or_else(|e| panic!("{e:?}"));
        found.into_iter().map(|instance| instance.key).collect::<Vec<_>>()
    };
    let status = |status| FindSagas { status: Some(status), ..FindSagas::default() };
    assert_eq!(keys(status(SagaStatus::Completed)).await, ["good"]);
    assert_eq!(keys(status(SagaStatus::Failed)).await, ["bad"]);
    assert_eq!(keys(status(SagaStatus::Running)).await, ["stuck"]);
    let overdue = |at| FindSagas { overdue: Some(at), ..FindSagas::default() };
    let now = world.clock.now();
    assert_eq!(keys(overdue(now)).await, [] as [&str; 0]);
    assert_eq!(keys(overdue(now.saturating_add(LATE))).await, ["stuck"]);
    node.stop().await;
}

async fn one_that_is_cancelled_takes_back_what_it_did(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("flight of 17", Act::Fail);
    let node = world.node(trips).await;
    book(&world, "17").await;
    node.settled().await;
    let asked = sagas(&node).cancel(NAME, "17", "nobody travels").await;
    asked.unwrap_or_else(|e| panic!("{e:?}"));
    world.hand.on("flight of 17", Act::Reject);
    node.advance(Duration::from_secs(300)).await;
    assert_eq!(done(&world, "17").await, ["hotel", "cancel hotel"]);
    assert_eq!(instance(&world, "17").await.status, SagaStatus::Cancelled);
    node.stop().await;
}

async fn a_failed_step_is_tried_again(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on("flight of 17", Act::Fail);
    let node = world.node(trips).await;
    book(&world, "17").await;
    node.advance(Duration::from_secs(300)).await;
    assert_eq!(world.hand.attempts("flight of 17", 0), 3);
    let stuck = instance(&world, "17").await;
    assert!(stuck.last_error.as_deref().is_some_and(|e| e.contains("told to fail")), "{stuck:?}");
    world.hand.relent();
    let asked = sagas(&node).retry_step(NAME, "17", "flight").await;
    asked.unwrap_or_else(|e| panic!("{e:?}"));
    node.settled().await;
    assert_eq!(done(&world, "17").await, ["hotel", "flight", "car"]);
    assert_eq!(instance(&world, "17").await.status, SagaStatus::Completed);
    node.stop().await;
}

async fn another_number_of_partitions_loses_and_repeats_nothing(probe: Probe) {
    let world = World::new(probe).await;
    world.hand.on_all(Act::Yield);
    let node = world.node(trips).await;
    let trip = |n| format!("trip-{n}");
    let moving = world.moves(&node, NAME, [5, 1, 3]);
    let each = async |n| book(&world, &trip(n)).await;
    let ((), trips) = world.meanwhile(0, each, moving).await;
    node.settled().await;
    for n in 0..trips {
        travelled(&world, &trip(n)).await;
    }
    assert_eq!(timers(&world).await, 0, "nothing is left");
    node.stop().await;
}

async fn another_number_is_reached_though_one_of_two_nodes_dies(probe: Probe) {
    let world = World::new(probe).await.lease(SHORT);
    let survivor = world.node(trips).await;
    let mut deaths = 0;
    for (round, partitions) in [3, 5, 2, 4, 3, 6].into_iter().enumerate() {
        world.alone(NAME, &survivor).await;
        let doomed = world.node(trips).await;
        world.shared(NAME, [&survivor, &doomed]).await;
        let mishap = if round % 2 == 0 { Mishap::DiesAfter } else { Mishap::DiesBefore };
        doomed.fate.after(round as u32, mishap);
        let trip = |n| format!("trip-{round}-{n}");
        let moving = world.passing(world.moves(&survivor, NAME, [partitions]));
        let each = async |n| book(&world, &trip(n)).await;
        let ((), trips) = world.meanwhile(0, each, moving).await;
        world.passing(at_rest(&world, &survivor)).await;
        for n in 0..trips {
            travelled(&world, &trip(n)).await;
        }
        deaths += u32::from(doomed.fate.is_dead());
        doomed.kill();
    }
    assert!(deaths > 2, "it was to die in the middle: {deaths}");
    survivor.stop().await;
}
