//! Timers: set, found when due, set anew, cancelled, and fired once.

use cqrs_core::{Committed, Conflict, Error, Settled, Timer, TimerWrite, Timestamp};

use crate::store::case::{timers, timers_settled};
use crate::store::cases::prelude::*;
use crate::store::handle::together;
use crate::store::waiting::{SAGA, assert_settled, at, sets, settles, timer};

cases! { "timers":
    a_timer_is_found_when_it_is_due_and_not_before if timers,
    a_timer_comes_back_with_all_fields if timers,
    timers_are_found_the_earliest_first if timers,
    timers_are_found_up_to_a_limit if timers,
    timers_of_one_owner_are_found if timers,
    timers_of_tenants_are_apart if timers,
    timers_of_keys_and_names_are_apart if timers,
    a_timer_that_is_cancelled_is_gone if timers,
    a_cancellation_of_what_is_not_set_changes_nothing if timers,
    a_timer_that_was_cancelled_can_be_set_anew if timers,
    a_timer_that_is_set_anew_has_the_new_time_only if timers,
    a_timer_of_an_older_generation_is_refused if timers,
    a_cancellation_of_an_older_generation_is_refused if timers,
    a_cancellation_of_a_newer_generation_is_taken if timers,
    a_timer_that_is_set_twice_in_one_commit_is_refused if timers,
    a_repeated_commit_does_not_set_its_timers_again if timers,
    a_refused_commit_sets_and_cancels_nothing if timers,
    a_timer_that_fires_is_gone if timers_settled,
    a_timer_fires_once if timers_settled,
    a_timer_that_fires_twice_in_one_commit_is_refused if timers_settled,
    a_timer_that_was_set_anew_does_not_fire_as_the_older if timers_settled,
    a_timer_that_fires_can_be_set_again_in_its_commit if timers_settled,
    a_refused_commit_fires_nothing if timers_settled,
    of_tasks_that_fire_a_timer_one_wins if timers_settled,
    of_tasks_that_set_a_generation_one_wins if timers,
}

fn keys(timers: &[Timer]) -> Vec<&str> {
    timers.iter().map(|timer| timer.key.as_str()).collect()
}

fn of_generations(timers: &[Timer]) -> Vec<(u64, i64)> {
    timers.iter().map(|timer| (timer.generation, timer.due.as_micros())).collect()
}

#[track_caller]
fn assert_stale(error: &Error, key: &str, actual: u64, why: &str) {
    let (owner, name) = (SAGA.to_owned(), "payment".to_owned());
    assert_conflict(error, Conflict::Timer { owner, key: key.to_owned(), name, actual }, why);
}

async fn a_timer_is_found_when_it_is_due_and_not_before(t: Probe) {
    for due in [1_000_000, 1_700_000_000_000_001, -5_000_000] {
        let key = due.to_string();
        t.applied(sets(vec![timer(&key, 1, Some(due))])).await;
        assert_eq!(t.due(SAGA, at(due - 1), 10).await, [], "a microsecond before {due}");
        assert_eq!(keys(&t.due(SAGA, at(due), 10).await), [key.as_str()], "at {due}");
        assert_eq!(keys(&t.due(SAGA, at(due + 1), 10).await), [key.as_str()], "after {due}");
        t.applied(sets(vec![timer(&key, 1, None)])).await;
    }
}

async fn a_timer_comes_back_with_all_fields(t: Probe) {
    let mut set = Vec::new();
    for (n, due) in [Timestamp::MIN, at(-1), at(0), at(1), Timestamp::MAX].into_iter().enumerate() {
        for tenant in [None, Some("acme".into())] {
            let generation = if n % 2 == 0 { 1 } else { i64::MAX as u64 };
            let key = format!("order-{n}");
            set.push(TimerWrite { tenant, due: Some(due), ..timer(&key, generation, None) });
        }
    }
    t.applied(sets(set.clone())).await;
    let mut found = t.set().await;
    let place = |timer: &Timer| (timer.due, timer.tenant.clone());
    found.sort_by_key(place);
    let back = found.into_iter().map(|timer| TimerWrite {
        owner: timer.owner,
        tenant: timer.tenant,
        key: timer.key,
        name: timer.name,
        generation: timer.generation,
        due: Some(timer.due),
    });
    assert_eq!(back.collect::<Vec<_>>(), set, "each as it was set");
}

