//! What is set aside: kept whole, changed under expectations, and removed once.

use cqrs_core::{
    Committed, Conflict, Error, Expected, FindParked, ParkedEntry, ParkedState, ParkedWrite,
    Payload, Timestamp,
};
use serde_json::json;

use crate::store::case::parked;
use crate::store::cases::prelude::*;
use crate::store::handle::{later_than, together};
use crate::store::waiting::{MAILER, aside, assert_settled, at, parks, settles, unparked};

cases! { "parked":
    what_is_set_aside_is_found if parked,
    an_entry_comes_back_with_all_fields if parked,
    an_entry_comes_back_with_what_was_edited if parked,
    an_entry_comes_back_with_its_cause if parked,
    an_entry_says_since_when_it_is_there if parked,
    a_changed_entry_counts_its_versions_and_keeps_since if parked,
    a_changed_entry_has_the_new_values_only if parked,
    an_entry_that_is_missing_is_held_to_its_expectation if parked,
    an_entry_that_is_there_is_held_to_its_expectation if parked,
    entries_of_subscriptions_and_positions_are_apart if parked,
    an_entry_that_is_written_twice_in_one_commit_is_refused if parked,
    an_entry_that_is_done_is_gone if parked,
    an_entry_is_done_once if parked,
    an_entry_that_is_done_twice_in_one_commit_is_refused if parked,
    an_entry_that_is_set_aside_again_begins_anew if parked,
    a_refused_commit_sets_nothing_aside if parked,
    a_refused_commit_leaves_entries_where_they_are if parked,
    a_repeated_commit_sets_nothing_aside_again if parked,
    of_tasks_that_change_an_entry_one_wins if parked,
}

/// The one entry that is there.
async fn only(t: &Probe) -> ParkedEntry {
    let mut found = t.aside(FindParked::default()).await;
    assert_eq!(found.len(), 1, "one entry: {found:?}");
    found.remove(0)
}

/// Compares an entry with what was written: what was edited by what it says.
#[track_caller]
fn assert_says(entry: &ParkedEntry, write: &ParkedWrite, why: &str) {
    let (expected, edited) = (write.expected, write.edited.clone());
    let body = |edited: &Option<Payload>| edited.as_ref().map(Body::from);
    assert_eq!(body(&entry.edited), body(&edited), "{why}: what was edited");
    let back = ParkedWrite { expected, edited, ..entry.to_write() };
    assert_eq!(&back, write, "{why}");
}

#[track_caller]
fn assert_at(error: &Error, position: u64, actual: u64, why: &str) {
    let subscription = MAILER.to_owned();
    assert_conflict(error, Conflict::Parked { subscription, position, actual }, why);
}

async fn what_is_set_aside_is_found(t: Probe) {
    assert_eq!(t.aside(FindParked::default()).await, [], "nothing is set aside");
    let parked = vec![aside(MAILER, 17)];
    t.applied(Commit { parked, ..grows(&account("1"), 1) }).await;
    let entry = only(&t).await;
    assert_says(&entry, &aside(MAILER, 17), "the entry");
    assert_eq!(entry.version, 1, "written once");
}

async fn an_entry_comes_back_with_all_fields(t: Probe) {
    let times = [None, Some(Timestamp::MIN), Some(at(-1)), Some(at(1)), Some(Timestamp::MAX)];
    let mut all = Vec::new();
    for (n, due) in times.into_iter().enumerate() {
        for (m, state) in ParkedState::ALL.into_iter().enumerate() {
            all.push(ParkedWrite {
                partition: [0, 7, u32::MAX][(n + m) % 3],
                key: format!("account-{n} é"),
                message: format!("bank.opened.{m}"),
                state,
                due,
                attempts: [0, 1, u32::MAX][(n + m) % 3],
                ..aside(MAILER, (n * 10 + m + 1) as u64)
            });
        }
    }
    t.applied(parks(all.clone())).await;
    let found = t.aside(FindParked::of(MAILER)).await;
    assert_eq!(found.len(), all.len(), "all of them: {found:?}");
    for (entry, write) in found.iter().zip(&all) {
        assert_says(entry, write, "as it was set aside");
    }
}

