//! Entities with a schema: what is put in comes out, and what does not fit is refused by its field.
//!
//! `MODEL_RUNS` says how many random entities are written; 20 unless it is set. A failure says its seed;
//! `MODEL_SEED` runs it again, alone.

use cqrs_core::{
    Conflict, DocumentKey, DocumentWrite, Expected, Field, FieldType, FieldValue, Guard, Mapping,
};
use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::cases::model::number;
use crate::store::cases::prelude::*;
use crate::store::cases::schema_entity::{Tutor, ada, json_of, random, read, saves, tutors};

cases! { "schema":
    an_entity_comes_back_as_it_was_and_is_found_by_each_indexed_field,
    an_entity_counts_its_versions,
    an_entity_is_written_at_the_version_that_it_has,
    entities_are_paged_in_the_order_of_their_ids,
    entities_of_tenants_are_apart,
    no_two_entities_share_a_unique_value,
    unique_values_are_swapped_in_one_commit,
    a_guard_on_an_entity_holds,
    an_entity_that_does_not_fit_is_refused_by_its_field,
    a_refused_entity_leaves_nothing_of_its_commit,
    purged_entities_are_gone,
    names_that_no_database_takes_are_refused,
    documents_of_any_json_become_entities,
    documents_that_do_not_fit_stay_what_they_are,
    entities_do_not_become_any_json,
}

async fn an_entity_comes_back_as_it_was_and_is_found_by_each_indexed_field(t: Probe) {
    t.declared(tutors()).await;
    let seeds = match number("MODEL_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("MODEL_RUNS").unwrap_or(20)).map(|_| fastrand::u64(..)).collect(),
    };
    for seed in seeds {
        let why = format!("to run this again: MODEL_SEED={seed}");
        let mut rng = Rng::with_seed(seed);
        // Control characters are in no id.
        let mut tutor = random(&mut rng);
        tutor.tutor_id.retain(|c| !c.is_control());
        t.applied(saves(&tutor)).await;
        let id = tutor.tutor_id.clone();
        assert_eq!(read(&t, &id).await.as_ref(), Some(&tutor), "{why}: as it was written");
        // Over what is there.
        let tutor = Tutor { tutor_id: id.clone(), ..random(&mut rng) };
        t.applied(saves(&tutor)).await;
        assert_eq!(read(&t, &id).await.as_ref(), Some(&tutor), "{why}: as it was written over");
        let values: Vec<(&str, FieldValue)> = [
            Some(("city", tutor.city.as_str().into())),
            Some(("level", tutor.level.into())),
            Some(("badge", tutor.badge.to_string().into())),
            Some(("active", tutor.active.into())),
            Some(("since", tutor.since.to_string().into())),
            tutor.email.as_deref().map(|email| ("email", email.into())),
        ]
        .into_iter()
        .flatten()
        .collect();
        for (field, value) in values {
            let find = FindDocuments::by(TUTOR, field, value.clone()).limit(1_000);
            let found = t.found(find.clone()).await;
            assert!(
                found.contains(&id),
                "{why}: {id:?} is found by {field} = {value:?}: {found:?}"
            );
            let count = t.count_documents(&find).await.expect("they can be counted");
            assert_eq!(count, found.len() as u64, "{why}: counted by {field}");
        }
        // Some stay, to be told apart from; few enough for one page.
        if rng.u8(0..8) > 0 {
            t.applied(deletes(&id)).await;
        }
    }
}

async fn version(t: &Probe, id: &str) -> Option<u64> {
    t.tutor(id).await.map(|document| document.version)
}

async fn an_entity_counts_its_versions(t: Probe) {
    t.declared(tutors()).await;
    assert_eq!(version(&t, "17").await, None, "nobody wrote it");
    t.applied(saves(&ada("17"))).await;
    t.applied(saves(&ada("17"))).await;
    assert_eq!(version(&t, "17").await, Some(2), "written twice");
    t.applied(deletes("17")).await;
    t.applied(deletes("17")).await;
    assert_eq!(version(&t, "17").await, None, "deleted");
    assert!(t.found(FindDocuments::all(TUTOR)).await.is_empty(), "nothing is left to find");
    t.applied(saves(&ada("17"))).await;
    assert_eq!(version(&t, "17").await, Some(4), "made anew, it goes on counting");
    let page = t.find_documents(FindDocuments::all(TUTOR)).await.expect("a page");
    assert_eq!(page[0].version, 4, "the same on a page");
}

