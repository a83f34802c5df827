//! Purging: documents go as if they had never been, so many at a time.

use cqrs_core::{DocumentKey, DocumentWrite, Expected};
use serde_json::json;

use crate::store::cases::prelude::*;

cases! { "purge":
    purged_documents_are_gone,
    a_purge_removes_at_most_so_many,
    a_purge_takes_documents_of_all_tenants,
    a_purge_takes_deleted_documents_too,
    purged_documents_begin_with_version_1_again,
    unique_values_of_purged_documents_are_free,
    purged_documents_are_not_found_by_their_fields,
    a_purge_leaves_other_collections_alone,
    a_purge_leaves_the_declaration,
    a_purge_leaves_the_log_alone,
    a_purge_of_an_empty_collection_removes_nothing,
}

/// Removes everything, so many at a time; how many each time.
async fn purged(t: &Probe, collection: &str, limit: u32) -> Vec<u32> {
    let mut removed = Vec::new();
    for _ in 0..100 {
        let n = t.purge_documents(collection, limit).await;
        let n = n.unwrap_or_else(|error| panic!("{collection} cannot be purged: {error:?}"));
        assert!(n <= limit, "{n} removed with a limit of {limit}");
        removed.push(n);
        if n < limit {
            return removed;
        }
    }
    panic!("a purge never ends: {removed:?}");
}

async fn filled(t: &Probe, n: usize) {
    t.declared(Collection::new(TUTOR).unique("email").indexed("city")).await;
    for n in 0..n {
        let says = json!({ "email": n.to_string(), "city": "London" });
        t.applied(puts(&n.to_string(), &says)).await;
    }
}

async fn purged_documents_are_gone(t: Probe) {
    filled(&t, 3).await;
    assert_eq!(purged(&t, TUTOR, 10).await, [3], "less than the limit: nothing is left");
    assert!(t.found(FindDocuments::all(TUTOR)).await.is_empty(), "nothing is found");
    assert_eq!(t.tutor("1").await, None, "nothing is there");
    let count = t.count_documents(&FindDocuments::all(TUTOR)).await;
    assert_eq!(count.expect("they are counted"), 0, "nothing is counted");
}

async fn a_purge_removes_at_most_so_many(t: Probe) {
    filled(&t, 7).await;
    for left in [5, 3, 1] {
        let n = t.purge_documents(TUTOR, 2).await.expect("it can be purged");
        assert_eq!(n, 2, "two at a time");
        let found = t.found(FindDocuments::all(TUTOR)).await;
        assert_eq!(found.len(), left, "the others are there: {found:?}");
        let by_city = t.found(FindDocuments::by(TUTOR, "city", "London")).await;
        assert_eq!(by_city, found, "and found by their fields");
    }
    assert_eq!(purged(&t, TUTOR, 2).await, [1], "the last one");
}

async fn a_purge_takes_documents_of_all_tenants(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("city")).await;
    let tenants = [None, Some("acme"), Some("bold")];
    let key_of = |tenant: Option<&str>| DocumentKey { tenant: tenant.map(Into::into), ..key("17") };
    for tenant in tenants {
        let says = body(&json!({ "city": "London" }));
        t.applied(writes(vec![DocumentWrite::put(key_of(tenant), Expected::Any, says)])).await;
    }
    assert_eq!(purged(&t, TUTOR, 10).await, [3], "one of each tenant");
    for tenant in tenants {
        let document = t.document(&key_of(tenant)).await.expect("it can be read");
        assert_eq!(document, None, "the document of {tenant:?}");
    }
}

async fn a_purge_takes_deleted_documents_too(t: Probe) {
    filled(&t, 4).await;
    t.applied(deletes("1")).await;
    t.applied(deletes("2")).await;
    purged(&t, TUTOR, 3).await;
    for id in ["1", "2"] {
        t.applied(puts(id, &json!({}))).await;
        let version = t.tutor(id).await.map(|document| document.version);
        assert_eq!(version, Some(1), "{id} was deleted, and then forgotten");
    }
}