async fn an_entry_comes_back_with_what_was_edited(t: Probe) {
    let content_type = || "application/cbor; x=\"y\"".into();
    let edits = [
        Some(Payload::Json(body(&json!({ "a\0": [1.5, null, u64::MAX], "é": "" })))),
        Some(Payload::Json(body(&json!(null)))),
        Some(Payload::Binary { content_type: content_type(), bytes: (0..=255).collect() }),
        Some(Payload::Binary { content_type: content_type(), bytes: Vec::new().into() }),
        Some(Payload::Erased),
        None,
    ];
    for edited in edits {
        let write = ParkedWrite { expected: Expected::Any, edited, ..aside(MAILER, 17) };
        t.applied(parks(vec![write.clone()])).await;
        assert_says(&only(&t).await, &write, "as it was edited");
    }
}

async fn an_entry_comes_back_with_its_cause(t: Probe) {
    let long = "x".repeat(t.limits().headers);
    let causes = [
        "",
        "no such address: ' \" ` \\ ; --",
        "two\nlines\r\n\tand a tab",
        "\u{1b}[31mred\u{1b}[0m",
        "é e\u{301} 🦀 \u{202e}abc \u{2028} \u{ffff} \u{10ffff}",
        "{\"a\": null}",
        "%s $1 :name @p ?",
        &long,
    ];
    for cause in causes {
        let cause = cause.to_owned();
        let write = ParkedWrite { expected: Expected::Any, cause, ..aside(MAILER, 17) };
        t.applied(parks(vec![write.clone()])).await;
        assert_says(&only(&t).await, &write, "with its cause");
    }
}

async fn an_entry_says_since_when_it_is_there(t: Probe) {
    // The clock of a server may tell the times of events and entries a little apart.
    let slack = std::time::Duration::from_secs(1);
    let early = later_than(&t, &account("1"), Timestamp::MIN).await;
    t.applied(parks(vec![aside(MAILER, 17)])).await;
    let late = later_than(&t, &account("1"), early).await;
    let span = early.saturating_sub(slack)..=late.saturating_add(slack);
    let since = only(&t).await.since;
    assert!(span.contains(&since), "since {since}, set aside from {early} to {late}");
}

async fn a_changed_entry_counts_its_versions_and_keeps_since(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 17)])).await;
    let first = only(&t).await;
    let mut time = later_than(&t, &account("1"), first.since).await;
    for version in 2..=4 {
        let change = ParkedWrite { attempts: 9, ..only(&t).await.to_write() };
        t.applied(parks(vec![change])).await;
        let entry = only(&t).await;
        assert_eq!(entry.version, version, "written for the {version}. time");
        assert_eq!(entry.since, first.since, "it is there since it was set aside");
        time = later_than(&t, &account("1"), time).await;
    }
}

async fn a_changed_entry_has_the_new_values_only(t: Probe) {
    let edited = Some(Payload::Json(body(&json!({ "a": 1 }))));
    let first = ParkedWrite { due: Some(at(5)), edited, ..aside(MAILER, 17) };
    t.applied(parks(vec![first])).await;
    let change = ParkedWrite {
        expected: Expected::Exactly(1),
        partition: 3,
        message: "bank.closed".into(),
        state: ParkedState::Discarding,
        due: None,
        cause: "given up".into(),
        attempts: 0,
        edited: None,
        ..aside(MAILER, 17)
    };
    t.applied(parks(vec![change.clone()])).await;
    assert_says(&only(&t).await, &change, "as it was changed");
    let old = FindParked::default().due_by(at(9));
    assert_eq!(t.aside(old).await, [], "found by when it was due");
}

