//! Messages to send: recorded with their commit, found in order, settled once.

use cqrs_core::{
    AnswerTo, Committed, Expected, FindOutgoing, MessageId, Metadata, Outgoing, OutgoingKind,
    PageSize, Payload, PendingMessage, Tries,
};
use serde_json::json;

use crate::store::case::{outgoing, outgoing_settled};
use crate::store::cases::prelude::*;
use crate::store::handle::{later_than, together};
use crate::store::waiting::{assert_settled, at, message, sends, sent, settles};

cases! { "outgoing":
    a_message_waits_until_it_is_settled if outgoing_settled,
    messages_of_a_commit_are_in_its_order if outgoing,
    messages_of_commits_are_in_the_order_of_their_commits if outgoing,
    a_message_comes_back_with_its_metadata if outgoing,
    a_message_comes_back_with_its_kind_name_and_key if outgoing,
    a_message_comes_back_with_its_body if outgoing,
    a_message_comes_back_with_its_time if outgoing,
    a_message_comes_back_with_who_is_told if outgoing,
    a_message_comes_back_with_its_tries if outgoing,
    a_message_says_when_it_was_recorded if outgoing,
    a_page_ends_at_its_number_of_messages if outgoing,
    a_page_ends_at_its_bytes_of_bodies if outgoing,
    messages_after_a_position_are_found if outgoing,
    a_message_is_settled_once if outgoing_settled,
    a_message_that_was_never_sent_is_not_settled if outgoing_settled,
    a_message_that_is_settled_twice_in_one_commit_is_refused if outgoing_settled,
    the_id_of_a_pending_message_is_refused if outgoing,
    an_id_twice_in_one_commit_is_refused if outgoing,
    a_refused_commit_sends_nothing if outgoing,
    a_refused_commit_settles_no_message if outgoing_settled,
    a_repeated_commit_sends_nothing_again if outgoing_settled,
    of_tasks_that_settle_a_message_one_wins if outgoing_settled,
}

fn keys(pending: &[PendingMessage]) -> Vec<&str> {
    pending.iter().map(|pending| pending.message.key.as_str()).collect()
}

/// Sends messages and compares what is found: their bodies by what they say.
async fn back(t: &Probe, messages: Vec<Outgoing>) {
    let after = t.end().await;
    t.applied(sends(messages.clone())).await;
    let found = t.pending(after).await;
    assert_eq!(found.len(), messages.len(), "all are found: {found:?}");
    for (PendingMessage { message: found, .. }, message) in found.into_iter().zip(messages) {
        assert_eq!(Body::from(&found.body), Body::from(&message.body), "its body");
        let body = message.body.clone();
        assert_eq!(Outgoing { body, ..found }, message, "the message");
    }
}

async fn a_message_waits_until_it_is_settled(t: Probe) {
    let (first, second) = (message("1"), message("2"));
    t.applied(sends(vec![first.clone(), second.clone()])).await;
    t.applied(grows(&account("1"), 2)).await;
    assert_eq!(keys(&t.pending(0).await), ["1", "2"], "both wait");
    t.applied(Commit { settled: vec![sent(&first)], ..grows(&account("1"), 1) }).await;
    assert_eq!(keys(&t.pending(0).await), ["2"], "one was sent");
    t.applied(settles(vec![sent(&second)])).await;
    assert_eq!(t.pending(0).await, [], "both were sent");
    assert_eq!(t.log().await.len(), 3, "the log holds the events");
}

async fn messages_of_a_commit_are_in_its_order(t: Probe) {
    let order = (0..20).map(|n| format!("{}", n * 7 % 20)).collect::<Vec<_>>();
    t.applied(sends(order.iter().map(|key| message(key)).collect())).await;
    assert_eq!(keys(&t.pending(0).await), order, "in the order of the commit");
}

