//! All or nothing: a part that is refused takes every other part of its commit with it.

use cqrs_core::{Conflict, Expected, Guard, MessageId};
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "atomic":
    a_conflict_in_the_second_append_leaves_nothing_of_the_first,
    a_failing_append_leaves_no_document,
    a_failing_append_leaves_no_deletion,
    a_failing_append_leaves_no_inbox_mark,
    a_failing_append_leaves_no_checkpoint,
    a_failing_document_leaves_no_event_and_no_other_document,
    a_failing_checkpoint_leaves_no_event,
    a_failing_inbox_mark_leaves_no_event,
    a_failing_guard_leaves_nothing,
    a_violated_unique_field_leaves_no_event,
    a_refused_commit_leaves_its_ids_free,
    all_parts_of_a_commit_are_applied_together,
}

/// A commit with every part that this suite knows, and an append that fails.
async fn failing(t: &Probe) -> Commit {
    let stream = account("taken");
    t.applied(grows(&stream, 2)).await;
    let mut commit = grows(&account("beside"), 1);
    commit.appends.push(append(&stream, Expected::Exactly(1), events(1)));
    commit
}

async fn a_conflict_in_the_second_append_leaves_nothing_of_the_first(t: Probe) {
    let commit = failing(&t).await;
    let error = t.refused(commit).await;
    assert_stream_at(&error, &account("taken"), 2, "the second append");
    assert!(t.stream(&account("beside")).await.is_empty(), "the first append was kept");
}

async fn a_failing_append_leaves_no_document(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("n")).await;
    t.applied(puts("old", &json!({ "n": 1 }))).await;
    let mut commit = failing(&t).await;
    commit.documents.push(put("old", Expected::Any, &json!({ "n": 2 })));
    commit.documents.push(put("new", Expected::Any, &json!({ "n": 2 })));
    t.refused(commit).await;
    assert_eq!(t.tutor("new").await, None, "a document of a refused commit");
    let old = t.tutor("old").await.map(|document| document.version);
    assert_eq!(old, Some(1), "a document that a refused commit would have changed");
    let found = t.found(FindDocuments::by(TUTOR, "n", 2)).await;
    assert!(found.is_empty(), "found by a refused value: {found:?}");
}

async fn a_failing_append_leaves_no_deletion(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    t.applied(puts("old", &json!({ "n": 1 }))).await;
    let commit = Commit { documents: deletes("old").documents, ..failing(&t).await };
    t.refused(commit).await;
    assert!(t.tutor("old").await.is_some(), "a document that a refused commit would have deleted");
}

async fn a_failing_append_leaves_no_inbox_mark(t: Probe) {
    let message = MessageId::fresh();
    let mut commit = failing(&t).await;
    commit.inbox.push(mark("payments", message, Some("yes")));
    t.refused(commit).await;
    let entry = t.inbox("payments", message).await.expect("the inbox can be read");
    assert_eq!(entry, None, "the mark of a refused commit");
    let mut again = grows(&account("again"), 1);
    again.inbox.push(mark("payments", message, Some("yes")));
    t.applied(again).await;
}

async fn a_failing_append_leaves_no_checkpoint(t: Probe) {
    let mut commit = failing(&t).await;
    commit.checkpoint = Some(moves("mailer", 0, 1));
    t.refused(commit).await;
    assert_eq!(t.stands("mailer", 0).await, None, "the checkpoint of a refused commit");
}

async fn a_failing_document_leaves_no_event_and_no_other_document(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let mut commit = grows(&account("1"), 1);
    commit.documents.push(put("first", Expected::NoStream, &json!({})));
    commit.documents.push(put("second", Expected::Exists, &json!({})));
    let error = t.refused(commit).await;
    assert_document_at(&error, &key("second"), 0, "the second document");
    assert_eq!(t.tutor("first").await, None, "the first document was kept");
}

async fn a_failing_checkpoint_leaves_no_event(t: Probe) {
    let head = t.applied(grows(&account("1"), 3)).await;
    let mut commit = grows(&account("1"), 1);
    commit.checkpoint = Some(moves("mailer", 1, head));
    let actual = Conflict::Checkpoint { subscription: "mailer".into(), partition: 0, actual: 0 };
    assert_conflict(&t.refused(commit).await, actual, "a checkpoint that nobody moved yet");
    assert_eq!(t.stands("mailer", 0).await, None, "the refused checkpoint");
}

async fn a_failing_inbox_mark_leaves_no_event(t: Probe) {
    let (known, fresh) = (MessageId::fresh(), MessageId::fresh());
    let mut first = grows(&account("1"), 1);
    first.inbox.push(mark("payments", known, None));
    t.applied(first).await;
    let mut second = grows(&account("1"), 1);
    second.inbox.push(mark("payments", fresh, None));
    second.inbox.push(mark("payments", known, None));
    t.refused(second).await;
    let entry = t.inbox("payments", fresh).await.expect("the inbox can be read");
    assert_eq!(entry, None, "the fresh mark of a refused commit");
}

async fn a_failing_guard_leaves_nothing(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let mut commit = grows(&account("1"), 1);
    commit.documents.push(put("17", Expected::Any, &json!({})));
    commit.guards = vec![Guard::Stream { stream: account("2"), expected: Expected::Exists }];
    assert_stream_at(&t.refused(commit).await, &account("2"), 0, "the guard");
    assert_eq!(t.tutor("17").await, None, "a document beside a guard that does not hold");
}

async fn a_violated_unique_field_leaves_no_event(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    t.applied(puts("1", &json!({ "email": "ada@example.org" }))).await;
    let mut commit = grows(&account("1"), 1);
    commit.documents.push(put("2", Expected::Any, &json!({ "email": "ada@example.org" })));
    t.refused(commit).await;
    assert_eq!(t.tutor("2").await, None, "the document with the taken value");
}

async fn a_refused_commit_leaves_its_ids_free(t: Probe) {
    let refused = appends(&account("1"), Expected::Exists, events(1));
    t.refused(refused.clone()).await;
    // The same ids, and this time the expectation holds.
    let mut again = refused;
    again.appends[0].expected = Expected::NoStream;
    t.applied(again).await;
    assert_eq!(t.stream(&account("1")).await.len(), 1, "the event of the second try");
}

async fn all_parts_of_a_commit_are_applied_together(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let head = t.applied(grows(&account("1"), 3)).await;
    let message = MessageId::fresh();
    let commit = Commit {
        guards: vec![Guard::Stream { stream: account("1"), expected: Expected::Exactly(3) }],
        documents: vec![put("17", Expected::NoStream, &json!({ "n": 1 }))],
        inbox: vec![mark("payments", message, Some("yes"))],
        checkpoint: Some(moves("mailer", 0, head)),
        ..grows(&account("2"), 2)
    };
    let position = t.applied(commit).await;
    assert_eq!(versions(&t.stream(&account("2")).await), [1, 2], "its events");
    assert_eq!(t.tutor("17").await.map(|document| document.version), Some(1), "its document");
    assert_eq!(t.stands("mailer", 0).await, Some(head), "its checkpoint");
    let entry = t.inbox("payments", message).await.expect("the inbox can be read");
    let entry = entry.expect("its mark");
    assert_eq!((entry.position, entry.reply.as_deref()), (position, Some(&b"yes"[..])), "its mark");
}