/// Writes an entry under an expectation, which holds or is refused.
async fn expects(t: &Probe, expected: Expected, actual: u64) {
    let parked = vec![ParkedWrite { expected, cause: "changed".into(), ..aside(MAILER, 17) }];
    let commit = Commit { parked, ..grows(&account("1"), 1) };
    if expected.holds(actual) {
        t.applied(commit).await;
        let entry = only(t).await;
        assert_eq!(entry.version, actual + 1, "{expected:?} at {actual}");
        assert_eq!(entry.cause, "changed", "{expected:?} at {actual}");
        return;
    }
    let before = t.aside(FindParked::default()).await;
    assert_at(&t.refused(commit).await, 17, actual, &format!("{expected:?} at {actual}"));
    assert_eq!(t.aside(FindParked::default()).await, before, "it is as it was");
}

async fn an_entry_that_is_missing_is_held_to_its_expectation(t: Probe) {
    for expected in [Expected::Exists, Expected::Exactly(1), Expected::Exactly(7)] {
        expects(&t, expected, 0).await;
    }
    for expected in [Expected::NoStream, Expected::Any, Expected::Exactly(0)] {
        expects(&t, expected, 0).await;
        t.applied(settles(vec![unparked(MAILER, 17)])).await;
    }
}

async fn an_entry_that_is_there_is_held_to_its_expectation(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 17)])).await;
    t.applied(parks(vec![ParkedWrite { expected: Expected::Any, ..aside(MAILER, 17) }])).await;
    let refused = [Expected::NoStream, Expected::Exactly(0), Expected::Exactly(1)];
    for expected in refused.into_iter().chain([Expected::Exactly(3)]) {
        expects(&t, expected, 2).await;
    }
    let taken = [Expected::Exactly(2), Expected::Exists, Expected::Any];
    for (actual, expected) in (2..).zip(taken) {
        expects(&t, expected, actual).await;
    }
}

async fn entries_of_subscriptions_and_positions_are_apart(t: Probe) {
    let places = [("mailer", 1), ("mailer", 11), ("mailer1", 1), ("Mailer", 1), ("mailer ", 1)];
    let write = |(n, (subscription, position)): (usize, (&str, u64))| ParkedWrite {
        cause: n.to_string(),
        ..aside(subscription, position)
    };
    t.applied(parks(places.into_iter().enumerate().map(write).collect())).await;
    let change = ParkedWrite { expected: Expected::Exactly(1), ..aside("mailer", 11) };
    t.applied(parks(vec![change])).await;
    t.applied(settles(vec![unparked("mailer", 1)])).await;
    for (n, (subscription, position)) in places.into_iter().enumerate() {
        let found = t.aside(FindParked::of(subscription)).await;
        let found = found.into_iter().find(|entry| entry.position == position);
        let expected = (n > 0).then_some(if n == 1 { 2 } else { 1 });
        let version = found.as_ref().map(|entry| entry.version);
        assert_eq!(version, expected, "{position}@{subscription}: {found:?}");
    }
}

async fn an_entry_that_is_written_twice_in_one_commit_is_refused(t: Probe) {
    let second = ParkedWrite { expected: Expected::Any, ..aside(MAILER, 17) };
    let twice = parks(vec![aside(MAILER, 17), aside(MAILER, 18), second]);
    assert_invalid(&t.refused(twice).await, "parked", "one entry, twice in a commit");
    assert_eq!(t.aside(FindParked::default()).await, [], "nothing was set aside");
}

async fn an_entry_that_is_done_is_gone(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 17), aside(MAILER, 18)])).await;
    let settled = vec![unparked(MAILER, 17)];
    t.applied(Commit { settled, ..grows(&account("1"), 1) }).await;
    assert_eq!(only(&t).await.position, 18, "the other one is still there");
    for find in [FindParked::of(MAILER).key("account-4"), FindParked::of(MAILER)] {
        assert_eq!(t.aside(find).await.len(), 1, "found by its key or not");
    }
}

