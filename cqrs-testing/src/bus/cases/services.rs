//! Services that answer each other: typed, once for each id, and the same as within a process.

use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, Error, Failure, MessageId, Metadata, OutboundRequest, Rejection, ReplyStatus, Request,
    ServiceClient,
};
use futures_util::future::join_all;

use crate::bus::cases::prelude::*;
use crate::bus::make::BOUND;
use crate::bus::probe::Connection;
use crate::bus::responder::asks;
use crate::bus::service::{
    Add, Found, Hand, Hidden, MOST, Nobody, Panic, Read, ReadLater, Sum, Told, TooMuch, Wait,
    elsewhere, served, serves, service,
};

cases! { "services":
    outputs_come_typed,
    rejections_come_typed,
    bad_input_names_its_field,
    a_body_that_is_no_request_names_its_field,
    a_panic_is_an_error_of_its_call,
    tenant_and_actor_go_along,
    an_id_that_is_sent_twice_is_applied_once,
    an_id_with_another_content_is_refused,
    a_repeat_while_the_first_is_handled_is_applied_once,
    a_rejection_is_decided_anew,
    what_nobody_serves_is_unroutable,
    what_is_internal_is_not_served,
    another_version_is_refused,
    a_call_ends_when_its_time_is_over,
    a_call_whose_deadline_has_passed_is_not_begun,
    a_call_that_is_given_up_is_dropped_over_there,
    instances_share_the_load,
    what_a_dead_instance_held_is_applied_once_by_another,
    a_stop_answers_what_has_come,
    a_stop_gives_up_what_takes_too_long,
    too_many_at_once_are_refused,
}

/// Does the same within a process and over the bus.
async fn both(t: &Probe, check: impl AsyncFn(&App, &Hand, &mut Told)) {
    let (hand, mut told) = Hand::new();
    check(&service(&MemoryStore::default(), &hand).await, &hand, &mut told).await;
    let there = t.another().await;
    let serving = served(&service(&MemoryStore::default(), &hand).await, &there).await;
    check(&elsewhere(t), &hand, &mut told).await;
    serving.stop(BOUND).await;
}

fn add(amount: i64) -> Add {
    Add { sum: "a".to_owned(), amount }
}

fn wait() -> Wait {
    Wait { sum: "a".to_owned() }
}

async fn sum(app: &App) -> i64 {
    match app.ask(Read { sum: "a".to_owned() }).await {
        Ok(found) => found.sum,
        Err(failure) => panic!("the sum cannot be read: {failure:?}"),
    }
}

/// The error of the machinery.
fn failed<T: std::fmt::Debug, E: Rejection>(answer: Result<T, Failure<E>>) -> Error {
    match answer {
        Err(Failure::Failed(error)) => error,
        other => panic!("it must fail: {other:?}"),
    }
}

async fn outputs_come_typed(t: Probe) {
    both(&t, async |app, _, _| {
        let sum_of = |sum| Sum { id: "a".to_owned(), sum };
        assert_eq!(app.send(add(3)).await.ok(), Some(sum_of(3)));
        assert_eq!(app.send(add(-5)).await.ok(), Some(sum_of(-2)));
        assert_eq!(sum(app).await, -2);
    })
    .await;
}

async fn rejections_come_typed(t: Probe) {
    both(&t, async |app, _, _| match app.send(add(MOST + 1)).await {
        Err(Failure::Rejected(no)) => {
            assert_eq!(no, TooMuch { most: MOST });
            assert_eq!((no.code(), no.field()), ("sums.too_much", Some("amount")));
        }
        other => panic!("it must be rejected: {other:?}"),
    })
    .await;
}

async fn bad_input_names_its_field(t: Probe) {
    both(&t, async |app, _, _| {
        let error = failed(app.send(Add { sum: String::new(), amount: 1 }).await);
        assert_eq!(
            *error.kind(),
            ErrorKind::Invalid { field: Some("sum".to_owned()) },
            "{error:?}"
        );
    })
    .await;
}

/// What a request is answered that somebody else made.
async fn raw(t: &Probe, request: OutboundRequest) -> (String, Option<String>) {
    match t.answer(request).await.status {
        ReplyStatus::Failed(no) => (no.code, no.field),
        other => panic!("it must fail: {other:?}"),
    }
}