async fn purged_documents_begin_with_version_1_again(t: Probe) {
    filled(&t, 2).await;
    t.applied(puts("0", &json!({ "n": 2 }))).await;
    t.applied(puts("0", &json!({ "n": 3 }))).await;
    purged(&t, TUTOR, 10).await;
    let stale = writes(vec![put("0", Expected::Exactly(3), &json!({}))]);
    assert_document_at(&t.refused(stale).await, &key("0"), 0, "it is as if it had never been");
    t.applied(writes(vec![put("0", Expected::NoStream, &json!({}))])).await;
    assert_eq!(t.tutor("0").await.map(|document| document.version), Some(1), "the first one");
}

async fn unique_values_of_purged_documents_are_free(t: Probe) {
    filled(&t, 3).await;
    purged(&t, TUTOR, 10).await;
    t.applied(puts("other", &json!({ "email": "1" }))).await;
    let found = t.found(FindDocuments::by(TUTOR, "email", "1")).await;
    assert_eq!(found, ["other"], "the new one has the value");
    assert!(t.refused(puts("1", &json!({ "email": "1" }))).await.is_conflict(), "still unique");
}

async fn purged_documents_are_not_found_by_their_fields(t: Probe) {
    filled(&t, 3).await;
    purged(&t, TUTOR, 10).await;
    assert!(t.found(FindDocuments::by(TUTOR, "city", "London")).await.is_empty(), "purged");
    t.applied(puts("1", &json!({ "city": "Paris" }))).await;
    let found = t.found(FindDocuments::by(TUTOR, "city", "London")).await;
    assert!(found.is_empty(), "made anew with another value: {found:?}");
    assert_eq!(t.found(FindDocuments::by(TUTOR, "city", "Paris")).await, ["1"], "by the new one");
}

async fn a_purge_leaves_other_collections_alone(t: Probe) {
    let others = ["Tutor", "tutors", "tuto", "t%"];
    for name in others.into_iter().chain([TUTOR]) {
        t.declared(Collection::new(name).unique("email")).await;
        let says = body(&json!({ "email": "ada@example.org" }));
        let put = DocumentWrite::put(DocumentKey::new(name, "17"), Expected::NoStream, says);
        t.applied(writes(vec![put])).await;
    }
    assert_eq!(purged(&t, TUTOR, 100).await, [1], "the one of the collection");
    for name in others {
        let found = t.found(FindDocuments::by(name, "email", "ada@example.org")).await;
        assert_eq!(found, ["17"], "the collection {name}");
    }
    assert_eq!(purged(&t, "t%", 100).await, [1], "a pattern is a name");
    assert_eq!(t.found(FindDocuments::all("tutors")).await, ["17"], "and no pattern");
}

async fn a_purge_leaves_the_declaration(t: Probe) {
    filled(&t, 2).await;
    purged(&t, TUTOR, 10).await;
    t.applied(puts("1", &json!({ "email": "ada", "city": "Rome" }))).await;
    assert_eq!(t.found(FindDocuments::by(TUTOR, "city", "Rome")).await, ["1"], "still declared");
    let other = TUTOR.to_owned() + "?";
    let error = t.find_documents(FindDocuments::all(other)).await.expect_err("not declared");
    assert_invalid(&error, "collection", "what was never declared");
}

async fn a_purge_leaves_the_log_alone(t: Probe) {
    filled(&t, 2).await;
    let commit = Commit { documents: puts("9", &json!({})).documents, ..grows(&account("1"), 3) };
    t.applied(commit).await;
    let before = t.snapshot().await;
    purged(&t, TUTOR, 1).await;
    assert_eq!(t.snapshot().await, before, "the log and its head");
}

async fn a_purge_of_an_empty_collection_removes_nothing(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    assert_eq!(purged(&t, TUTOR, 10).await, [0], "nothing was written");
    filled(&t, 1).await;
    purged(&t, TUTOR, 1).await;
    assert_eq!(purged(&t, TUTOR, 10).await, [0], "nothing is left");
}