async fn an_entry_is_done_once(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 17), aside(MAILER, 18)])).await;
    t.applied(settles(vec![unparked(MAILER, 17)])).await;
    for never in [unparked(MAILER, 17), unparked("other", 18), unparked(MAILER, 19)] {
        let settled = vec![unparked(MAILER, 18), never];
        let commit = Commit { settled, ..grows(&account("1"), 1) };
        assert_settled(&t.refused(commit).await, "an entry that is not there");
    }
    assert_eq!(only(&t).await.position, 18, "the one beside it is still there");
}

async fn an_entry_that_is_done_twice_in_one_commit_is_refused(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 17)])).await;
    let twice = settles(vec![unparked(MAILER, 17), unparked(MAILER, 17)]);
    assert_invalid(&t.refused(twice).await, "settled", "one entry, settled twice");
    assert_eq!(only(&t).await.position, 17, "it is still there");
}

async fn an_entry_that_is_set_aside_again_begins_anew(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 17)])).await;
    let first = only(&t).await;
    t.applied(parks(vec![first.to_write()])).await;
    t.applied(settles(vec![unparked(MAILER, 17)])).await;
    let mut time = first.since;
    for _ in 0..2 {
        time = later_than(&t, &account("1"), time).await;
    }
    t.applied(parks(vec![aside(MAILER, 17)])).await;
    let again = only(&t).await;
    assert_eq!(again.version, 1, "the first write of a new entry");
    assert!(again.since >= first.since, "since then: {first:?}, {again:?}");
}

/// A commit that is refused for its append.
async fn failing(t: &Probe) -> Commit {
    t.applied(grows(&account("taken"), 1)).await;
    appends(&account("taken"), Expected::NoStream, events(1))
}

async fn a_refused_commit_sets_nothing_aside(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 17)])).await;
    let before = only(&t).await;
    let change = ParkedWrite { cause: "changed".into(), ..before.to_write() };
    let refused = Commit { parked: vec![aside(MAILER, 18), change], ..failing(&t).await };
    t.refused(refused).await;
    assert_eq!(only(&t).await, before, "what is set aside is as it was");
}

async fn a_refused_commit_leaves_entries_where_they_are(t: Probe) {
    t.applied(parks(vec![aside(MAILER, 17)])).await;
    let before = only(&t).await;
    let refused = Commit { settled: vec![unparked(MAILER, 17)], ..failing(&t).await };
    t.refused(refused).await;
    assert_eq!(only(&t).await, before, "it is still there");
}

async fn a_repeated_commit_sets_nothing_aside_again(t: Probe) {
    let first = parks(vec![ParkedWrite { expected: Expected::Any, ..aside(MAILER, 17) }]);
    let position = t.applied(first.clone()).await;
    let before = Committed::Before { position, reply: None };
    assert_eq!(t.answered(first.clone()).await, before, "the same commit again");
    assert_eq!(only(&t).await.version, 1, "written once");
    t.applied(settles(vec![unparked(MAILER, 17)])).await;
    assert_eq!(t.answered(first).await, before, "after it was done");
    assert_eq!(t.aside(FindParked::default()).await, [], "done after it was set aside");
}

async fn of_tasks_that_change_an_entry_one_wins(t: Probe) {
    let handles = [t.handle(), t.another().await];
    for round in 0..4 {
        let answers = together(16, |n| {
            let handle = handles[n % 2].clone();
            let expected = Expected::Exactly(round);
            let write = ParkedWrite { expected, cause: n.to_string(), ..aside(MAILER, 17) };
            async move { handle.settled(parks(vec![write])).await }
        });
        let answers = answers.await;
        let won = answers.iter().position(Result::is_ok).map(|n| n.to_string());
        let wins = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(wins, 1, "of 16 that change version {round} one wins: {answers:?}");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_at(error, 17, round + 1, "the others come late");
        }
        assert_eq!(Some(only(&t).await.cause), won, "what the winner wrote");
    }
}