async fn a_body_that_is_no_request_names_its_field(t: Probe) {
    let (hand, _told) = Hand::new();
    let there = t.another().await;
    let _serving = served(&service(&MemoryStore::default(), &hand).await, &there).await;
    let bodies = [
        ("", None),
        ("{", None),
        ("[]", None),
        (r#"{"sum":"a"}"#, Some("amount")),
        (r#"{"sum":7,"amount":1}"#, Some("sum")),
        (r#"{"sum":"a","amount":"many"}"#, Some("amount")),
    ];
    for (body, field) in bodies {
        let (code, blamed) = raw(&t, asks(Add::NAME, body)).await;
        assert_eq!((code.as_str(), blamed.as_deref()), ("decode", field), "{body}");
    }
    // What the type does not check is checked over there as well.
    let nameless = asks(Add::NAME, r#"{"sum":"","amount":1}"#);
    assert_eq!(raw(&t, nameless).await, ("invalid".to_owned(), Some("sum".to_owned())));
    let later = Metadata::default().with_schema_version(2);
    let later = asks(Read::NAME, r#"{"sum":"a"}"#).with_metadata(later);
    assert_eq!(raw(&t, later).await, ("decode".to_owned(), Some("version".to_owned())));
}

async fn a_panic_is_an_error_of_its_call(t: Probe) {
    both(&t, async |app, _, _| {
        let error = failed(app.ask(Panic).await);
        assert_eq!(*error.kind(), ErrorKind::Panicked, "{error:?}");
        assert_eq!(sum(app).await, 0);
    })
    .await;
}

async fn tenant_and_actor_go_along(t: Probe) {
    both(&t, async |app, _, _| {
        let metadata = || Metadata::default().with_tenant("acme").with_actor("ada");
        assert!(app.send(add(3)).with(metadata()).await.is_ok());
        let found = app.ask(Read { sum: "a".to_owned() }).with(metadata()).await.ok();
        let of_acme =
            Found { sum: 3, tenant: Some("acme".to_owned()), actor: Some("ada".to_owned()) };
        assert_eq!(found, Some(of_acme));
        assert_eq!(sum(app).await, 0, "that of another tenant");
    })
    .await;
}

/// The metadata of a command that may be sent twice.
fn once(id: MessageId) -> Metadata {
    Metadata::of(id).with_inbox("case")
}

async fn an_id_that_is_sent_twice_is_applied_once(t: Probe) {
    both(&t, async |app, _, _| {
        let id = MessageId::fresh();
        let first = app.send(add(3)).with(once(id)).await.ok();
        assert!(app.send(add(4)).await.is_ok());
        let again = app.send(add(3)).with(once(id)).await.ok();
        assert_eq!(first, again);
        assert_eq!(first.map(|sum| sum.sum), Some(3));
        assert_eq!(sum(app).await, 7);
    })
    .await;
}

async fn an_id_with_another_content_is_refused(t: Probe) {
    both(&t, async |app, _, _| {
        let id = MessageId::fresh();
        assert!(app.send(add(3)).with(once(id)).await.is_ok());
        let error = failed(app.send(add(4)).with(once(id)).await);
        assert_eq!(*error.kind(), ErrorKind::IdReused { id: id.to_string() }, "{error:?}");
        assert_eq!(sum(app).await, 3);
    })
    .await;
}

async fn a_repeat_while_the_first_is_handled_is_applied_once(t: Probe) {
    both(&t, async |app, hand, told| {
        let id = MessageId::fresh();
        let begin = || {
            let app = app.clone();
            tokio::spawn(async move { app.send(wait()).with(once(id)).await })
        };
        let calls = [begin(), begin(), begin()];
        for _ in &calls {
            told.begun().await;
        }
        hand.gate.add_permits(100);
        for call in calls {
            match call.await {
                Ok(Ok(answer)) => assert_eq!(answer.sum, 1),
                other => panic!("each is answered: {other:?}"),
            }
        }
        assert_eq!(sum(app).await, 1);
        let left = hand.gate.available_permits();
        hand.gate.forget_permits(left);
    })
    .await;
}

async fn a_rejection_is_decided_anew(t: Probe) {
    both(&t, async |app, _, _| {
        let id = MessageId::fresh();
        for _ in 0..2 {
            let answer = app.send(add(MOST + 1)).with(once(id)).await;
            assert!(matches!(answer, Err(Failure::Rejected(_))), "{answer:?}");
        }
        assert_eq!(sum(app).await, 0);
    })
    .await;
}

/// A service on another connection, and a client on the first.
async fn called(t: &Probe) -> (cqrs_core::Serving, ServiceClient, Hand, Told, Connection) {
    let (hand, told) = Hand::new();
    let there = t.another().await;
    let serving = served(&service(&MemoryStore::default(), &hand).await, &there).await;
    (serving, ServiceClient::new(t.shared()), hand, told, there)
}

async fn what_nobody_serves_is_unroutable(t: Probe) {
    let (_serving, client, ..) = called(&t).await;
    let error = failed(client.ask(Nobody).await);
    assert_eq!(*error.kind(), ErrorKind::Unroutable, "{error:?}");
}

async fn what_is_internal_is_not_served(t: Probe) {
    let (_serving, client, ..) = called(&t).await;
    let error = failed(client.ask(Hidden).await);
    assert_eq!(*error.kind(), ErrorKind::Unroutable, "{error:?}");
}

async fn another_version_is_refused(t: Probe) {
    let (_serving, client, ..) = called(&t).await;
    let error = failed(client.ask(ReadLater { sum: "a".to_owned() }).await);
    let field = Some("version".to_owned());
    assert_eq!(*error.kind(), ErrorKind::Decode { message: Read::NAME.to_owned(), field });
    assert!(error.to_string().contains("version 1"), "{error}");
}

async fn a_call_ends_when_its_time_is_over(t: Probe) {
    let (_serving, client, hand, mut told, _there) = called(&t).await;
    let error = failed(client.send(wait()).within(QUIET).await);
    assert_eq!(*error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    told.begun().await;
    is_dropped(&client, &hand, &mut told).await;
}

/// Whoever waited does so no more: nothing is done when it may go on.
async fn is_dropped(client: &ServiceClient, hand: &Hand, told: &mut Told) {
    told.ended().await;
    hand.gate.add_permits(1);
    let found = client.ask(Read { sum: "a".to_owned() }).await;
    assert!(found.is_ok_and(|found| found.sum == 0), "nothing was done");
    assert_eq!(hand.gate.available_permits(), 1, "only those who wait take from it");
}

async fn a_call_whose_deadline_has_passed_is_not_begun(t: Probe) {
    let (_serving, client, ..) = called(&t).await;
    let passed = Metadata::default().with_deadline(cqrs_core::Timestamp::from_micros(1));
    let error = failed(client.send(add(1)).with(passed.clone()).await);
    assert_eq!(*error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    // Somebody else may send it all the same.
    let late = asks(Add::NAME, r#"{"sum":"a","amount":1}"#).with_metadata(passed);
    assert_eq!(raw(&t, late).await.0, "deadline_exceeded");
    let found = client.ask(Read { sum: "a".to_owned() }).await;
    assert!(found.is_ok_and(|found| found.sum == 0), "nothing was done");
}

async fn a_call_that_is_given_up_is_dropped_over_there(t: Probe) {
    let (_serving, client, hand, mut told, _there) = called(&t).await;
    let calling = client.clone();
    let calling = tokio::spawn(async move { calling.send(wait()).await });
    told.begun().await;
    calling.abort();
    assert!(calling.await.is_err_and(|error| error.is_cancelled()));
    is_dropped(&client, &hand, &mut told).await;
}

async fn instances_share_the_load(t: Probe) {
    let (hand, _told) = Hand::new();
    let store = MemoryStore::default();
    let (one, other) = (t.another().await, t.another().await);
    let serving = [
        served(&service(&store, &hand).await, &one).await,
        served(&service(&store, &hand).await, &other).await,
    ];
    let client = ServiceClient::new(t.shared());
    let all = (0..100).map(|n| {
        let client = client.clone();
        async move { client.send(Add { sum: format!("{}", n % 10), amount: 1 }).await }
    });
    for answer in join_all(all).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    for n in 0..10 {
        let found = client.ask(Read { sum: n.to_string() }).await;
        assert!(found.is_ok_and(|found| found.sum == 10), "{n}");
    }
    for serving in serving {
        serving.stop(BOUND).await;
    }
}

async fn what_a_dead_instance_held_is_applied_once_by_another(t: Probe) {
    let (hand, mut told) = Hand::new();
    let store = MemoryStore::default();
    let dies = t.another().await;
    let dying = served(&service(&store, &hand).await, &dies).await;
    let client = ServiceClient::new(t.shared());
    let id = MessageId::fresh();
    let calling = {
        let client = client.clone();
        let patience = Duration::from_secs(2);
        tokio::spawn(
            async move { client.send(wait()).with(Metadata::of(id)).within(patience).await },
        )
    };
    told.begun().await;
    // As if the process were killed: it answers nobody, and does nothing more.
    drop(dying);
    assert!(dies.close().await.is_ok(), "it must close");
    let there = t.another().await;
    let _serving = served(&service(&store, &hand).await, &there).await;
    hand.gate.add_permits(10);
    match calling.await {
        Ok(Ok(answer)) => assert_eq!(answer.sum, 1, "a bus may hand it to another"),
        Ok(Err(failure)) => {
            assert_eq!(*failed::<Sum, _>(Err(failure)).kind(), ErrorKind::DeadlineExceeded);
        }
        Err(died) => panic!("{died}"),
    }
    for _ in 0..2 {
        let answer = client.send(wait()).with(Metadata::of(id)).await;
        assert!(answer.as_ref().is_ok_and(|sum| sum.sum == 1), "{answer:?}");
    }
    let found = client.ask(Read { sum: "a".to_owned() }).await;
    assert!(found.is_ok_and(|found| found.sum == 1), "it was applied once");
}

async fn a_stop_answers_what_has_come(t: Probe) {
    let (serving, client, hand, mut told, _there) = called(&t).await;
    let calling = client.clone();
    let calling = tokio::spawn(async move { calling.send(wait()).await });
    told.begun().await;
    let stopping = tokio::spawn(serving.stop(BOUND));
    tokio::time::sleep(QUIET).await;
    hand.gate.add_permits(1);
    match calling.await {
        Ok(Ok(answer)) => assert_eq!(answer.sum, 1),
        other => panic!("it is answered: {other:?}"),
    }
    assert!(stopping.await.is_ok());
    let error = failed(client.send(add(1)).await);
    assert_eq!(*error.kind(), ErrorKind::Unroutable, "{error:?}");
}

async fn a_stop_gives_up_what_takes_too_long(t: Probe) {
    let (serving, client, _hand, mut told, _there) = called(&t).await;
    let calling = client.clone();
    let calling = tokio::spawn(async move { calling.send(wait()).await });
    told.begun().await;
    serving.stop(QUIET).await;
    match calling.await {
        Ok(answer) => assert_eq!(*failed(answer).kind(), ErrorKind::Unavailable),
        Err(died) => panic!("{died}"),
    }
}

async fn too_many_at_once_are_refused(t: Probe) {
    let (hand, mut told) = Hand::new();
    let there = t.another().await;
    let app = service(&MemoryStore::default(), &hand).await;
    let _serving = serves(app.serve(there.shared()).at_once(1)).await;
    let client = ServiceClient::new(t.shared());
    let calling = client.clone();
    let calling = tokio::spawn(async move { calling.send(wait()).await });
    told.begun().await;
    let error = failed(client.send(add(1)).await);
    assert_eq!(*error.kind(), ErrorKind::Overloaded, "{error:?}");
    hand.gate.add_permits(1);
    assert!(calling.await.is_ok_and(|answer| answer.is_ok()));
    // There is room again, once the answer is out.
    let room = async { while client.send(add(1)).await.is_err() {} };
    assert!(tokio::time::timeout(BOUND, room).await.is_ok(), "there is no room");
}
