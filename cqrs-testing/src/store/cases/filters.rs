//! Filters of the log: each part, and parts together.

use cqrs_core::{Expected, Filter, ReadLog, Timestamp};

use crate::store::cases::prelude::*;
use crate::store::handle::later_than;
use crate::store::seen::Seen;

cases! { "filters":
    the_log_is_filtered_by_type,
    the_log_is_filtered_by_category,
    the_log_is_filtered_by_stream,
    the_log_is_filtered_by_tags_all_of_them,
    the_log_is_filtered_by_tenant,
    the_log_is_filtered_since_a_time,
    parts_of_a_filter_hold_together,
    a_filter_holds_from_any_position,
    an_empty_filter_lets_everything_through,
    a_long_filter_is_taken,
}

/// Events that differ in everything that can be filtered by.
async fn mixed(t: &Probe) -> Vec<Seen> {
    let types = ["bank.opened", "bank.closed", "bank.open"];
    let tags: [&[&str]; 5] = [&[], &["red"], &["blue", "red"], &["redder"], &["blue"]];
    for n in 0..60 {
        let category = ["account", "course", "Account"][n / 2 % 3];
        let stream = StreamId::new(category, (n % 4).to_string());
        let stream = match n % 7 {
            0 | 1 => stream.with_tenant("acme"),
            2 => stream.with_tenant("bold"),
            _ => stream,
        };
        let event = tagged(types[n % 3], tags[n % 5]);
        t.applied(appends(&stream, Expected::Any, vec![event])).await;
    }
    t.log().await
}

/// Reads with a filter, and compares with what was picked from the whole log.
async fn check(t: &Probe, all: &[Seen], filter: Filter, pick: impl Fn(&Seen) -> bool) {
    let expected = all.iter().filter(|event| pick(event)).cloned().collect::<Vec<_>>();
    assert!(!expected.is_empty(), "the case picks something: {filter:?}");
    assert!(expected.len() < all.len(), "the case picks not all: {filter:?}");
    for size in [1_000, 4] {
        let seen = t.log_of(ReadLog::after(0).filter(filter.clone()).page(size)).await;
        assert_eq!(positions(&seen), positions(&expected), "{filter:?}, {size} a page");
        assert_eq!(seen, expected, "{filter:?}, {size} a page");
    }
}

fn of_tags(tags: &[&str]) -> Filter {
    Filter { tags: tags.iter().map(|&tag| tag.to_owned()).collect(), ..Filter::default() }
}

fn has(event: &Seen, tag: &str) -> bool {
    event.tags.iter().any(|t| t == tag)
}

async fn the_log_is_filtered_by_type(t: Probe) {
    let all = mixed(&t).await;
    let one = Filter { types: vec!["bank.open".into()], ..Filter::default() };
    check(&t, &all, one, |e| e.event_type == "bank.open").await;
    let types = vec!["bank.opened".into(), "bank.never".into(), "bank.closed".into()];
    let some = Filter { types, ..Filter::default() };
    check(&t, &all, some, |e| e.event_type != "bank.open").await;
}

async fn the_log_is_filtered_by_category(t: Probe) {
    let all = mixed(&t).await;
    let one = Filter { categories: vec!["account".into()], ..Filter::default() };
    check(&t, &all, one, |e| e.stream.category == "account").await;
    let categories = vec!["Account".into(), "course".into()];
    let some = Filter { categories, ..Filter::default() };
    check(&t, &all, some, |e| e.stream.category != "account").await;
}

async fn the_log_is_filtered_by_stream(t: Probe) {
    let all = mixed(&t).await;
    for stream in [account("1"), account("1").with_tenant("acme"), StreamId::new("course", "2")] {
        let one = Filter { streams: vec![stream.clone()], ..Filter::default() };
        check(&t, &all, one, |e| e.stream == stream).await;
    }
    let streams = vec![account("1"), StreamId::new("course", "2"), account("never")];
    let some = Filter { streams: streams.clone(), ..Filter::default() };
    check(&t, &all, some, |e| streams.contains(&e.stream)).await;
}