async fn timers_are_found_the_earliest_first(t: Probe) {
    let due = [50, 10, -7, 40, 1_000_000_000_000, 20, 9];
    let set = due.iter().enumerate().map(|(n, due)| timer(&n.to_string(), 1, Some(*due)));
    t.applied(sets(set.collect())).await;
    assert_eq!(keys(&t.set().await), ["2", "6", "1", "5", "3", "0", "4"], "all of them");
    assert_eq!(keys(&t.due(SAGA, at(20), 10).await), ["2", "6", "1", "5"], "due by 20");
    assert_eq!(keys(&t.due(SAGA, at(40), 3).await), ["2", "6", "1"], "the first three");
}

async fn timers_are_found_up_to_a_limit(t: Probe) {
    let set = (0..10).map(|n| timer(&n.to_string(), 1, Some(n)));
    t.applied(sets(set.collect())).await;
    for limit in [1, 3, 10, 11, u32::MAX] {
        let found = t.due(SAGA, Timestamp::MAX, limit).await;
        assert_eq!(found.len(), 10.min(limit as usize), "a limit of {limit}");
    }
    assert_eq!(t.due(SAGA, Timestamp::MAX, 0).await, [], "none were asked for");
}

async fn timers_of_one_owner_are_found(t: Probe) {
    let owners = ["checkout", "Checkout", "check", "checkout2", "checkout "];
    for (n, owner) in owners.iter().enumerate() {
        let set = TimerWrite { owner: (*owner).into(), ..timer(&n.to_string(), 1, Some(1)) };
        t.applied(sets(vec![set])).await;
    }
    for (n, owner) in owners.iter().enumerate() {
        let found = t.due(owner, Timestamp::MAX, 10).await;
        assert_eq!(keys(&found), [n.to_string()], "the timers of {owner:?}");
    }
    assert_eq!(t.due("nobody", Timestamp::MAX, 10).await, [], "an owner without timers");
}

async fn timers_of_tenants_are_apart(t: Probe) {
    let of = |tenant: Option<&str>, generation, due| TimerWrite {
        tenant: tenant.map(Into::into),
        ..timer("17", generation, due)
    };
    let tenants = [None, Some("acme"), Some("bold")];
    for (n, tenant) in tenants.into_iter().enumerate() {
        t.applied(sets(vec![of(tenant, 1, Some(n as i64))])).await;
    }
    let tenants_of = async || {
        let found = t.set().await.into_iter().map(|timer| timer.tenant.map(String::from));
        found.collect::<Vec<_>>()
    };
    let (acme, bold) = (Some("acme".to_owned()), Some("bold".to_owned()));
    assert_eq!(tenants_of().await, [None, acme, bold.clone()], "found for all tenants");
    t.applied(sets(vec![of(Some("acme"), 1, None)])).await;
    assert_eq!(tenants_of().await, [None, bold.clone()], "cancelled for one tenant");
    t.applied(sets(vec![of(None, 2, Some(9))])).await;
    assert_eq!(tenants_of().await, [bold, None], "set anew for no tenant");
}

async fn timers_of_keys_and_names_are_apart(t: Probe) {
    let places = [("17", "payment"), ("17", "Payment"), ("1", "7payment"), ("17p", "ayment")];
    let of = |(key, name): (&str, &str), due| TimerWrite {
        name: name.to_owned(),
        due: Some(at(due)),
        ..timer(key, 1, None)
    };
    let set = places.iter().enumerate().map(|(n, place)| of(*place, n as i64));
    t.applied(sets(set.collect())).await;
    let found = t.set().await;
    let seen = found.iter().map(|timer| (timer.key.as_str(), timer.name.as_str()));
    assert_eq!(seen.collect::<Vec<_>>(), places, "each of them");
    t.applied(sets(vec![TimerWrite { due: None, ..of(places[0], 0) }])).await;
    assert_eq!(t.set().await, found[1..], "one was cancelled");
}

async fn a_timer_that_is_cancelled_is_gone(t: Probe) {
    for (generation, with) in [(1, 1), (3, 4)] {
        t.applied(sets(vec![timer("17", generation, Some(5)), timer("18", generation, Some(6))]))
            .await;
        t.applied(sets(vec![timer("17", with, None)])).await;
        assert_eq!(keys(&t.set().await), ["18"], "cancelled with generation {with}");
        t.applied(sets(vec![timer("18", with, None)])).await;
    }
}

async fn a_cancellation_of_what_is_not_set_changes_nothing(t: Probe) {
    t.applied(sets(vec![timer("18", 1, Some(5))])).await;
    for generation in [1, 7] {
        t.applied(sets(vec![timer("17", generation, None)])).await;
    }
    assert_eq!(keys(&t.set().await), ["18"], "the other one is still set");
    t.applied(sets(vec![timer("17", 8, Some(6))])).await;
    assert_eq!(keys(&t.set().await), ["18", "17"], "set after it was cancelled");
}

