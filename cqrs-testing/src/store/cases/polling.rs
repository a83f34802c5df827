//! Reading while others write: every event exactly once, in order, none appearing behind (P4).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cqrs_core::{Expected, Filter, Position, ReadLog};
use futures_util::StreamExt;

use crate::store::cases::prelude::*;
use crate::store::handle::{Handle, together};
use crate::store::seen::{Seen, SeenPage};

cases! { "polling":
    a_reader_that_polls_sees_every_event_once_and_in_order,
    a_filtered_reader_that_polls_sees_every_match_once_and_in_order,
    an_open_reading_has_no_hole_when_others_commit,
    what_was_committed_is_seen_by_the_next_reading,
}

/// What writers and a reader know of each other.
#[derive(Default)]
pub(super) struct Together {
    written: AtomicBool,
    polls: AtomicU64,
}

impl Together {
    /// Everything is written: the reader reads to the end once more.
    pub(super) fn finish(&self) {
        self.written.store(true, Ordering::SeqCst);
    }

    /// Waits until the reader has looked at least once more, or long enough.
    async fn polled(&self) {
        let polls = self.polls.load(Ordering::SeqCst);
        for _ in 0..10_000 {
            if self.polls.load(Ordering::SeqCst) > polls {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Reads from where the last reading ended until the log is written and read to the end.
pub(super) async fn poll(handle: Handle, filter: Filter, with: Arc<Together>) -> Vec<Seen> {
    let (mut seen, mut after) = (Vec::<Seen>::new(), 0);
    loop {
        let last = with.written.load(Ordering::SeqCst);
        let read = ReadLog::after(after).filter(filter.clone()).page(7);
        for page in handle.log_pages(read).await {
            for event in page.events {
                assert!(
                    event.position > after,
                    "position {} comes after the reader was given {after}",
                    event.position
                );
                after = event.position;
                seen.push(event);
            }
            assert!(page.through >= after, "`through` goes back to {}", page.through);
            after = page.through;
        }
        with.polls.fetch_add(1, Ordering::SeqCst);
        if last {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

/// Compares what a reader was given on its way with what is there in the end.
#[track_caller]
pub(super) fn assert_final(seen: &[Seen], log: &[Seen], filter: &Filter) {
    let (seen, log) = (positions(seen), positions(log));
    let given = seen.iter().collect::<HashSet<_>>();
    if let Some(missed) = log.iter().find(|position| !given.contains(position)) {
        let after = seen.iter().find(|position| *position > missed);
        panic!(
            "the reader never saw position {missed}, which appeared after it was given \
             {after:?} or a `through` beyond it; {filter:?}"
        );
    }
    assert_eq!(seen, log, "what the reader saw is the log: {filter:?}");
}

fn of_type(event_type: &'static str) -> Filter {
    Filter { types: vec![event_type.into()], ..Filter::default() }
}

/// Writers of two types of events, in commits of one to three, beside one reader.
async fn beside(t: &Probe, filter: Filter) {
    let with = Arc::new(Together::default());
    let reader = tokio::spawn(poll(t.handle(), filter.clone(), Arc::clone(&with)));
    let handles = [t.handle(), t.another().await];
    together(8, |n| {
        let (handle, with) = (handles[n % 2].clone(), Arc::clone(&with));
        async move {
            for commit in 0..25 {
                let event_type = if (n + commit) % 2 == 0 { "bank.opened" } else { "bank.closed" };
                let events = (0..commit % 3 + 1).map(|_| event(event_type)).collect();
                let stream = account(&format!("{n}"));
                handle.answered(appends(&stream, Expected::Any, events)).await;
                if commit % 2 == 0 {
                    with.polled().await;
                }
            }
        }
    })
    .await;
    with.finish();
    let seen = reader.await.unwrap_or_else(|failure| panic!("the reader: {failure}"));
    let log = t.log_of(ReadLog::after(0).filter(filter.clone())).await;
    assert!(log.len() >= 8 * 12, "the log is written: {}", log.len());
    assert_final(&seen, &log, &filter);
}

async fn a_reader_that_polls_sees_every_event_once_and_in_order(t: Probe) {
    beside(&t, Filter::default()).await;
}

async fn a_filtered_reader_that_polls_sees_every_match_once_and_in_order(t: Probe) {
    beside(&t, of_type("bank.opened")).await;
}

async fn an_open_reading_has_no_hole_when_others_commit(t: Probe) {
    let of = |event_type| appends(&account("1"), Expected::Any, vec![event(event_type)]);
    for n in 0..30 {
        t.applied(of(["bank.opened", "bank.closed", "bank.noted"][n % 3])).await;
    }
    let two =
        Filter { types: vec!["bank.opened".into(), "bank.closed".into()], ..Filter::default() };
    for filter in [Filter::default(), of_type("bank.opened"), two] {
        let mut pages = t.read_log(ReadLog::after(0).filter(filter.clone()).page(3));
        let (mut seen, mut through, mut commits) = (Vec::new(), 0 as Position, 0);
        while let Some(page) = pages.next().await {
            let page = page.unwrap_or_else(|error| panic!("the log cannot be read: {error:?}"));
            through = page.through();
            seen.extend(SeenPage::of(&page).events);
            // The reading may reach what is written now, or not; bounded, because it may.
            if commits < 20 {
                commits += 2;
                t.applied(of("bank.closed")).await;
                t.applied(of("bank.opened")).await;
            }
        }
        let log = t.log_of(ReadLog::after(0).filter(filter.clone())).await;
        let log = log.into_iter().filter(|e| e.position <= through).collect::<Vec<_>>();
        assert_final(&seen, &log, &filter);
    }
}

async fn what_was_committed_is_seen_by_the_next_reading(t: Probe) {
    let other = t.another().await;
    for n in 0..50 {
        let (writer, reader) = if n % 2 == 0 { (&*t, &other) } else { (&other, &*t) };
        let position = writer.applied(grows(&account("1"), 1)).await;
        let seen = reader.log_of(ReadLog::after(position - 1)).await;
        assert_eq!(positions(&seen), [position], "read after the commit was answered");
        assert_eq!(reader.end().await, position, "the head after the commit was answered");
    }
}