async fn an_entity_is_written_at_the_version_that_it_has(t: Probe) {
    t.declared(tutors()).await;
    let at = |expected| writes(vec![put("17", expected, &json_of(&ada("17")))]);
    t.applied(at(Expected::NoStream)).await;
    let why = "it was written once";
    assert_document_at(&t.refused(at(Expected::NoStream)).await, &key("17"), 1, why);
    assert_document_at(&t.refused(at(Expected::Exactly(2))).await, &key("17"), 1, why);
    t.applied(at(Expected::Exactly(1))).await;
    t.applied(at(Expected::Exists)).await;
    let delete = DocumentWrite::delete(key("17"), Expected::Exactly(2));
    assert_document_at(&t.refused(writes(vec![delete])).await, &key("17"), 3, "written since");
    t.applied(writes(vec![DocumentWrite::delete(key("17"), Expected::Exactly(3))])).await;
    assert_document_at(&t.refused(at(Expected::Exists)).await, &key("17"), 0, "it is deleted");
}

async fn entities_are_paged_in_the_order_of_their_ids(t: Probe) {
    t.declared(tutors()).await;
    for id in ["b", "a", "é", "10", "9", "B", "ab"] {
        let city = if id == "9" { "Paris" } else { "London" };
        t.applied(saves(&Tutor { city: city.to_owned(), ..ada(id) })).await;
    }
    let all = FindDocuments::all(TUTOR);
    assert_eq!(t.found(all.clone()).await, ["10", "9", "B", "a", "ab", "b", "é"], "by their bytes");
    assert_eq!(t.found(all.clone().after("B").limit(2)).await, ["a", "ab"], "the page after B");
    assert_eq!(t.found(all.clone().skip(5)).await, ["b", "é"], "the first five are passed over");
    let london = FindDocuments::by(TUTOR, "city", "London");
    assert_eq!(t.found(london.clone().after("10").limit(2)).await, ["B", "a"], "of London");
    assert_eq!(t.found(london.clone().skip(4)).await, ["b", "é"], "the first four of London");
    let counted = [t.count_documents(&all).await, t.count_documents(&london).await];
    assert_eq!(counted.map(|count| count.expect("a number")), [7, 6], "counted");
    let other = FindDocuments::by(TUTOR, "city", 7);
    assert!(t.found(other).await.is_empty(), "a number is no text");
}

fn of(tenant: &str, id: &str) -> DocumentKey {
    key(id).with_tenant(tenant)
}

fn saves_of(tenant: &str, tutor: &Tutor) -> Commit {
    let key = of(tenant, &tutor.tutor_id);
    writes(vec![DocumentWrite::put(key, Expected::Any, body(&json_of(tutor)))])
}

async fn entities_of_tenants_are_apart(t: Probe) {
    t.declared(tutors()).await;
    let with = |email: &str, city: &str| Tutor {
        email: Some(email.to_owned()),
        city: city.to_owned(),
        ..ada("17")
    };
    t.applied(saves(&with("a", "London"))).await;
    t.applied(saves_of("acme", &with("a", "Paris"))).await;
    t.applied(saves_of("other", &with("a", "Rome"))).await;
    let decoded = |found: Option<cqrs_core::Document>| {
        found.map(|found| found.body.decode::<Tutor>().expect("a tutor").city)
    };
    assert_eq!(decoded(t.tutor("17").await).as_deref(), Some("London"), "nobody's");
    let acme = t.document(&of("acme", "17")).await.expect("it can be read");
    assert_eq!(decoded(acme).as_deref(), Some("Paris"), "the tenant's own");
    let paris = FindDocuments::by(TUTOR, "city", "Paris");
    assert!(t.found(paris.clone()).await.is_empty(), "nobody's are not the tenant's");
    assert_eq!(t.found(paris.with_tenant("acme")).await, ["17"], "the tenant's own");
    let delete = DocumentWrite::delete(of("acme", "17"), Expected::Any);
    t.applied(writes(vec![delete])).await;
    assert_eq!(version(&t, "17").await, Some(1), "that of nobody is still there");
    let other = t.document(&of("other", "17")).await.expect("it can be read");
    assert!(other.is_some(), "that of another tenant, too");
}