async fn a_timer_that_was_cancelled_can_be_set_anew(t: Probe) {
    t.applied(sets(vec![timer("17", 1, Some(5))])).await;
    t.applied(sets(vec![timer("17", 1, None)])).await;
    t.applied(sets(vec![timer("17", 2, Some(6))])).await;
    assert_eq!(of_generations(&t.set().await), [(2, 6)], "the new one");
}

async fn a_timer_that_is_set_anew_has_the_new_time_only(t: Probe) {
    t.applied(sets(vec![timer("17", 1, Some(5))])).await;
    for (generation, due) in [(2, 50), (7, 1)] {
        t.applied(sets(vec![timer("17", generation, Some(due))])).await;
        assert_eq!(of_generations(&t.set().await), [(generation, due)], "one timer, set anew");
        assert_eq!(t.due(SAGA, at(due - 1), 10).await, [], "the older time");
    }
}

async fn a_timer_of_an_older_generation_is_refused(t: Probe) {
    t.applied(sets(vec![timer("17", 3, Some(5))])).await;
    for generation in [3, 2, 1, 0] {
        let late = Commit {
            timers: vec![timer("18", 1, Some(1)), timer("17", generation, Some(1))],
            ..grows(&account("1"), 1)
        };
        let error = t.refused(late).await;
        assert_stale(&error, "17", 3, &format!("generation {generation} after 3"));
    }
    assert_eq!(of_generations(&t.set().await), [(3, 5)], "the newest, and nothing beside it");
}

async fn a_cancellation_of_an_older_generation_is_refused(t: Probe) {
    t.applied(sets(vec![timer("17", 3, Some(5))])).await;
    for generation in [2, 1] {
        let late =
            Commit { timers: vec![timer("17", generation, None)], ..grows(&account("1"), 1) };
        let error = t.refused(late).await;
        assert_stale(&error, "17", 3, &format!("cancelled with generation {generation}"));
    }
    assert_eq!(of_generations(&t.set().await), [(3, 5)], "it is still set");
}

async fn a_cancellation_of_a_newer_generation_is_taken(t: Probe) {
    t.applied(sets(vec![timer("17", 3, Some(5))])).await;
    t.applied(sets(vec![timer("17", 9, None)])).await;
    assert_eq!(t.set().await, [], "it was cancelled");
}

async fn a_timer_that_is_set_twice_in_one_commit_is_refused(t: Probe) {
    for second in [Some(6), None] {
        let twice = sets(vec![timer("17", 1, Some(5)), timer("17", 2, second)]);
        assert_invalid(&t.refused(twice).await, "timers", "one timer, twice in a commit");
    }
    assert_eq!(t.set().await, [], "nothing was set");
}

async fn a_repeated_commit_does_not_set_its_timers_again(t: Probe) {
    let first = sets(vec![timer("17", 1, Some(5))]);
    let position = t.applied(first.clone()).await;
    t.applied(sets(vec![timer("17", 1, None)])).await;
    let again = t.answered(first).await;
    assert_eq!(again, Committed::Before { position, reply: None }, "the same commit again");
    assert_eq!(t.set().await, [], "cancelled after it was set");
}

/// A commit that is refused for its append.
async fn failing(t: &Probe) -> Commit {
    t.applied(grows(&account("taken"), 1)).await;
    appends(&account("taken"), cqrs_core::Expected::NoStream, events(1))
}

async fn a_refused_commit_sets_and_cancels_nothing(t: Probe) {
    t.applied(sets(vec![timer("old", 1, Some(5)), timer("older", 1, Some(6))])).await;
    let before = t.set().await;
    let timers = vec![timer("new", 1, Some(1)), timer("old", 2, Some(1)), timer("older", 1, None)];
    let refused = Commit { timers: timers.clone(), ..failing(&t).await };
    t.refused(refused).await;
    assert_eq!(t.set().await, before, "the timers are as they were");
    t.applied(sets(timers)).await;
    assert_eq!(keys(&t.set().await).len(), 2, "the same timers in a good commit");
}

