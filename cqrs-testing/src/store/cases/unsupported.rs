//! What a store does not offer: refused by name, with nothing written.

use std::fmt::Debug;

use cqrs_core::{
    CheckpointWrite, ErrorKind, Fence, FindOutgoing, FindParked, FindTimers, Result, SnapshotWrite,
    Support, Timestamp,
};
use serde_json::json;

use crate::store::case::Offered;
use crate::store::cases::prelude::*;
use crate::store::waiting::{LONG, MAILER, SAGA, aside, message, request, sent, timer, unparked};

cases! { "unsupported":
    a_fence_is_refused_where_there_are_no_leases if no_leases,
    a_fenced_checkpoint_is_refused_where_there_are_no_leases if no_leases,
    a_timer_is_refused_where_there_are_none if no_timers,
    an_outgoing_message_is_refused_where_there_are_none if no_outgoing,
    a_parked_message_is_refused_where_there_are_none if no_parked,
    what_is_settled_is_refused_where_nothing_is_parked if no_parked,
    a_snapshot_is_refused_where_there_are_none if no_snapshots,
    leases_are_refused_where_there_are_none if no_leases,
    timers_are_not_looked_for_where_there_are_none if no_timers,
    outgoing_messages_are_not_looked_for_where_there_are_none if no_outgoing,
    parked_messages_are_not_looked_for_where_there_are_none if no_parked,
}

/// The other way round: for what the store does not offer.
fn unless(support: Support) -> Support {
    match support {
        Support::Yes => Support::No("the store offers it"),
        Support::No(_) => Support::Yes,
    }
}

fn no_leases(offered: &Offered) -> Support {
    unless(offered.leases)
}

fn no_timers(offered: &Offered) -> Support {
    unless(offered.timers)
}

fn no_outgoing(offered: &Offered) -> Support {
    unless(offered.outgoing)
}

fn no_parked(offered: &Offered) -> Support {
    unless(offered.parked)
}

fn no_snapshots(offered: &Offered) -> Support {
    unless(offered.snapshots)
}

/// Adds a part to a commit that is otherwise good.
async fn refuses(t: &Probe, part: &'static str, with: impl FnOnce(&mut Commit)) {
    t.declared(Collection::new(TUTOR)).await;
    let mut commit = grows(&account("1"), 1);
    commit.documents = puts("17", &json!({})).documents;
    with(&mut commit);
    let error = t.refused(commit).await;
    assert_eq!(error.kind(), &ErrorKind::Unsupported { part }, "{error:?}");
    assert_eq!(t.tutor("17").await, None, "a document of a commit that cannot be taken");
}

fn fence() -> Fence {
    Fence { lease: "mailer/0".into(), token: 1 }
}

async fn a_fence_is_refused_where_there_are_no_leases(t: Probe) {
    refuses(&t, "leases", |commit| commit.fences.push(fence())).await;
}

async fn a_fenced_checkpoint_is_refused_where_there_are_no_leases(t: Probe) {
    let head = t.applied(grows(&account("1"), 1)).await;
    let checkpoint = CheckpointWrite { fence: Some(fence()), ..moves("mailer", 0, head) };
    refuses(&t, "leases", |commit| commit.checkpoint = Some(checkpoint)).await;
    assert_eq!(t.stands("mailer", 0).await, None, "the fenced checkpoint");
}

async fn a_timer_is_refused_where_there_are_none(t: Probe) {
    for due in [Some(5), None] {
        refuses(&t, "timers", |commit| commit.timers.push(timer("17", 1, due))).await;
    }
}

async fn an_outgoing_message_is_refused_where_there_are_none(t: Probe) {
    refuses(&t, "outgoing", |commit| commit.outgoing.push(message("17"))).await;
    refuses(&t, "outgoing", |commit| commit.settled.push(sent(&message("17")))).await;
}

async fn a_parked_message_is_refused_where_there_are_none(t: Probe) {
    refuses(&t, "parked", |commit| commit.parked.push(aside(MAILER, 1))).await;
}

async fn what_is_settled_is_refused_where_nothing_is_parked(t: Probe) {
    refuses(&t, "parked", |commit| commit.settled.push(unparked(MAILER, 1))).await;
}

async fn a_snapshot_is_refused_where_there_are_none(t: Probe) {
    let forget = SnapshotWrite::Forget { stream: account("1") };
    refuses(&t, "snapshots", |commit| commit.snapshots.push(forget)).await;
}

/// Says that it does not offer this, rather than that there is nothing.
#[track_caller]
fn assert_unsupported<T: Debug>(answer: Result<T>, part: &'static str) {
    let error = answer.expect_err("the store does not offer it");
    assert_eq!(error.kind(), &ErrorKind::Unsupported { part }, "{error:?}");
}

async fn leases_are_refused_where_there_are_none(t: Probe) {
    assert_unsupported(t.lease(request("node-a", &["mailer/0"], LONG)).await, "leases");
    assert_unsupported(t.release("node-a", &["mailer/0".to_owned()]).await, "leases");
    assert_unsupported(t.leases("mailer").await, "leases");
}

async fn timers_are_not_looked_for_where_there_are_none(t: Probe) {
    let find = FindTimers { owner: SAGA.to_owned(), due_by: Timestamp::MAX, limit: 10 };
    assert_unsupported(t.timers(find).await, "timers");
}

async fn outgoing_messages_are_not_looked_for_where_there_are_none(t: Probe) {
    assert_unsupported(t.outgoing(FindOutgoing::after(0)).await, "outgoing");
}

async fn parked_messages_are_not_looked_for_where_there_are_none(t: Probe) {
    assert_unsupported(t.parked(FindParked::of(MAILER)).await, "parked");
}
