//! Entities whose schema changes: what is stored goes along, or nothing is changed.

use cqrs_core::{Conflict, ErrorKind, Expected, Field, FieldType, Mapping};
use serde_json::{Value, json};

use crate::store::cases::prelude::*;
use crate::store::handle::{Handle, together};

cases! { "schema_changes":
    a_schema_that_is_declared_again_changes_nothing,
    a_schema_that_is_declared_by_many_at_once_is_declared,
    a_change_without_a_new_version_is_refused,
    an_older_version_changes_nothing_and_goes_on,
    an_optional_field_is_added,
    a_field_that_must_be_there_is_added_where_nothing_is_stored,
    a_field_that_must_be_there_is_not_added_to_what_is_stored,
    an_index_is_added_for_what_is_there,
    an_index_is_removed,
    a_field_becomes_unique_unless_a_value_is_there_twice,
    a_unique_field_may_become_one_that_is_not,
    a_column_is_renamed,
    a_field_is_renamed_over_its_column,
    two_fields_swap_their_columns,
    a_new_field_takes_the_column_that_another_one_leaves,
    a_field_that_must_be_there_does_not_take_the_values_of_another_one,
    columns_get_names_like_those_of_the_store,
    an_id_gets_another_name,
    indexes_of_collections_with_similar_names_are_apart,
    the_order_of_fields_says_nothing,
    a_field_with_values_is_not_removed,
    a_field_without_values_is_removed,
    a_field_with_values_does_not_become_another_type,
    a_text_does_not_become_what_it_looks_like,
    a_field_without_values_becomes_another_type,
    a_field_that_is_missing_somewhere_stays_optional,
    a_field_that_is_nowhere_missing_must_be_there_from_now_on,
    a_field_may_become_optional,
    a_part_gets_an_optional_field,
    a_part_loses_no_field_that_is_stored,
    another_id_is_refused_where_something_is_stored,
    another_handle_goes_on_after_a_change,
}

fn name() -> Field {
    Field::new("name", FieldType::Text)
}

fn id() -> Field {
    Field::new("id", FieldType::Text)
}

fn subjects(fields: Vec<Field>) -> Field {
    Field::new("subjects", FieldType::Struct(fields).list())
}

fn collection(version: u32, fields: Vec<Field>) -> Collection {
    let mut all = Collection::new(TUTOR);
    for field in &fields {
        all = match field.index {
            None => all,
            Some(cqrs_core::Index::Plain) => all.indexed(field.name.clone()),
            Some(cqrs_core::Index::Unique) => all.unique(field.name.clone()),
        };
    }
    all.mapped(Mapping::new(version, fields).id("id"))
}

/// Version 1: a name, and a city that may be missing.
fn first() -> Collection {
    collection(1, vec![id(), name(), city()])
}

fn city() -> Field {
    Field::new("city", FieldType::Text.optional())
}

async fn two(t: &Probe) {
    t.declared(first()).await;
    t.applied(puts("1", &json!({ "id": "1", "name": "Ada", "city": "London" }))).await;
    t.applied(puts("2", &json!({ "id": "2", "name": "Bob", "city": null }))).await;
}

async fn says(t: &Handle, id: &str) -> Value {
    let document = t.document(&key(id)).await.expect("it can be read").expect("it is there");
    document.body.decode().expect("JSON")
}

/// Version 2 is refused by this field, and what is there stays as it was.
async fn refused(t: &Probe, fields: Vec<Field>, field: &str, why: &str) {
    let before = [says(t, "1").await, says(t, "2").await];
    let refused = t.declare(collection(2, fields)).await.expect_err(why);
    assert_invalid(&refused, field, why);
    assert_eq!([says(t, "1").await, says(t, "2").await], before, "{why}: nothing is changed");
    t.declared(first()).await;
    t.applied(puts("3", &json!({ "id": "3", "name": "Eve", "city": "Rome" }))).await;
    assert_eq!(says(t, "3").await["city"], "Rome", "{why}: it goes on as before");
}

