//! The inbox: a message is handled once for a consumer, and its repeat is answered as the first.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cqrs_core::{
    Commit, Committed, Conflict, Expected, Fingerprint, InboxMark, MessageId, Support,
};

use crate::store::case::Offered;
use crate::store::cases::prelude::*;
use crate::store::handle::together;

cases! { "inbox":
    the_first_mark_is_kept_with_its_reply,
    a_message_that_was_not_handled_is_not_in_the_inbox,
    a_repeat_is_answered_with_the_stored_reply,
    an_empty_reply_is_not_no_reply,
    a_concurrent_repeat_is_applied_once_and_answered,
    a_mark_with_another_fingerprint_is_refused,
    a_commit_of_which_only_some_marks_are_known_is_refused,
    a_commit_of_which_all_marks_are_known_is_answered,
    the_inbox_is_asked_before_the_commit_id,
    the_inbox_is_asked_before_expectations,
    consumers_are_apart,
    a_message_marked_twice_in_one_commit_is_refused,
    a_message_is_known_for_as_long_as_the_store_says if kept_shortly,
}

const CONSUMER: &str = "payments";

/// The longest that a case waits for a message to be forgotten.
const SHORTLY: Duration = Duration::from_secs(5);

fn kept_shortly(offered: &Offered) -> Support {
    match offered.keeps_inbox {
        kept if kept <= SHORTLY => Support::Yes,
        _ => Support::No("its inbox keeps messages for longer than a case can wait"),
    }
}

/// A commit of one event that handles a message.
fn handles(message: MessageId, reply: Option<&'static str>) -> Commit {
    Commit { inbox: vec![mark(CONSUMER, message, reply)], ..grows(&account("1"), 1) }
}

fn before(position: u64, reply: Option<&'static str>) -> Committed {
    Committed::Before { position, reply: reply.map(|r| Bytes::from_static(r.as_bytes())) }
}

async fn the_first_mark_is_kept_with_its_reply(t: Probe) {
    for reply in [Some("yes"), None] {
        let message = MessageId::fresh();
        let position = t.applied(handles(message, reply)).await;
        let entry = t.inbox(CONSUMER, message).await.expect("the inbox can be read");
        let entry = entry.expect("the message was handled");
        assert_eq!(entry.position, position, "where it was handled");
        assert_eq!(entry.fingerprint, Fingerprint::of(b"what it said"), "what it said");
        assert_eq!(entry.reply.as_deref(), reply.map(str::as_bytes), "what it was answered");
    }
}

async fn a_message_that_was_not_handled_is_not_in_the_inbox(t: Probe) {
    t.applied(handles(MessageId::fresh(), None)).await;
    let entry = t.inbox(CONSUMER, MessageId::fresh()).await.expect("the inbox can be read");
    assert_eq!(entry, None, "a message that nobody handled");
}

async fn a_repeat_is_answered_with_the_stored_reply(t: Probe) {
    let message = MessageId::fresh();
    let position = t.applied(handles(message, Some("yes"))).await;
    t.applied(grows(&account("2"), 3)).await;
    let snapshot = t.snapshot().await;
    // Another commit, because the handler ran again, and maybe came to another reply.
    let again = t.answered(handles(message, Some("no"))).await;
    assert_eq!(again, before(position, Some("yes")), "the first reply is the reply");
    assert_eq!(t.snapshot().await, snapshot, "a repeat wrote something");
}

async fn an_empty_reply_is_not_no_reply(t: Probe) {
    for reply in [Some(""), None] {
        let message = MessageId::fresh();
        let position = t.applied(handles(message, reply)).await;
        let again = t.answered(handles(message, None)).await;
        assert_eq!(again, before(position, reply), "the reply {reply:?} comes back as it is");
    }
}

async fn a_concurrent_repeat_is_applied_once_and_answered(t: Probe) {
    let handlers = [t.handle(), t.another().await];
    for round in 0..8 {
        let message = MessageId::fresh();
        let answers = together(16, |n| {
            let handle = handlers[n % 2].clone();
            async move {
                let mark = InboxMark {
                    reply: Some(Bytes::from(n.to_string())),
                    ..mark(CONSUMER, message, None)
                };
                let commit = Commit { inbox: vec![mark], ..grows(&account(&format!("{n}")), 1) };
                handle.settled(commit).await
            }
        });
        let answers = answers.await.into_iter().map(|answer| match answer {
            Ok(answer) => answer,
            Err(error) => panic!("16 handlers of one message, all are answered: {error:?}"),
        });
        let answers = answers.collect::<Vec<_>>();
        let now = (0..16).filter(|&n| matches!(answers[n], Committed::Now { .. }));
        let now = now.collect::<Vec<_>>();
        assert_eq!(now.len(), 1, "of 16 handlers of one message one is applied: {answers:?}");
        let (position, reply) = (answers[now[0]].position(), Bytes::from(now[0].to_string()));
        let same = Committed::Before { position, reply: Some(reply) };
        let others = answers.iter().enumerate().filter(|(n, _)| *n != now[0]);
        for (_, answer) in others {
            assert_eq!(*answer, same, "the others are answered as the first: {answers:?}");
        }
        assert_eq!(t.log().await.len(), round + 1, "one event a message");
    }
}

