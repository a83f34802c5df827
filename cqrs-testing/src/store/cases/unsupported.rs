//! Parts of a commit that a store does not offer: refused by name, with nothing written.

use cqrs_core::{
    Capabilities, CheckpointWrite, ErrorKind, Expected, Fence, MessageId, Outgoing, OutgoingKind,
    ParkedState, ParkedWrite, Payload, Settled, SnapshotWrite, Support, TimerWrite, Timestamp,
};
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "unsupported":
    a_fence_is_refused_where_there_are_no_leases if no_leases,
    a_fenced_checkpoint_is_refused_where_there_are_no_leases if no_leases,
    a_timer_is_refused_where_there_are_none if no_timers,
    an_outgoing_message_is_refused_where_there_are_none if no_outgoing,
    a_parked_message_is_refused_where_there_are_none if no_parked,
    what_is_settled_is_refused_where_nothing_is_parked if no_parked,
    a_snapshot_is_refused_where_there_are_none if no_snapshots,
}

/// The other way round: for what the store does not offer.
fn unless(support: Support) -> Support {
    match support {
        Support::Yes => Support::No("the store offers it"),
        Support::No(_) => Support::Yes,
    }
}

fn no_leases(offered: &Capabilities) -> Support {
    unless(offered.leases)
}

fn no_timers(offered: &Capabilities) -> Support {
    unless(offered.timers)
}

fn no_outgoing(offered: &Capabilities) -> Support {
    unless(offered.outgoing)
}

fn no_parked(offered: &Capabilities) -> Support {
    unless(offered.parked)
}

fn no_snapshots(offered: &Capabilities) -> Support {
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
    let due = Some(Timestamp::UNIX_EPOCH);
    let timer = TimerWrite {
        owner: "saga".into(),
        tenant: None,
        key: "17".into(),
        name: "payment".into(),
        generation: 1,
        due,
    };
    refuses(&t, "timers", |commit| commit.timers.push(timer)).await;
}

async fn an_outgoing_message_is_refused_where_there_are_none(t: Probe) {
    let says = Payload::Json(body(&json!({})));
    let outgoing = Outgoing::new(OutgoingKind::Command, "bank.charge", "17", says);
    refuses(&t, "outgoing", |commit| commit.outgoing.push(outgoing)).await;
}

async fn a_parked_message_is_refused_where_there_are_none(t: Probe) {
    let parked = ParkedWrite {
        subscription: "mailer".into(),
        position: 1,
        expected: Expected::NoStream,
        partition: 0,
        key: "17".into(),
        message: "account.grown".into(),
        state: ParkedState::Parked,
        due: None,
        cause: "it cannot be decoded".into(),
        attempts: 3,
        edited: None,
    };
    refuses(&t, "parked", |commit| commit.parked.push(parked)).await;
}

async fn what_is_settled_is_refused_where_nothing_is_parked(t: Probe) {
    let settled = Settled::Outgoing(MessageId::fresh());
    refuses(&t, "parked", |commit| commit.settled.push(settled)).await;
}

async fn a_snapshot_is_refused_where_there_are_none(t: Probe) {
    let forget = SnapshotWrite::Forget { stream: account("1") };
    refuses(&t, "snapshots", |commit| commit.snapshots.push(forget)).await;
}
