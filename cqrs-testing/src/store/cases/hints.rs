//! Hints: a commit wakes up whoever waits in its process.

use std::time::Duration;

use cqrs_core::{Hint, Support};

use crate::store::case::{Offered, all_of};
use crate::store::cases::prelude::*;
use crate::store::waiting::{message, sends};

cases! { "hints":
    a_commit_of_events_wakes_who_waits if hints,
    a_commit_of_messages_wakes_who_waits if hints_of_messages,
    a_commit_before_the_waiting_is_not_missed if hints,
    each_who_waits_is_woken if hints,
    a_wait_that_is_given_up_loses_no_hint if hints,
    each_commit_wakes_who_waits_again if hints,
}

/// A hint comes at once or not at all.
const BOUND: Duration = Duration::from_secs(5);

fn hints(offered: &Offered) -> Support {
    offered.hints
}

fn hints_of_messages(offered: &Offered) -> Support {
    all_of([offered.hints, offered.outgoing])
}

async fn woken(hint: &mut Hint, why: &str) {
    let woken = tokio::time::timeout(BOUND, hint.changed()).await;
    assert!(woken.is_ok(), "{why}: no hint came in {BOUND:?}");
}

/// Begins to wait, and then commits.
async fn wakes(t: &Probe, commit: Commit, why: &str) {
    let mut hint = t.hint();
    let waiting = tokio::spawn(async move {
        woken(&mut hint, "while it waits").await;
    });
    tokio::task::yield_now().await;
    t.applied(commit).await;
    waiting.await.unwrap_or_else(|failure| panic!("{why}: {failure}"));
}

async fn a_commit_of_events_wakes_who_waits(t: Probe) {
    wakes(&t, grows(&account("1"), 1), "an event").await;
    wakes(&t, grows(&account("1"), 20), "further events").await;
}

async fn a_commit_of_messages_wakes_who_waits(t: Probe) {
    wakes(&t, sends(vec![message("1")]), "a message").await;
    t.applied(grows(&account("1"), 1)).await;
    wakes(&t, sends(vec![message("2"), message("3")]), "messages after an event").await;
}

async fn a_commit_before_the_waiting_is_not_missed(t: Probe) {
    let mut hint = t.hint();
    t.applied(grows(&account("1"), 1)).await;
    woken(&mut hint, "committed after it was asked for, and before it was waited for").await;
}

async fn each_who_waits_is_woken(t: Probe) {
    let mut hints = vec![t.hint(), t.hint(), t.handle().hint()];
    hints.push(hints[0].clone());
    t.applied(grows(&account("1"), 1)).await;
    for (n, hint) in hints.iter_mut().enumerate() {
        woken(hint, &format!("the waiter {n}")).await;
    }
}

async fn a_wait_that_is_given_up_loses_no_hint(t: Probe) {
    let mut hint = t.hint();
    for _ in 0..5 {
        // Given up before and after the hint comes.
        let _ = tokio::time::timeout(Duration::ZERO, hint.changed()).await;
        t.applied(grows(&account("1"), 1)).await;
        woken(&mut hint, "after a wait that was given up").await;
    }
}

async fn each_commit_wakes_who_waits_again(t: Probe) {
    let mut hint = t.hint();
    for n in 0..20 {
        t.applied(grows(&account("1"), 1)).await;
        woken(&mut hint, &format!("commit {n}")).await;
    }
}