async fn messages_of_commits_are_in_the_order_of_their_commits(t: Probe) {
    let mut order = Vec::new();
    for n in 0..20 {
        let pair = [format!("{}", 40 - n), format!("{}", n * 3)];
        t.applied(sends(pair.iter().map(|key| message(key)).collect())).await;
        order.extend(pair);
    }
    assert_eq!(keys(&t.pending(0).await), order, "in the order of their commits");
}

async fn a_message_comes_back_with_its_metadata(t: Probe) {
    let hostile = "a\"b'c\\d\0e\nf\u{1f}g🦀\u{202e}h";
    let metadata = Metadata::default()
        .with_correlation("a conversation")
        .with_causation(MessageId::fresh())
        .with_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with_tenant("acme")
        .with_actor(hostile)
        .with_partition_key("key of é")
        .with_occurred_at(at(-1))
        .with_deadline(at(1_700_000_000_000_001))
        .with_extension("region", "eu")
        .with_extension("a.b$c \"d\"", hostile);
    back(&t, vec![Outgoing { metadata, ..message("1") }, message("2")]).await;
}

async fn a_message_comes_back_with_its_kind_name_and_key(t: Probe) {
    let names = ["payments.charge", "mail", "Mail", "é 🦀"];
    let messages = OutgoingKind::ALL.into_iter().flat_map(|kind| {
        let of = |name: &&'static str| Outgoing { kind, name: (*name).into(), ..message(name) };
        names.iter().map(of).collect::<Vec<_>>()
    });
    back(&t, messages.collect()).await;
}

async fn a_message_comes_back_with_its_body(t: Probe) {
    let deep = (0..50).fold(json!(1.5), |inner, _| json!([inner]));
    let values = [json!(null), json!({ "a\0": "b\0c", "": [] }), json!(u64::MAX), json!("é"), deep];
    let texts = values.iter().map(|value| Payload::Json(body(value)));
    let bytes = [(0..=255).collect::<Vec<u8>>(), Vec::new(), b"{}".to_vec()];
    let codecs = bytes.into_iter().map(|bytes| Payload::Binary {
        content_type: "application/cbor; x=\"y\"".into(),
        bytes: bytes.into(),
    });
    let bodies = texts.chain(codecs).chain([Payload::Erased]);
    let messages = bodies.map(|body| Outgoing { body, ..message("1") });
    back(&t, messages.collect()).await;
}

async fn a_message_comes_back_with_its_time(t: Probe) {
    let (first, last) = (cqrs_core::Timestamp::MIN, cqrs_core::Timestamp::MAX);
    let times = [None, Some(first), Some(at(-1)), Some(at(0)), Some(at(1)), Some(last)];
    let messages = times.map(|not_before| Outgoing { not_before, ..message("1") });
    // Due or not: all of them are found.
    back(&t, messages.to_vec()).await;
}

async fn a_message_comes_back_with_who_is_told(t: Probe) {
    let to = |saga: &str, key: &str, step: &str| {
        Some(AnswerTo { saga: saga.into(), key: key.into(), step: step.into() })
    };
    let told = [
        None,
        to("checkout", "order-17", "charge"),
        to("a", "b", "c"),
        to("é \"'", "$set", "{\"a\": 1}"),
        to("1", "null", "0"),
    ];
    back(&t, told.map(|answer_to| Outgoing { answer_to, ..message("1") }).to_vec()).await;
}

async fn a_message_comes_back_with_its_tries(t: Probe) {
    let most = [1, 2, u32::MAX].map(Tries::AtMost);
    let tries = [Tries::Policy, Tries::UntilAnswered, Tries::AtMost(0)].into_iter().chain(most);
    back(&t, tries.map(|tries| Outgoing { tries, ..message("1") }).collect()).await;
}

async fn a_message_says_when_it_was_recorded(t: Probe) {
    let early = later_than(&t, &account("1"), cqrs_core::Timestamp::MIN).await;
    t.applied(sends(vec![message("1")])).await;
    t.applied(Commit { outgoing: vec![message("2")], ..grows(&account("2"), 1) }).await;
    let late = later_than(&t, &account("1"), early).await;
    for pending in t.pending(0).await {
        let span = early..=late;
        assert!(span.contains(&pending.recorded_at), "{pending:?} from {early} to {late}");
    }
}

