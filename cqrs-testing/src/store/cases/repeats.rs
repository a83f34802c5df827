//! The same commit again: answered as the first time, before any expectation is looked at (P5).

use std::time::Duration;

use cqrs_core::{Committed, Expected, Guard, Payload};
use serde_json::json;

use crate::store::cases::prelude::*;
use crate::store::handle::together;

cases! { "repeats":
    the_same_commit_twice_is_applied_once,
    a_repeat_on_another_handle_is_answered,
    a_repeat_reports_the_position_of_then,
    a_commit_without_appends_repeated_is_applied_once,
    an_empty_commit_repeated_reports_the_position_of_then,
    a_repeat_whose_expectation_became_stale_is_answered,
    a_repeat_whose_guard_became_stale_is_answered,
    a_repeat_while_the_first_is_in_flight_waits_for_it,
    a_commit_whose_future_was_dropped_can_be_repeated,
    a_commit_whose_events_are_named_after_it_is_known_again,
    an_id_is_known_whatever_its_commit_wrote,
    an_event_named_after_another_commit_says_nothing_of_that,
    the_same_id_with_other_content_is_refused,
    the_same_id_with_another_expectation_is_refused,
}

#[track_caller]
fn assert_before(answer: &Committed, position: u64, why: &str) {
    assert_eq!(*answer, Committed::Before { position, reply: None }, "{why}");
}

async fn the_same_commit_twice_is_applied_once(t: Probe) {
    let commit = grows(&account("1"), 3);
    let position = t.applied(commit.clone()).await;
    let before = t.snapshot().await;
    for n in 2..=4 {
        let again = t.answered(commit.clone()).await;
        assert_before(&again, position, &format!("sent for the {n}. time"));
    }
    assert_eq!(t.snapshot().await, before, "a repeat wrote something");
}

async fn a_repeat_on_another_handle_is_answered(t: Probe) {
    let other = t.another().await;
    let commit = grows(&account("1"), 1);
    let position = t.applied(commit.clone()).await;
    assert_before(&other.answered(commit).await, position, "sent by another process");
}

async fn a_repeat_reports_the_position_of_then(t: Probe) {
    let commit = grows(&account("1"), 2);
    let position = t.applied(commit.clone()).await;
    t.applied(grows(&account("2"), 5)).await;
    assert_before(&t.answered(commit).await, position, "the log went on meanwhile");
}

async fn a_commit_without_appends_repeated_is_applied_once(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let head = t.applied(grows(&account("1"), 2)).await;
    let commit = puts("17", &json!({ "n": 1 }));
    t.applied(commit.clone()).await;
    t.applied(puts("18", &json!({}))).await;
    assert_before(&t.answered(commit).await, head, "a commit of a document, again");
    let version = t.tutor("17").await.map(|document| document.version);
    assert_eq!(version, Some(1), "the document was written again");
}

async fn an_empty_commit_repeated_reports_the_position_of_then(t: Probe) {
    let commit = Commit::default();
    t.applied(commit.clone()).await;
    t.applied(grows(&account("1"), 2)).await;
    assert_before(&t.answered(commit).await, 0, "an empty commit on the empty log, again");
}

async fn a_repeat_whose_expectation_became_stale_is_answered(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let mut commit = appends(&account("1"), Expected::NoStream, events(1));
    commit.documents.push(put("17", Expected::NoStream, &json!({ "n": 1 })));
    let position = t.applied(commit.clone()).await;
    t.applied(grows(&account("1"), 1)).await;
    let why = "`NoStream` does not hold any more, because the first made it so";
    assert_before(&t.answered(commit).await, position, why);
}

async fn a_repeat_whose_guard_became_stale_is_answered(t: Probe) {
    let mut commit = grows(&account("1"), 1);
    let none = |id| Guard::Stream { stream: account(id), expected: Expected::NoStream };
    commit.guards = vec![none("1"), none("2")];
    let position = t.applied(commit.clone()).await;
    t.applied(grows(&account("2"), 1)).await;
    assert_before(&t.answered(commit).await, position, "its guards do not hold any more");
}

async fn a_repeat_while_the_first_is_in_flight_waits_for_it(t: Probe) {
    let handles = [t.handle(), t.another().await];
    for round in 0..8 {
        let stream = account(&format!("{round}"));
        let commit = appends(&stream, Expected::NoStream, events(3));
        let answers = together(16, |n| {
            let (handle, commit) = (handles[n % 2].clone(), commit.clone());
            async move { handle.settled(commit).await }
        });
        let answers = answers.await.into_iter().map(|answer| match answer {
            Ok(answer) => answer,
            Err(error) => panic!("16 sends of one commit, all must be answered: {error:?}"),
        });
        let answers = answers.collect::<Vec<_>>();
        let now = answers.iter().filter(|a| matches!(a, Committed::Now { .. })).count();
        assert_eq!(now, 1, "of 16 sends of one commit one is applied: {answers:?}");
        let same = answers.iter().all(|a| a.position() == answers[0].position());
        assert!(same, "all say the same position: {answers:?}");
        assert_eq!(versions(&t.stream(&stream).await), [1, 2, 3], "applied once");
    }
}

