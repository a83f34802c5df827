//! Requests and answers: each gets its own, or learns in time that there is none.

use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{
    Error, MessageId, Metadata, No, OutboundRequest, ReplyMessage, ReplyStatus, Timestamp,
};
use futures_util::future::join_all;

use crate::bus::cases::prelude::*;
use crate::bus::make::{BOUND, HOSTILE};
use crate::bus::responder::{DOUBLE, asks, asks_briefly, number, replied};

cases! { "requests":
    a_request_comes_with_its_body_and_all_its_metadata,
    an_answer_comes_with_its_body_and_position,
    a_rejection_comes_with_its_code_field_text_and_body,
    a_failure_comes_with_its_kind_field_and_text,
    hostile_texts_and_any_bytes_come_back_exactly,
    a_request_that_nobody_answers_is_unroutable,
    a_group_of_commands_answers_no_requests,
    a_request_is_answered_in_time_or_not_at_all,
    a_late_answer_is_thrown_away,
    many_at_once_get_their_own_answers,
    responders_share_requests,
    a_request_goes_to_one_responder,
    a_responder_that_is_gone_gets_no_more,
    what_a_dead_responder_held_is_asked_again_of_others,
    a_closed_responder_answers_what_has_come,
    a_request_that_is_given_up_is_known_to_the_responder,
    a_request_that_took_too_long_is_known_to_the_responder,
    who_has_one_in_hand_hears_of_it_while_others_wait,
    patience_without_end_is_no_error,
    an_answer_to_nobody_is_no_error,
    a_closed_bus_neither_asks_nor_answers,
    closing_ends_what_waits_for_an_answer,
    names_that_are_none_are_refused_by_field,
    a_request_over_the_limit_is_refused_by_name,
    an_answer_over_the_limit_is_refused_to_both,
}

async fn a_request_comes_with_its_body_and_all_its_metadata(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let metadata = Metadata::of(MessageId::fresh())
        .with_correlation("talk")
        .with_causation(MessageId::fresh())
        .with_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with_tenant("acme")
        .with_actor("ada")
        .with_schema_version(3)
        .with_occurred_at(Timestamp::from_micros(1_700_000_000_000_001))
        .with_deadline(Timestamp::from_micros(4_000_000_000_000_002))
        .with_partition_key("17")
        .with_extension("priority", "5")
        .with_extension("Not A Name", "x");
    let request = asks(DOUBLE, 21).with_metadata(metadata.clone());
    let request = OutboundRequest { content_type: "text/plain".to_owned(), ..request };
    let asking = t.asking(request);
    let request = answers.next().await;
    let message = request.message().clone();
    assert_eq!(message.metadata, metadata);
    assert_eq!((message.name.as_str(), message.attempt), (DOUBLE, 1));
    assert_eq!((message.content_type.as_str(), &message.body[..]), ("text/plain", &b"21"[..]));
    replied(request, ReplyMessage::done("42")).await;
    assert!(asking.await.is_ok_and(|answer| answer.is_ok()));
}

/// These answers come as they are given.
async fn come_back(t: &Probe, replies: impl IntoIterator<Item = ReplyMessage>) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    for reply in replies {
        let asking = t.asking(asks(DOUBLE, 1));
        replied(answers.next().await, reply.clone()).await;
        match asking.await {
            Ok(Ok(answer)) => assert_eq!(answer, reply),
            other => panic!("there must be an answer: {other:?}"),
        }
    }
}

async fn an_answer_comes_with_its_body_and_position(t: Probe) {
    let reply = ReplyMessage {
        position: Some(u64::MAX),
        content_type: "text/plain".to_owned(),
        ..ReplyMessage::done("42")
    };
    come_back(&t, [reply, ReplyMessage::done("")]).await;
}