async fn a_schema_that_is_declared_again_changes_nothing(t: Probe) {
    two(&t).await;
    two(&t).await;
    assert_eq!(t.tutor("1").await.map(|tutor| tutor.version), Some(2), "written twice");
}

async fn a_schema_that_is_declared_by_many_at_once_is_declared(t: Probe) {
    let mut handles = Vec::new();
    for _ in 0..4 {
        handles.push(t.another().await);
    }
    let declared = together(4, |n| {
        let handle = handles[n].clone();
        async move { crate::store::handle::patiently(|| handle.declare(first())).await }
    });
    for declared in declared.await {
        declared.expect("each finds it declared, or declares it");
    }
    two(&t).await;
    for handle in handles {
        assert_eq!(says(&handle, "1").await["name"], "Ada", "seen by all");
    }
}

async fn a_change_without_a_new_version_is_refused(t: Probe) {
    two(&t).await;
    let more = collection(1, vec![id(), name(), city(), Field::new("age", FieldType::Integer)]);
    let refused = t.declare(more).await.expect_err("its version was not raised");
    assert_invalid(&refused, "age", "the field that is new");
    assert!(refused.to_string().contains("raise the version"), "what to do: {refused}");
}

async fn an_older_version_changes_nothing_and_goes_on(t: Probe) {
    two(&t).await;
    let age = Field::new("age", FieldType::Integer.optional()).indexed();
    t.declared(collection(2, vec![id(), name(), city(), age])).await;
    t.applied(puts("1", &json!({ "id": "1", "name": "Ada", "city": null, "age": 36 }))).await;
    t.declared(first()).await;
    assert_eq!(says(&t, "1").await["age"], 36, "what the newer version wrote");
    assert_eq!(t.found(FindDocuments::by(TUTOR, "age", 36)).await, ["1"], "its index");
    t.applied(puts("3", &json!({ "id": "3", "name": "Eve" }))).await;
    assert_eq!(says(&t, "3").await["name"], "Eve", "written by the older version");
}

async fn an_optional_field_is_added(t: Probe) {
    two(&t).await;
    let note = Field::new("note", FieldType::Text.list()).may_miss();
    let age = Field::new("age", FieldType::Integer.optional());
    t.declared(collection(2, vec![id(), age, name(), city(), note])).await;
    let ada = json!({ "id": "1", "name": "Ada", "city": "London", "age": null });
    assert_eq!(says(&t, "1").await, ada, "what was there, and no value in what is new");
    let ada = json!({ "id": "1", "name": "Ada", "city": "London", "age": 36, "note": ["x"] });
    t.applied(puts("1", &ada)).await;
    assert_eq!(says(&t, "1").await, ada, "with values");
    assert_eq!(t.tutor("1").await.map(|tutor| tutor.version), Some(2), "it goes on counting");
}

async fn a_field_that_must_be_there_is_added_where_nothing_is_stored(t: Probe) {
    t.declared(first()).await;
    t.declared(collection(2, vec![id(), Field::new("age", FieldType::Integer)])).await;
    t.applied(puts("1", &json!({ "id": "1", "age": 36 }))).await;
    assert_eq!(says(&t, "1").await, json!({ "id": "1", "age": 36 }), "as it is now");
    let refused = t.refused(puts("2", &json!({ "id": "2" }))).await;
    assert_invalid(&refused, "age", "it must be there");
}

async fn a_field_that_must_be_there_is_not_added_to_what_is_stored(t: Probe) {
    two(&t).await;
    let age = Field::new("age", FieldType::Integer);
    refused(&t, vec![id(), name(), city(), age], "age", "no entity has one").await;
}

