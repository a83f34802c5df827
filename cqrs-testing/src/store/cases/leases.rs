//! Leases: given out, renewed, refused, given back, and listed.

use std::time::{Duration, Instant};

use cqrs_core::Lease;

use crate::store::case::leases;
use crate::store::cases::prelude::*;
use crate::store::handle::{Handle, later_than, together};
use crate::store::waiting::{LONG, SHORT, request, until};

cases! { "leases":
    a_lease_that_nobody_has_is_given_out if leases,
    a_renewal_keeps_the_token if leases,
    a_renewal_gives_more_time if leases,
    another_is_told_who_has_it if leases,
    another_handle_sees_the_same_leases if leases,
    the_end_of_a_lease_is_its_term_by_the_clock_of_the_store if leases,
    a_released_lease_is_given_out_at_once if leases,
    a_lease_that_is_not_the_holders_is_not_released if leases,
    a_lease_that_was_released_comes_back_to_its_holder if leases,
    a_lease_is_given_out_once_its_term_is_over if leases,
    a_lease_that_goes_to_another_gets_a_higher_token if leases,
    a_lease_that_was_not_released_is_taken_over if leases,
    a_takeover_is_said_once if leases,
    a_holder_that_asks_late_keeps_its_token if leases,
    several_leases_are_answered_in_the_order_of_the_names if leases,
    a_lease_asked_for_twice_in_one_request_is_refused if leases,
    only_held_leases_are_listed if leases,
    leases_are_listed_by_the_beginning_of_their_names if leases,
    of_tasks_that_race_for_a_lease_one_gets_it if leases,
    of_tasks_that_race_for_a_lease_that_is_over_one_takes_it_over if leases,
}

const NAME: &str = "mailer/0";

fn names(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.name.as_str()).collect()
}

async fn a_lease_that_nobody_has_is_given_out(t: Probe) {
    let lease = t.asks_for("node-a", NAME, LONG).await;
    assert_eq!((lease.name.as_str(), lease.holder.as_str()), (NAME, "node-a"), "whose it is");
    assert_eq!((lease.token, lease.taken_over), (1, false), "the first of all holders: {lease:?}");
    assert_eq!(t.held("").await, [lease], "the leases that are held");
}

async fn a_renewal_keeps_the_token(t: Probe) {
    let first = t.takes("node-a", NAME).await;
    for _ in 0..3 {
        let again = t.asks_for("node-a", NAME, LONG).await;
        assert!(again.is_of("node-a") && !again.taken_over, "it is the same holder: {again:?}");
        assert_eq!(again.token, first.token, "a renewal is no other holder");
    }
}

async fn a_renewal_gives_more_time(t: Probe) {
    let first = t.asks_for("node-a", NAME, Duration::from_secs(30)).await;
    let again = t.asks_for("node-a", NAME, LONG).await;
    assert!(again.until > first.until, "{first:?}, and after a longer renewal {again:?}");
    assert_eq!(t.held(NAME).await, [again], "the lease as it stands");
}

async fn another_is_told_who_has_it(t: Probe) {
    let lease = t.takes("node-a", NAME).await;
    let told = t.asks_for("node-b", NAME, LONG).await;
    assert_eq!(told, lease, "another that asks is told how it stands");
    assert_eq!(t.held(NAME).await, [lease], "and changes nothing");
}

async fn another_handle_sees_the_same_leases(t: Probe) {
    let other = t.another().await;
    let lease = t.takes("node-a", NAME).await;
    assert_eq!(other.asks_for("node-b", NAME, LONG).await, lease, "told by another handle");
    assert_eq!(other.held("").await, std::slice::from_ref(&lease), "listed by another handle");
    let again = other.asks_for("node-a", NAME, LONG).await;
    assert_eq!(again.token, lease.token, "the holder is a name, not a handle");
}

async fn the_end_of_a_lease_is_its_term_by_the_clock_of_the_store(t: Probe) {
    // Clocks of a server may differ a little, and from ours by anything.
    const SLACK: Duration = Duration::from_secs(1);
    let early = later_than(&t, &account("1"), cqrs_core::Timestamp::MIN).await;
    let term = Duration::from_secs(30);
    let lease = t.asks_for("node-a", NAME, term).await;
    let late = later_than(&t, &account("1"), early).await;
    let span = early.saturating_add(term - SLACK)..=late.saturating_add(term + SLACK);
    assert!(span.contains(&lease.until), "{lease:?} ends {term:?} after {early} to {late}");
}

