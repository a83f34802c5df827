//! Reading the log: from anywhere, by the page, always up to the head.

use cqrs_core::{
    ErrorKind, Expected, Filter, LogId, NewEvent, PageSize, Payload, Position, ReadLog, ReadStream,
};
use futures_util::StreamExt;
use serde_json::json;
use uuid::Uuid;

use crate::store::cases::prelude::*;
use crate::store::seen::SeenPage;

cases! { "read_log":
    an_empty_log_has_one_empty_page,
    the_log_is_read_from_the_start,
    the_log_is_read_from_any_position,
    read_from_the_head_has_one_empty_page,
    pages_smaller_than_the_log_hold_all_of_it,
    pages_end_at_their_limit_of_bytes,
    a_page_holds_at_least_one_event,
    a_page_may_hold_the_whole_log,
    a_page_reaches_as_far_as_it_says,
    a_filter_that_matches_nothing_reaches_the_head,
    a_filter_that_matches_early_reaches_the_head,
    a_position_beyond_the_head_is_refused,
    a_position_of_another_log_is_refused,
    the_id_of_the_log_stays,
    a_page_stream_may_be_dropped_half_way,
    a_page_stream_outlives_the_handle_and_its_task,
    many_readers_at_once_do_not_wait_for_each_other,
}

/// Adds so many events in commits of one to three, and tells where.
async fn log_of(t: &Probe, n: usize) -> Vec<Position> {
    let start = t.end().await;
    let mut left = n;
    for commit in 0.. {
        if left == 0 {
            break;
        }
        let size = left.min(commit % 3 + 1);
        t.applied(grows(&account(&format!("{}", commit % 4)), size)).await;
        left -= size;
    }
    let seen = positions(&t.log_of(ReadLog::after(start)).await);
    assert_eq!(seen.len(), n, "the log holds {n} events more");
    seen
}

/// What every reading of the log must be like.
#[track_caller]
fn assert_pages(pages: &[SeenPage], after: Position, head: Position, why: &str) {
    let outline = pages.iter().map(|page| (positions(&page.events), page.through));
    let outline = outline.collect::<Vec<_>>();
    let mut through = after;
    for (events, reached) in &outline {
        for &position in events {
            assert!(position > through, "{why}: {position} comes after {through}: {outline:?}");
            through = position;
        }
        assert!(*reached >= through, "{why}: `through` is behind: {outline:?}");
        through = *reached;
    }
    assert!(!pages.is_empty(), "{why}: there is at least one page");
    assert_eq!(through, head, "{why}: the reading ends at the head: {outline:?}");
    let reached = outline.iter().filter(|(_, reached)| *reached == head).count();
    assert_eq!(reached, 1, "{why}: it ends with the page that reached the head: {outline:?}");
}

async fn an_empty_log_has_one_empty_page(t: Probe) {
    let pages = t.log_pages(ReadLog::after(0)).await;
    assert_eq!(pages, [SeenPage { events: vec![], through: 0, snapshot: None }], "an empty log");
    let filter = Filter { types: vec!["bank.opened".into()], ..Filter::default() };
    let pages = t.log_pages(ReadLog::after(0).filter(filter)).await;
    assert_eq!(
        pages,
        [SeenPage { events: vec![], through: 0, snapshot: None }],
        "an empty log, filtered"
    );
}

async fn the_log_is_read_from_the_start(t: Probe) {
    let all = log_of(&t, 20).await;
    let pages = t.log_pages(ReadLog::after(0)).await;
    assert_pages(&pages, 0, all[19], "from the start");
    assert!(all.is_sorted_by(|a, b| a < b), "each position once: {all:?}");
    assert_eq!(t.end().await, all[19], "the head is the last position");
}

async fn the_log_is_read_from_any_position(t: Probe) {
    let all = log_of(&t, 12).await;
    for after in 0..=all[11] {
        let pages = t.log_pages(ReadLog::after(after)).await;
        assert_pages(&pages, after, all[11], &format!("after {after}"));
        let seen = pages.iter().flat_map(|page| positions(&page.events)).collect::<Vec<_>>();
        let expected = all.iter().copied().filter(|&p| p > after).collect::<Vec<_>>();
        assert_eq!(seen, expected, "all that comes after {after}");
    }
}

async fn read_from_the_head_has_one_empty_page(t: Probe) {
    let head = log_of(&t, 5).await[4];
    let pages = t.log_pages(ReadLog::after(head)).await;
    assert_eq!(
        pages,
        [SeenPage { events: vec![], through: head, snapshot: None }],
        "after the head"
    );
}