async fn an_index_is_added_for_what_is_there(t: Probe) {
    two(&t).await;
    t.declared(collection(2, vec![id(), name().indexed(), city().unique()])).await;
    assert_eq!(t.found(FindDocuments::by(TUTOR, "name", "Bob")).await, ["2"], "by its name");
    assert_eq!(t.found(FindDocuments::by(TUTOR, "city", "London")).await, ["1"], "by its city");
    let taken = json!({ "id": "3", "name": "Bob", "city": "London" });
    let refused = t.refused(puts("3", &taken)).await;
    let (collection, id) = (TUTOR.to_owned(), "3".to_owned());
    let conflict = Conflict::Unique { collection, id, field: "city".to_owned() };
    assert_conflict(&refused, conflict, "it holds for what was there before");
}

async fn an_index_is_removed(t: Probe) {
    t.declared(collection(1, vec![id(), name().indexed()])).await;
    t.applied(puts("1", &json!({ "id": "1", "name": "Ada" }))).await;
    t.declared(collection(2, vec![id(), name()])).await;
    let find = t.find_documents(FindDocuments::by(TUTOR, "name", "Ada")).await;
    assert_invalid(&find.expect_err("it is not indexed"), "name", "it is not indexed any more");
    assert_eq!(says(&t, "1").await["name"], "Ada", "as it was");
}

async fn a_field_becomes_unique_unless_a_value_is_there_twice(t: Probe) {
    two(&t).await;
    t.applied(puts("2", &json!({ "id": "2", "name": "Ada" }))).await;
    let unique = || collection(2, vec![id(), name().unique(), city()]);
    let refused = t.declare(unique()).await.expect_err("two have one name");
    let ErrorKind::Conflict(Conflict::Unique { field, .. }) = refused.kind() else {
        panic!("two have one name: {refused:?}");
    };
    assert_eq!(field, "name");
    t.applied(puts("2", &json!({ "id": "2", "name": "Bob" }))).await;
    t.declared(unique()).await;
    assert_eq!(t.found(FindDocuments::by(TUTOR, "name", "Bob")).await, ["2"], "found by it");
}

async fn a_unique_field_may_become_one_that_is_not(t: Probe) {
    t.declared(collection(1, vec![id(), name().unique()])).await;
    t.applied(puts("1", &json!({ "id": "1", "name": "Ada" }))).await;
    t.declared(collection(2, vec![id(), name().indexed()])).await;
    t.applied(puts("2", &json!({ "id": "2", "name": "Ada" }))).await;
    assert_eq!(t.found(FindDocuments::by(TUTOR, "name", "Ada")).await, ["1", "2"], "both");
}

async fn a_column_is_renamed(t: Probe) {
    two(&t).await;
    t.declared(collection(2, vec![id(), name(), city().column("town").indexed()])).await;
    assert_eq!(says(&t, "1").await["city"], "London", "as it was");
    assert_eq!(t.found(FindDocuments::by(TUTOR, "city", "London")).await, ["1"], "found by it");
    t.applied(puts("2", &json!({ "id": "2", "name": "Bob", "city": "Rome" }))).await;
    assert_eq!(says(&t, "2").await["city"], "Rome", "written since");
}

async fn a_field_is_renamed_over_its_column(t: Probe) {
    two(&t).await;
    let town = Field::new("town", FieldType::Text.optional()).column("city");
    t.declared(collection(2, vec![id(), name(), town])).await;
    let ada = json!({ "id": "1", "name": "Ada", "town": "London" });
    assert_eq!(says(&t, "1").await, ada, "under its new name");
}

async fn two_fields_swap_their_columns(t: Probe) {
    let of = |version, first: &'static str, second: &'static str| {
        let first = Field::new("x", FieldType::Text.optional()).column(first).indexed();
        let second = Field::new("y", FieldType::Text.optional()).column(second);
        collection(version, vec![id(), first, second])
    };
    t.declared(of(1, "a", "b")).await;
    let other = t.another().await;
    t.applied(puts("1", &json!({ "id": "1", "x": "X", "y": "Y" }))).await;
    assert_eq!(says(&other, "1").await, json!({ "id": "1", "x": "X", "y": "Y" }), "before");
    t.declared(of(2, "b", "a")).await;
    for handle in [&t.handle(), &other] {
        assert_eq!(says(handle, "1").await, json!({ "id": "1", "x": "X", "y": "Y" }), "swapped");
        assert_eq!(handle.found(FindDocuments::by(TUTOR, "x", "X")).await, ["1"], "found by it");
    }
    t.applied(puts("2", &json!({ "id": "2", "x": "Z", "y": null }))).await;
    assert_eq!(says(&other, "2").await, json!({ "id": "2", "x": "Z", "y": null }), "written since");
}

