//! Documents: written, found, deleted, made anew.

use cqrs_core::{DocumentKey, DocumentWrite, Expected, FieldValue};
use serde_json::{Value, json};

use crate::store::cases::prelude::*;

cases! { "documents":
    a_document_that_was_never_written_is_none,
    a_document_counts_its_versions,
    a_deleted_document_is_gone,
    a_document_that_is_made_anew_goes_on_counting,
    a_deletion_of_what_is_not_there_counts_nothing,
    documents_are_found_by_text,
    documents_are_found_by_whole_number,
    documents_are_found_by_boolean,
    values_of_different_kinds_are_apart,
    missing_and_null_fields_are_not_found,
    a_changed_document_is_found_by_its_new_value_only,
    a_deleted_document_is_not_found,
    documents_are_paged_in_the_order_of_their_ids,
    documents_found_by_a_field_are_paged,
    the_first_documents_are_passed_over,
    documents_are_counted_on_all_pages,
    collections_are_apart,
    a_value_that_cannot_be_indexed_is_refused_by_its_field,
    an_undeclared_collection_is_refused,
    an_undeclared_field_is_refused,
}

async fn version(t: &Probe, id: &str) -> Option<u64> {
    t.tutor(id).await.map(|document| document.version)
}

async fn a_document_that_was_never_written_is_none(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    assert_eq!(t.tutor("17").await, None, "nobody wrote it");
    assert!(t.found(FindDocuments::all(TUTOR)).await.is_empty(), "an empty collection");
}

async fn a_document_counts_its_versions(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    for n in 1..=5 {
        t.applied(puts("17", &json!({ "n": n }))).await;
        let document = t.tutor("17").await.expect("it is there");
        assert_eq!(document.version, n, "written for the {n}. time");
        assert_eq!(document.body.decode::<Value>().expect("JSON"), json!({ "n": n }), "its body");
    }
    // Also when it says the same.
    t.applied(puts("17", &json!({ "n": 5 }))).await;
    assert_eq!(version(&t, "17").await, Some(6), "written with the same body");
}

async fn a_deleted_document_is_gone(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    t.applied(puts("17", &json!({}))).await;
    t.applied(puts("18", &json!({}))).await;
    t.applied(deletes("17")).await;
    assert_eq!(t.tutor("17").await, None, "the deleted document");
    assert_eq!(t.found(FindDocuments::all(TUTOR)).await, ["18"], "the other one is still there");
}

async fn a_document_that_is_made_anew_goes_on_counting(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    t.applied(puts("17", &json!({ "n": 1 }))).await;
    t.applied(puts("17", &json!({ "n": 2 }))).await;
    t.applied(deletes("17")).await;
    t.applied(writes(vec![put("17", Expected::NoStream, &json!({ "n": 3 }))])).await;
    let why = "two writes, a deletion and a write: no old version comes back";
    assert_eq!(version(&t, "17").await, Some(4), "{why}");
    let stale = writes(vec![put("17", Expected::Exactly(2), &json!({ "n": 9 }))]);
    assert_document_at(&t.refused(stale).await, &key("17"), 4, why);
    t.applied(writes(vec![put("17", Expected::Exactly(4), &json!({ "n": 4 }))])).await;
    assert_eq!(version(&t, "17").await, Some(5), "{why}");
}

async fn a_deletion_of_what_is_not_there_counts_nothing(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    t.applied(deletes("17")).await;
    t.applied(puts("17", &json!({}))).await;
    assert_eq!(version(&t, "17").await, Some(1), "deleted before it was there");
    t.applied(deletes("17")).await;
    t.applied(deletes("17")).await;
    t.applied(puts("17", &json!({}))).await;
    assert_eq!(version(&t, "17").await, Some(3), "deleted twice, and once it was there");
}

/// Writes a document for each value of the declared field `field`.
async fn valued(t: &Probe, values: &[Value]) {
    t.declared(Collection::new(TUTOR).indexed("field")).await;
    for (n, value) in values.iter().enumerate() {
        t.applied(puts(&n.to_string(), &json!({ "field": value, "other": 1 }))).await;
    }
}

async fn found_by(t: &Probe, value: impl Into<FieldValue>) -> Vec<String> {
    t.found(FindDocuments::by(TUTOR, "field", value)).await
}

async fn documents_are_found_by_text(t: Probe) {
    let values = [json!("Ada"), json!("ada"), json!("Ada "), json!(""), json!("Ada"), json!("Äda")];
    valued(&t, &values).await;
    assert_eq!(found_by(&t, "Ada").await, ["0", "4"], "the same text exactly");
    assert_eq!(found_by(&t, "ada").await, ["1"], "case counts");
    assert_eq!(found_by(&t, "").await, ["3"], "the empty text is a text");
    assert!(found_by(&t, "Ad").await.is_empty(), "a prefix is another text");
    assert!(found_by(&t, "A%").await.is_empty(), "a pattern is a text");
}