async fn a_timer_that_fires_is_gone(t: Probe) {
    t.applied(sets(vec![timer("17", 4, Some(5)), timer("18", 4, Some(6))])).await;
    let fired = t.due(SAGA, at(5), 10).await.remove(0);
    let commit = Commit { settled: vec![Settled::Timer(fired)], ..grows(&account("1"), 1) };
    t.applied(commit).await;
    assert_eq!(keys(&t.set().await), ["18"], "the one that fired is gone");
    t.applied(sets(vec![timer("17", 5, Some(7))])).await;
    assert_eq!(keys(&t.set().await), ["18", "17"], "set anew after it fired");
}

async fn a_timer_fires_once(t: Probe) {
    t.applied(sets(vec![timer("17", 1, Some(5))])).await;
    let fired = t.set().await.remove(0);
    t.applied(settles(vec![Settled::Timer(fired.clone())])).await;
    for never in [fired.clone(), Timer { key: "18".into(), ..fired.clone() }] {
        let settled = vec![Settled::Timer(never)];
        let commit = Commit { settled, ..grows(&account("1"), 1) };
        assert_settled(&t.refused(commit).await, "a timer that is not set");
    }
    let other = Timer { tenant: Some("acme".into()), ..fired };
    t.applied(sets(vec![timer("17", 2, Some(5))])).await;
    let commit = settles(vec![Settled::Timer(Timer { generation: 2, ..other })]);
    assert_settled(&t.refused(commit).await, "a timer of another tenant");
}

async fn a_timer_that_fires_twice_in_one_commit_is_refused(t: Probe) {
    t.applied(sets(vec![timer("17", 1, Some(5))])).await;
    let fired = t.set().await.remove(0);
    let older = Timer { generation: 0, due: at(1), ..fired.clone() };
    for second in [fired.clone(), older] {
        let twice = settles(vec![Settled::Timer(fired.clone()), Settled::Timer(second)]);
        assert_invalid(&t.refused(twice).await, "settled", "one timer, settled twice");
    }
    assert_eq!(t.set().await, [fired], "it is still set");
}

async fn a_timer_that_was_set_anew_does_not_fire_as_the_older(t: Probe) {
    t.applied(sets(vec![timer("17", 1, Some(5))])).await;
    let older = t.set().await.remove(0);
    t.applied(sets(vec![timer("17", 2, Some(50))])).await;
    let commit = Commit { settled: vec![Settled::Timer(older)], ..grows(&account("1"), 1) };
    assert_settled(&t.refused(commit).await, "it was set anew meanwhile");
    assert_eq!(of_generations(&t.set().await), [(2, 50)], "it is still set");
}

async fn a_timer_that_fires_can_be_set_again_in_its_commit(t: Probe) {
    t.applied(sets(vec![timer("17", 1, Some(5))])).await;
    let fired = t.set().await.remove(0);
    let timers = vec![timer("17", 2, Some(9))];
    t.applied(Commit { timers, ..settles(vec![Settled::Timer(fired)]) }).await;
    assert_eq!(of_generations(&t.set().await), [(2, 9)], "first settled, then set");
}

async fn a_refused_commit_fires_nothing(t: Probe) {
    t.applied(sets(vec![timer("17", 1, Some(5))])).await;
    let fired = t.set().await;
    let settled = fired.iter().cloned().map(Settled::Timer).collect();
    let refused = Commit { settled, ..failing(&t).await };
    t.refused(refused).await;
    assert_eq!(t.set().await, fired, "it is still set");
}

async fn of_tasks_that_fire_a_timer_one_wins(t: Probe) {
    let handles = [t.handle(), t.another().await];
    for round in 1..=4 {
        t.applied(sets(vec![timer("17", round, Some(5))])).await;
        let fired = t.set().await.remove(0);
        let answers = together(16, |n| {
            let (handle, timer) = (handles[n % 2].clone(), fired.clone());
            let stream = account(&format!("{round}-{n}"));
            async move {
                let settled = vec![Settled::Timer(timer)];
                handle.settled(Commit { settled, ..grows(&stream, 1) }).await
            }
        });
        let answers = answers.await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "of 16 that fire one timer one wins: {answers:?}");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_settled(error, "the others come late");
        }
        assert_eq!(t.log().await.len() as u64, round, "one effect a timer");
    }
}

async fn of_tasks_that_set_a_generation_one_wins(t: Probe) {
    let handles = [t.handle(), t.another().await];
    for round in 1..=4 {
        let answers = together(16, |n| {
            let handle = handles[n % 2].clone();
            async move { handle.settled(sets(vec![timer("17", round, Some(n as i64))])).await }
        });
        let answers = answers.await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "of 16 that set generation {round} one wins: {answers:?}");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_stale(error, "17", round, "the others come late");
        }
    }
}
