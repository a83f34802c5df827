//! Limits of what waits: names, bodies, causes and numbers of leases, timers, messages, entries.

use cqrs_core::{
    AnswerTo, FindParked, Metadata, Outgoing, ParkedWrite, Payload, TimerWrite, Timestamp,
};

use crate::store::case::{leases, outgoing, parked, timers};
use crate::store::cases::limits::{binary, edge};
use crate::store::cases::prelude::*;
use crate::store::waiting::{LONG, MAILER, aside, at, message, parks, request, sends, sets, timer};

cases! { "limits":
    names_of_leases_have_a_limit if leases,
    the_leases_of_a_request_have_a_limit if leases,
    names_of_timers_have_a_limit if timers,
    names_of_messages_have_a_limit if outgoing,
    the_body_of_a_message_has_a_limit if outgoing,
    the_headers_of_a_message_have_a_limit if outgoing,
    names_of_entries_have_a_limit if parked,
    the_cause_of_an_entry_has_a_limit if parked,
    what_was_edited_has_a_limit if parked,
    timers_messages_and_entries_count_as_parts if parked,
}

async fn names_of_leases_have_a_limit(t: Probe) {
    let limit = t.limits().id;
    let (at, over) = ("l".repeat(limit), "l".repeat(limit + 1));
    let error = t.lease(request("node-a", &[&over], LONG)).await.expect_err("over the limit");
    assert_too_large(error.kind(), limit, "lease");
    let error = t.lease(request(&over, &["fine"], LONG)).await.expect_err("over the limit");
    assert_too_large(error.kind(), limit, "holder");
    let lease = t.takes(&at, &at).await;
    assert_eq!(t.held("").await, [lease], "the longest names come back whole");
}

async fn the_leases_of_a_request_have_a_limit(t: Probe) {
    let limit = t.limits().parts;
    let names = (0..=limit).map(|n| format!("mailer/{n:06}")).collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let error = t.lease(request("node-a", &names, LONG)).await.expect_err("over the limit");
    assert_too_large(error.kind(), limit, "leases");
    let leases = t.asks(request("node-a", &names[..limit], LONG)).await;
    assert_eq!(leases.len(), limit, "as many as there may be");
}

async fn names_of_timers_have_a_limit(t: Probe) {
    let (id, name) = (t.limits().id, t.limits().name);
    let fine = || timer("17", 1, Some(5));
    let owner = |len| sets(vec![TimerWrite { owner: "o".repeat(len), ..fine() }]);
    edge(&t, id, "owner", owner).await;
    edge(&t, id, "key", |len| sets(vec![TimerWrite { key: "k".repeat(len), ..fine() }])).await;
    edge(&t, id, "timer", |len| sets(vec![TimerWrite { name: "n".repeat(len), ..fine() }])).await;
    let tenant = |len| sets(vec![TimerWrite { tenant: Some("t".repeat(len).into()), ..fine() }]);
    edge(&t, name, "tenant", tenant).await;
    let found = t.due(&"o".repeat(id), Timestamp::MAX, 10).await;
    assert_eq!(found.len(), 1, "of the longest owner: {found:?}");
    assert_eq!(t.set().await.len(), 3, "the others");
}

async fn names_of_messages_have_a_limit(t: Probe) {
    let (id, name) = (t.limits().id, t.limits().name);
    let one = |message| sends(vec![message]);
    let to = |saga: usize, key: usize, step: usize| AnswerTo {
        saga: "s".repeat(saga),
        key: "k".repeat(key),
        step: "t".repeat(step),
    };
    let told = |answer_to| one(Outgoing { answer_to: Some(answer_to), ..message("1") });
    edge(&t, name, "name", |len| one(Outgoing { name: "n".repeat(len).into(), ..message("1") }))
        .await;
    edge(&t, id, "key", |len| one(message(&"k".repeat(len)))).await;
    edge(&t, id, "answer_to", |len| told(to(len, 1, 1))).await;
    edge(&t, id, "answer_to", |len| told(to(1, len, 1))).await;
    edge(&t, id, "answer_to", |len| told(to(1, 1, len))).await;
    let tenant = |len: usize| Metadata::default().with_tenant("t".repeat(len));
    edge(&t, name, "tenant", |len| one(Outgoing { metadata: tenant(len), ..message("1") })).await;
    let found = t.pending(0).await;
    assert_eq!(found[0].message.name.len(), name, "the longest name comes back whole");
    assert_eq!(found[1].message.key.len(), id, "the longest key comes back whole");
    let last = found.last().and_then(|found| found.message.metadata.tenant());
    assert_eq!(last.map(str::len), Some(name), "the longest tenant comes back whole");
}

