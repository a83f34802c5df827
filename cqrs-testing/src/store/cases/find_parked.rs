//! Finding what is set aside: by each filter alone, by all of them, and by the page.

use cqrs_core::{FindParked, ParkedEntry, ParkedState, ParkedWrite, Timestamp};

use crate::store::case::parked;
use crate::store::cases::prelude::*;
use crate::store::waiting::{aside, at, parks};

cases! { "find_parked":
    entries_are_found_in_the_order_of_subscriptions_and_positions if parked,
    entries_are_found_by_subscription if parked,
    entries_are_found_by_key if parked,
    entries_are_found_by_state if parked,
    entries_are_found_that_are_due if parked,
    entries_are_found_after_another if parked,
    entries_are_found_up_to_a_limit if parked,
    entries_are_found_by_everything_at_once if parked,
    entries_that_match_are_paged if parked,
}

const SUBSCRIPTIONS: [&str; 4] = ["mailer", "Mailer", "mail", "é"];

/// Entries in every combination of what can be asked for.
async fn many(t: &Probe) -> Vec<ParkedEntry> {
    let due = [None, Some(at(10)), Some(at(20)), Some(at(-10))];
    let mut writes = Vec::new();
    for position in (1..=24).rev() {
        for (n, subscription) in SUBSCRIPTIONS.into_iter().enumerate() {
            let pick = position as usize + n;
            writes.push(ParkedWrite {
                key: ["a", "b", "A"][pick % 3].into(),
                state: ParkedState::ALL[pick / 3 % 4],
                due: due[pick % 4],
                ..aside(subscription, position)
            });
        }
    }
    t.applied(parks(writes)).await;
    let all = t.aside(FindParked::default().limit(1_000)).await;
    assert_eq!(all.len(), 24 * SUBSCRIPTIONS.len(), "all of them");
    all
}

/// Compares what is found with what should be, of all that is there.
async fn finds(
    t: &Probe,
    all: &[ParkedEntry],
    find: FindParked,
    is: impl Fn(&ParkedEntry) -> bool,
) {
    let find = find.limit(1_000);
    let expected = all.iter().filter(|entry| is(entry)).collect::<Vec<_>>();
    assert!(!expected.is_empty() && expected.len() < all.len(), "some of them: {find:?}");
    let found = t.aside(find.clone()).await;
    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{find:?}");
}

async fn entries_are_found_in_the_order_of_subscriptions_and_positions(t: Probe) {
    let all = many(&t).await;
    let mut sorted = all.clone();
    sorted.sort_by(|a, b| (&a.subscription, a.position).cmp(&(&b.subscription, b.position)));
    let places = |entries: &[ParkedEntry]| entries.iter().map(ParkedEntry::id).collect::<Vec<_>>();
    assert_eq!(places(&all), places(&sorted), "subscriptions by their bytes, then positions");
}

async fn entries_are_found_by_subscription(t: Probe) {
    let all = many(&t).await;
    for subscription in SUBSCRIPTIONS {
        let is = |entry: &ParkedEntry| entry.subscription == subscription;
        finds(&t, &all, FindParked::of(subscription), is).await;
    }
    assert_eq!(t.aside(FindParked::of("mai")).await, [], "a prefix is another subscription");
}

async fn entries_are_found_by_key(t: Probe) {
    let all = many(&t).await;
    for key in ["a", "b", "A"] {
        finds(&t, &all, FindParked::default().key(key), |entry| entry.key == key).await;
    }
    assert_eq!(t.aside(FindParked::default().key("c")).await, [], "a key that nobody has");
}

async fn entries_are_found_by_state(t: Probe) {
    let all = many(&t).await;
    for state in ParkedState::ALL {
        finds(&t, &all, FindParked::default().state(state), |entry| entry.state == state).await;
    }
}

async fn entries_are_found_that_are_due(t: Probe) {
    let all = many(&t).await;
    for by in [at(-10), at(9), at(10), at(19), at(20), Timestamp::MAX] {
        let is = |entry: &ParkedEntry| entry.due.is_some_and(|due| due <= by);
        finds(&t, &all, FindParked::default().due_by(by), is).await;
    }
    assert_eq!(t.aside(FindParked::default().due_by(at(-11))).await, [], "none is due");
}

async fn entries_are_found_after_another(t: Probe) {
    let all = many(&t).await;
    for (n, last) in all.iter().enumerate().step_by(7) {
        let found = t.aside(FindParked::default().after(last.place()).limit(1_000)).await;
        assert_eq!(found, all[n + 1..], "after {}", last.id());
    }
    // After a place where nothing is.
    let nowhere = ("mail".to_owned(), 1_000, String::new());
    let is = |entry: &ParkedEntry| ["mailer", "é"].contains(&entry.subscription.as_str());
    finds(&t, &all, FindParked::default().after(nowhere), is).await;
    let of_one = FindParked::of("mailer").after(("mailer".to_owned(), 20, "~".to_owned()));
    finds(&t, &all, of_one, |entry| entry.subscription == "mailer" && entry.position > 20).await;
}

async fn entries_are_found_up_to_a_limit(t: Probe) {
    let all = many(&t).await;
    for limit in [1, 5, 24, 95, 96, 97, u32::MAX] {
        let found = t.aside(FindParked::default().limit(limit)).await;
        assert_eq!(found, all[..all.len().min(limit as usize)], "a limit of {limit}");
    }
    assert_eq!(t.aside(FindParked::default().limit(0)).await, [], "none were asked for");
}

async fn entries_are_found_by_everything_at_once(t: Probe) {
    let all = many(&t).await;
    let mut matched = 0;
    for subscription in SUBSCRIPTIONS {
        for key in ["a", "b", "A"] {
            for state in ParkedState::ALL {
                let after = ("mailer".to_owned(), 3, "~".to_owned());
                let find = FindParked::of(subscription).key(key).state(state);
                let find = find.due_by(at(10)).after(after.clone()).limit(1_000);
                let expected = all.iter().filter(|entry| {
                    entry.subscription == subscription
                        && entry.key == key
                        && entry.state == state
                        && entry.due.is_some_and(|due| due <= at(10))
                        && (&entry.subscription, entry.position) > (&after.0, 3)
                });
                let expected = expected.collect::<Vec<_>>();
                let found = t.aside(find.clone()).await;
                assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{find:?}");
                matched += expected.len();
            }
        }
    }
    assert!(matched > 5, "some match: {matched}");
}

async fn entries_that_match_are_paged(t: Probe) {
    let all = many(&t).await;
    for limit in [1, 4, 7] {
        let find = FindParked::default().state(ParkedState::Behind).limit(limit);
        let (mut seen, mut next) = (Vec::new(), find.clone());
        loop {
            let page = t.aside(next).await;
            assert!(page.len() <= limit as usize, "a page of {} of {limit}", page.len());
            let Some(last) = page.last() else { break };
            next = find.clone().after(last.place());
            seen.extend(page);
            assert!(seen.len() <= all.len(), "the pages never end");
        }
        let expected = all.iter().filter(|entry| entry.state == ParkedState::Behind);
        assert!(seen.iter().eq(expected), "all that match, {limit} a page: {seen:?}");
    }
}