async fn pages_smaller_than_the_log_hold_all_of_it(t: Probe) {
    let all = log_of(&t, 20).await;
    let filter = Filter { streams: vec![account("1"), account("2")], ..Filter::default() };
    let some = positions(&t.log_of(ReadLog::after(0).filter(filter.clone())).await);
    assert!(some.len() > 2 && some.len() < 20, "the filter lets some through: {some:?}");
    for size in [1, 2, 3, 7, 19, 20, 21] {
        for (filter, all) in [(Filter::default(), &all), (filter.clone(), &some)] {
            let read = ReadLog::after(0).filter(filter).page(size);
            let pages = t.log_pages(read.clone()).await;
            assert_pages(&pages, 0, t.end().await, &format!("{size} a page"));
            let fits = pages.iter().all(|page| page.events.len() <= size as usize);
            assert!(fits, "at most {size} events a page: {pages:?}");
            let seen = pages.iter().flat_map(|page| positions(&page.events)).collect::<Vec<_>>();
            assert_eq!(seen, *all, "no event is lost between pages of {size}: {read:?}");
        }
    }
}

async fn pages_end_at_their_limit_of_bytes(t: Probe) {
    let large = |n: usize| {
        let payload = Payload::Json(body(&json!(n.to_string().repeat(1_000))));
        NewEvent { payload, ..event("bank.noted") }
    };
    let events = (0..20).map(|n| large(n % 10)).collect();
    t.applied(appends(&account("1"), Expected::Any, events)).await;
    let page = PageSize { events: 100, bytes: 5_000 };
    let pages = t.log_pages(ReadLog { page, ..ReadLog::after(0) }).await;
    assert_pages(&pages, 0, t.end().await, "5,000 bytes a page");
    // With or without the event that goes over the limit.
    let fits = pages.iter().all(|page| page.events.len() <= 5);
    assert!(fits, "events of 1,000 bytes, 5,000 bytes a page");
    let seen = pages.into_iter().flat_map(|page| page.events).collect::<Vec<_>>();
    assert_eq!(versions(&seen), (1..=20).collect::<Vec<_>>(), "all events");
}

async fn a_page_holds_at_least_one_event(t: Probe) {
    let all = log_of(&t, 4).await;
    for page in [PageSize { events: 100, bytes: 0 }, PageSize { events: 0, bytes: 1 << 20 }] {
        let pages = t.log_pages(ReadLog { page, ..ReadLog::after(0) }).await;
        assert_pages(&pages, 0, all[3], "the smallest pages");
        let sizes = pages.iter().map(|page| page.events.len()).filter(|&size| size > 0);
        let sizes = sizes.collect::<Vec<_>>();
        assert_eq!(sizes, [1, 1, 1, 1], "one event a page, however small it is: {page:?}");
    }
}

async fn a_page_may_hold_the_whole_log(t: Probe) {
    let all = log_of(&t, 20).await;
    let page = PageSize { events: u32::MAX, bytes: usize::MAX };
    let pages = t.log_pages(ReadLog { page, ..ReadLog::after(0) }).await;
    assert_pages(&pages, 0, all[19], "the largest pages");
    let of_stream = ReadStream { page, ..ReadStream::of(account("1")) };
    assert!(!t.stream_of(of_stream).await.is_empty(), "a stream by the largest pages");
}

async fn a_page_reaches_as_far_as_it_says(t: Probe) {
    let all = log_of(&t, 20).await;
    let filter = Filter { streams: vec![account("1")], ..Filter::default() };
    let read = ReadLog::after(0).filter(filter).page(2);
    let whole = positions(&t.log_of(read.clone()).await);
    // Whoever goes on from `through` instead of from the next page misses nothing.
    let (mut seen, mut after) = (Vec::new(), 0);
    for _ in 0..=all.len() {
        let page = t.read_log(ReadLog { after, ..read.clone() }).next().await;
        let page = page.unwrap_or_else(|| panic!("there is at least one page, after {after}"));
        let page = page.unwrap_or_else(|error| panic!("after {after}: {error:?}"));
        seen.extend(page.iter().map(|event| event.position));
        after = page.through();
    }
    assert_eq!(after, all[19], "one page after the other, to the head");
    assert_eq!(seen, whole, "page by page from where each one ended");
}

async fn a_filter_that_matches_nothing_reaches_the_head(t: Probe) {
    let all = log_of(&t, 30).await;
    let filters = [
        Filter { types: vec!["bank.never".into()], ..Filter::default() },
        Filter { categories: vec!["never".into()], ..Filter::default() },
        Filter { streams: vec![account("never")], ..Filter::default() },
        Filter { tags: vec!["never".into()], ..Filter::default() },
        Filter { tenant: Some("never".into()), ..Filter::default() },
        Filter { since: Some(cqrs_core::Timestamp::MAX), ..Filter::default() },
    ];
    for filter in filters {
        let pages = t.log_pages(ReadLog::after(0).filter(filter.clone()).page(4)).await;
        assert_pages(&pages, 0, all[29], &format!("{filter:?}"));
        assert!(pages.iter().all(|page| page.events.is_empty()), "{filter:?} matches nothing");
    }
}