async fn the_body_of_a_message_has_a_limit(t: Probe) {
    let limit = t.limits().payload;
    let named = |len| Outgoing { name: "bank.binary".into(), body: binary(len), ..message("1") };
    edge(&t, limit, "bank.binary", |len| sends(vec![named(len)])).await;
    let found = t.pending(0).await;
    assert_eq!(found[0].message.body.len(), limit, "the body at the limit comes back whole");
}

async fn the_headers_of_a_message_have_a_limit(t: Probe) {
    let limit = t.limits().headers;
    let headers = |len: usize| {
        let metadata = Metadata::default().with_extension("x", "y".repeat(len - 1));
        sends(vec![Outgoing { metadata, ..message("1") }])
    };
    edge(&t, limit, "headers", headers).await;
    let found = t.pending(0).await;
    assert_eq!(found[0].message.metadata.size(), limit, "they come back whole");
}

async fn names_of_entries_have_a_limit(t: Probe) {
    let (id, name) = (t.limits().id, t.limits().name);
    edge(&t, id, "subscription", |len| parks(vec![aside(&"s".repeat(len), 1)])).await;
    let keyed = |len| parks(vec![ParkedWrite { key: "k".repeat(len), ..aside(MAILER, 1) }]);
    edge(&t, id, "key", keyed).await;
    let named = |len| parks(vec![ParkedWrite { message: "m".repeat(len), ..aside(MAILER, 2) }]);
    edge(&t, name, "message", named).await;
    let found = t.aside(FindParked::of("s".repeat(id))).await;
    assert_eq!(found.len(), 1, "of the longest subscription");
    assert_eq!(t.aside(FindParked::default().key("k".repeat(id))).await.len(), 1, "of its key");
}

async fn the_cause_of_an_entry_has_a_limit(t: Probe) {
    let limit = t.limits().headers;
    let caused = |len| parks(vec![ParkedWrite { cause: "c".repeat(len), ..aside(MAILER, 1) }]);
    edge(&t, limit, "cause", caused).await;
    let found = t.aside(FindParked::of(MAILER)).await;
    assert_eq!(found[0].cause.len(), limit, "the longest cause comes back whole");
}

async fn what_was_edited_has_a_limit(t: Probe) {
    let limit = t.limits().payload;
    let edited = |len| ParkedWrite { edited: Some(binary(len)), ..aside(MAILER, 1) };
    edge(&t, limit, "bank.opened", |len| parks(vec![edited(len)])).await;
    let found = t.aside(FindParked::of(MAILER)).await;
    assert_eq!(found[0].edited.as_ref().map(Payload::len), Some(limit), "it comes back whole");
}

async fn timers_messages_and_entries_count_as_parts(t: Probe) {
    let limit = t.limits().parts;
    let aside = |n: usize| aside(MAILER, n as u64);
    edge(&t, limit, "parts", |n| parks((1..=n).map(aside).collect())).await;
    let last = FindParked::of(MAILER).limit(u32::MAX);
    assert_eq!(t.aside(last).await.len(), limit, "all entries are there");
    if t.capabilities().timers.is_yes() {
        let timer = |n: usize| TimerWrite { due: Some(at(1)), ..timer(&n.to_string(), 1, None) };
        edge(&t, limit, "parts", |n| sets((0..n).map(timer).collect())).await;
    }
    if t.capabilities().outgoing.is_yes() {
        let message = |n: usize| message(&n.to_string());
        edge(&t, limit, "parts", |n| sends((0..n).map(message).collect())).await;
        assert_eq!(t.pending(0).await.len(), limit, "all messages are there");
    }
}
