//! Entities with a schema, as the server has them: columns, constraints, and what an operator does to them.

use std::sync::Arc;

use cqrs_core::{
    Collection, Commit, DocumentWrite, Documents, Entity, ErrorKind, Expected, Field, FieldType,
    FindDocuments, Json, Mapping, Metadata, Store, Work,
};
use cqrs_derive::Schema;
use serde::{Deserialize, Serialize};
use store_postgres::PostgresStore;
use store_postgres::tokio_postgres::Client;

use crate::common::{self, Schema as Place};
use crate::short::{deposit, plain};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
#[schema(collection = "tutors")]
struct Tutor {
    #[schema(id)]
    tutor_id: String,
    #[schema(unique)]
    email: Option<String>,
    #[schema(indexed)]
    city: String,
    #[schema(name = "about")]
    bio: String,
    subjects: Vec<Subject>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Subject {
    name: String,
    hours: u32,
}

fn ada() -> Tutor {
    Tutor {
        tutor_id: "ada".into(),
        email: Some("ada@example.org".into()),
        city: "London".into(),
        bio: "computes".into(),
        subjects: vec![Subject { name: "logic".into(), hours: 3 }],
    }
}

/// A store with a tutor, and a client on the same server.
async fn begun(place: &Place) -> (PostgresStore, Client, Documents<Tutor>) {
    let store = common::store(&place.0).connect().await.unwrap();
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let tutors = Documents::<Tutor>::new(shared.clone());
    tutors.declare().await.unwrap();
    let work = Work::new(shared, Metadata::default());
    work.insert(&ada()).unwrap();
    work.commit().await.unwrap();
    (store, plain(&common::url()).await, tutors)
}

fn saves(tutor: &Tutor) -> Commit {
    let key = cqrs_core::DocumentKey::new(Tutor::COLLECTION, tutor.id());
    let write = DocumentWrite::put(key, Expected::Any, Json::encode(tutor).unwrap());
    Commit { documents: vec![write], ..Commit::default() }
}

#[tokio::test]
async fn an_entity_is_a_row_of_columns_with_their_types() {
    let place = Place::new();
    let (store, client, _) = begun(&place).await;
    let sql = format!(
        "SELECT tutor_id, email, city, about, subjects->0->>'hours', _version FROM {}",
        store.table::<Tutor>()
    );
    let row = client.query_one(&sql, &[]).await.unwrap();
    let texts: Vec<String> = (0..5).map(|n| row.get(n)).collect();
    assert_eq!(texts, ["ada", "ada@example.org", "London", "computes", "3"]);
    assert_eq!(row.get::<_, i64>(5), 1);
    let types = "SELECT column_name::text, data_type::text FROM information_schema.columns \
                 WHERE table_schema = $1 AND table_name = 'tutors' AND is_nullable = 'NO' ORDER BY 1";
    let rows = client.query(types, &[&place.0]).await.unwrap();
    let types: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let types: Vec<_> = types.iter().map(|(name, of)| (name.as_str(), of.as_str())).collect();
    assert_eq!(
        types,
        [
            ("_tenant", "text"),
            ("_version", "bigint"),
            ("about", "text"),
            ("city", "text"),
            ("subjects", "jsonb"),
            ("tutor_id", "text"),
        ]
    );
}

#[tokio::test]
async fn a_value_that_somebody_else_wrote_is_read_or_named() {
    let place = Place::new();
    let (store, client, tutors) = begun(&place).await;
    let table = store.table::<Tutor>();
    client.batch_execute(&format!("UPDATE {table} SET city = 'Paris'")).await.unwrap();
    assert_eq!(tutors.get("ada").await.unwrap().unwrap().city, "Paris");
    assert_eq!(tutors.find("city", "Paris").await.unwrap().len(), 1);
    client
        .batch_execute(&format!("ALTER TABLE {table} ALTER city TYPE bytea USING '\\x00'"))
        .await
        .unwrap();
    let error = tutors.get("ada").await.unwrap_err();
    let message = Tutor::COLLECTION.to_owned();
    assert_eq!(*error.kind(), ErrorKind::Decode { message, field: Some("city".into()) });
}

#[tokio::test]
async fn a_constraint_of_the_operators_own_refuses_one_commit_and_none_beside_it() {
    let place = Place::new();
    let (store, client, tutors) = begun(&place).await;
    let table = store.table::<Tutor>();
    let check = format!("ALTER TABLE {table} ADD CONSTRAINT polite CHECK (about <> 'rude')");
    client.batch_execute(&check).await.unwrap();
    let rude = Tutor { bio: "rude".into(), ..ada() };
    let (refused, beside, other) = tokio::join!(
        store.commit(saves(&rude)),
        store.commit(deposit("17", Expected::Any)),
        store.commit(saves(&Tutor { tutor_id: "bob".into(), email: None, ..ada() })),
    );
    let refused = refused.unwrap_err();
    assert_eq!(*refused.kind(), ErrorKind::Invalid { field: Some("polite".into()) }, "{refused}");
    assert!(!format!("{refused:?}").contains("rude"), "values are nobody's to log: {refused:?}");
    beside.unwrap();
    other.unwrap();
    assert_eq!(*tutors.get("ada").await.unwrap().unwrap(), ada());
}

#[tokio::test]
async fn a_unique_value_that_somebody_else_wrote_is_not_written_twice() {
    let place = Place::new();
    let (store, client, _) = begun(&place).await;
    let table = store.table::<Tutor>();
    client.batch_execute(&format!("UPDATE {table} SET email = 'eve@example.org'")).await.unwrap();
    let eve = Tutor { tutor_id: "eve".into(), email: Some("eve@example.org".into()), ..ada() };
    let refused = store.commit(saves(&eve)).await.unwrap_err();
    assert!(refused.to_string().contains("tutors__email__key"), "{refused}");
}

#[tokio::test]
async fn a_table_of_the_store_or_of_the_user_is_no_collection() {
    let place = Place::new();
    let (store, client, _) = begun(&place).await;
    client.batch_execute(&format!("CREATE TABLE {}.notes (id text)", place.0)).await.unwrap();
    for name in ["events", "documents", "notes"] {
        let mapping = Mapping::new(1, vec![Field::new("id", FieldType::Text)]).id("id");
        let refused = store.declare(Collection::new(name).mapped(mapping)).await.unwrap_err();
        let field = Some("collection".to_owned());
        assert_eq!(*refused.kind(), ErrorKind::Invalid { field }, "{name}: {refused}");
    }
}

/// A tutor without a bio, and with a number in place of a city.
fn changed() -> Collection {
    let id = Field::new("tutor_id", FieldType::Text);
    let fields =
        Tutor::mapping().unwrap().fields.into_iter().filter_map(|field| match &*field.name {
            "bio" => None,
            "city" => Some(Field::new("city", FieldType::Integer).indexed()),
            _ => Some(field),
        });
    let mut fields: Vec<Field> = fields.collect();
    fields[0] = id;
    let collection = Collection::new("tutors").indexed("city").unique("email");
    collection.mapped(Mapping::new(2, fields).id("tutor_id"))
}

#[tokio::test]
async fn a_refused_change_says_the_statement_that_it_needs() {
    let place = Place::new();
    let (store, client, _) = begun(&place).await;
    let table = store.table::<Tutor>();
    client.batch_execute(&format!("UPDATE {table} SET city = '17'")).await.unwrap();
    // As the errors say them.
    let needed = [
        ("bio", format!("ALTER TABLE {table} DROP COLUMN \"about\"")),
        (
            "city",
            format!("ALTER TABLE {table} ALTER COLUMN \"city\" TYPE bigint USING \"city\"::bigint"),
        ),
    ];
    for (field, statement) in needed {
        let refused = store.declare(changed()).await.unwrap_err();
        assert_eq!(*refused.kind(), ErrorKind::Invalid { field: Some(field.into()) }, "{refused}");
        assert!(refused.to_string().contains(&statement), "{refused}");
        client.batch_execute(&statement).await.unwrap();
    }
    store.declare(changed()).await.unwrap();
    let found = store.find_documents(FindDocuments::by("tutors", "city", 17)).await.unwrap();
    assert_eq!(found[0].id, "ada");
}

#[tokio::test]
async fn an_entity_is_written_in_a_transaction_of_the_users_own() {
    let place = Place::new();
    let (store, _, tutors) = begun(&place).await;
    let bob = Tutor { tutor_id: "bob".into(), email: None, ..ada() };
    let mut client = store.pool().get().await.unwrap();
    for (ends, there) in [(false, false), (true, true)] {
        let tx = client.transaction().await.unwrap();
        store.commit_in(&tx, saves(&bob)).await.unwrap();
        match ends {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        assert_eq!(tutors.get("bob").await.unwrap().is_some(), there);
    }
}

#[tokio::test]
async fn entities_are_found_by_their_indexes() {
    let place = Place::new();
    let (store, client, _) = begun(&place).await;
    let table = store.table::<Tutor>();
    let many = format!(
        "INSERT INTO {table} (tutor_id, email, city, about, subjects) \
         SELECT n, n || '@', 'city' || n % 100, '', '[]' FROM generate_series(1, 5000) AS n; \
         ANALYZE {table}"
    );
    client.batch_execute(&many).await.unwrap();
    for condition in ["city = 'city7'", "email = '7@'", "tutor_id = '7'"] {
        let explain = format!(
            "EXPLAIN SELECT * FROM {table} WHERE _tenant = '' AND {condition} AND tutor_id > '' \
             ORDER BY tutor_id LIMIT 10"
        );
        let plan = client.query(&explain, &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("Index") && !plan.contains("Seq Scan"), "{condition}: {plan}");
    }
}