/// All keys, by the page.
async fn paged(t: &Probe, page: PageSize) -> Vec<Vec<PendingMessage>> {
    let (mut pages, mut after) = (Vec::new(), 0);
    for _ in 0..100 {
        let found = t.waits(FindOutgoing { after, page }).await;
        let Some(last) = found.last() else { return pages };
        after = last.position;
        pages.push(found);
    }
    panic!("the pages of {page:?} never end");
}

async fn a_page_ends_at_its_number_of_messages(t: Probe) {
    let order = (0..10).map(|n| n.to_string()).collect::<Vec<_>>();
    for pair in order.chunks(2) {
        t.applied(sends(pair.iter().map(|key| message(key)).collect())).await;
    }
    for events in [1, 3, 10, 11, u32::MAX] {
        let pages = paged(&t, PageSize { events, bytes: usize::MAX }).await;
        assert!(pages.iter().all(|page| page.len() <= events as usize), "at most {events} a page");
        assert_eq!(keys(&pages.concat()), order, "all of them, {events} a page");
    }
}

async fn a_page_ends_at_its_bytes_of_bodies(t: Probe) {
    let of = |(n, len): (usize, usize)| {
        let content_type = "application/octet-stream".into();
        let body = Payload::Binary { content_type, bytes: vec![7; len].into() };
        Outgoing { body, ..message(&n.to_string()) }
    };
    let sizes = [100, 100, 100, 5_000, 100, 0, 0, 300];
    t.applied(sends(sizes.into_iter().enumerate().map(of).collect())).await;
    for bytes in [1, 100, 250, 5_000, 1 << 20] {
        let pages = paged(&t, PageSize { events: 100, bytes }).await;
        for page in &pages {
            let size = page.iter().map(|pending| pending.message.body.len()).sum::<usize>();
            let alone = page.len() == 1;
            assert!(size <= bytes || alone, "{size} of {bytes} bytes in a page: {:?}", keys(page));
        }
        let order = (0..sizes.len()).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(keys(&pages.concat()), order, "all of them, {bytes} bytes a page");
    }
}

async fn messages_after_a_position_are_found(t: Probe) {
    for n in 0..5 {
        let outgoing = vec![message(&format!("{n}a")), message(&format!("{n}b"))];
        t.applied(Commit { outgoing, ..grows(&account("1"), 1) }).await;
    }
    let all = t.pending(0).await;
    for (n, pending) in all.iter().enumerate() {
        assert_eq!(t.pending(pending.position).await, all[n + 1..], "after the one of {n}");
        assert_eq!(t.pending(pending.position - 1).await, all[n..], "before the one of {n}");
    }
}

async fn a_message_is_settled_once(t: Probe) {
    let (message, other) = (message("1"), message("2"));
    t.applied(sends(vec![message.clone(), other.clone()])).await;
    t.applied(settles(vec![sent(&message)])).await;
    let again = Commit { settled: vec![sent(&other), sent(&message)], ..grows(&account("1"), 1) };
    assert_settled(&t.refused(again).await, "the second time");
    assert_eq!(keys(&t.pending(0).await), ["2"], "the other one still waits");
}

async fn a_message_that_was_never_sent_is_not_settled(t: Probe) {
    let (pending, never) = (message("1"), message("2"));
    t.applied(sends(vec![pending.clone()])).await;
    let commit = Commit { settled: vec![sent(&pending), sent(&never)], ..grows(&account("1"), 1) };
    assert_settled(&t.refused(commit).await, "a message that nobody sent");
    assert_eq!(keys(&t.pending(0).await), ["1"], "the one beside it still waits");
}

