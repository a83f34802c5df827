//! Unique fields: no two documents of a tenant share a value, and none is blocked for nothing.

use cqrs_core::{Conflict, DocumentWrite, Error, Expected};
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "unique":
    a_value_that_another_document_has_is_refused,
    a_document_may_keep_its_own_value,
    values_may_be_swapped_in_one_commit,
    a_value_may_be_handed_on_in_one_commit,
    a_value_may_be_reused_after_its_document_is_deleted,
    a_value_may_be_reused_after_its_document_changed,
    two_documents_of_one_commit_may_not_share_a_value,
    documents_without_a_value_do_not_clash,
    values_of_different_kinds_do_not_clash,
    each_unique_field_is_its_own,
}

fn email(text: &str) -> serde_json::Value {
    json!({ "email": format!("{text}@example.org") })
}

#[track_caller]
fn assert_taken(error: &Error, id: &str, field: &str) {
    let (collection, id, field) = (TUTOR.to_owned(), id.to_owned(), field.to_owned());
    assert_conflict(error, Conflict::Unique { collection, id, field }, "a value that is taken");
}

/// Two documents, of Ada and of Bob.
async fn ada_and_bob(t: &Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    t.applied(puts("1", &email("ada"))).await;
    t.applied(puts("2", &email("bob"))).await;
}

async fn holder(t: &Probe, name: &str) -> Vec<String> {
    t.found(FindDocuments::by(TUTOR, "email", format!("{name}@example.org"))).await
}

async fn a_value_that_another_document_has_is_refused(t: Probe) {
    ada_and_bob(&t).await;
    assert_taken(&t.refused(puts("3", &email("ada"))).await, "3", "email");
    assert_eq!(t.tutor("3").await, None, "the document with the taken value");
    assert_taken(&t.refused(puts("2", &email("ada"))).await, "2", "email");
    assert_eq!(t.tutor("2").await.map(|d| d.version), Some(1), "the document that is there");
    assert_eq!(holder(&t, "bob").await, ["2"], "it keeps the value that it had");
    t.applied(puts("3", &email("Ada"))).await;
}

async fn a_document_may_keep_its_own_value(t: Probe) {
    ada_and_bob(&t).await;
    t.applied(puts("1", &email("ada"))).await;
    let mut says = email("ada");
    says["city"] = json!("London");
    t.applied(puts("1", &says)).await;
    assert_eq!(holder(&t, "ada").await, ["1"], "it still has its value");
    assert_taken(&t.refused(puts("3", &email("ada"))).await, "3", "email");
}

async fn values_may_be_swapped_in_one_commit(t: Probe) {
    ada_and_bob(&t).await;
    let swap = |one, other| {
        writes(vec![
            put("1", Expected::Exists, &email(one)),
            put("2", Expected::Exists, &email(other)),
        ])
    };
    t.applied(swap("bob", "ada")).await;
    assert_eq!(
        (holder(&t, "ada").await, holder(&t, "bob").await),
        (vec!["2".into()], vec!["1".into()])
    );
    t.applied(swap("ada", "bob")).await;
    assert_taken(&t.refused(puts("3", &email("ada"))).await, "3", "email");
}

async fn a_value_may_be_handed_on_in_one_commit(t: Probe) {
    ada_and_bob(&t).await;
    let takes = put("3", Expected::NoStream, &email("ada"));
    let gives = DocumentWrite::delete(key("1"), Expected::Exists);
    t.applied(writes(vec![takes, gives])).await;
    assert_eq!(holder(&t, "ada").await, ["3"], "from a deleted document to a new one");
    let takes = put("4", Expected::NoStream, &email("bob"));
    let changes = put("2", Expected::Exists, &email("cyd"));
    t.applied(writes(vec![takes, changes])).await;
    assert_eq!(holder(&t, "bob").await, ["4"], "from a changed document to a new one");
}

async fn a_value_may_be_reused_after_its_document_is_deleted(t: Probe) {
    ada_and_bob(&t).await;
    t.applied(deletes("1")).await;
    t.applied(puts("3", &email("ada"))).await;
    assert_taken(&t.refused(puts("1", &email("ada"))).await, "1", "email");
}

async fn a_value_may_be_reused_after_its_document_changed(t: Probe) {
    ada_and_bob(&t).await;
    t.applied(puts("1", &email("cyd"))).await;
    t.applied(puts("3", &email("ada"))).await;
    t.applied(puts("2", &json!({}))).await;
    t.applied(puts("4", &email("bob"))).await;
}

async fn two_documents_of_one_commit_may_not_share_a_value(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let commit = writes(vec![
        put("1", Expected::NoStream, &email("ada")),
        put("2", Expected::NoStream, &email("ada")),
    ]);
    let error = t.refused(commit).await;
    assert!(
        matches!(error.kind(), cqrs_core::ErrorKind::Conflict(Conflict::Unique { field, .. }) if field == "email"),
        "two new documents with one value: {error:?}"
    );
    assert!(t.found(FindDocuments::all(TUTOR)).await.is_empty(), "neither is written");
}

async fn documents_without_a_value_do_not_clash(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let same = [json!({}), json!({}), json!({ "email": null }), json!({ "email": null })];
    for (n, says) in same.iter().enumerate() {
        t.applied(puts(&n.to_string(), says)).await;
    }
    t.applied(puts("empty", &json!({ "email": "" }))).await;
    let error = t.refused(puts("also empty", &json!({ "email": "" }))).await;
    assert_taken(&error, "also empty", "email");
}

async fn values_of_different_kinds_do_not_clash(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let values =
        [json!(1), json!("1"), json!(true), json!("true"), json!(0), json!(false), json!("")];
    for (n, value) in values.iter().enumerate() {
        t.applied(puts(&n.to_string(), &json!({ "email": value }))).await;
    }
    for value in &values {
        let error = t.refused(puts("again", &json!({ "email": value }))).await;
        assert_taken(&error, "again", "email");
    }
}

async fn each_unique_field_is_its_own(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email").unique("phone").indexed("city")).await;
    t.applied(puts("1", &json!({ "email": "a", "phone": "b", "city": "c" }))).await;
    t.applied(puts("2", &json!({ "email": "b", "phone": "a", "city": "c" }))).await;
    let error = t.refused(puts("3", &json!({ "email": "c", "phone": "a" }))).await;
    assert_taken(&error, "3", "phone");
    t.applied(puts("3", &json!({ "email": "c", "phone": "c", "city": "c" }))).await;
}