async fn a_filter_that_matches_early_reaches_the_head(t: Probe) {
    t.applied(appends(&account("first"), Expected::Any, vec![event("bank.opened")])).await;
    let all = log_of(&t, 31).await;
    let filter = Filter { types: vec!["bank.opened".into()], ..Filter::default() };
    for size in [1, 4, 100] {
        let pages = t.log_pages(ReadLog::after(0).filter(filter.clone()).page(size)).await;
        assert_pages(&pages, 0, all[30], &format!("one match at the start, {size} a page"));
        let seen = pages.iter().map(|page| page.events.len()).sum::<usize>();
        assert_eq!(seen, 1, "one match at the start");
    }
}

async fn a_position_beyond_the_head_is_refused(t: Probe) {
    for n in [0, 3] {
        let head = if n == 0 { 0 } else { log_of(&t, n).await[n - 1] };
        for after in [head + 1, head + 1_000, 1 << 63, u64::MAX] {
            let first = t.read_log(ReadLog::after(after)).next().await;
            let error = match first {
                Some(Err(error)) => error,
                other => panic!("after {after} with the head at {head}: {other:?}"),
            };
            let kind = ErrorKind::BeyondHead { position: after, head };
            assert_eq!(error.kind(), &kind, "after {after}: {error:?}");
        }
    }
}

async fn a_position_of_another_log_is_refused(t: Probe) {
    let head = log_of(&t, 3).await[2];
    let (own, other) = (t.head().await.expect("there is a head").log, LogId(Uuid::from_u128(7)));
    let first = t.read_log(ReadLog::after(head).of_log(other)).next().await;
    let error = match first {
        Some(Err(error)) => error,
        answer => panic!("a position of another log: {answer:?}"),
    };
    let kind = ErrorKind::OtherLog { expected: other.to_string(), actual: own.to_string() };
    assert_eq!(error.kind(), &kind, "a position of another log: {error:?}");
    assert_eq!(t.log_of(ReadLog::after(0).of_log(own)).await.len(), 3, "a position of this log");
}

async fn the_id_of_the_log_stays(t: Probe) {
    let before = t.head().await.expect("there is a head").log;
    log_of(&t, 3).await;
    let other = t.another().await;
    for handle in [&*t, &other] {
        assert_eq!(handle.head().await.expect("there is a head").log, before, "the id of the log");
    }
}

async fn a_page_stream_may_be_dropped_half_way(t: Probe) {
    let all = log_of(&t, 20).await;
    for n in 0..200 {
        let mut pages = t.read_log(ReadLog::after(0).page(2));
        let first = pages.next().await.and_then(Result::ok);
        let first = first.unwrap_or_else(|| panic!("the {n}. reading has no page"));
        assert_eq!(first.iter().next().map(|e| e.position), Some(all[0]), "the {n}. reading");
    }
    let position = t.applied(grows(&account("1"), 1)).await;
    assert_eq!(t.log().await.len(), 21, "the store goes on after readings that were dropped");
    assert_eq!(t.end().await, position, "the store goes on after readings that were dropped");
}

async fn a_page_stream_outlives_the_handle_and_its_task(t: Probe) {
    let all = log_of(&t, 20).await;
    let handle = t.another().await;
    let pages = handle.read_log(ReadLog::after(0).page(3));
    drop(handle);
    let reading = tokio::spawn(async move {
        let mut pages = pages;
        let mut seen = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap_or_else(|error| panic!("the log cannot be read: {error:?}"));
            seen.extend(page.iter().map(|event| event.position));
        }
        seen
    });
    assert_eq!(reading.await.expect("it reads to the end"), all, "read in a task of its own");
}

async fn many_readers_at_once_do_not_wait_for_each_other(t: Probe) {
    let all = log_of(&t, 20).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut pages = t.read_log(ReadLog::after(0).page(3));
        let first = pages.next().await.and_then(Result::ok).expect("there is a page");
        open.push((SeenPage::of(&first).events, pages));
    }
    t.applied(grows(&account("1"), 1)).await;
    for (mut seen, mut pages) in open {
        while let Some(page) = pages.next().await {
            seen.extend(SeenPage::of(&page.expect("the log can be read")).events);
        }
        let seen = positions(&seen);
        assert_eq!(seen[..20], all[..], "64 readings were open at once");
    }
}
