//! Sagas, run: started, continued, answered, timed, taken back, cancelled; and through crashes.

use std::time::Duration;

use cqrs_core::{
    Clock, FindParked, FindSagas, FindTimers, ParkedState, SagaStatus, SagaStepState, Store,
    Timestamp,
};
use tokio::sync::watch;

use crate::dying::DyingStore;
use crate::shop::{Does, Shop, World, until};

const BOUND: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_saga_goes_its_way_and_completes() {
    let world = World::new();
    let running = world.start().await;
    world.order("17").await;
    running.settled().await.unwrap();
    let mut done = world.done("17").await;
    done.sort();
    assert_eq!(done, ["charge", "reserve", "ship"]);
    let instance = world.instance("17").await;
    assert_eq!((instance.status, instance.completed_at.is_some()), (SagaStatus::Completed, true));
    assert!(instance.steps.iter().all(|step| step.state == SagaStepState::Done));
    assert_eq!(instance.history[0].what, "event shop.ordered @1");
    assert_eq!(instance.history.last().unwrap().effects, ["complete"]);
    // Nothing is left, and no timer fires any more.
    let find = FindTimers { owner: "shop.checkout".into(), due_by: Timestamp::MAX, limit: 10 };
    assert!(world.store.timers(find).await.unwrap().is_empty());
    assert_eq!(running.next_due().await.unwrap(), None);
    // What comes late is ignored.
    world.call_off("17").await;
    running.settled().await.unwrap();
    assert_eq!(world.instance("17").await.history.len(), instance.history.len());
    assert!(world.store.parked(FindParked::default()).await.unwrap().is_empty());
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_taken_back_in_reverse_order() {
    let world = World::new();
    let running = world.start().await;
    world.desk.set("ship", "17", Does::Rejects);
    world.order("17").await;
    running.settled().await.unwrap();
    assert_eq!(world.done("17").await[2..], ["refund", "release"]);
    let instance = world.instance("17").await;
    assert_eq!(instance.status, SagaStatus::Failed);
    assert_eq!(instance.reason.as_deref(), Some("taken back"));

    world.desk.set("charge", "18", Does::Rejects);
    world.order("18").await;
    running.settled().await.unwrap();
    assert_eq!(world.done("18").await, ["reserve", "release"]);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_while_a_command_is_on_its_way_and_its_late_answer_is_taken_back() {
    let world = World::new();
    let running = world.start().await;
    let (open, gate) = watch::channel(false);
    world.desk.set("charge", "17", Does::Waits(gate));
    world.order("17").await;
    until("it is charged", async || world.desk.begun("charge") == 1).await;
    world.clock.advance(Duration::from_secs(601));
    until("the timer has fired", async || {
        world.instance("17").await.status == SagaStatus::Compensating
    })
    .await;
    assert!(world.instance("17").await.is_overdue(world.clock.now().saturating_add(BOUND * 100)));
    // What was done already is taken back, whatever the other one does.
    until("it is released", async || world.done("17").await == ["reserve", "release"]).await;
    open.send_replace(true);
    running.settled().await.unwrap();
    assert_eq!(world.done("17").await, ["reserve", "release", "charge", "refund"]);
    assert_eq!(world.instance("17").await.status, SagaStatus::Failed);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_fell_due_while_nothing_ran_fires_at_the_next_start() {
    let world = World::new();
    let running = world.start().await;
    world.desk.set("charge", "17", Does::Fails(99));
    world.order("17").await;
    running.settled().await.unwrap();
    running.stop(BOUND).await.unwrap();
    world.clock.advance(Duration::from_secs(3_600));
    world.desk.set("charge", "17", Does::Rejects);
    let running = world.again().start().await.unwrap();
    world.pass(&running, Duration::from_secs(60)).await;
    let instance = world.instance("17").await;
    assert!(!instance.status.is_open());
    assert_eq!(world.done("17").await, ["reserve", "release"]);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_before_its_instance_waits_for_it() {
    let world = World::new();
    let running = world.start().await;
    world.call_off("17").await;
    running.settled().await.unwrap();
    let parked = world.store.parked(FindParked::of("shop.checkout")).await.unwrap();
    assert_eq!((parked.len(), parked[0].state), (1, ParkedState::Parked));
    assert!(parked[0].cause.contains("parked until it is started"), "{}", parked[0].cause);
    // It does not get through before the other is heard.
    world.desk.set("charge", "17", Does::Fails(99));
    world.order("17").await;
    running.settled().await.unwrap();
    assert!(world.store.parked(FindParked::of("shop.checkout")).await.unwrap().is_empty());
    let instance = world.instance("17").await;
    assert!(instance.history.iter().any(|h| h.what.starts_with("event shop.called_off")));
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_starts_at_once_make_one_instance_and_tenants_have_their_own() {
    let world = World::new();
    world.order("17").await;
    world.order("17").await;
    for tenant in ["acme", "bolt"] {
        world.tell_for(Some(tenant), Shop::Ordered { order: "17".into() }).await;
    }
    let running = world.start().await;
    running.settled().await.unwrap();
    assert_eq!(world.desk.begun("reserve"), 3);
    let sagas = world.app.sagas().unwrap();
    for of in [sagas.clone(), sagas.clone().of_tenant("acme"), sagas.of_tenant("bolt")] {
        let all = of.list(FindSagas::default()).await.unwrap();
        assert_eq!((all.len(), all[0].status), (1, SagaStatus::Completed), "{of:?}");
    }
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_so_often_is_told_and_one_without_a_bound_parks() {
    let world = World::new();
    let running = world.start().await;
    world.desk.set("ship", "told", Does::Panics);
    world.desk.set("charge", "parks", Does::Fails(99));
    world.order("told").await;
    world.order("parks").await;
    world.pass(&running, Duration::from_secs(300)).await;
    assert_eq!(world.desk.begun("ship"), 2);
    assert_eq!(world.done("told").await[2..], ["refund", "release"]);

    let instance = world.instance("parks").await;
    assert_eq!((instance.status, world.desk.begun("charge parks")), (SagaStatus::Running, 3));
    assert_eq!(instance.last_error.as_deref(), Some("charge: the line is dead"));
    let parked = world.app.parked().unwrap().list(FindParked::of("cqrs.relay")).await.unwrap();
    assert_eq!((parked.len(), parked[0].attempts), (1, 3));
    assert_eq!(parked[0].message, "departments.charge");

    let sagas = world.app.sagas().unwrap();
    world.desk.set("charge", "parks", None);
    assert!(sagas.retry_step("shop.checkout", "parks", "reserve").await.is_err());
    sagas.retry_step("shop.checkout", "parks", "charge").await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(world.instance("parks").await.status, SagaStatus::Completed);
    assert!(world.store.parked(FindParked::default()).await.unwrap().is_empty());
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_is_given_up_has_failed_and_an_edited_one_is_sent_as_edited() {
    let world = World::new();
    let running = world.start().await;
    for order in ["gone", "edited"] {
        world.desk.set("charge", order, Does::Fails(99));
        world.order(order).await;
    }
    world.pass(&running, Duration::from_secs(300)).await;
    let parked = world.app.parked().unwrap();
    for entry in parked.list(FindParked::of("cqrs.relay")).await.unwrap() {
        match entry.key.as_str() {
            "gone" => parked.discard(&entry.id(), "no hope").await.unwrap(),
            _ => {
                let body = crate::shop::json(r#"{"order":"other"}"#);
                parked.edit(&entry.id(), body).await.unwrap();
            }
        }
    }
    running.settled().await.unwrap();
    let gone = world.instance("gone").await;
    assert_eq!(world.done("gone").await, ["reserve", "release"]);
    assert!(gone.last_error.unwrap().starts_with("charge: discarded: no hope"));
    assert_eq!(world.done("other").await, ["charge"]);
    assert_eq!(world.instance("edited").await.status, SagaStatus::Completed);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compensation_is_tried_until_it_is_answered() {
    let world = World::new();
    let running = world.start().await;
    world.desk.set("ship", "17", Does::Rejects);
    world.desk.set("refund", "17", Does::Fails(7));
    world.order("17").await;
    world.pass(&running, Duration::from_secs(3)).await;
    assert_eq!(world.instance("17").await.status, SagaStatus::Compensating);
    world.pass(&running, Duration::from_secs(590)).await;
    assert_eq!(world.desk.begun("refund"), 8);
    assert_eq!(world.done("17").await[2..], ["refund", "release"]);
    let instance = world.instance("17").await;
    // It shows while it does not get through.
    let says = instance.last_error.as_deref();
    assert_eq!((instance.status, says), (SagaStatus::Failed, Some("charge: the line is dead")));
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cancelled_takes_back_what_it_did() {
    let world = World::new();
    let running = world.start().await;
    world.desk.set("charge", "17", Does::Fails(99));
    world.order("17").await;
    world.pass(&running, Duration::from_secs(300)).await;
    let sagas = world.app.sagas().unwrap();
    let overdue = |at| FindSagas { overdue: Some(at), ..FindSagas::default() };
    assert_eq!(sagas.list(overdue(world.clock.now())).await.unwrap().len(), 0);
    let later = world.clock.now().saturating_add(Duration::from_secs(900));
    assert_eq!(sagas.list(overdue(later)).await.unwrap().len(), 1);

    sagas.cancel("shop.checkout", "17", "nobody pays").await.unwrap();
    running.settled().await.unwrap();
    // The charge is parked: it may be done yet.
    let by = |status| FindSagas {
        saga: Some("shop.checkout".into()),
        status: Some(status),
        ..FindSagas::default()
    };
    assert_eq!(sagas.list(by(SagaStatus::Compensating)).await.unwrap().len(), 1);
    world.desk.set("charge", "17", Does::Rejects);
    sagas.retry_step("shop.checkout", "17", "charge").await.unwrap();
    running.settled().await.unwrap();
    let ended = sagas.list(by(SagaStatus::Cancelled)).await.unwrap();
    assert_eq!(ended[0].reason.as_deref(), Some("nobody pays"));
    assert_eq!(world.done("17").await, ["reserve", "release"]);
    assert!(sagas.cancel("shop.checkout", "17", "again").await.is_err());
    assert!(sagas.cancel("shop.checkout", "nobody", "again").await.is_err());
    assert!(sagas.cancel("shop.unknown", "17", "again").await.is_err());
    running.stop(BOUND).await.unwrap();
}

/// The process dies at every commit, before or after it is written, and the next one goes on.
async fn crashes(writes_the_last: bool) {
    let world = World::new();
    for order in ["paid", "refused"] {
        world.order(order).await;
    }
    world.desk.set("ship", "refused", Does::Rejects);
    for commits in (1..=3).cycle().take(60) {
        let store = DyingStore::at(&world.store, commits, writes_the_last);
        let app = world.over(store.clone());
        let life = async {
            let running = app.start().await.unwrap();
            running.settled().await.unwrap();
            running.stop(BOUND).await.unwrap();
        };
        tokio::select! {
            () = life => {}
            () = store.dies() => {}
        }
        // What the dead held is given out once its time is over.
        world.clock.advance(Duration::from_secs(20));
    }
    let running = world.start().await;
    running.settled().await.unwrap();
    let mut paid = world.done("paid").await;
    paid.sort();
    assert_eq!(paid, ["charge", "reserve", "ship"]);
    let mut refused = world.done("refused").await;
    assert_eq!(refused.split_off(2), ["refund", "release"]);
    refused.sort();
    assert_eq!(refused, ["charge", "reserve"]);
    assert_eq!(world.instance("paid").await.status, SagaStatus::Completed);
    assert_eq!(world.instance("refused").await.status, SagaStatus::Failed);
    assert!(world.store.parked(FindParked::default()).await.unwrap().is_empty());
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_commit_loses_nothing_and_does_nothing_twice() {
    crashes(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_any_commit_loses_nothing_and_does_nothing_twice() {
    crashes(true).await;
}
