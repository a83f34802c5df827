//! Ids of events: each is used once, for ever, in the whole log.

use cqrs_core::{Expected, Metadata, NewEvent};

use crate::store::cases::prelude::*;

cases! { "event_ids":
    an_event_id_of_another_commit_is_refused,
    an_event_id_of_another_tenant_is_refused,
    an_event_id_twice_in_one_append_is_refused,
    an_event_id_in_two_appends_of_one_commit_is_refused,
    an_event_id_that_was_used_is_refused_among_fresh_ones,
}

/// Another event with the same id.
fn same_id(event: &NewEvent) -> NewEvent {
    NewEvent { metadata: Metadata::of(event.id()), ..crate::store::make::event("bank.closed") }
}

async fn an_event_id_of_another_commit_is_refused(t: Probe) {
    let used = event("bank.opened");
    t.applied(appends(&account("1"), Expected::Any, vec![used.clone()])).await;
    for stream in [account("1"), account("2")] {
        for reusing in [used.clone(), same_id(&used)] {
            let error = t.refused(appends(&stream, Expected::Any, vec![reusing])).await;
            assert_reused(&error, used.id(), &format!("the id of an event, again in {stream}"));
        }
    }
}

async fn an_event_id_of_another_tenant_is_refused(t: Probe) {
    let used = event("bank.opened");
    t.applied(appends(&account("1").with_tenant("a"), Expected::Any, vec![used.clone()])).await;
    let other = appends(&account("1").with_tenant("b"), Expected::Any, vec![used.clone()]);
    assert_reused(&t.refused(other).await, used.id(), "the id of another tenant's event");
}

async fn an_event_id_twice_in_one_append_is_refused(t: Probe) {
    let twice = event("bank.opened");
    let commit = appends(&account("1"), Expected::Any, vec![twice.clone(), same_id(&twice)]);
    assert_reused(&t.refused(commit).await, twice.id(), "one id, two events of an append");
}

async fn an_event_id_in_two_appends_of_one_commit_is_refused(t: Probe) {
    let twice = event("bank.opened");
    let mut commit = appends(&account("1"), Expected::Any, vec![twice.clone()]);
    commit.appends.push(append(&account("2"), Expected::Any, vec![same_id(&twice)]));
    assert_reused(&t.refused(commit).await, twice.id(), "one id, two events of a commit");
}

async fn an_event_id_that_was_used_is_refused_among_fresh_ones(t: Probe) {
    let used = event("bank.opened");
    t.applied(appends(&account("1"), Expected::Any, vec![used.clone()])).await;
    let mut some = events(20);
    some.insert(10, used.clone());
    let error = t.refused(appends(&account("2"), Expected::Any, some)).await;
    assert_reused(&error, used.id(), "one used id among twenty fresh ones");
}