fn with_email(id: &str, email: &str) -> Tutor {
    Tutor { email: Some(email.to_owned()), ..ada(id) }
}

fn taken(id: &str) -> Conflict {
    Conflict::Unique { collection: TUTOR.to_owned(), id: id.to_owned(), field: "email".to_owned() }
}

async fn no_two_entities_share_a_unique_value(t: Probe) {
    t.declared(tutors()).await;
    t.applied(saves(&with_email("1", "ada"))).await;
    assert_conflict(&t.refused(saves(&with_email("2", "ada"))).await, taken("2"), "it is taken");
    let both = writes(vec![
        put("3", Expected::Any, &json_of(&with_email("3", "bob"))),
        put("4", Expected::Any, &json_of(&with_email("4", "bob"))),
    ]);
    assert_conflict(&t.refused(both).await, taken("4"), "twice in one commit");
    // Those without a value share nothing.
    t.applied(saves(&ada("5"))).await;
    t.applied(saves(&ada("6"))).await;
    t.applied(saves(&with_email("1", "eve"))).await;
    t.applied(saves(&with_email("2", "ada"))).await;
    t.applied(deletes("2")).await;
    t.applied(saves(&with_email("3", "ada"))).await;
    assert_eq!(t.found(FindDocuments::by(TUTOR, "email", "ada")).await, ["3"], "given up twice");
}

async fn unique_values_are_swapped_in_one_commit(t: Probe) {
    t.declared(tutors()).await;
    t.applied(saves(&with_email("1", "ada"))).await;
    t.applied(saves(&with_email("2", "bob"))).await;
    t.applied(writes(vec![
        put("1", Expected::Any, &json_of(&with_email("1", "bob"))),
        put("2", Expected::Any, &json_of(&with_email("2", "ada"))),
    ]))
    .await;
    assert_eq!(t.found(FindDocuments::by(TUTOR, "email", "ada")).await, ["2"], "swapped");
    assert_eq!(t.found(FindDocuments::by(TUTOR, "email", "bob")).await, ["1"], "swapped");
}

async fn a_guard_on_an_entity_holds(t: Probe) {
    t.declared(tutors()).await;
    t.applied(saves(&ada("17"))).await;
    let guarded = |expected| Commit {
        guards: vec![Guard::Document { key: key("17"), expected }],
        ..grows(&account("1"), 1)
    };
    t.applied(guarded(Expected::Exactly(1))).await;
    let refused = t.refused(guarded(Expected::Exactly(2))).await;
    assert_document_at(&refused, &key("17"), 1, "it was written once");
    t.applied(deletes("17")).await;
    let refused = t.refused(guarded(Expected::Exists)).await;
    assert_document_at(&refused, &key("17"), 0, "it is deleted");
}