async fn a_new_field_takes_the_column_that_another_one_leaves(t: Probe) {
    let x = || Field::new("x", FieldType::Text);
    t.declared(collection(1, vec![id(), x().column("a")])).await;
    t.applied(puts("1", &json!({ "id": "1", "x": "X" }))).await;
    let y = Field::new("y", FieldType::Text.optional()).column("a");
    t.declared(collection(2, vec![id(), x().column("b"), y])).await;
    let expected = json!({ "id": "1", "x": "X", "y": null });
    assert_eq!(says(&t, "1").await, expected, "what was in the column has gone with its field");
    let both = json!({ "id": "1", "x": "Z", "y": "Y" });
    t.applied(puts("1", &both)).await;
    assert_eq!(says(&t, "1").await, both, "written since");
}

async fn a_field_that_must_be_there_does_not_take_the_values_of_another_one(t: Probe) {
    two(&t).await;
    let age = Field::new("age", FieldType::Text).column("name");
    let fields = vec![id(), name().column("called"), city(), age];
    refused(&t, fields, "age", "the values of the column are another field's").await;
}

async fn columns_get_names_like_those_of_the_store(t: Probe) {
    two(&t).await;
    let city = city().column("version").indexed();
    t.declared(collection(2, vec![id(), name().column("tenant"), city])).await;
    let ada = json!({ "id": "1", "name": "Ada", "city": "London" });
    assert_eq!(says(&t, "1").await, ada, "as it was");
    assert_eq!(t.tutor("1").await.map(|tutor| tutor.version), Some(1), "its version, too");
    assert_eq!(t.found(FindDocuments::by(TUTOR, "city", "London")).await, ["1"], "found by it");
}

async fn an_id_gets_another_name(t: Probe) {
    let declared = |version, name: &'static str| {
        let id = Field::new(name, FieldType::Integer).column("number");
        let fields = vec![id, Field::new("name", FieldType::Text)];
        Collection::new(TUTOR).mapped(Mapping::new(version, fields).id(name))
    };
    t.declared(declared(1, "id")).await;
    t.applied(puts("17", &json!({ "id": 17, "name": "Ada" }))).await;
    t.declared(declared(2, "tutor_id")).await;
    assert_eq!(says(&t, "17").await, json!({ "tutor_id": 17, "name": "Ada" }), "as it was");
    t.applied(puts("18", &json!({ "tutor_id": 18, "name": "Bob" }))).await;
    t.applied(puts("17", &json!({ "tutor_id": 17, "name": "Eve" }))).await;
    assert_eq!(t.found(FindDocuments::all(TUTOR)).await, ["17", "18"], "written since");
}

async fn indexes_of_collections_with_similar_names_are_apart(t: Probe) {
    let declared = |version, name: &'static str, field: &'static str, unique: bool| {
        let of = Field::new(field, FieldType::Text);
        let collection = Collection::new(name);
        let (of, collection) = match unique {
            true => (of.unique(), collection.unique(field)),
            false => (of, collection),
        };
        collection.mapped(Mapping::new(version, vec![id(), of]).id("id"))
    };
    t.declared(declared(1, "user", "role_name", true)).await;
    t.declared(declared(1, "user_role", "name", true)).await;
    let put = |collection: &'static str, id: &str, value: Value| {
        let key = cqrs_core::DocumentKey::new(collection, id);
        writes(vec![cqrs_core::DocumentWrite::put(key, Expected::Any, body(&value))])
    };
    t.declared(declared(2, "user", "role_name", false)).await;
    t.applied(put("user", "1", json!({ "id": "1", "role_name": "a" }))).await;
    t.applied(put("user", "2", json!({ "id": "2", "role_name": "a" }))).await;
    t.applied(put("user_role", "1", json!({ "id": "1", "name": "a" }))).await;
    let taken = t.refused(put("user_role", "2", json!({ "id": "2", "name": "a" }))).await;
    assert!(matches!(taken.kind(), ErrorKind::Conflict(Conflict::Unique { .. })), "{taken:?}");
}

