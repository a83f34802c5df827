//! `Guard::NoneMatching`: what was read by a filter must still be all there is.

use cqrs_core::{Conflict, Error, ErrorKind, Expected, Filter, Guard, NewEvent, Position};

use crate::store::cases::prelude::*;
use crate::store::handle::together;

cases! { "none_matching":
    a_matching_event_of_a_type_fails_the_commit,
    a_matching_event_of_a_category_fails_the_commit,
    a_matching_event_of_a_stream_fails_the_commit,
    a_matching_event_with_all_tags_fails_the_commit,
    a_matching_event_of_a_tenant_fails_the_commit,
    all_parts_of_the_filter_must_match,
    events_up_to_the_position_do_not_count,
    the_first_matching_event_is_named,
    events_of_the_same_commit_do_not_count,
    a_position_beyond_the_head_is_refused,
    of_tasks_that_race_to_be_the_only_one_with_a_tag_one_wins,
}

/// A commit that must be the first to match.
fn only(filter: Filter, after: Position) -> Commit {
    let guards = vec![Guard::NoneMatching { filter, after }];
    Commit { guards, ..appends(&account("guarded"), Expected::Any, vec![event("bank.guarded")]) }
}

fn of_type(name: &'static str) -> Filter {
    Filter { types: vec![name.into()], ..Filter::default() }
}

fn of_tags(tags: &[&str]) -> Filter {
    Filter { tags: tags.iter().map(|&tag| tag.to_owned()).collect(), ..Filter::default() }
}

#[track_caller]
fn assert_found(error: &Error, after: Position, found: Position) {
    assert_conflict(error, Conflict::NoneMatching { after, found }, "an event that matches");
}

/// Writes an event beside others, and checks which filters see it.
async fn fails(t: &Probe, event: NewEvent, stream: StreamId, matching: Filter, other: Filter) {
    t.applied(grows(&account("noise"), 3)).await;
    let found = t.applied(appends(&stream, Expected::Any, vec![event])).await;
    t.applied(grows(&account("noise"), 3)).await;
    assert_found(&t.refused(only(matching, 0)).await, 0, found);
    t.applied(only(other, 0)).await;
}

async fn a_matching_event_of_a_type_fails_the_commit(t: Probe) {
    let matching =
        Filter { types: vec!["bank.closed".into(), "bank.opened".into()], ..Filter::default() };
    fails(&t, event("bank.opened"), account("1"), matching, of_type("bank.closed")).await;
}

async fn a_matching_event_of_a_category_fails_the_commit(t: Probe) {
    let of = |name: &'static str| Filter { categories: vec![name.into()], ..Filter::default() };
    let stream = StreamId::new("course", "1");
    fails(&t, event("bank.opened"), stream, of("course"), of("cours")).await;
}

async fn a_matching_event_of_a_stream_fails_the_commit(t: Probe) {
    let of = |id| Filter { streams: vec![account(id)], ..Filter::default() };
    fails(&t, event("bank.opened"), account("1"), of("1"), of("11")).await;
}

async fn a_matching_event_with_all_tags_fails_the_commit(t: Probe) {
    let event = tagged("bank.opened", &["red", "blue", "green"]);
    let (all, not_all) = (of_tags(&["green", "red"]), of_tags(&["green", "yellow"]));
    fails(&t, event, account("1"), all, not_all).await;
}

async fn a_matching_event_of_a_tenant_fails_the_commit(t: Probe) {
    let of = |tenant: &str| Filter { tenant: Some(tenant.into()), ..Filter::default() };
    let stream = account("1").with_tenant("acme");
    fails(&t, event("bank.opened"), stream, of("acme"), of("bold")).await;
}

async fn all_parts_of_the_filter_must_match(t: Probe) {
    let event = tagged("bank.opened", &["red"]);
    let matching = Filter {
        categories: vec!["account".into()],
        streams: vec![account("1")],
        ..Filter { types: vec!["bank.opened".into()], ..of_tags(&["red"]) }
    };
    let other = Filter { types: vec!["bank.deposited".into()], ..of_tags(&["red"]) };
    fails(&t, event, account("1"), matching, other).await;
}

async fn events_up_to_the_position_do_not_count(t: Probe) {
    let opened = || appends(&account("1"), Expected::Any, vec![event("bank.opened")]);
    let first = t.applied(opened()).await;
    t.applied(only(of_type("bank.opened"), first)).await;
    assert_found(&t.refused(only(of_type("bank.opened"), first - 1)).await, first - 1, first);
    let second = t.applied(opened()).await;
    assert_found(&t.refused(only(of_type("bank.opened"), first)).await, first, second);
    t.applied(only(of_type("bank.opened"), second)).await;
}

async fn the_first_matching_event_is_named(t: Probe) {
    let mut found = Vec::new();
    for _ in 0..5 {
        t.applied(grows(&account("noise"), 2)).await;
        let opened = appends(&account("1"), Expected::Any, vec![event("bank.opened")]);
        found.push(t.applied(opened).await);
    }
    assert_found(&t.refused(only(of_type("bank.opened"), 0)).await, 0, found[0]);
    let error = t.refused(only(of_type("bank.opened"), found[1])).await;
    assert_found(&error, found[1], found[2]);
    let head = t.end().await;
    t.applied(only(Filter::default(), head)).await;
}

async fn events_of_the_same_commit_do_not_count(t: Probe) {
    let position = t.applied(only(of_type("bank.guarded"), 0)).await;
    assert_found(&t.refused(only(of_type("bank.guarded"), 0)).await, 0, position);
}

async fn a_position_beyond_the_head_is_refused(t: Probe) {
    let head = t.applied(grows(&account("1"), 2)).await;
    for after in [head + 1, 1 << 63, u64::MAX] {
        let error = t.refused(only(of_type("bank.opened"), after)).await;
        let kind = ErrorKind::BeyondHead { position: after, head };
        assert_eq!(error.kind(), &kind, "a guard on what nobody can have read: {error:?}");
    }
}

async fn of_tasks_that_race_to_be_the_only_one_with_a_tag_one_wins(t: Probe) {
    const TASKS: usize = 64;
    let handles = [t.handle(), t.another().await];
    for round in 0..4 {
        let (tag, after) = (format!("seat:{round}"), t.end().await);
        let answers = together(TASKS, |n| {
            let (handle, tag) = (handles[n % 2].clone(), tag.clone());
            async move {
                let stream = account(&format!("{n:02}"));
                let events = vec![tagged("bank.booked", &[&tag])];
                let guards = vec![Guard::NoneMatching { filter: of_tags(&[&tag]), after }];
                let commit = Commit { guards, ..appends(&stream, Expected::Any, events) };
                handle.settled(commit).await
            }
        });
        let answers = answers.await;
        let won = answers.iter().flatten().collect::<Vec<_>>();
        assert_eq!(won.len(), 1, "of {TASKS} tasks one is the only one: {won:?}");
        let found = won[0].position();
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_found(error, after, found);
        }
    }
}