/// What is wrong with an entity, and by which name.
fn misfits() -> Vec<(Value, &'static str)> {
    let good = json_of(&ada("17"));
    let with = |pointer: &str, value: Value| {
        let mut other = good.clone();
        *other.pointer_mut(pointer).expect("it is there") = value;
        other
    };
    let without = |name: &str| {
        let mut other = good.clone();
        other.as_object_mut().expect("an object").remove(name);
        other
    };
    let more = |pointer: &str| {
        let mut other = good.clone();
        let object = other.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object");
        object.insert("more".to_owned(), json!(1));
        other
    };
    vec![
        (with("/tutor_id", json!("18")), "tutor_id"),
        (without("tutor_id"), "tutor_id"),
        (without("city"), "city"),
        (with("/city", json!(null)), "city"),
        (with("/city", json!(7)), "city"),
        (with("/city", json!("a\0b")), "city"),
        (with("/city", json!("x".repeat(1_025))), "city"),
        (with("/level", json!("1")), "level"),
        (with("/level", json!(1.5)), "level"),
        (with("/level", json!(u64::MAX)), "level"),
        (with("/hours", json!(-1)), "hours"),
        (with("/rating", json!("high")), "rating"),
        (with("/rating", json!(null)), "rating"),
        (with("/active", json!(1)), "active"),
        (with("/badge", json!("7")), "badge"),
        (with("/badge", json!("00000000-0000-0000-0000-00000000000A")), "badge"),
        (with("/since", json!("yesterday")), "since"),
        (with("/since", json!("-000001-01-01T00:00:00Z")), "since"),
        (with("/subjects", json!({})), "subjects"),
        (with("/subjects", json!(null)), "subjects"),
        (with("/subjects/0", json!("logic")), "subjects.0"),
        (with("/subjects/0", json!({ "name": "logic" })), "subjects.0.hours"),
        (with("/subjects/0/name", json!("\0")), "subjects.0.name"),
        (more("/subjects/0"), "subjects.0.more"),
        (with("/home", json!({ "at": [0, "x"], "id": Uuid::nil() })), "home.at.1"),
        (with("/extra/likes/0", json!("\0")), "extra.likes.0"),
        (more(""), "more"),
    ]
}

async fn an_entity_that_does_not_fit_is_refused_by_its_field(t: Probe) {
    t.declared(tutors()).await;
    for (misfit, field) in misfits() {
        let refused = t.refused(puts("17", &misfit)).await;
        assert_invalid(&refused, field, &format!("refused: {misfit}"));
        let said = refused.to_string();
        assert!(said.contains("tutor/17"), "it tells which entity: {said}");
        assert_eq!(t.tutor("17").await, None, "nothing is written");
    }
    t.applied(saves(&ada("17"))).await;
}

async fn a_refused_entity_leaves_nothing_of_its_commit(t: Probe) {
    t.declared(tutors()).await;
    t.applied(saves(&ada("16"))).await;
    let mut commit = grows(&account("1"), 2);
    let misfit = json!({ "tutor_id": "17" });
    commit.documents = vec![
        put("16", Expected::Any, &json_of(&Tutor { level: 2, ..ada("16") })),
        put("17", Expected::Any, &misfit),
    ];
    assert_invalid(&t.refused(commit.clone()).await, "city", "the first one that is missing");
    assert_eq!(read(&t, "16").await, Some(ada("16")), "the other document of the commit");
    assert!(t.stream(&account("1")).await.is_empty(), "its events");
    // The same commit, mended: nothing of its id was kept.
    commit.documents[1] = put("17", Expected::Any, &json_of(&ada("17")));
    t.applied(commit).await;
    assert_eq!(read(&t, "16").await.map(|tutor| tutor.level), Some(2), "written with the other");
}

async fn purged_entities_are_gone(t: Probe) {
    t.declared(tutors()).await;
    for id in ["1", "2", "3"] {
        t.applied(saves(&with_email(id, id))).await;
    }
    t.applied(deletes("2")).await;
    let mut purged = 0;
    loop {
        let some = t.purge_documents(TUTOR, 2).await.expect("they can be purged");
        purged += some;
        if some == 0 {
            break;
        }
    }
    assert_eq!(purged, 3, "deleted ones, too");
    assert!(t.found(FindDocuments::all(TUTOR)).await.is_empty(), "nothing is left to find");
    t.applied(saves(&with_email("1", "3"))).await;
    assert_eq!(version(&t, "1").await, Some(1), "as if it had never been, and its value is free");
}