async fn a_commit_whose_future_was_dropped_can_be_repeated(t: Probe) {
    let other = t.another().await;
    for n in 0..40 {
        let stream = account(&format!("{n}"));
        let commit = appends(&stream, Expected::NoStream, events(2));
        // Dropped at another moment each time: before it began, in the middle, or when it is done.
        let bound = Duration::from_micros(n * n * 10);
        let cut_off = tokio::time::timeout(bound, t.commit(commit.clone())).await;
        let position = other.answered(commit).await.position();
        if let Ok(Ok(first)) = cut_off {
            assert_eq!(first.position(), position, "the answer that came in time");
        }
        let seen = t.stream(&stream).await;
        assert_eq!(versions(&seen), [1, 2], "a dropped commit and its repeat are applied once");
        assert_eq!(seen[1].position, position, "the repeat says where");
    }
}

async fn a_commit_whose_events_are_named_after_it_is_known_again(t: Probe) {
    let other = t.another().await;
    for n in [1, 3] {
        let mut commit = grows(&account("1"), n);
        commit.appends.push(append(&account("2"), Expected::Any, events(n)));
        let commit = named(commit);
        let position = t.applied(commit.clone()).await;
        t.applied(named(grows(&account("3"), 2))).await;
        let before = t.snapshot().await;
        for handle in [&*t, &other] {
            assert_before(&handle.answered(commit.clone()).await, position, "the log went on");
        }
        assert_eq!(t.snapshot().await, before, "a repeat wrote something");
    }
}

async fn an_id_is_known_whatever_its_commit_wrote(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let other = t.another().await;
    let kinds = |n: usize| {
        let stream = account(&n.to_string());
        let of_both =
            Commit { documents: vec![put("17", Expected::Any, &json!({}))], ..grows(&stream, 2) };
        [
            ("events named after it", named(grows(&stream, 2))),
            ("one event named after it", named(grows(&stream, 1))),
            ("other events", grows(&stream, 2)),
            ("a document", puts("17", &json!({ "n": n }))),
            ("a document and events named after it", named(of_both)),
            ("nothing", Commit::default()),
        ]
    };
    for first in 0..6 {
        for second in 0..6 {
            let (was, first) = kinds(first).into_iter().nth(first).expect("one of six");
            let id = first.id;
            let (is, second) = kinds(second + 10).into_iter().nth(second).expect("one of six");
            let is_named = is.contains("named");
            let second = Commit { id, ..second };
            let second = if is_named { named(second) } else { second };
            // Of one that wrote nothing, the same again is a repeat.
            if second == first {
                continue;
            }
            let position = t.applied(first.clone()).await;
            let why = format!("first {was}, then {is}");
            assert_reused(&other.refused(second.clone()).await, id.0, &why);
            assert_reused(&t.refused(second).await, id.0, &why);
            assert_before(&other.answered(first).await, position, &why);
        }
    }
}

async fn an_event_named_after_another_commit_says_nothing_of_that(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    for of_one in [true, false] {
        let named_later = named(grows(&account("1"), 1));
        let event = named_later.appends[0].events[0].clone();
        let others =
            if of_one { vec![event.clone()] } else { [events(1), vec![event.clone()]].concat() };
        t.applied(appends(&account("2"), Expected::Any, others)).await;
        let refused = t.refused(named_later.clone()).await;
        assert_reused(&refused, event.id(), "its event is another commit's");
        // The id of the commit is free.
        let id = named_later.id;
        t.applied(Commit { id, ..puts("17", &json!({ "n": 1 })) }).await;
    }
}

async fn the_same_id_with_other_content_is_refused(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let mut first = grows(&account("1"), 2);
    first.documents.push(put("17", Expected::Any, &json!({ "n": 1 })));
    t.applied(first.clone()).await;
    let other = |what: &str, change: fn(&mut Commit)| {
        let mut commit = first.clone();
        change(&mut commit);
        (what.to_owned(), commit)
    };
    let others = [
        other("other events", |c| c.appends[0].events = events(2)),
        other("an event less", |c| drop(c.appends[0].events.pop())),
        other("another body", |c| c.appends[0].events[0].payload = Payload::Erased),
        other("another type", |c| c.appends[0].events[0].event_type = "bank.closed".into()),
        other("a tag more", |c| c.appends[0].events[0].tags.push("red".into())),
        other("another stream", |c| c.appends[0].stream = account("2")),
        other("another tenant", |c| c.appends[0].stream.tenant = Some("acme".into())),
        other("no append", |c| c.appends.clear()),
        other("no document", |c| c.documents.clear()),
        other("another document", |c| c.documents[0].body = Some(body(&json!({ "n": 2 })))),
        other("a deletion", |c| c.documents[0].body = None),
        other("a checkpoint more", |c| c.checkpoint = Some(moves("mailer", 0, 1))),
    ];
    for (what, commit) in others {
        assert_reused(&t.refused(commit).await, first.id.0, &format!("the same id with {what}"));
    }
    let version = t.tutor("17").await.map(|document| document.version);
    assert_eq!(version, Some(1), "the document was written by a refused commit");
    assert_eq!(t.stands("mailer", 0).await, None, "the checkpoint was written");
}

async fn the_same_id_with_another_expectation_is_refused(t: Probe) {
    let first = appends(&account("1"), Expected::NoStream, events(1));
    t.applied(first.clone()).await;
    let mut other = first.clone();
    other.appends[0].expected = Expected::Exactly(1);
    assert_reused(&t.refused(other).await, first.id.0, "another expectation");
    let mut other = first.clone();
    other.guards = vec![Guard::Stream { stream: account("2"), expected: Expected::NoStream }];
    assert_reused(&t.refused(other).await, first.id.0, "a guard more");
}