async fn documents_are_found_by_whole_number(t: Probe) {
    let values = [json!(0), json!(-1), json!(i64::MAX), json!(i64::MIN), json!(i64::MAX - 1)];
    valued(&t, &values).await;
    for (n, value) in values.iter().enumerate() {
        let value = value.as_i64().expect("it is one");
        assert_eq!(found_by(&t, value).await, [n.to_string()], "found by {value}");
    }
    assert!(found_by(&t, 7).await.is_empty(), "a number that nobody has");
}

async fn documents_are_found_by_boolean(t: Probe) {
    valued(&t, &[json!(true), json!(false), json!(true)]).await;
    assert_eq!(found_by(&t, true).await, ["0", "2"], "found by true");
    assert_eq!(found_by(&t, false).await, ["1"], "found by false");
}

async fn values_of_different_kinds_are_apart(t: Probe) {
    let values = [json!(1), json!("1"), json!(true), json!("true"), json!(0), json!(false)];
    valued(&t, &values).await;
    assert_eq!(found_by(&t, 1).await, ["0"], "the number 1");
    assert_eq!(found_by(&t, "1").await, ["1"], "the text 1");
    assert_eq!(found_by(&t, true).await, ["2"], "true");
    assert_eq!(found_by(&t, "true").await, ["3"], "the text true");
    assert_eq!(found_by(&t, 0).await, ["4"], "the number 0");
    assert_eq!(found_by(&t, false).await, ["5"], "false");
}

async fn missing_and_null_fields_are_not_found(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("field")).await;
    t.applied(puts("missing", &json!({}))).await;
    t.applied(puts("null", &json!({ "field": null }))).await;
    t.applied(puts("inner", &json!({ "inner": { "field": "null" } }))).await;
    for text in ["", "null"] {
        assert!(found_by(&t, text).await.is_empty(), "found by {text:?}, and has no value");
    }
    let all = t.found(FindDocuments::all(TUTOR)).await;
    assert_eq!(all, ["inner", "missing", "null"], "they are there all the same");
}

async fn a_changed_document_is_found_by_its_new_value_only(t: Probe) {
    valued(&t, &[json!("old"), json!("old")]).await;
    t.applied(puts("0", &json!({ "field": "new" }))).await;
    assert_eq!(found_by(&t, "old").await, ["1"], "by the old value");
    assert_eq!(found_by(&t, "new").await, ["0"], "by the new value");
    t.applied(puts("1", &json!({}))).await;
    assert!(found_by(&t, "old").await.is_empty(), "the last one gave its value up");
}

async fn a_deleted_document_is_not_found(t: Probe) {
    valued(&t, &[json!("a"), json!("a")]).await;
    t.applied(deletes("0")).await;
    assert_eq!(found_by(&t, "a").await, ["1"], "the deleted document");
    t.applied(puts("0", &json!({ "field": "b" }))).await;
    assert_eq!(found_by(&t, "a").await, ["1"], "made anew with another value");
    assert_eq!(found_by(&t, "b").await, ["0"], "made anew with another value");
}

/// All ids, by the page, with what is asked of each page.
async fn paged(t: &Probe, find: FindDocuments) -> Vec<String> {
    let (mut ids, limit) = (Vec::new(), find.limit as usize);
    let mut next = find.clone();
    // A page that is shorter than its limit is the last one.
    for _ in 0..100 {
        let page = t.found(next.clone()).await;
        assert!(page.len() <= limit, "a page of {} with a limit of {limit}", page.len());
        let last = page.len() < limit;
        ids.extend(page);
        if last {
            return ids;
        }
        next = find.clone().after(ids.last().expect("the page is full").clone());
    }
    panic!("the pages never end: {ids:?}");
}

async fn documents_are_paged_in_the_order_of_their_ids(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    let mut ids =
        ["b", "a", "B", "é", "z", "aa", "a ", "10", "9", "-", "~", "e\u{301}", "🦀", "\u{fffd}"];
    for id in ids {
        t.applied(puts(id, &json!({}))).await;
    }
    ids.sort_unstable();
    for limit in [1, 2, 5, 14, 15] {
        let seen = paged(&t, FindDocuments::all(TUTOR).limit(limit)).await;
        assert_eq!(seen, ids, "in the order of their bytes, {limit} a page");
    }
    let most = t.found(FindDocuments::all(TUTOR).limit(u32::MAX)).await;
    assert_eq!(most, ids, "all of them in the largest page");
    let after = t.found(FindDocuments::all(TUTOR).after("a!")).await;
    let higher = ids.iter().filter(|id| **id > "a!").collect::<Vec<_>>();
    assert_eq!(after.iter().collect::<Vec<_>>(), higher, "after an id that is not there");
}

async fn documents_found_by_a_field_are_paged(t: Probe) {
    let values = (0..20).map(|n| json!(n % 2)).collect::<Vec<_>>();
    valued(&t, &values).await;
    let mut even = (0..20).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>();
    even.sort_unstable();
    for limit in [1, 3, 10, 11] {
        let seen = paged(&t, FindDocuments::by(TUTOR, "field", 0).limit(limit)).await;
        assert_eq!(seen, even, "found by a field, {limit} a page");
    }
}