async fn a_released_lease_is_given_out_at_once(t: Probe) {
    let first = t.takes("node-a", NAME).await;
    t.gives_back("node-a", &[NAME]).await;
    assert!(t.held(NAME).await.is_empty(), "nobody has it");
    let next = t.takes("node-b", NAME).await;
    assert!(!next.taken_over, "it was given back: {next:?}");
    assert!(next.token > first.token, "it went to another: {first:?}, then {next:?}");
}

async fn a_lease_that_is_not_the_holders_is_not_released(t: Probe) {
    let lease = t.takes("node-a", NAME).await;
    t.gives_back("node-b", &[NAME, "nobody's"]).await;
    t.gives_back("node-a", &[]).await;
    assert_eq!(t.asks_for("node-b", NAME, LONG).await, lease, "still the first holder's");
}

async fn a_lease_that_was_released_comes_back_to_its_holder(t: Probe) {
    let first = t.takes("node-a", NAME).await;
    t.gives_back("node-a", &[NAME]).await;
    t.gives_back("node-a", &[NAME]).await;
    let again = t.takes("node-a", NAME).await;
    assert!(!again.taken_over, "it was given back: {again:?}");
    assert!(again.token >= first.token, "tokens never go back: {first:?}, then {again:?}");
}

async fn a_lease_is_given_out_once_its_term_is_over(t: Probe) {
    let asked = Instant::now();
    let first = t.asks_for("node-a", NAME, SHORT).await;
    assert!(first.is_of("node-a"), "it is free: {first:?}");
    t.gets("node-b", NAME).await;
    // The clock of the store may be set meanwhile, but not by half of so short a time.
    assert!(asked.elapsed() > SHORT / 2, "given out {:?} after it was taken", asked.elapsed());
}

async fn a_lease_that_goes_to_another_gets_a_higher_token(t: Probe) {
    let mut last = 0;
    for holder in ["node-a", "node-b", "node-a", "node-c"] {
        let lease = t.takes(holder, NAME).await;
        assert!(lease.token > last, "{lease:?} comes after the token {last}");
        last = lease.token;
        t.gives_back(holder, &[NAME]).await;
    }
    let short = t.asks_for("node-a", NAME, SHORT).await;
    let over = t.gets("node-b", NAME).await;
    assert!(over.token > short.token && short.token > last, "{last}, {short:?}, then {over:?}");
}

async fn a_lease_that_was_not_released_is_taken_over(t: Probe) {
    t.asks_for("node-a", NAME, SHORT).await;
    let lease = t.gets("node-b", NAME).await;
    assert!(lease.taken_over, "the one before never gave it back: {lease:?}");
}

async fn a_takeover_is_said_once(t: Probe) {
    t.asks_for("node-a", NAME, SHORT).await;
    let lease = t.gets("node-b", NAME).await;
    let told = t.asks_for("node-c", NAME, LONG).await;
    let again = t.asks_for("node-b", NAME, LONG).await;
    for later in [told, again, t.held(NAME).await.remove(0)] {
        assert!(!later.taken_over, "it was given out before: {later:?}");
        assert_eq!(later.token, lease.token, "and is the same lease");
    }
}

async fn a_holder_that_asks_late_keeps_its_token(t: Probe) {
    let first = t.asks_for("node-a", NAME, SHORT).await;
    t.outlives(NAME).await;
    let again = t.asks_for("node-a", NAME, LONG).await;
    assert!(again.is_of("node-a") && !again.taken_over, "nobody came in between: {again:?}");
    assert_eq!(again.token, first.token, "nobody came in between");
    assert_eq!(t.held(NAME).await, [again], "it holds the lease again");
}

async fn several_leases_are_answered_in_the_order_of_the_names(t: Probe) {
    t.takes("node-b", "m").await;
    let order = ["z", "m", "a", "mm"];
    for _ in 0..2 {
        let answer = t.asks(request("node-a", &order, LONG)).await;
        assert_eq!(names(&answer), order, "in the order of the names");
        let holders = answer.iter().map(|lease| lease.holder.as_str()).collect::<Vec<_>>();
        assert_eq!(holders, ["node-a", "node-b", "node-a", "node-a"], "each by itself");
    }
    assert_eq!(t.asks(request("node-a", &[], LONG)).await, [], "nothing was asked for");
    t.gives_back("node-a", &["a", "m", "z"]).await;
    assert_eq!(names(&t.held("").await), ["m", "mm"], "those that were given back are free");
}