async fn the_order_of_fields_says_nothing(t: Probe) {
    two(&t).await;
    t.declared(collection(1, vec![city(), id(), name()])).await;
    assert_eq!(says(&t, "1").await["name"], "Ada", "as it was");
}

async fn a_text_does_not_become_what_it_looks_like(t: Probe) {
    for (n, looks, of) in [
        ("1", "2024-01-01T00:00:00Z", FieldType::Time),
        ("2", "550E8400-E29B-41D4-A716-446655440000", FieldType::Uuid),
        ("3", "12345", FieldType::Json),
        ("4", "true", FieldType::Bool),
    ] {
        let name = format!("{TUTOR}{n}");
        let declared = |version, of: FieldType| {
            let fields = vec![id(), Field::new("city", of.optional())];
            let mapping = Mapping::new(version, fields).id("id");
            Collection::new(name.clone()).mapped(mapping)
        };
        t.declared(declared(1, FieldType::Text)).await;
        let key = cqrs_core::DocumentKey::new(name.clone(), "1");
        let value = json!({ "id": "1", "city": looks });
        let put = cqrs_core::DocumentWrite::put(key.clone(), Expected::Any, body(&value));
        t.applied(writes(vec![put])).await;
        // Refused, or the very same.
        if t.declare(declared(2, of.clone())).await.is_ok() {
            let now = t.document(&key).await.expect("it can be read").expect("it is there");
            let now: Value = now.body.decode().expect("JSON");
            assert_eq!(now["city"], looks, "as {of:?}");
        }
    }
}

async fn a_field_with_values_is_not_removed(t: Probe) {
    two(&t).await;
    refused(&t, vec![id(), name()], "city", "Ada's would be lost").await;
}

async fn a_field_without_values_is_removed(t: Probe) {
    two(&t).await;
    t.applied(puts("1", &json!({ "id": "1", "name": "Ada", "city": null }))).await;
    t.declared(collection(2, vec![id(), name()])).await;
    assert_eq!(says(&t, "1").await, json!({ "id": "1", "name": "Ada" }), "without it");
}

async fn a_field_with_values_does_not_become_another_type(t: Probe) {
    two(&t).await;
    let fields = vec![id(), name(), Field::new("city", FieldType::Integer.optional())];
    refused(&t, fields, "city", "a text is no number").await;
}

async fn a_field_without_values_becomes_another_type(t: Probe) {
    two(&t).await;
    t.applied(puts("1", &json!({ "id": "1", "name": "Ada", "city": null }))).await;
    let city = Field::new("city", FieldType::Integer.optional());
    t.declared(collection(2, vec![id(), name(), city])).await;
    t.applied(puts("2", &json!({ "id": "2", "name": "Bob", "city": 7 }))).await;
    assert_eq!(says(&t, "2").await["city"], 7, "a number now");
    assert_eq!(says(&t, "1").await["city"], json!(null), "and none");
}

async fn a_field_that_is_missing_somewhere_stays_optional(t: Probe) {
    two(&t).await;
    let city = Field::new("city", FieldType::Text);
    refused(&t, vec![id(), name(), city], "city", "Bob has none").await;
}