async fn the_log_is_filtered_by_tags_all_of_them(t: Probe) {
    let all = mixed(&t).await;
    check(&t, &all, of_tags(&["red"]), |e| has(e, "red")).await;
    let both = |e: &Seen| has(e, "red") && has(e, "blue");
    check(&t, &all, of_tags(&["red", "blue"]), both).await;
    check(&t, &all, of_tags(&["blue", "red", "red"]), both).await;
    let none = t.log_of(ReadLog::after(0).filter(of_tags(&["red", "redder"]))).await;
    assert!(none.is_empty(), "no event has both: {:?}", positions(&none));
}

async fn the_log_is_filtered_by_tenant(t: Probe) {
    let all = mixed(&t).await;
    for tenant in ["acme", "bold"] {
        let filter = Filter { tenant: Some(tenant.into()), ..Filter::default() };
        check(&t, &all, filter, |e| e.stream.tenant.as_deref() == Some(tenant)).await;
    }
}

async fn the_log_is_filtered_since_a_time(t: Probe) {
    t.applied(grows(&account("1"), 2)).await;
    let first = t.log().await[1].recorded_at;
    let later = later_than(&t, &account("1"), first).await;
    t.applied(grows(&account("2"), 2)).await;
    let all = t.log().await;
    let since = |since| Filter { since: Some(since), ..Filter::default() };
    check(&t, &all, since(later), |e| e.recorded_at >= later).await;
    let just_after = Timestamp::from_micros(first.as_micros() + 1);
    check(&t, &all, since(just_after), |e| e.recorded_at > first).await;
    let from_first = t.log_of(ReadLog::after(0).filter(since(first))).await;
    assert_eq!(from_first, all, "the time itself is included");
    let ever = t.log_of(ReadLog::after(0).filter(since(Timestamp::MIN))).await;
    assert_eq!(ever, all, "since the beginning of time");
}

async fn parts_of_a_filter_hold_together(t: Probe) {
    let all = mixed(&t).await;
    let filter = Filter {
        types: vec!["bank.opened".into(), "bank.closed".into()],
        categories: vec!["account".into(), "course".into()],
        ..of_tags(&["red"])
    };
    check(&t, &all, filter, |e| {
        e.event_type != "bank.open" && e.stream.category != "Account" && has(e, "red")
    })
    .await;
    let filter = Filter {
        tenant: Some("acme".into()),
        types: vec!["bank.opened".into()],
        ..Filter::default()
    };
    check(&t, &all, filter, |e| {
        e.event_type == "bank.opened" && e.stream.tenant.as_deref() == Some("acme")
    })
    .await;
    let since = all[30].recorded_at;
    let filter = Filter {
        streams: vec![account("1"), account("0")],
        since: Some(since),
        ..Filter::default()
    };
    check(&t, &all, filter, |e| {
        [account("1"), account("0")].contains(&e.stream) && e.recorded_at >= since
    })
    .await;
    let contradiction =
        Filter { streams: vec![account("1")], tenant: Some("acme".into()), ..Filter::default() };
    let none = t.log_of(ReadLog::after(0).filter(contradiction)).await;
    assert!(none.is_empty(), "a stream without a tenant is none of acme's");
}

async fn a_filter_holds_from_any_position(t: Probe) {
    let all = mixed(&t).await;
    let filter = of_tags(&["red"]);
    for after in [1, 10, 30, 59, 60].map(|n: usize| all[n - 1].position) {
        let expected = all.iter().filter(|e| has(e, "red") && e.position > after).cloned();
        let seen = t.log_of(ReadLog::after(after).filter(filter.clone()).page(3)).await;
        assert_eq!(positions(&seen), positions(&expected.collect::<Vec<_>>()), "after {after}");
    }
}

async fn an_empty_filter_lets_everything_through(t: Probe) {
    let all = mixed(&t).await;
    let seen = t.log_of(ReadLog::after(0).filter(Filter::default())).await;
    assert_eq!(seen, all, "what is empty does not filter");
}

async fn a_long_filter_is_taken(t: Probe) {
    let all = mixed(&t).await;
    let types = (0..500).map(|n| format!("bank.never{n}").into());
    let types = types.chain(["bank.opened".into()]).collect();
    let streams = (0..500).map(|n| account(&format!("{n}"))).collect();
    let filter = Filter { types, streams, ..Filter::default() };
    check(&t, &all, filter, |e| {
        e.event_type == "bank.opened" && e.stream.category == "account" && e.stream.tenant.is_none()
    })
    .await;
}
