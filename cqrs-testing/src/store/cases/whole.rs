//! A commit with every part that there is: it is applied as a whole, or nothing of it is.

use std::fmt::Debug;

use cqrs_core::{
    Committed, Document, Expected, Fence, FindParked, Guard, InboxEntry, Lease, MessageId,
    Outgoing, ParkedEntry, ParkedWrite, PendingMessage, Position, Settled, Support, Timer,
};
use serde_json::json;

use crate::store::case::{Offered, all_of};
use crate::store::cases::prelude::*;
use crate::store::waiting::{
    MAILER, aside, fenced, message, parks, sends, sent, sets, timer, unparked,
};

cases! { "whole":
    a_commit_of_all_parts_is_applied_as_a_whole if everything,
    a_commit_of_all_parts_that_fails_in_one_leaves_nothing if everything,
    a_repeat_of_all_parts_changes_nothing if everything,
}

fn everything(offered: &Offered) -> Support {
    all_of([offered.leases, offered.timers, offered.outgoing, offered.parked])
}

const CONSUMER: &str = "payments";

/// What a commit of all parts refers to.
struct Before {
    lease: Lease,
    head: Position,
    sent: Outgoing,
    fired: Timer,
    handled: MessageId,
    fresh: MessageId,
}

/// All that such a commit changes, and may not change when it is refused.
#[derive(Debug, PartialEq)]
struct Everything {
    documents: Vec<Option<Document>>,
    inbox: Vec<Option<InboxEntry>>,
    checkpoint: Option<Position>,
    timers: Vec<Timer>,
    outgoing: Vec<PendingMessage>,
    parked: Vec<ParkedEntry>,
    leases: Vec<Lease>,
}

async fn prepared(t: &Probe) -> Before {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let (sent, handled) = (message("old"), MessageId::fresh());
    let mut first = grows(&account("1"), 2);
    first.documents = puts("taken", &json!({ "email": "ada" })).documents;
    first.documents.extend(puts("gone", &json!({})).documents);
    first.inbox = vec![mark(CONSUMER, handled, None)];
    first.outgoing = vec![sent.clone()];
    first.timers = sets(vec![timer("fires", 1, Some(1)), timer("changes", 3, Some(2))]).timers;
    first.parked = parks(vec![aside(MAILER, 1), aside(MAILER, 2)]).parked;
    let head = t.applied(first).await;
    let fired = t.set().await.remove(0);
    let lease = t.takes("node-a", "mailer/0").await;
    Before { lease, head, sent, fired, handled, fresh: MessageId::fresh() }
}

async fn seen(t: &Probe, before: &Before) -> Everything {
    let mut inbox = Vec::new();
    for message in [before.handled, before.fresh] {
        inbox.push(t.inbox(CONSUMER, message).await.expect("the inbox can be read"));
    }
    Everything {
        documents: vec![t.tutor("taken").await, t.tutor("gone").await, t.tutor("new").await],
        inbox,
        checkpoint: t.stands(MAILER, 0).await,
        timers: t.set().await,
        outgoing: t.pending(0).await,
        parked: t.aside(FindParked::default()).await,
        leases: t.held("").await,
    }
}

/// Everything at once.
fn all_parts(before: &Before) -> Commit {
    let Before { lease, head, sent: old, fired, handled: _, fresh } = before;
    let checkpoint = moves(MAILER, 0, *head);
    Commit {
        guards: vec![Guard::Stream { stream: account("1"), expected: Expected::Exactly(2) }],
        appends: vec![
            append(&account("1"), Expected::Exactly(2), events(2)),
            append(&account("2"), Expected::NoStream, events(1)),
        ],
        documents: [puts("new", &json!({ "email": "bob" })), deletes("gone")]
            .into_iter()
            .flat_map(|commit| commit.documents)
            .collect(),
        checkpoint: Some(cqrs_core::CheckpointWrite { fence: Some(lease.fence()), ..checkpoint }),
        inbox: vec![mark(CONSUMER, *fresh, Some("yes"))],
        timers: sets(vec![timer("sets", 1, Some(5)), timer("changes", 4, Some(9))]).timers,
        outgoing: sends(vec![message("first"), message("second")]).outgoing,
        settled: vec![sent(old), Settled::Timer(fired.clone()), unparked(MAILER, 1)],
        parked: vec![
            ParkedWrite { expected: Expected::Exactly(1), attempts: 9, ..aside(MAILER, 2) },
            aside(MAILER, 3),
        ],
        ..fenced(vec![lease.fence()], Commit::default())
    }
}