async fn names_that_no_database_takes_are_refused(t: Probe) {
    let field = |column: &'static str| Field::new("a", FieldType::Text).column(column);
    let declared = |name: &'static str, fields: Vec<Field>| {
        Collection::new(name).mapped(Mapping::new(1, fields))
    };
    let long = "x".repeat(41);
    for name in ["learning.tutor", "$tutor", "1tutor", "_tutor", "a b", "a\"b", "tütor", &*long] {
        let collection = Collection { name: name.to_owned().into(), ..declared("x", vec![]) };
        let refused = t.declare(collection).await.expect_err("no name of a table");
        assert_invalid(&refused, "collection", &format!("{name:?} is no name of a table"));
    }
    for column in ["", "_id", "$where", "a.b", "a b", "a\"b", "a;b", "ä", "1a"] {
        let refused = t.declare(declared(TUTOR, vec![field(column)])).await;
        let refused = refused.expect_err("no name of a column");
        assert_invalid(&refused, "column", &format!("{column:?} is no name of a column"));
    }
    let twice = vec![field("a"), Field::new("b", FieldType::Text).column("A")];
    let refused = t.declare(declared(TUTOR, twice)).await.expect_err("two of one name");
    assert_invalid(&refused, "b", "case is not enough to tell columns apart");
    let list = Field::new("a", FieldType::Text.list()).indexed();
    let indexed = declared(TUTOR, vec![list]).indexed("a");
    let refused = t.declare(indexed).await.expect_err("no list is indexed");
    assert_invalid(&refused, "a", "no list is indexed");
    t.declared(declared(TUTOR, vec![field("Select")])).await;
    t.applied(puts("17", &json!({ "a": "from" }))).await;
    assert_eq!(version(&t, "17").await, Some(1), "words of a query language are names like others");
}

async fn documents_of_any_json_become_entities(t: Probe) {
    t.declared(Collection::new(TUTOR).indexed("city")).await;
    for id in ["1", "2", "3"] {
        t.applied(saves(&with_email(id, id))).await;
    }
    t.applied(saves(&with_email("1", "one"))).await;
    t.applied(saves_of("acme", &ada("1"))).await;
    t.applied(deletes("3")).await;
    t.declared(tutors()).await;
    assert_eq!(read(&t, "1").await, Some(with_email("1", "one")), "as it was");
    assert_eq!(version(&t, "1").await, Some(2), "at the version that it had");
    assert_eq!(read(&t, "3").await, None, "a deleted one stays deleted");
    assert_eq!(t.found(FindDocuments::by(TUTOR, "email", "one")).await, ["1"], "found anew");
    let acme = t.document(&of("acme", "1")).await.expect("it can be read");
    assert!(acme.is_some(), "that of a tenant");
    t.applied(saves(&with_email("1", "uno"))).await;
    t.applied(saves(&with_email("3", "one"))).await;
    let versions = [version(&t, "1").await, version(&t, "3").await];
    assert_eq!(versions, [Some(3), Some(3)], "they go on counting");
}

async fn documents_that_do_not_fit_stay_what_they_are(t: Probe) {
    t.declared(Collection::new(TUTOR)).await;
    t.applied(saves(&with_email("1", "a"))).await;
    t.applied(puts("2", &json!({ "tutor_id": "2" }))).await;
    let refused = t.declare(tutors()).await.expect_err("one does not fit");
    assert_invalid(&refused, "city", "it has none");
    t.applied(puts("2", &json!({ "any": "thing" }))).await;
    t.applied(saves(&with_email("2", "a"))).await;
    let refused = t.declare(tutors()).await.expect_err("two share a value");
    let kind = refused.kind().clone();
    let taken = [taken("1"), taken("2")].map(cqrs_core::ErrorKind::Conflict);
    assert!(taken.contains(&kind), "the email of one is that of the other: {kind:?}");
    t.applied(puts("2", &json!({ "any": "thing" }))).await;
    t.applied(deletes("2")).await;
    t.declared(tutors()).await;
    assert_eq!(read(&t, "1").await, Some(with_email("1", "a")), "as it was");
}

async fn entities_do_not_become_any_json(t: Probe) {
    t.declared(tutors()).await;
    t.applied(saves(&ada("1"))).await;
    let refused = t.declare(Collection::new(TUTOR)).await.expect_err("it has a schema");
    assert_invalid(&refused, "collection", "it has a schema");
    assert_eq!(read(&t, "1").await, Some(ada("1")), "as it was");
}