async fn the_first_documents_are_passed_over(t: Probe) {
    let values = (0..20).map(|n| json!(n % 2)).collect::<Vec<_>>();
    valued(&t, &values).await;
    for find in [FindDocuments::all(TUTOR), FindDocuments::by(TUTOR, "field", 0)] {
        let all = t.found(find.clone().limit(100)).await;
        for (skip, limit) in [(0, 3), (1, 3), (7, 3), (all.len() - 1, 3), (all.len(), 3), (99, 1)] {
            let page = t.found(find.clone().skip(skip as u64).limit(limit)).await;
            let there = all.iter().skip(skip).take(limit as usize).collect::<Vec<_>>();
            assert_eq!(page.iter().collect::<Vec<_>>(), there, "{skip} passed over in {find:?}");
        }
        let none = t.found(find.clone().skip(u64::MAX)).await;
        assert_eq!(none, [""; 0], "all passed over");
        let rest = t.found(find.after(all[2].clone()).skip(2)).await;
        assert_eq!(rest, all[5..], "passed over after an id");
    }
}

async fn documents_are_counted_on_all_pages(t: Probe) {
    let values = (0..7).map(|n| json!(n % 2)).collect::<Vec<_>>();
    valued(&t, &values).await;
    let deletion = DocumentWrite::delete(DocumentKey::new(TUTOR, "0"), Expected::Exists);
    t.applied(writes(vec![deletion])).await;
    for (find, expected) in [
        (FindDocuments::all(TUTOR), 6),
        (FindDocuments::all(TUTOR).limit(2), 6),
        (FindDocuments::all(TUTOR).limit(2).skip(1).after("3"), 6),
        (FindDocuments::all(TUTOR).with_tenant("acme"), 0),
        (FindDocuments::by(TUTOR, "field", 0), 3),
        (FindDocuments::by(TUTOR, "field", 1).limit(1).after("3"), 3),
        (FindDocuments::by(TUTOR, "field", 2), 0),
    ] {
        let count = t.count_documents(&find).await.expect("they are counted");
        assert_eq!(count, expected, "{find:?}");
    }
    let error = t.count_documents(&FindDocuments::by(TUTOR, "nothing", 0)).await;
    assert!(error.is_err(), "counted by a field that nobody declared");
}

async fn collections_are_apart(t: Probe) {
    for name in ["tutor", "Tutor", "pupil"] {
        t.declared(Collection::new(name).unique("email")).await;
        let says = body(&json!({ "email": "ada@example.org", "of": name }));
        let put = DocumentWrite::put(DocumentKey::new(name, "17"), Expected::NoStream, says);
        t.applied(writes(vec![put])).await;
    }
    let deletion = DocumentWrite::delete(DocumentKey::new("pupil", "17"), Expected::Exists);
    t.applied(writes(vec![deletion])).await;
    for (name, there) in [("tutor", true), ("Tutor", true), ("pupil", false)] {
        let find = FindDocuments::by(name, "email", "ada@example.org");
        let found = t.find_documents(find).await.expect("they are found");
        let of = found.iter().map(|d| d.body.decode::<Value>().expect("JSON")["of"].clone());
        let expected = if there { vec![json!(name)] } else { vec![] };
        assert_eq!(of.collect::<Vec<_>>(), expected, "the collection {name}");
    }
}

async fn a_value_that_cannot_be_indexed_is_refused_by_its_field(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("city").unique("email")).await;
    let values = [json!([]), json!({}), json!(["a"]), json!(1.5), json!(1e300), json!(u64::MAX)];
    for value in values {
        for field in ["city", "email"] {
            let mut commit = grows(&account("1"), 1);
            commit.documents.push(put("17", Expected::Any, &json!({ field: value })));
            let why = format!("{value} in the declared field {field}");
            assert_invalid(&t.refused(commit).await, field, &why);
        }
    }
    for no_object in [json!([]), json!("text"), json!(null)] {
        let error = t.refused(puts("17", &no_object)).await;
        assert_invalid(&error, "city", &format!("a body without fields: {no_object}"));
    }
    assert_eq!(t.tutor("17").await, None, "a refused document");
    t.applied(puts("17", &json!({ "other": [1.5, {}] }))).await;
}

async fn an_undeclared_collection_is_refused(t: Probe) {
    let error = t.refused(puts("17", &json!({}))).await;
    assert_invalid(&error, "collection", "a document of an undeclared collection");
    let error = t.find_documents(FindDocuments::all(TUTOR)).await.expect_err("not declared");
    assert_invalid(&error, "collection", "to find in an undeclared collection");
}

async fn an_undeclared_field_is_refused(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("city")).await;
    t.applied(puts("17", &json!({ "email": "ada@example.org" }))).await;
    for field in ["email", "City", "city ", "", "body", "id"] {
        let find = FindDocuments::by(TUTOR, field, "ada@example.org");
        let error = t.find_documents(find).await.expect_err("not declared");
        assert_invalid(&error, field, "to find by an undeclared field");
    }
}