async fn a_rejection_comes_with_its_code_field_text_and_body(t: Probe) {
    let no = No::new("bank.closed", Some("account".to_owned()), "the account is closed");
    let closed = ReplyMessage::rejected(no, r#"{"Closed":{"since":7}}"#);
    come_back(&t, [closed, ReplyMessage::rejected(No::new("no", None, ""), "null")]).await;
}

async fn a_failure_comes_with_its_kind_field_and_text(t: Probe) {
    let reply = ReplyMessage::failed(&Error::invalid_field("owner", "the owner has no name"));
    let no = No::new("invalid", Some("owner".to_owned()), "the owner has no name");
    assert_eq!(reply.status, ReplyStatus::Failed(no));
    come_back(&t, [reply]).await;
}

async fn hostile_texts_and_any_bytes_come_back_exactly(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    for text in HOSTILE {
        let metadata = Metadata::default().with_actor(text).with_extension("note", text);
        let body: Bytes = (0..=255).chain(text.bytes()).collect();
        let request = OutboundRequest { body: body.clone(), ..asks(DOUBLE, "") };
        let asking = t.asking(request.with_metadata(metadata.clone()));
        let request = answers.next().await;
        assert_eq!(request.message().metadata, metadata, "{text}");
        assert_eq!(request.message().body, body, "{text}");
        let reply = ReplyMessage::rejected(No::new(text, Some(text.to_owned()), text), body);
        replied(request, reply.clone()).await;
        match asking.await {
            Ok(Ok(answer)) => assert_eq!(answer, reply, "{text}"),
            other => panic!("there must be an answer: {other:?}"),
        }
    }
}

async fn a_request_that_nobody_answers_is_unroutable(t: Probe) {
    let _others = t.another().await.answers(&["numbers.halve", "numbers"]).await;
    let error = t.no_answer(asks(DOUBLE, 1)).await;
    assert_eq!(*error.kind(), ErrorKind::Unroutable, "{error:?}");
    assert!(error.to_string().contains(DOUBLE), "{error}");
}

async fn a_group_of_commands_answers_no_requests(t: Probe) {
    let mut member = t.join(takes("numbers", &[DOUBLE])).await;
    let error = t.no_answer(asks(DOUBLE, 1)).await;
    assert_eq!(*error.kind(), ErrorKind::Unroutable, "{error:?}");
    member.is_quiet().await;
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    t.send(vec![command(DOUBLE, 2)]).await;
    assert_eq!(member.take(1).await, ["2"]);
    answers.is_quiet().await;
}

async fn a_request_is_answered_in_time_or_not_at_all(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let asking = t.asking(asks_briefly(DOUBLE, 1));
    let held = answers.next().await;
    let error = match asking.await {
        Ok(Err(error)) => error,
        other => panic!("nobody answered: {other:?}"),
    };
    assert_eq!(*error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    drop(held);
}

async fn a_late_answer_is_thrown_away(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let asking = t.asking(asks_briefly(DOUBLE, 1));
    let late = answers.next().await;
    assert!(asking.await.is_ok_and(|answer| answer.is_err()), "nobody answered");
    replied(late, ReplyMessage::done("2")).await;
    let asking = t.asking(asks(DOUBLE, 5));
    let next = answers.next().await;
    assert_eq!(number(&next.message().body), 5);
    replied(next, ReplyMessage::done("10")).await;
    match asking.await {
        Ok(Ok(answer)) => assert_eq!(answer.body, "10"),
        other => panic!("there must be an answer: {other:?}"),
    }
}

async fn many_at_once_get_their_own_answers(t: Probe) {
    let _answers = t.another().await.answers(&[DOUBLE]).await.doubles();
    let asked = join_all((0..500).map(|n| t.answer(asks(DOUBLE, n)))).await;
    for (n, answer) in asked.iter().enumerate() {
        assert_eq!(number(&answer.body), n as u64 * 2);
    }
}

async fn responders_share_requests(t: Probe) {
    let (one, other) = (t.another().await, t.another().await);
    let answers =
        [one.answers(&[DOUBLE]).await.doubles(), other.answers(&[DOUBLE]).await.doubles()];
    join_all((0..200).map(|n| t.answer(asks(DOUBLE, n)))).await;
    for connection in [one, other] {
        assert!(connection.close().await.is_ok(), "it must close");
    }
    let counts = join_all(answers).await;
    let counts: Vec<u64> = counts.into_iter().map(Result::unwrap_or_default).collect();
    assert_eq!(counts.iter().sum::<u64>(), 200, "{counts:?}");
    assert!(counts.iter().all(|count| *count >= 20), "{counts:?}");
}

async fn a_request_goes_to_one_responder(t: Probe) {
    let (here, there) = (t.another().await, t.another().await);
    let (mut one, mut other) = (here.answers(&[DOUBLE]).await, there.answers(&[DOUBLE]).await);
    let asking = t.asking(asks(DOUBLE, 1));
    let request = tokio::select! {
        request = one.next() => request,
        request = other.next() => request,
    };
    one.is_quiet().await;
    other.is_quiet().await;
    replied(request, ReplyMessage::done("2")).await;
    assert!(asking.await.is_ok_and(|answer| answer.is_ok()));
}

async fn a_responder_that_is_gone_gets_no_more(t: Probe) {
    let connection = t.another().await;
    let answers = connection.answers(&[DOUBLE]).await;
    drop(answers);
    let gone = async {
        while t
            .request(asks_briefly(DOUBLE, 1))
            .await
            .is_err_and(|e| *e.kind() != ErrorKind::Unroutable)
        {}
    };
    assert!(tokio::time::timeout(BOUND, gone).await.is_ok(), "it still takes requests");
    let _answers = connection.answers(&[DOUBLE]).await.doubles();
    assert_eq!(t.answer(asks(DOUBLE, 4)).await.body, "8");
}

async fn what_a_dead_responder_held_is_asked_again_of_others(t: Probe) {
    let dies = t.another().await;
    let mut answers = dies.answers(&[DOUBLE]).await;
    let asking = t.asking(OutboundRequest { timeout: Duration::from_secs(2), ..asks(DOUBLE, 1) });
    let held = answers.next().await;
    assert!(dies.close().await.is_ok(), "it must close");
    let _others = t.another().await.answers(&[DOUBLE]).await.doubles();
    drop((held, answers));
    match asking.await {
        Ok(Ok(answer)) => assert_eq!(answer.body, "2", "a bus may hand it to another"),
        Ok(Err(error)) => assert_eq!(*error.kind(), ErrorKind::DeadlineExceeded, "{error:?}"),
        Err(failed) => panic!("{failed}"),
    }
    assert_eq!(t.answer(asks(DOUBLE, 1)).await.body, "2");
}

async fn a_closed_responder_answers_what_has_come(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let asking: Vec<_> = (0..20).map(|n| t.asking(asks(DOUBLE, n))).collect();
    let first = answers.next().await;
    tokio::time::sleep(QUIET).await;
    answers.close();
    replied(first, ReplyMessage::done("0")).await;
    while let Some(request) = answers.request().await {
        let doubled = number(&request.message().body) * 2;
        replied(request, ReplyMessage::done(doubled.to_string())).await;
    }
    for answer in join_all(asking).await {
        match answer {
            Ok(Ok(_)) => {}
            // It came later.
            Ok(Err(error)) if *error.kind() == ErrorKind::Unroutable => {}
            other => panic!("what has come is answered: {other:?}"),
        }
    }
    let error = t.no_answer(asks(DOUBLE, 1)).await;
    assert_eq!(*error.kind(), ErrorKind::Unroutable, "{error:?}");
}

async fn a_request_that_is_given_up_is_known_to_the_responder(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let asking = t.asking(asks(DOUBLE, 1));
    let mut request = answers.next().await;
    let other = t.asking(asks(DOUBLE, 2));
    let mut stays = answers.next().await;
    asking.abort();
    for _ in 0..2 {
        assert!(tokio::time::timeout(BOUND, request.given_up()).await.is_ok(), "nobody told it");
    }
    assert!(tokio::time::timeout(QUIET, stays.given_up()).await.is_err(), "it is waited for");
    replied(stays, ReplyMessage::done("4")).await;
    assert!(other.await.is_ok_and(|answer| answer.is_ok()));
}

async fn a_request_that_took_too_long_is_known_to_the_responder(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let asking = t.asking(asks_briefly(DOUBLE, 1));
    let mut request = answers.next().await;
    assert!(tokio::time::timeout(BOUND, request.given_up()).await.is_ok(), "nobody told it");
    assert!(asking.await.is_ok_and(|answer| answer.is_err()), "nobody answered");
}

async fn who_has_one_in_hand_hears_of_it_while_others_wait(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let asking = t.asking(asks(DOUBLE, 1));
    let mut in_hand = answers.next().await;
    let others: Vec<_> = (2..7).map(|n| t.asking(asks(DOUBLE, n))).collect();
    tokio::time::sleep(QUIET).await;
    asking.abort();
    assert!(tokio::time::timeout(BOUND, in_hand.given_up()).await.is_ok(), "nobody told it");
    drop(in_hand);
    let _answers = answers.doubles();
    for answer in join_all(others).await {
        assert!(answer.is_ok_and(|answer| answer.is_ok()), "those who waited are answered");
    }
}

async fn patience_without_end_is_no_error(t: Probe) {
    let _answers = t.another().await.answers(&[DOUBLE]).await.doubles();
    let patient = OutboundRequest { timeout: Duration::MAX, ..asks(DOUBLE, 4) };
    assert_eq!(t.answer(patient).await.body, "8");
}

async fn an_answer_to_nobody_is_no_error(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let asking = t.asking(asks(DOUBLE, 1));
    let mut request = answers.next().await;
    asking.abort();
    request.given_up().await;
    replied(request, ReplyMessage::done("2")).await;
}

async fn a_closed_bus_neither_asks_nor_answers(t: Probe) {
    let closes = t.another().await;
    let mut ends = closes.answers(&[DOUBLE]).await;
    assert!(closes.close().await.is_ok(), "it must close");
    assert!(ends.request().await.is_none(), "its requests end");
    let error = closes.no_answer(asks(DOUBLE, 1)).await;
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}");
    match closes.respond(vec![DOUBLE.to_owned()]).await {
        Err(error) => assert_eq!(*error.kind(), ErrorKind::Unavailable, "{error:?}"),
        Ok(requests) => panic!("it is closed: {requests:?}"),
    }
    let error = t.no_answer(asks(DOUBLE, 1)).await;
    assert_eq!(*error.kind(), ErrorKind::Unroutable, "{error:?}");
}

async fn closing_ends_what_waits_for_an_answer(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let closes = t.another().await;
    let asking = closes.asking(asks(DOUBLE, 1));
    let held = answers.next().await;
    assert!(closes.close().await.is_ok(), "it must close");
    match tokio::time::timeout(Duration::from_secs(5), asking).await {
        Ok(Ok(Err(error))) => assert_eq!(*error.kind(), ErrorKind::OutcomeUnknown, "{error:?}"),
        other => panic!("it waits for nothing: {other:?}"),
    }
    drop(held);
}

async fn names_that_are_none_are_refused_by_field(t: Probe) {
    let long = "a".repeat(t.capabilities().limits.name + 1);
    for name in ["", ".", "a..b", "a.*", "*", "a.>", "a b", "#", &long] {
        let error = t.no_answer(asks(name, 1)).await;
        let named = match error.kind() {
            ErrorKind::Invalid { field: Some(field) } => field == "name",
            ErrorKind::TooLarge { what, .. } => what == "name",
            _ => false,
        };
        assert!(named, "{name:?}: {error:?}");
        assert!(t.respond(vec![name.to_owned()]).await.is_err(), "{name:?}");
    }
    assert!(t.respond(vec![]).await.is_err(), "it answers nothing");
}

async fn a_request_over_the_limit_is_refused_by_name(t: Probe) {
    let _answers = t.another().await.answers(&[DOUBLE]).await.doubles();
    let limit = t.capabilities().limits.body;
    let body = vec![b' '; limit + 1];
    let error = t.no_answer(OutboundRequest { body: body.into(), ..asks(DOUBLE, "") }).await;
    let ErrorKind::TooLarge { what, size, limit: told } = error.kind() else { panic!("{error:?}") };
    assert_eq!((what.as_str(), *size, *told), (DOUBLE, limit + 1, limit));
}

async fn an_answer_over_the_limit_is_refused_to_both(t: Probe) {
    let mut answers = t.another().await.answers(&[DOUBLE]).await;
    let limit = t.capabilities().limits.body;
    let asking = t.asking(asks(DOUBLE, 1));
    let request = answers.next().await;
    let refused = request.reply(ReplyMessage::done(vec![b' '; limit + 1])).await;
    assert!(refused.is_err_and(|error| matches!(error.kind(), ErrorKind::TooLarge { .. })));
    match asking.await {
        Ok(Ok(ReplyMessage { status: ReplyStatus::Failed(no), .. })) => {
            assert_eq!(no.code, "unsendable");
        }
        other => panic!("it must be told: {other:?}"),
    }
    // One at the limit goes through, both ways.
    let body = Bytes::from(vec![b'1'; limit]);
    let asking = t.asking(OutboundRequest { body: body.clone(), ..asks(DOUBLE, "") });
    let request = answers.next().await;
    assert_eq!(request.message().body.len(), limit);
    replied(request, ReplyMessage::done(body.clone())).await;
    assert!(asking.await.is_ok_and(|answer| answer.is_ok_and(|answer| answer.body == body)));
}
