//! What a commit answers and what it leaves in the log: positions, versions, sizes.

use cqrs_core::{Append, Expected, NewEvent, Payload, Support};
use serde_json::json;

use crate::store::case::Offered;
use crate::store::cases::prelude::*;

cases! { "commit":
    an_empty_commit_is_applied,
    a_commit_without_events_reports_the_head,
    a_committed_position_is_that_of_the_last_event,
    positions_strictly_increase_in_commit_order,
    several_streams_in_one_commit_are_all_written,
    a_thousand_events_in_one_commit_are_all_written_in_order,
    an_event_of_one_mebibyte_comes_back if mebibyte,
    recorded_at_never_goes_back,
    another_handle_sees_what_was_committed,
    two_appends_to_one_stream_in_one_commit_are_refused,
    an_append_without_events_is_refused,
    an_event_of_version_0_is_refused,
}

fn mebibyte(offered: &Offered) -> Support {
    match offered.limits.payload > 1 << 20 {
        true => Support::Yes,
        false => Support::No("its limit for a payload is one mebibyte or less"),
    }
}

async fn an_empty_commit_is_applied(t: Probe) {
    assert_eq!(t.applied(Commit::default()).await, 0, "an empty commit on an empty log");
    assert!(t.log().await.is_empty(), "an empty commit writes no event");
    let position = t.applied(grows(&account("1"), 1)).await;
    assert_eq!(t.applied(Commit::default()).await, position, "an empty commit reports the head");
}

async fn a_commit_without_events_reports_the_head(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let head = t.applied(grows(&account("1"), 3)).await;
    assert_eq!(t.applied(puts("17", &json!({}))).await, head, "a commit of a document");
    assert_eq!(t.end().await, head, "a document takes no position");
}

async fn a_committed_position_is_that_of_the_last_event(t: Probe) {
    for n in [1, 2, 7] {
        let position = t.applied(grows(&account("1"), n)).await;
        let last = t.log().await.last().map(|event| event.position);
        assert_eq!(last, Some(position), "after a commit of {n} events");
        assert_eq!(t.end().await, position, "the head after a commit of {n} events");
    }
}

async fn positions_strictly_increase_in_commit_order(t: Probe) {
    let mut committed = Vec::new();
    for n in 0..20 {
        committed.push(t.applied(grows(&account(&format!("{}", n % 3)), 1)).await);
    }
    assert!(committed[0] > 0, "positions start at 1: {committed:?}");
    assert!(committed.is_sorted_by(|a, b| a < b), "commit order: {committed:?}");
    assert_eq!(positions(&t.log().await), committed, "the log is in commit order");
}

async fn several_streams_in_one_commit_are_all_written(t: Probe) {
    let streams = [account("c"), account("a"), StreamId::new("course", "a")];
    let append = |stream| append(stream, Expected::NoStream, events(2));
    let commit = Commit { appends: streams.iter().map(append).collect(), ..Commit::default() };
    let written = commit.appends.iter().flat_map(|a| &a.events).map(NewEvent::id);
    let written = written.collect::<Vec<_>>();
    t.applied(commit).await;
    for stream in &streams {
        assert_eq!(versions(&t.stream(stream).await), [1, 2], "{stream}");
    }
    assert_eq!(ids(&t.log().await), written, "the log has the order of the commit");
}

async fn a_thousand_events_in_one_commit_are_all_written_in_order(t: Probe) {
    let commit = grows(&account("1"), 1_000);
    let written = commit.appends[0].events.iter().map(NewEvent::id).collect::<Vec<_>>();
    t.applied(commit).await;
    let seen = t.stream(&account("1")).await;
    assert_eq!(versions(&seen), (1..=1_000).collect::<Vec<_>>(), "versions without gaps");
    assert_eq!(ids(&seen), written, "the order in the stream");
    assert_eq!(ids(&t.log().await), written, "the order in the log");
}

async fn an_event_of_one_mebibyte_comes_back(t: Probe) {
    let value = json!({ "text": "é".repeat((1 << 19) - 8) });
    let payload = Payload::Json(body(&value));
    assert!(payload.len() > (1 << 20) - 16 && payload.len() <= 1 << 20, "{}", payload.len());
    let large = NewEvent { payload, ..event("bank.noted") };
    t.applied(appends(&account("1"), Expected::NoStream, vec![large])).await;
    let seen = t.stream(&account("1")).await;
    assert!(seen.len() == 1 && seen[0].body == Body::Json(value), "the large event comes back");
}

async fn recorded_at_never_goes_back(t: Probe) {
    let other = t.another().await;
    for n in 0..20 {
        let handle = if n % 2 == 0 { &*t } else { &other };
        handle.applied(grows(&account(&format!("{}", n % 3)), 2)).await;
    }
    let times = t.log().await.iter().map(|event| event.recorded_at).collect::<Vec<_>>();
    assert!(times.is_sorted(), "recorded_at goes back: {times:?}");
    for at in times.chunks(2) {
        assert_eq!(at[0], at[1], "the events of one commit are recorded at once");
    }
}

async fn another_handle_sees_what_was_committed(t: Probe) {
    let other = t.another().await;
    let position = t.applied(grows(&account("1"), 2)).await;
    assert_eq!(other.snapshot().await, t.snapshot().await, "two handles on one log");
    assert_eq!(other.end().await, position, "the head of the other handle");
    let position = other.applied(grows(&account("1"), 1)).await;
    assert_eq!(t.end().await, position, "the first handle sees what the second wrote");
}

async fn two_appends_to_one_stream_in_one_commit_are_refused(t: Probe) {
    let twice = || append(&account("1"), Expected::Any, events(1));
    let commit = Commit { appends: vec![twice(), twice()], ..Commit::default() };
    assert_invalid(&t.refused(commit).await, "appends", "one stream, two appends");
    t.declared(Collection::new(TUTOR)).await;
    let twice = || put("17", Expected::Any, &json!({}));
    let error = t.refused(writes(vec![twice(), twice()])).await;
    assert_invalid(&error, "documents", "one document, two writes");
}

async fn an_append_without_events_is_refused(t: Probe) {
    let nothing = Append { stream: account("1"), expected: Expected::Any, events: Vec::new() };
    let commit = Commit { appends: vec![nothing], ..grows(&account("2"), 1) };
    assert_invalid(&t.refused(commit).await, "events", "an append of nothing");
}

async fn an_event_of_version_0_is_refused(t: Probe) {
    let event = NewEvent { schema_version: 0, ..event("bank.opened") };
    let error = t.refused(appends(&account("1"), Expected::Any, vec![event])).await;
    assert_invalid(&error, "schema_version", "versions of bodies start at 1");
}
