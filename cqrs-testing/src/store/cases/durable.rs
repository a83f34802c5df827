//! What was acknowledged is there when the store is opened anew.

use cqrs_core::{Capabilities, Committed, Expected, MessageId, Support};
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "durable":
    a_store_that_is_opened_anew_has_everything if durable,
    a_store_that_is_opened_anew_goes_on if durable,
}

fn durable(offered: &Capabilities) -> Support {
    offered.durable
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
