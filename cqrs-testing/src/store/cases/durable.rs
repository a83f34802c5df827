//! What was acknowledged is there when the store is opened anew.

use cqrs_core::{Committed, Expected, FindParked, MessageId, Support};
use serde_json::json;

use crate::store::case::{Offered, all_of};
use crate::store::cases::prelude::*;
use crate::store::waiting::{MAILER, SHORT, aside, fenced, message, parks, sends, sets, timer};

cases! { "durable":
    a_store_that_is_opened_anew_has_everything if durable,
    a_store_that_is_opened_anew_goes_on if durable,
    a_store_that_is_opened_anew_has_its_timers if durable_timers,
    a_store_that_is_opened_anew_has_its_messages if durable_outgoing,
    a_store_that_is_opened_anew_has_what_is_set_aside if durable_parked,
    a_store_that_is_opened_anew_gives_no_token_twice if durable_leases,
}

fn durable(offered: &Offered) -> Support {
    offered.durable
}

fn durable_timers(offered: &Offered) -> Support {
    all_of([offered.durable, offered.timers])
}

fn durable_outgoing(offered: &Offered) -> Support {
    all_of([offered.durable, offered.outgoing])
}

fn durable_parked(offered: &Offered) -> Support {
    all_of([offered.durable, offered.parked])
}

fn durable_leases(offered: &Offered) -> Support {
    all_of([offered.durable, offered.leases])
}

async fn a_store_that_is_opened_anew_has_everything(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let message = MessageId::fresh();
    let mut commit =
        appends(&account("1"), Expected::NoStream, vec![tagged("bank.opened", &["red"])]);
    commit.documents = vec![put("17", Expected::NoStream, &json!({ "email": "ada" }))];
    commit.inbox = vec![mark("payments", message, Some("yes"))];
    let first = t.applied(commit).await;
    let second = Commit { checkpoint: Some(moves("mailer", 0, first)), ..grows(&account("2"), 3) };
    let head = t.applied(second.clone()).await;
    let (before, document) = (t.snapshot().await, t.tutor("17").await);
    let entry = t.inbox("payments", message).await.expect("the inbox can be read");

    let t = t.reopened().await;
    assert_eq!(t.snapshot().await, before, "the log and its id");
    assert_eq!(t.tutor("17").await, document, "the document");
    assert_eq!(t.inbox("payments", message).await.expect("the inbox can be read"), entry);
    assert_eq!(t.stands("mailer", 0).await, Some(first), "the checkpoint");
    assert_eq!(t.found(FindDocuments::by(TUTOR, "email", "ada")).await, ["17"], "the index");
    let again = t.answered(second).await;
    assert_eq!(again, Committed::Before { position: head, reply: None }, "the commit id");
}

async fn a_store_that_is_opened_anew_goes_on(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    t.applied(puts("17", &json!({ "email": "ada" }))).await;
    t.applied(puts("18", &json!({ "email": "bob" }))).await;
    t.applied(deletes("18")).await;
    let used = event("bank.opened");
    let head = t.applied(appends(&account("1"), Expected::Any, vec![used.clone()])).await;

    let t = t.reopened().await;
    let next = t.applied(appends(&account("1"), Expected::Exactly(1), events(1))).await;
    assert!(next > head, "positions go on: {next} after {head}");
    let seen = t.stream(&account("1")).await;
    assert_eq!(versions(&seen), [1, 2], "versions go on");
    assert!(seen[0].recorded_at <= seen[1].recorded_at, "times do not go back");
    let error = t.refused(appends(&account("2"), Expected::Any, vec![used.clone()])).await;
    assert_reused(&error, used.id(), "event ids are kept for ever");
    assert!(t.refused(puts("19", &json!({ "email": "ada" }))).await.is_conflict(), "still unique");
    t.applied(puts("18", &json!({ "email": "bob" }))).await;
    let version = t.tutor("18").await.map(|document| document.version);
    assert_eq!(version, Some(3), "documents go on counting");
}

async fn a_store_that_is_opened_anew_has_its_timers(t: Probe) {
    t.applied(sets(vec![timer("17", 3, Some(5)), timer("18", 1, Some(6))])).await;
    t.applied(sets(vec![timer("18", 1, None)])).await;
    let before = t.set().await;
    let t = t.reopened().await;
    assert_eq!(t.set().await, before, "the timers that are set");
    assert!(t.refused(sets(vec![timer("17", 3, Some(7))])).await.is_conflict(), "generations");
    t.applied(sets(vec![timer("17", 4, Some(7))])).await;
}

async fn a_store_that_is_opened_anew_has_its_messages(t: Probe) {
    let waits = message("1");
    let commit = Commit { outgoing: vec![waits.clone(), message("2")], ..grows(&account("1"), 1) };
    let head = t.applied(commit).await;
    let before = t.pending(0).await;
    let t = t.reopened().await;
    assert_eq!(t.pending(0).await, before, "the messages that wait");
    assert_eq!(t.end().await, head, "the head is a message's position");
    let error = t.refused(sends(vec![waits.clone()])).await;
    assert_reused(&error, waits.metadata.id(), "the id of a message that waits");
    assert!(t.applied(grows(&account("1"), 1)).await > head, "positions go on");
}

async fn a_store_that_is_opened_anew_has_what_is_set_aside(t: Probe) {
    let edited = Some(cqrs_core::Payload::Json(body(&json!({ "a": 1 }))));
    let write = cqrs_core::ParkedWrite { edited, ..aside(MAILER, 17) };
    t.applied(parks(vec![write])).await;
    let before = t.aside(FindParked::of(MAILER)).await;
    t.applied(parks(vec![before[0].to_write()])).await;
    let before = t.aside(FindParked::of(MAILER)).await;
    let t = t.reopened().await;
    assert_eq!(t.aside(FindParked::of(MAILER)).await, before, "what is set aside");
    t.applied(parks(vec![before[0].to_write()])).await;
}

async fn a_store_that_is_opened_anew_gives_no_token_twice(t: Probe) {
    let mine = t.asks_for("node-a", "mailer/0", SHORT).await;
    t.takes("node-a", "mailer/1").await;
    t.gives_back("node-a", &["mailer/1"]).await;
    let t = t.reopened().await;
    // Its holder may be known to be gone, or not.
    let theirs = t.gets("node-b", "mailer/0").await;
    assert!(theirs.token > mine.token, "{mine:?}, then {theirs:?}");
    let late = fenced(vec![mine.fence()], grows(&account("1"), 1));
    assert!(t.refused(late).await.is_conflict(), "the lease of before");
    let released = t.takes("node-b", "mailer/1").await;
    assert!(released.token > 1 && !released.taken_over, "given back before: {released:?}");
}