async fn a_mark_with_another_fingerprint_is_refused(t: Probe) {
    let message = MessageId::fresh();
    let position = t.applied(handles(message, Some("yes"))).await;
    let mut other = handles(message, Some("yes"));
    other.inbox[0].fingerprint = Fingerprint::of(b"something else");
    assert_reused(&t.refused(other).await, message, "the same message says something else");
    let again = t.answered(handles(message, None)).await;
    assert_eq!(again, before(position, Some("yes")), "the stored reply is untouched");
}

async fn a_commit_of_which_only_some_marks_are_known_is_refused(t: Probe) {
    let (known, fresh) = (MessageId::fresh(), MessageId::fresh());
    t.applied(handles(known, Some("yes"))).await;
    for order in [[known, fresh], [fresh, known]] {
        let mut commit = grows(&account("1"), 1);
        commit.inbox = order.iter().map(|&message| mark(CONSUMER, message, None)).collect();
        let conflict = Conflict::Inbox { consumer: CONSUMER.into(), message: known.to_string() };
        assert_conflict(&t.refused(commit).await, conflict, "one known, one not");
        let entry = t.inbox(CONSUMER, fresh).await.expect("the inbox can be read");
        assert_eq!(entry, None, "the message that was not handled");
    }
}

async fn a_commit_of_which_all_marks_are_known_is_answered(t: Probe) {
    let messages = [MessageId::fresh(), MessageId::fresh()];
    let batch = || Commit {
        inbox: vec![
            mark(CONSUMER, messages[0], Some("yes")),
            mark(CONSUMER, messages[1], Some("no")),
        ],
        ..grows(&account("1"), 2)
    };
    let position = t.applied(batch()).await;
    let again = t.answered(batch()).await;
    assert_eq!(again, before(position, Some("yes")), "the reply of the first mark");
    assert_eq!(t.log().await.len(), 2, "a batch that was handled before");
}

async fn the_inbox_is_asked_before_the_commit_id(t: Probe) {
    let message = MessageId::fresh();
    let first = handles(message, Some("yes"));
    let position = t.applied(first.clone()).await;
    let answer = before(position, Some("yes"));
    assert_eq!(t.answered(first.clone()).await, answer, "the very same commit");
    // The handler ran again under the same derived id, and made something else.
    let other = Commit { id: first.id, ..handles(message, None) };
    assert_eq!(t.answered(other).await, answer, "the same id, other content, known message");
}

async fn the_inbox_is_asked_before_expectations(t: Probe) {
    let message = MessageId::fresh();
    let first = |id| Commit {
        inbox: vec![mark(CONSUMER, message, Some("yes"))],
        ..appends(&account(id), Expected::NoStream, events(1))
    };
    let position = t.applied(first("1")).await;
    let again = t.answered(first("1")).await;
    assert_eq!(again, before(position, Some("yes")), "the stream is there, as the first made it");
}

async fn consumers_are_apart(t: Probe) {
    let message = MessageId::fresh();
    t.applied(handles(message, Some("yes"))).await;
    let entry = t.inbox("shipping", message).await.expect("the inbox can be read");
    assert_eq!(entry, None, "handled by another consumer only");
    let inbox = vec![mark("shipping", message, Some("sent"))];
    let position = t.applied(Commit { inbox, ..grows(&account("2"), 1) }).await;
    let inbox = vec![mark("shipping", message, None)];
    let again = t.answered(Commit { inbox, ..grows(&account("2"), 1) }).await;
    assert_eq!(again, before(position, Some("sent")), "each consumer has its own reply");
}

async fn a_message_marked_twice_in_one_commit_is_refused(t: Probe) {
    let message = MessageId::fresh();
    let mut commit = handles(message, None);
    commit.inbox.push(mark(CONSUMER, message, Some("yes")));
    assert_invalid(&t.refused(commit).await, "inbox", "one message, two marks");
}

/// For suites over stores that keep their inbox for a few seconds.
async fn a_message_is_known_for_as_long_as_the_store_says(t: Probe) {
    let kept = t.capabilities().keeps_inbox;
    let (message, asked) = (MessageId::fresh(), Instant::now());
    let position = t.applied(handles(message, Some("yes"))).await;
    loop {
        let entry = t.inbox(CONSUMER, message).await.expect("the inbox can be read");
        let again = t.answered(handles(message, Some("no"))).await;
        // Looked at after the answers: both came within the time.
        if asked.elapsed() > kept * 9 / 10 {
            break;
        }
        assert!(entry.is_some(), "forgotten after {:?} of {kept:?}", asked.elapsed());
        assert_eq!(again, before(position, Some("yes")), "after {:?}", asked.elapsed());
        // Others come, so that the store has a reason to tidy up.
        t.applied(handles(MessageId::fresh(), None)).await;
        tokio::time::sleep(kept / 20).await;
    }
}
