//! One count of positions for events and messages, and readers that go past both (P3, P4).

use cqrs_core::{Committed, Expected, Filter, Guard, Position, ReadLog};

use crate::store::case::{outgoing, outgoing_settled};
use crate::store::cases::prelude::*;
use crate::store::waiting::{message, sends, sent, settles};

cases! { "message_positions":
    messages_come_after_the_events_of_their_commit if outgoing,
    a_committed_position_is_that_of_the_last_message if outgoing,
    events_after_messages_have_higher_positions if outgoing,
    messages_count_in_no_stream if outgoing,
    a_position_is_not_given_again_after_its_message_was_settled if outgoing_settled,
    a_reading_of_the_log_reaches_past_messages if outgoing,
    a_reading_starts_at_the_position_of_a_message if outgoing,
    a_filtered_reading_reaches_past_messages if outgoing,
    small_pages_reach_past_messages if outgoing,
    a_checkpoint_stands_on_the_position_of_a_message if outgoing,
    a_guard_starts_at_the_position_of_a_message if outgoing,
    a_mark_says_the_position_of_the_last_message if outgoing,
}

/// So many events and so many messages.
fn mixed(events: usize, messages: usize) -> Commit {
    let outgoing = (0..messages).map(|n| message(&n.to_string())).collect();
    match events {
        0 => sends(outgoing),
        _ => Commit { outgoing, ..grows(&account("1"), events) },
    }
}

async fn positions_of(t: &Probe) -> (Vec<Position>, Vec<Position>) {
    let messages = t.pending(0).await.iter().map(|pending| pending.position).collect();
    (positions(&t.log().await), messages)
}

#[track_caller]
fn assert_increasing(positions: &[Position], why: &str) {
    assert!(positions.is_sorted_by(|a, b| a < b), "{why}: {positions:?}");
}

async fn messages_come_after_the_events_of_their_commit(t: Probe) {
    t.applied(mixed(3, 2)).await;
    let (events, messages) = positions_of(&t).await;
    assert_eq!((events.len(), messages.len()), (3, 2), "all of them");
    assert_increasing(&[events, messages].concat(), "first the events, then the messages");
}

async fn a_committed_position_is_that_of_the_last_message(t: Probe) {
    for (n, (events, messages)) in
        [(2, 3), (0, 1), (0, 4), (1, 1)].repeat(2).into_iter().enumerate()
    {
        let mut commit = mixed(events, messages);
        if n >= 4 {
            commit = named(commit);
        }
        let position = t.applied(commit.clone()).await;
        let last = t.pending(0).await.last().map(|pending| pending.position);
        assert_eq!(Some(position), last, "{events} events and {messages} messages");
        assert_eq!(t.end().await, position, "the head is the last position");
        let before = Committed::Before { position, reply: None };
        assert_eq!(t.answered(commit).await, before, "and what its repeat is told");
    }
}

async fn events_after_messages_have_higher_positions(t: Probe) {
    let mut given = Vec::new();
    for n in 0..12 {
        t.applied(mixed(n % 3, (n + 1) % 3)).await;
        let (events, messages) = positions_of(&t).await;
        let new = |all: &[Position]| {
            all.iter().copied().filter(|position| !given.contains(position)).collect::<Vec<_>>()
        };
        let new = [new(&events), new(&messages)].concat();
        given.extend(new);
    }
    assert_eq!(given.len(), 24, "one position each");
    assert_increasing(&given, "in the order of the commits");
}

async fn messages_count_in_no_stream(t: Probe) {
    for _ in 0..3 {
        t.applied(mixed(2, 3)).await;
    }
    assert_eq!(versions(&t.stream(&account("1")).await), [1, 2, 3, 4, 5, 6], "versions of events");
    t.applied(appends(&account("1"), Expected::Exactly(6), events(1))).await;
    assert_eq!(t.log().await.len(), 7, "the log holds events only");
}

async fn a_position_is_not_given_again_after_its_message_was_settled(t: Probe) {
    let mut last = 0;
    for _ in 0..5 {
        let waits = message("1");
        let position = t.applied(sends(vec![waits.clone()])).await;
        assert!(position > last, "position {position} comes after {last}");
        let settled = t.applied(settles(vec![sent(&waits)])).await;
        assert_eq!(settled, position, "a commit that gives no position says the last one");
        assert_eq!(t.end().await, position, "the head does not go back");
        last = position;
    }
    assert!(t.applied(grows(&account("1"), 1)).await > last, "an event after them");
}

