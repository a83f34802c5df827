//! Entities with a schema, as the server has them: fields, a validator, indexes, and what an operator does to
//! them.

use std::sync::Arc;

use cqrs_core::{
    Collection, Commit, DocumentKey, DocumentWrite, Documents, Entity, ErrorKind, Expected, Field,
    FieldType, FindDocuments, Json, Mapping, Store, Timestamp,
};
use cqrs_derive::Schema;
use serde::{Deserialize, Serialize};
use store_mongo::MongoStore;
use store_mongo::bson::spec::BinarySubtype;
use store_mongo::bson::{Binary, Bson, Document, RawDocumentBuf, doc};
use store_mongo::mongodb;
use uuid::Uuid;

use crate::common::{self, Database};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
#[schema(collection = "tutors")]
struct Tutor {
    #[schema(id)]
    tutor_id: String,
    #[schema(unique)]
    email: Option<String>,
    #[schema(indexed)]
    city: String,
    bio: String,
    badge: Uuid,
    since: Timestamp,
    subjects: Vec<Subject>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Subject {
    name: String,
    hours: u32,
    taught_by: Option<Uuid>,
}

fn ada() -> Tutor {
    Tutor {
        tutor_id: "ada".into(),
        email: Some("ada@example.org".into()),
        city: "London".into(),
        bio: "computes".into(),
        badge: Uuid::from_u128(7),
        since: Timestamp::UNIX_EPOCH,
        subjects: vec![Subject { name: "logic".into(), hours: 3, taught_by: Some(Uuid::nil()) }],
    }
}

fn uuid(n: u128) -> Binary {
    let bytes = Uuid::from_u128(n).as_bytes().to_vec();
    Binary { subtype: BinarySubtype::Uuid, bytes }
}

fn saves(tutor: &Tutor) -> Commit {
    let key = DocumentKey::new(Tutor::COLLECTION, tutor.id());
    let write = DocumentWrite::put(key, Expected::Any, Json::encode(tutor).unwrap());
    Commit { documents: vec![write], ..Commit::default() }
}

/// A store with a tutor.
async fn begun(database: &Database) -> (MongoStore, Documents<Tutor>) {
    let store = common::store(&database.0).connect().await.unwrap();
    let tutors = Documents::<Tutor>::new(Arc::new(store.clone()));
    tutors.declare().await.unwrap();
    store.commit(saves(&ada())).await.unwrap();
    (store, tutors)
}

fn tutors(store: &MongoStore) -> mongodb::Collection<Document> {
    store.database().collection("tutors")
}

#[tokio::test]
async fn an_entity_is_a_document_with_its_fields() {
    let database = Database::new();
    let (store, _) = begun(&database).await;
    let found = tutors(&store).find_one(doc! { "_id": "ada" }).await.unwrap().unwrap();
    let expected = doc! {
        "_id": "ada", "_tenant": "", "_version": 1_i64, "tutor_id": "ada",
        "email": "ada@example.org", "city": "London", "bio": "computes", "badge": uuid(7),
        "since": "1970-01-01T00:00:00.000000Z",
        "subjects": [{ "hours": 3_i64, "name": "logic", "taught_by": uuid(0) }],
    };
    assert_eq!(found, expected);
    // Its UUIDs are those of BSON, which the driver alone does not read into those of Rust.
    let raw = store.database().collection::<RawDocumentBuf>("tutors");
    let teaches = raw.find_one(doc! { "subjects.name": "logic" }).await.unwrap().unwrap();
    assert_eq!(MongoStore::entity_of::<Tutor>(&teaches).unwrap(), ada());
}

#[tokio::test]
async fn a_value_that_somebody_else_wrote_is_read_or_refused_by_the_validator() {
    let database = Database::new();
    let (store, found) = begun(&database).await;
    let all = tutors(&store);
    // As a shell writes numbers.
    let hours = doc! { "$set": { "city": "Paris", "subjects.0.hours": 4.0 } };
    let refused = all.update_one(doc! {}, hours).await;
    refused.unwrap();
    assert_eq!(found.get("ada").await.unwrap().unwrap().city, "Paris");
    for wrong in [
        doc! { "$set": { "city": 7 } },
        doc! { "$unset": { "city": "" } },
        doc! { "$set": { "subjects.0.name": Bson::Null } },
        doc! { "$set": { "email": ["a"] } },
    ] {
        let refused = all.update_one(doc! {}, wrong.clone()).await.unwrap_err();
        assert!(refused.to_string().contains("121"), "{wrong}: {refused}");
    }
    all.update_one(doc! {}, doc! { "$set": { "email": Bson::Null } }).await.unwrap();
    assert_eq!(found.get("ada").await.unwrap().unwrap().email, None);
}

#[tokio::test]
async fn entities_have_their_indexes_and_lose_those_that_are_not_declared_any_more() {
    let database = Database::new();
    let (store, _) = begun(&database).await;
    let mut names = tutors(&store).list_index_names().await.unwrap();
    names.sort();
    assert_eq!(names, ["_id_", "tutors__city__idx", "tutors__email__key"]);
    // One of the user's own stays.
    let own = doc! { "name": "by_subject", "key": { "subjects.name": 1 } };
    let create = doc! { "createIndexes": "tutors", "indexes": [own] };
    store.database().run_command(create).await.unwrap();
    let mut fields = Tutor::mapping().unwrap().fields;
    for field in &mut fields {
        field.index = None;
    }
    let plain = Collection::new("tutors").mapped(Mapping::new(2, fields).id("tutor_id"));
    store.declare(plain).await.unwrap();
    let mut names = tutors(&store).list_index_names().await.unwrap();
    names.sort();
    assert_eq!(names, ["_id_", "by_subject"]);
}

#[tokio::test]
async fn names_that_are_taken_or_forbidden_are_refused_before_anything_is_made() {
    let database = Database::new();
    let (store, _) = begun(&database).await;
    store.database().create_collection("notes").await.unwrap();
    let of = |name: &'static str, column: &'static str| {
        let field = Field::new("id", FieldType::Text).column(column);
        Collection::new(name).mapped(Mapping::new(1, vec![field]))
    };
    let before = store.database().list_collection_names().await.unwrap().len();
    for name in ["notes", "cqrs_events", "cqrs_new", "system.views", "a$b"] {
        let refused = store.declare(of(name, "id")).await.unwrap_err();
        let field = Some("collection".to_owned());
        assert_eq!(*refused.kind(), ErrorKind::Invalid { field }, "{name}: {refused}");
    }
    for column in ["$set", "_id", "_version", "a.b"] {
        let refused = store.declare(of("fresh", column)).await.unwrap_err();
        let field = Some("column".to_owned());
        assert_eq!(*refused.kind(), ErrorKind::Invalid { field }, "{column}: {refused}");
    }
    let after = store.database().list_collection_names().await.unwrap().len();
    assert_eq!(before, after);
}

/// A tutor without a bio, and with a number in place of a city.
fn changed() -> Collection {
    let fields =
        Tutor::mapping().unwrap().fields.into_iter().filter_map(|field| match &*field.name {
            "bio" => None,
            "city" => Some(Field::new("city", FieldType::Integer).indexed()),
            _ => Some(field),
        });
    let collection = Collection::new("tutors").indexed("city").unique("email");
    collection.mapped(Mapping::new(2, fields.collect()).id("tutor_id"))
}

#[tokio::test]
async fn a_refused_change_says_the_statement_that_it_needs_and_leaves_all_as_it_was() {
    let database = Database::new();
    let (store, _) = begun(&database).await;
    let all = tutors(&store);
    let refused = |field: &'static str, statement: &'static str| {
        let store = &store;
        async move {
            let refused = store.declare(changed()).await.unwrap_err();
            let field = Some(field.to_owned());
            assert_eq!(*refused.kind(), ErrorKind::Invalid { field }, "{refused}");
            assert!(refused.to_string().contains(statement), "{refused}");
        }
    };
    refused("bio", "db.tutors.updateMany({}, {$unset: {bio: ''}})").await;
    // The validator is that of the first version again.
    let wrong = all.update_one(doc! {}, doc! { "$set": { "city": 7 } }).await;
    wrong.unwrap_err();
    // What the operator does is not what the validator takes: it is by-passed.
    let unset = doc! { "$unset": { "bio": "" } };
    let unset = all.update_many(doc! {}, unset).bypass_document_validation(true);
    unset.await.unwrap();
    refused("city", "db.tutors.updateMany({}, [{$set: {city: …}}])").await;
    let number = [doc! { "$set": { "city": { "$toLong": "17" } } }];
    let number = all.update_many(doc! {}, number.to_vec()).bypass_document_validation(true);
    number.await.unwrap();
    store.declare(changed()).await.unwrap();
    let found = store.find_documents(FindDocuments::by("tutors", "city", 17)).await.unwrap();
    assert_eq!(found[0].id, "ada");
    all.update_one(doc! {}, doc! { "$set": { "city": "x" } }).await.unwrap_err();
}

#[tokio::test]
async fn a_declaration_that_was_broken_off_is_ended_by_the_next_one() {
    let database = Database::new();
    let (store, found) = begun(&database).await;
    // As it is when a process dies before the validator and the indexes are there.
    let declared = store.database().collection::<Document>("cqrs_collections");
    let unmade = doc! { "$set": { "is_made": false } };
    declared.update_one(doc! { "_id": "tutors" }, unmade).await.unwrap();
    let loose = doc! { "collMod": "tutors", "validationLevel": "off" };
    store.database().run_command(loose).await.unwrap();
    tutors(&store).drop_indexes().await.unwrap();
    found.declare().await.unwrap();
    tutors(&store).update_one(doc! {}, doc! { "$set": { "city": 7 } }).await.unwrap_err();
    assert_eq!(tutors(&store).list_index_names().await.unwrap().len(), 3);
    // And as it is when one dies before anything is declared.
    let begun = doc! { "_id": "notes", "is_own": true, "is_made": false };
    declared.insert_one(begun).await.unwrap();
    store.database().create_collection("notes").await.unwrap();
    let undeclared = store.find_documents(FindDocuments::all("notes")).await.unwrap_err();
    assert_eq!(*undeclared.kind(), ErrorKind::Invalid { field: Some("collection".into()) });
    let notes = Mapping::new(1, vec![Field::new("id", FieldType::Text)]).id("id");
    store.declare(Collection::new("notes").mapped(notes)).await.unwrap();
    assert!(store.find_documents(FindDocuments::all("notes")).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_entity_that_no_document_can_be_is_refused_and_those_beside_it_are_written() {
    let database = Database::new();
    let (store, found) = begun(&database).await;
    let any = Mapping::new(1, vec![Field::new("any", FieldType::Json)]);
    store.declare(Collection::new("anything").mapped(any)).await.unwrap();
    let put = |id: &str, any: serde_json::Value| {
        let body = Json::encode(&serde_json::json!({ "any": any })).unwrap();
        let write = DocumentWrite::put(DocumentKey::new("anything", id), Expected::Any, body);
        Commit { documents: vec![write], ..Commit::default() }
    };
    // In BSON each number has the bytes of its place as well.
    let large = serde_json::Value::from(vec![1; 1_100_000]);
    let mut deep = serde_json::json!(1);
    for _ in 0..100 {
        deep = serde_json::json!([deep]);
    }
    let other = Tutor { city: "Rome".into(), ..ada() };
    let (large, deep, beside) = tokio::join!(
        store.commit(put("large", large)),
        store.commit(put("deep", deep)),
        store.commit(saves(&other)),
    );
    let large = large.unwrap_err();
    assert!(matches!(large.kind(), ErrorKind::TooLarge { .. }), "{large:?}");
    assert!(large.to_string().contains("anything/large"), "{large}");
    let deep = deep.unwrap_err();
    assert_eq!(*deep.kind(), ErrorKind::Invalid { field: Some("any".into()) }, "{deep}");
    beside.unwrap();
    assert_eq!(*found.get("ada").await.unwrap().unwrap(), other);
    assert_eq!(store.document(&DocumentKey::new("anything", "large")).await.unwrap(), None);
}

#[tokio::test]
async fn an_entity_is_written_in_a_transaction_of_the_users_own() {
    let database = Database::new();
    let (store, found) = begun(&database).await;
    let bob = Tutor { tutor_id: "bob".into(), email: None, ..ada() };
    for ends in [false, true] {
        let mut session = store.session().await.unwrap();
        session.start_transaction().await.unwrap();
        store.commit_in(&mut session, saves(&bob)).await.unwrap();
        match ends {
            true => session.commit_transaction().await.unwrap(),
            false => session.abort_transaction().await.unwrap(),
        }
        assert_eq!(found.get("bob").await.unwrap().is_some(), ends);
    }
}