async fn a_message_that_is_settled_twice_in_one_commit_is_refused(t: Probe) {
    let (first, other) = (message("1"), message("2"));
    t.applied(sends(vec![first.clone(), other.clone()])).await;
    let twice = settles(vec![sent(&first), sent(&other), sent(&first)]);
    assert_invalid(&t.refused(twice).await, "settled", "one message, settled twice");
    assert_eq!(keys(&t.pending(0).await), ["1", "2"], "both still wait");
}

async fn the_id_of_a_pending_message_is_refused(t: Probe) {
    let first = message("1");
    t.applied(sends(vec![first.clone()])).await;
    let same = first.metadata.clone();
    for again in [first.clone(), Outgoing { metadata: same, ..message("2") }] {
        let commit = Commit { outgoing: vec![message("3"), again], ..grows(&account("1"), 1) };
        assert_reused(&t.refused(commit).await, first.metadata.id(), "it still waits");
    }
    assert_eq!(keys(&t.pending(0).await), ["1"], "nothing beside it");
}

async fn an_id_twice_in_one_commit_is_refused(t: Probe) {
    let (first, other) = (message("1"), message("2"));
    let twice = Outgoing { key: "3".into(), ..first.clone() };
    let commit = sends(vec![first.clone(), other, twice]);
    assert_reused(&t.refused(commit).await, first.metadata.id(), "one id, two messages");
    assert_eq!(t.pending(0).await, [], "nothing was sent");
}

/// A commit that is refused for its append.
async fn failing(t: &Probe) -> Commit {
    t.applied(grows(&account("taken"), 1)).await;
    appends(&account("taken"), Expected::NoStream, events(1))
}

async fn a_refused_commit_sends_nothing(t: Probe) {
    let outgoing = vec![message("1"), message("2")];
    let refused = Commit { outgoing: outgoing.clone(), ..failing(&t).await };
    t.refused(refused).await;
    assert_eq!(t.pending(0).await, [], "messages of a refused commit");
    t.applied(sends(outgoing)).await;
    assert_eq!(keys(&t.pending(0).await), ["1", "2"], "their ids are free");
}

async fn a_refused_commit_settles_no_message(t: Probe) {
    let waits = message("1");
    t.applied(sends(vec![waits.clone()])).await;
    let before = t.pending(0).await;
    let refused = Commit { settled: vec![sent(&waits)], ..failing(&t).await };
    t.refused(refused).await;
    assert_eq!(t.pending(0).await, before, "it still waits");
    t.applied(settles(vec![sent(&waits)])).await;
}

async fn a_repeated_commit_sends_nothing_again(t: Probe) {
    let (sends_one, waits) = (message("1"), message("2"));
    let outgoing = vec![sends_one.clone(), waits.clone()];
    let first = Commit { outgoing, ..grows(&account("1"), 1) };
    let position = t.applied(first.clone()).await;
    let before = Committed::Before { position, reply: None };
    assert_eq!(t.answered(first.clone()).await, before, "while both wait");
    assert_eq!(keys(&t.pending(0).await), ["1", "2"], "both wait once");
    t.applied(settles(vec![sent(&sends_one)])).await;
    assert_eq!(t.answered(first).await, before, "after one was sent");
    assert_eq!(keys(&t.pending(0).await), ["2"], "what was sent is not sent again");
    assert_eq!(t.end().await, position, "and has no second position");
}

async fn of_tasks_that_settle_a_message_one_wins(t: Probe) {
    let handles = [t.handle(), t.another().await];
    for round in 1..=4 {
        let waits = message("1");
        t.applied(sends(vec![waits.clone()])).await;
        let answers = together(16, |n| {
            let (handle, settled) = (handles[n % 2].clone(), vec![sent(&waits)]);
            let stream = account(&format!("{round}-{n}"));
            async move { handle.settled(Commit { settled, ..grows(&stream, 1) }).await }
        });
        let answers = answers.await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "of 16 that settle one message one wins: {answers:?}");
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            assert_settled(error, "the others come late");
        }
        assert_eq!(t.log().await.len(), round, "one effect a message");
    }
}