async fn a_reading_of_the_log_reaches_past_messages(t: Probe) {
    for commit in [mixed(0, 3), mixed(2, 2), mixed(0, 1)] {
        let head = t.applied(commit).await;
        let pages = t.log_pages(ReadLog::after(0)).await;
        let through = pages.last().map(|page| page.through);
        assert_eq!(through, Some(head), "the last positions are those of messages");
    }
}

async fn a_reading_starts_at_the_position_of_a_message(t: Probe) {
    let first = t.applied(mixed(1, 3)).await;
    let pages = t.log_pages(ReadLog::after(first)).await;
    assert_eq!(pages.len(), 1, "one page after the last message: {pages:?}");
    assert_eq!((pages[0].events.len(), pages[0].through), (0, first), "an empty page");
    t.applied(mixed(1, 1)).await;
    let log = t.log().await;
    for after in [first, first - 1, first - 2] {
        let seen = t.log_of(ReadLog::after(after)).await;
        assert_eq!(seen, log[1..], "after {after}, which is a message's");
    }
}

async fn a_filtered_reading_reaches_past_messages(t: Probe) {
    t.applied(appends(&account("1"), Expected::Any, vec![event("bank.opened")])).await;
    let head = t.applied(mixed(3, 3)).await;
    for name in ["bank.opened", "bank.deposited", "nothing"] {
        let filter = Filter { types: vec![name.into()], ..Filter::default() };
        for after in [0, 2, head - 1, head] {
            let read = ReadLog::after(after).filter(filter.clone());
            let pages = t.log_pages(read).await;
            let through = pages.last().map(|page| page.through);
            assert_eq!(through, Some(head), "{name} after {after}");
        }
    }
}

async fn small_pages_reach_past_messages(t: Probe) {
    for n in 0..10 {
        t.applied(mixed(n % 3, (n + 1) % 3)).await;
    }
    let (head, log) = (t.end().await, t.log().await);
    let pages = t.log_pages(ReadLog::after(0).page(2)).await;
    let seen = pages.iter().flat_map(|page| page.events.clone()).collect::<Vec<_>>();
    assert_eq!(seen, log, "all events, two a page");
    let mut before = 0;
    for page in &pages {
        let inside = positions(&page.events).into_iter().all(|p| p > before && p <= page.through);
        assert!(inside, "events from {before} to {}: {page:?}", page.through);
        before = page.through;
    }
    assert_eq!(before, head, "to the head");
}

async fn a_checkpoint_stands_on_the_position_of_a_message(t: Probe) {
    let first = t.applied(mixed(1, 2)).await;
    let second = t.applied(sends(vec![message("1")])).await;
    let mut from = 0;
    for to in [first - 1, first, second] {
        t.applied(Commit { checkpoint: Some(moves("mailer", from, to)), ..Commit::default() })
            .await;
        assert_eq!(t.stands("mailer", 0).await, Some(to), "on the position of a message");
        from = to;
    }
    // A commit's own messages come after the checkpoint it knows of.
    let beside = Commit { checkpoint: Some(moves("relay", 0, second)), ..mixed(0, 1) };
    t.applied(beside).await;
    assert_eq!(t.stands("relay", 0).await, Some(second), "beside another message");
}

async fn a_guard_starts_at_the_position_of_a_message(t: Probe) {
    let head = t.applied(mixed(1, 2)).await;
    for after in [head - 1, head] {
        let guards = vec![Guard::NoneMatching { filter: Filter::default(), after }];
        t.applied(Commit { guards, ..Commit::default() }).await;
    }
}

async fn a_mark_says_the_position_of_the_last_message(t: Probe) {
    let handled = cqrs_core::MessageId::fresh();
    let inbox = vec![mark("payments", handled, None)];
    let position = t.applied(Commit { inbox, ..mixed(1, 2) }).await;
    let entry = t.inbox("payments", handled).await.expect("the inbox can be read");
    assert_eq!(entry.map(|entry| entry.position), Some(position), "where it was handled");
}
