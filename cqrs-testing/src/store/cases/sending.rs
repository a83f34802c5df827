//! Messages that are read while others send: each once, in order, none appearing behind (P4).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cqrs_core::{FindOutgoing, PageSize, Position, ReadLog};

use crate::store::case::{outgoing, outgoing_settled};
use crate::store::cases::prelude::*;
use crate::store::handle::{Handle, together};
use crate::store::waiting::{message, sends, sent, settles, until};

cases! { "sending":
    no_message_appears_at_or_below_a_position_that_a_reader_was_given if outgoing,
    a_message_that_was_committed_is_found_by_the_next_reading if outgoing,
    a_relay_that_settles_what_it_finds_sends_everything_once if outgoing_settled,
}

const WRITERS: usize = 8;
const COMMITS: usize = 30;

/// What a reader was given, in its order.
#[derive(Default)]
struct Given {
    messages: Vec<Position>,
    events: Vec<Position>,
}

/// Looks at the log and at the messages in turn, until everything is written and read to the end.
async fn poll(handle: Handle, written: Arc<AtomicBool>) -> Given {
    let page = PageSize { events: 5, bytes: usize::MAX };
    let (mut given, mut log, mut sent) = (Given::default(), 0, 0);
    loop {
        let last = written.load(Ordering::SeqCst);
        loop {
            let found = handle.waits(FindOutgoing { after: sent, page }).await;
            let Some(newest) = found.last().map(|found| found.position) else { break };
            for found in found {
                let position = found.position;
                assert!(position > sent, "{position} is found after {sent}");
                given.messages.push(position);
                sent = position;
            }
            assert_eq!(sent, newest, "a page in order");
        }
        for page in handle.log_pages(ReadLog::after(log).page(7)).await {
            for event in page.events {
                assert!(event.position > log, "{} comes after {log}", event.position);
                given.events.push(event.position);
            }
            log = page.through;
        }
        if last {
            return given;
        }
        tokio::task::yield_now().await;
    }
}

async fn no_message_appears_at_or_below_a_position_that_a_reader_was_given(t: Probe) {
    let written = Arc::new(AtomicBool::new(false));
    let handles = [t.handle(), t.another().await];
    let readers = (0..2).map(|n| tokio::spawn(poll(handles[n].clone(), Arc::clone(&written))));
    let readers = readers.collect::<Vec<_>>();
    together(WRITERS, |n| {
        let handle = handles[n % 2].clone();
        async move {
            for commit in 0..COMMITS {
                let outgoing = (0..commit % 3).map(|_| message(&n.to_string())).collect::<Vec<_>>();
                let commit = match (n + commit) % 2 {
                    0 => sends(outgoing),
                    _ => Commit { outgoing, ..grows(&account(&n.to_string()), commit % 4 + 1) },
                };
                handle.answered(commit).await;
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    written.store(true, Ordering::SeqCst);
    let mut given = Vec::new();
    for reader in readers {
        given.push(reader.await.unwrap_or_else(|failure| match failure.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(failure) => panic!("a reader was cut off: {failure}"),
        }));
    }
    let messages = t.pending(0).await.iter().map(|found| found.position).collect::<Vec<_>>();
    let events = positions(&t.log().await);
    assert_eq!(messages.len(), WRITERS * COMMITS, "all messages wait");
    let both = messages.iter().chain(&events).collect::<HashSet<_>>();
    assert_eq!(both.len(), messages.len() + events.len(), "no position was given twice");
    for given in given {
        assert_eq!(given.messages, messages, "what the reader found is what waits");
        assert_eq!(given.events, events, "what the reader read is the log");
    }
}

async fn a_message_that_was_committed_is_found_by_the_next_reading(t: Probe) {
    let other = t.another().await;
    for n in 0..30 {
        let (writer, reader) = if n % 2 == 0 { (&*t, &other) } else { (&other, &*t) };
        let position = writer.applied(sends(vec![message("1")])).await;
        let found = reader.pending(position - 1).await;
        assert_eq!(found.len(), 1, "found after the commit was answered: {found:?}");
        assert_eq!(reader.end().await, position, "the head after the commit was answered");
    }
}

async fn a_relay_that_settles_what_it_finds_sends_everything_once(t: Probe) {
    const MESSAGES: usize = 60;
    let (writer, relay) = (t.handle(), t.another().await);
    let writing = tokio::spawn(async move {
        for n in 0..MESSAGES {
            writer.applied(sends(vec![message(&n.to_string())])).await;
        }
    });
    let mut order = Vec::new();
    while order.len() < MESSAGES {
        let found = until("there is something to send", || async {
            Some(relay.pending(0).await).filter(|found| !found.is_empty())
        });
        let found = found.await;
        let settled = found.iter().map(|found| sent(&found.message)).collect();
        relay.applied(settles(settled)).await;
        order.extend(found.into_iter().map(|found| found.message.key));
    }
    writing.await.unwrap_or_else(|failure| panic!("the writer: {failure}"));
    let all = (0..MESSAGES).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(order, all, "each once, in order");
    assert_eq!(t.pending(0).await, [], "nothing is left");
}
