//! The race harness: writers on two handles and readers that poll all the time, for a while.
//!
//! `RACE_SECONDS` says for how long; 2 unless it is set.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{Expected, Filter, NewEvent, ReadLog};

use crate::store::cases::polling::{Together, assert_final, poll};
use crate::store::cases::prelude::*;
use crate::store::handle::{Handle, together};

cases! { "race":
    nothing_appears_at_or_below_a_position_that_a_reader_was_given,
}

const WRITERS: usize = 8;

/// What a run writes at most, so that a fast store does not fill the memory.
const COMMITS: usize = 4_000;

fn how_long() -> Duration {
    let seconds = std::env::var("RACE_SECONDS").ok().and_then(|text| text.parse().ok());
    // The bound of a case leaves time to compare.
    Duration::from_secs_f64(seconds.unwrap_or(2.0_f64).clamp(0.1, 90.0))
}

async fn write(handle: Handle, writer: usize, until: Instant) -> Vec<(u64, NewEvent)> {
    let mut written = Vec::new();
    for commit in 0..COMMITS {
        if Instant::now() >= until {
            break;
        }
        // Some commits are large, so that they take longer than others that begin after them.
        let size = if commit % 16 == writer { 40 } else { commit % 3 + 1 };
        let name = ["bank.opened", "bank.closed", "bank.noted"][(writer + commit) % 3];
        let events = (0..size).map(|_| tagged(name, &[["red", "blue"][writer % 2]]));
        let events = events.collect::<Vec<_>>();
        let last = events[size - 1].clone();
        let stream = account(&format!("{writer}"));
        let answer = handle.answered(appends(&stream, Expected::Any, events)).await;
        written.push((answer.position(), last));
        tokio::task::yield_now().await;
    }
    written
}

async fn nothing_appears_at_or_below_a_position_that_a_reader_was_given(t: Probe) {
    let handles = [t.handle(), t.another().await];
    let filters = [
        Filter::default(),
        Filter { types: vec!["bank.opened".into()], ..Filter::default() },
        Filter { types: vec!["bank.closed".into(), "bank.noted".into()], ..Filter::default() },
        Filter { tags: vec!["red".into()], ..Filter::default() },
    ];
    let with = Arc::new(Together::default());
    let readers = filters.iter().enumerate().map(|(n, filter)| {
        let handle = handles[n % 2].clone();
        tokio::spawn(poll(handle, filter.clone(), Arc::clone(&with)))
    });
    let readers = readers.collect::<Vec<_>>();

    let until = Instant::now() + how_long();
    let acknowledged =
        together(WRITERS, |n| write(handles[n % 2].clone(), n, until)).await.concat();
    with.finish();

    let log = t.log().await;
    let by_position = log.iter().map(|event| (event.position, event.id)).collect::<HashMap<_, _>>();
    for (position, event) in &acknowledged {
        let found = by_position.get(position);
        assert_eq!(found, Some(&event.id()), "what was acknowledged at {position} is there");
    }
    for writer in 0..WRITERS {
        let stream = account(&format!("{writer}"));
        let seen = log.iter().filter(|event| event.stream == stream).map(|event| event.version);
        assert!(seen.eq(1..=t.stream(&stream).await.len() as u64), "{stream} has no gap");
    }
    for (filter, reader) in filters.iter().zip(readers) {
        let seen = reader.await.unwrap_or_else(|failure| match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(failure) => panic!("a reader was cut off: {failure}"),
        });
        let log = t.log_of(ReadLog::after(0).filter(filter.clone())).await;
        assert_final(&seen, &log, filter);
    }
}