async fn a_lease_asked_for_twice_in_one_request_is_refused(t: Probe) {
    let error = t.lease(request("node-a", &["a", "b", "a"], LONG)).await;
    assert_invalid(&error.expect_err("it names one twice"), "lease", "one lease, asked for twice");
    assert_eq!(t.held("").await, [], "nothing was given out");
}

async fn only_held_leases_are_listed(t: Probe) {
    let names_of = async || t.held("m").await.into_iter().map(|l| l.name).collect::<Vec<_>>();
    t.takes("node-a", "m/stays").await;
    t.takes("node-a", "m/released").await;
    t.gives_back("node-a", &["m/released"]).await;
    assert_eq!(names_of().await, ["m/stays"], "one was given back");
    t.asks_for("node-a", "m/over", SHORT).await;
    until("the short lease is listed no more", || async {
        (names_of().await == ["m/stays"]).then_some(())
    })
    .await;
    t.takes("node-b", "m/over").await;
    assert_eq!(names_of().await, ["m/over", "m/stays"], "one was taken again");
}

async fn leases_are_listed_by_the_beginning_of_their_names(t: Probe) {
    let all = ["b/0", "a/10", "a/1", "B/0", "a", "a/2", "b"];
    t.asks(request("node-a", &all, LONG)).await;
    let cases: [(&str, &[&str]); 6] = [
        ("", &["B/0", "a", "a/1", "a/10", "a/2", "b", "b/0"]),
        ("a", &["a", "a/1", "a/10", "a/2"]),
        ("a/1", &["a/1", "a/10"]),
        ("b/", &["b/0"]),
        ("c", &[]),
        ("a/1000", &[]),
    ];
    for (prefix, expected) in cases {
        assert_eq!(names(&t.held(prefix).await), expected, "those that begin with {prefix:?}");
    }
}

async fn handles(t: &Probe) -> [Handle; 4] {
    [t.handle(), t.another().await, t.another().await, t.another().await]
}

/// Of tasks that ask at once one has the lease, and all are told the same.
async fn race(handles: &[Handle; 4], name: &str) -> Lease {
    let answers = together(16, |n| {
        let (handle, name) = (handles[n % 4].clone(), name.to_owned());
        async move { (n, handle.asks_for(&format!("node-{n}"), &name, LONG).await) }
    });
    let answers = answers.await;
    let mine = |(n, lease): &&(usize, Lease)| lease.is_of(&format!("node-{n}"));
    let won = answers.iter().filter(mine).map(|(_, lease)| lease).collect::<Vec<_>>();
    assert_eq!(won.len(), 1, "of 16 that ask for one lease one gets it: {answers:?}");
    for (_, lease) in &answers {
        let same = (&lease.holder, lease.token, lease.until);
        assert_eq!(same, (&won[0].holder, won[0].token, won[0].until), "all are told the same");
    }
    let others = answers.iter().filter(|answer| !mine(answer));
    assert!(others.into_iter().all(|(_, lease)| !lease.taken_over), "said to one: {answers:?}");
    won[0].clone()
}

async fn of_tasks_that_race_for_a_lease_one_gets_it(t: Probe) {
    let handles = handles(&t).await;
    for round in 0..8 {
        let lease = race(&handles, &format!("mailer/{round}")).await;
        assert_eq!((lease.token, lease.taken_over), (1, false), "the first of all: {lease:?}");
    }
}

async fn of_tasks_that_race_for_a_lease_that_is_over_one_takes_it_over(t: Probe) {
    let handles = handles(&t).await;
    for round in 0..3 {
        let name = format!("mailer/{round}");
        let short = t.asks_for("late", &name, SHORT / 4).await;
        t.outlives(&name).await;
        let lease = race(&handles, &name).await;
        assert_eq!(lease.token, short.token + 1, "it went to one other: {lease:?}");
        assert!(lease.taken_over, "the one before never gave it back: {lease:?}");
    }
}
