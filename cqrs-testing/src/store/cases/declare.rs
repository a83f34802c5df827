//! Declared collections: from now on, for what is there as well, or not at all.

use cqrs_core::{Conflict, ErrorKind};
use serde_json::json;

use crate::store::cases::prelude::*;
use crate::store::handle::together;

cases! { "declare":
    declared_again_as_it_is_changes_nothing,
    declared_with_more_fields_indexes_what_is_there,
    declared_without_a_field_forgets_it,
    declared_unique_holds_from_now_on,
    declared_unique_no_more_holds_no_more,
    declared_unique_over_duplicates_is_refused_and_changes_nothing,
    declared_over_a_value_that_cannot_be_indexed_is_refused_and_changes_nothing,
    a_deleted_document_does_not_stand_in_the_way,
    another_handle_knows_what_was_declared,
    declared_by_many_at_once_is_declared,
}

async fn three(t: &Probe) {
    t.applied(puts("1", &json!({ "city": "London", "email": "a" }))).await;
    t.applied(puts("2", &json!({ "city": "London", "email": "b" }))).await;
    t.applied(puts("3", &json!({ "city": "Paris", "email": "b" }))).await;
}

fn in_city(city: &str) -> FindDocuments {
    FindDocuments::by(TUTOR, "city", city)
}

async fn declared_again_as_it_is_changes_nothing(t: Probe) {
    let collection = Collection::new(TUTOR).indexed("city");
    t.declared(collection.clone()).await;
    three(&t).await;
    t.declared(collection).await;
    assert_eq!(t.found(in_city("London")).await, ["1", "2"], "found as before");
    assert_eq!(t.tutor("1").await.map(|d| d.version), Some(1), "no document is written");
}

async fn declared_with_more_fields_indexes_what_is_there(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    three(&t).await;
    t.applied(deletes("2")).await;
    t.declared(Collection::new(TUTOR).indexed("city")).await;
    assert_eq!(t.found(in_city("London")).await, ["1"], "written before the field was declared");
    t.declared(Collection::new(TUTOR).indexed("city").indexed("email")).await;
    assert_eq!(t.found(in_city("Paris")).await, ["3"], "a field that stays");
    let by_email = FindDocuments::by(TUTOR, "email", "a");
    assert_eq!(t.found(by_email).await, ["1"], "a field that comes");
}

async fn declared_without_a_field_forgets_it(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("city").unique("email")).await;
    t.applied(puts("1", &json!({ "city": "London", "email": "a" }))).await;
    t.declared(Collection::new(TUTOR)).await;
    let error = t.find_documents(in_city("London")).await.expect_err("not declared any more");
    assert_invalid(&error, "city", "a field that is declared no more");
    t.applied(puts("2", &json!({ "city": ["a list"], "email": "a" }))).await;
    assert_eq!(t.found(FindDocuments::all(TUTOR)).await, ["1", "2"], "the documents stay");
}

async fn declared_unique_holds_from_now_on(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("email")).await;
    t.applied(puts("1", &json!({ "email": "a" }))).await;
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let taken =
        Conflict::Unique { collection: TUTOR.into(), id: "2".into(), field: "email".into() };
    let error = t.refused(puts("2", &json!({ "email": "a" }))).await;
    assert_conflict(&error, taken, "the value of a document from before");
    t.applied(puts("1", &json!({ "email": "a", "n": 1 }))).await;
}

async fn declared_unique_no_more_holds_no_more(t: Probe) {
    t.declared(Collection::new(TUTOR).unique("email")).await;
    t.applied(puts("1", &json!({ "email": "a" }))).await;
    t.declared(Collection::new(TUTOR).indexed("email")).await;
    t.applied(puts("2", &json!({ "email": "a" }))).await;
    let found = t.found(FindDocuments::by(TUTOR, "email", "a")).await;
    assert_eq!(found, ["1", "2"], "two documents with one value");
}

async fn declared_unique_over_duplicates_is_refused_and_changes_nothing(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("city")).await;
    three(&t).await;
    let changed = Collection::new(TUTOR).indexed("city").indexed("other").unique("email");
    let error = t.declare(changed).await.expect_err("two documents share a value");
    assert!(
        matches!(error.kind(), ErrorKind::Conflict(Conflict::Unique { collection, field, .. })
            if collection == TUTOR && field == "email"),
        "the field and the collection are named: {error:?}"
    );
    assert_eq!(t.found(in_city("London")).await, ["1", "2"], "the declared field stays");
    for field in ["email", "other"] {
        let find = FindDocuments::by(TUTOR, field, "a");
        let error = t.find_documents(find).await.expect_err("not declared");
        assert_invalid(&error, field, "a field of a refused declaration");
    }
    t.applied(puts("4", &json!({ "email": "b" }))).await;
}

async fn declared_over_a_value_that_cannot_be_indexed_is_refused_and_changes_nothing(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("city")).await;
    three(&t).await;
    t.applied(puts("4", &json!({ "city": "Paris", "email": ["a list"] }))).await;
    let changed = Collection::new(TUTOR).indexed("email");
    let error = t.declare(changed).await.expect_err("a list cannot be indexed");
    assert_invalid(&error, "email", "a document that is there");
    assert_eq!(t.found(in_city("Paris")).await, ["3", "4"], "the declared field stays");
}

async fn a_deleted_document_does_not_stand_in_the_way(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    three(&t).await;
    t.applied(puts("4", &json!({ "email": ["a list"] }))).await;
    t.applied(deletes("2")).await;
    t.applied(deletes("4")).await;
    t.declared(Collection::new(TUTOR).unique("email")).await;
    let found = t.found(FindDocuments::by(TUTOR, "email", "b")).await;
    assert_eq!(found, ["3"], "the only one left with the value");
}

async fn another_handle_knows_what_was_declared(t: Probe) {
    let other = t.another().await;
    t.declared(Collection::new(TUTOR).unique("email")).await;
    other.applied(puts("1", &json!({ "email": "a" }))).await;
    t.declared(Collection::new(TUTOR).unique("email").indexed("city")).await;
    other.applied(puts("2", &json!({ "email": "b", "city": "London" }))).await;
    assert_eq!(t.found(in_city("London")).await, ["2"], "written by the other handle");
    assert_eq!(other.found(in_city("London")).await, ["2"], "found by the other handle");
    let error = other.refused(puts("3", &json!({ "email": "a" }))).await;
    assert!(error.is_conflict(), "the other handle knows that the field is unique: {error:?}");
    let error = other.refused(puts("3", &json!({ "city": [] }))).await;
    assert_invalid(&error, "city", "the other handle knows that the field is declared");
}

async fn declared_by_many_at_once_is_declared(t: Probe) {
    let handles = [t.handle(), t.another().await];
    together(16, |n| {
        let handle = handles[n % 2].clone();
        async move {
            handle.declared(Collection::new(TUTOR).indexed("city").unique("email")).await;
            let says = json!({ "city": "London", "email": n.to_string() });
            handle.applied(puts(&format!("{n:02}"), &says)).await;
        }
    })
    .await;
    assert_eq!(t.found(in_city("London")).await.len(), 16, "all nodes start at once");
}