async fn a_commit_of_all_parts_is_applied_as_a_whole(t: Probe) {
    let before = prepared(&t).await;
    let position = t.applied(all_parts(&before)).await;
    assert_eq!(t.log().await.len(), 5, "its events");
    let now = seen(&t, &before).await;
    let there = now.documents.iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(there, [true, false, true], "its documents");
    let mark = now.inbox[1].as_ref().map(|entry| entry.position);
    assert_eq!(mark, Some(position), "its mark");
    assert_eq!(now.checkpoint, Some(before.head), "its checkpoint");
    let timers = now.timers.iter().map(|timer| (timer.key.as_str(), timer.generation));
    assert_eq!(timers.collect::<Vec<_>>(), [("sets", 1), ("changes", 4)], "its timers");
    let keys = now.outgoing.iter().map(|pending| pending.message.key.as_str());
    assert_eq!(keys.collect::<Vec<_>>(), ["first", "second"], "its messages");
    let parked = now.parked.iter().map(|entry| (entry.position, entry.version, entry.attempts));
    assert_eq!(parked.collect::<Vec<_>>(), [(2, 2, 9), (3, 1, 8)], "its entries");
    assert_eq!(now.leases, [before.lease], "its lease");
}

async fn a_commit_of_all_parts_that_fails_in_one_leaves_nothing(t: Probe) {
    type Spoil = fn(&mut Commit, &Before);
    let spoils: [(&str, Spoil); 16] = [
        ("a fence", |c, b| c.fences.push(Fence { token: b.lease.token + 1, ..b.lease.fence() })),
        ("the fence of the checkpoint", |c, b| {
            let fence = Some(Fence { lease: "nobody's".into(), ..b.lease.fence() });
            c.checkpoint.iter_mut().for_each(|write| write.fence.clone_from(&fence));
        }),
        ("a guard", |c, _| {
            c.guards.push(Guard::Stream { stream: account("3"), expected: Expected::Exists });
        }),
        ("the last append", |c, _| c.appends[1].expected = Expected::Exists),
        ("the last document", |c, _| c.documents[1].expected = Expected::Exactly(7)),
        ("a unique field", |c, _| {
            c.documents.extend(puts("x", &json!({ "email": "ada" })).documents);
        }),
        ("the checkpoint", |c, _| c.checkpoint.iter_mut().for_each(|write| write.from = 1)),
        ("a mark", |c, b| c.inbox.push(mark(CONSUMER, b.handled, None))),
        ("a timer", |c, _| c.timers[1].generation = 3),
        ("a cancelled timer", |c, _| c.timers[1] = timer("changes", 2, None)),
        ("the id of a message", |c, _| {
            c.outgoing[1].metadata = c.outgoing[0].metadata.clone();
        }),
        ("a settled message", |c, _| c.settled.push(sent(&message("never")))),
        ("a settled timer", |c, b| {
            c.settled.push(Settled::Timer(Timer { key: "never".into(), ..b.fired.clone() }));
        }),
        ("a settled entry", |c, _| c.settled.push(unparked(MAILER, 9))),
        ("an entry", |c, _| c.parked[1].expected = Expected::Exists),
        ("the id of an event", |c, _| {
            c.appends[1].events[0].metadata = c.appends[0].events[0].metadata.clone();
        }),
    ];
    let before = prepared(&t).await;
    let then = seen(&t, &before).await;
    for (what, spoil) in spoils {
        let mut commit = all_parts(&before);
        spoil(&mut commit, &before);
        t.refused(commit).await;
        assert_same(&seen(&t, &before).await, &then, what);
    }
    t.applied(all_parts(&before)).await;
}

#[track_caller]
fn assert_same(now: &dyn Debug, then: &dyn Debug, what: &str) {
    let (now, then) = (format!("{now:#?}"), format!("{then:#?}"));
    let differs = now.lines().zip(then.lines()).find(|(now, then)| now != then);
    assert!(now == then, "refused for {what}, and something is left: {differs:?}");
}

async fn a_repeat_of_all_parts_changes_nothing(t: Probe) {
    let before = prepared(&t).await;
    // Without the mark, which is asked first.
    let commit = Commit { inbox: Vec::new(), ..all_parts(&before) };
    let position = t.applied(commit.clone()).await;
    let (snapshot, then) = (t.snapshot().await, seen(&t, &before).await);
    let again = t.answered(commit).await;
    assert_eq!(again, Committed::Before { position, reply: None }, "the same commit again");
    assert_eq!(t.snapshot().await, snapshot, "the log");
    assert_same(&seen(&t, &before).await, &then, "its repeat");
}