async fn a_field_that_is_nowhere_missing_must_be_there_from_now_on(t: Probe) {
    two(&t).await;
    t.applied(puts("2", &json!({ "id": "2", "name": "Bob", "city": "Rome" }))).await;
    t.declared(collection(2, vec![id(), name(), Field::new("city", FieldType::Text)])).await;
    let refused = t.refused(puts("3", &json!({ "id": "3", "name": "Eve" }))).await;
    assert_invalid(&refused, "city", "it must be there");
}

async fn a_field_may_become_optional(t: Probe) {
    two(&t).await;
    let name = Field::new("name", FieldType::Text.optional());
    t.declared(collection(2, vec![id(), name, city()])).await;
    t.applied(puts("3", &json!({ "id": "3" }))).await;
    let eve = json!({ "id": "3", "name": null, "city": null });
    assert_eq!(says(&t, "3").await, eve, "without any");
    assert_eq!(says(&t, "1").await["name"], "Ada", "as it was");
}

async fn parts(t: &Probe) {
    let of = subjects(vec![name(), Field::new("hours", FieldType::Integer)]);
    t.declared(collection(1, vec![id(), of])).await;
    let subject = json!({ "name": "logic", "hours": 3 });
    t.applied(puts("1", &json!({ "id": "1", "subjects": [subject] }))).await;
}

async fn a_part_gets_an_optional_field(t: Probe) {
    parts(&t).await;
    let hours = Field::new("hours", FieldType::Integer.optional());
    let of = subjects(vec![name(), hours, Field::new("level", FieldType::Text.optional())]);
    t.declared(collection(2, vec![id(), of])).await;
    assert_eq!(says(&t, "1").await["subjects"][0]["hours"], 3, "as it was");
    let more = json!({ "id": "2", "subjects": [{ "name": "sums", "hours": null, "level": "x" }] });
    t.applied(puts("2", &more)).await;
    assert_eq!(says(&t, "2").await, more, "with all of it");
}

async fn a_part_loses_no_field_that_is_stored(t: Probe) {
    parts(&t).await;
    let fewer = collection(2, vec![id(), subjects(vec![name()])]);
    let refused = t.declare(fewer).await.expect_err("hours would be lost");
    let field = match refused.kind() {
        ErrorKind::Invalid { field: Some(field) } => field.as_str(),
        other => panic!("hours would be lost: {other:?}"),
    };
    assert!(field.starts_with("subjects"), "it names the field: {field}");
    assert_eq!(says(&t, "1").await["subjects"][0]["hours"], 3, "as it was");
    t.applied(deletes("1")).await;
    t.declared(collection(2, vec![id(), subjects(vec![name()])])).await;
}

async fn another_id_is_refused_where_something_is_stored(t: Probe) {
    two(&t).await;
    let fields = || vec![id(), name(), city()];
    let by_name = Collection::new(TUTOR).mapped(Mapping::new(2, fields()).id("name"));
    let refused = t.declare(by_name).await.expect_err("Ada is no id");
    assert_invalid(&refused, "name", "it is not what they are stored under");
    assert_eq!(says(&t, "1").await["name"], "Ada", "as it was");
}

async fn another_handle_goes_on_after_a_change(t: Probe) {
    two(&t).await;
    let other = t.another().await;
    let write = |id: &str, name: &str| {
        writes(vec![put(id, Expected::Any, &json!({ "id": id, "name": name, "city": "Rome" }))])
    };
    other.applied(write("3", "Eve")).await;
    assert_eq!(says(&other, "1").await["name"], "Ada", "read before the change");
    let age = Field::new("age", FieldType::Integer.optional());
    t.declared(collection(2, vec![id(), name(), city().column("town"), age])).await;
    assert_eq!(says(&other, "1").await["city"], "London", "read after the change");
    other.applied(write("4", "Zoe")).await;
    assert_eq!(says(&t, "4").await["city"], "Rome", "written after the change");
    assert_eq!(says(&other, "4").await["age"], json!(null), "what is new");
    let found = other.found(FindDocuments::all(TUTOR)).await;
    assert_eq!(found, ["1", "2", "3", "4"], "found after the change");
}
