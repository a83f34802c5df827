//! Entities with a schema, as the file has them: columns, constraints, and what an operator does to them.

use std::path::Path;
use std::sync::Arc;

use cqrs_core::{
    Collection, Commit, DocumentKey, DocumentWrite, Documents, Entity, ErrorKind, Expected, Field,
    FieldType, FindDocuments, Json, Mapping, Store,
};
use cqrs_derive::Schema;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use store_sqlite::SqliteStore;
use store_sqlite::rusqlite;

use crate::common::deposit;

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
    subjects: Vec<String>,
}

fn ada() -> Tutor {
    Tutor {
        tutor_id: "ada".into(),
        email: Some("ada@example.org".into()),
        city: "London".into(),
        bio: "computes".into(),
        subjects: vec!["logic".into()],
    }
}

fn saves(tutor: &Tutor) -> Commit {
    let key = DocumentKey::new(Tutor::COLLECTION, tutor.id());
    let write = DocumentWrite::put(key, Expected::Any, Json::encode(tutor).unwrap());
    Commit { documents: vec![write], ..Commit::default() }
}

/// A store with a tutor, and another connection to its file.
async fn begun(folder: &Path) -> (SqliteStore, Connection, Documents<Tutor>) {
    let file = folder.join("tutors.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let tutors = Documents::<Tutor>::new(Arc::new(store.clone()));
    tutors.declare().await.unwrap();
    store.commit(saves(&ada())).await.unwrap();
    (store, Connection::open(file).unwrap(), tutors)
}

#[tokio::test]
async fn an_entity_is_a_row_of_columns() {
    let folder = tempfile::tempdir().unwrap();
    let (store, conn, _) = begun(folder.path()).await;
    let sql = "SELECT tutor_id, email, city, about, subjects ->> 0, _version FROM tutors";
    let read = |row: &rusqlite::Row<'_>| {
        let texts: Vec<String> = (0..5).map(|n| row.get(n)).collect::<Result<_, _>>()?;
        Ok((texts, row.get::<_, i64>(5)?))
    };
    let (texts, version) = conn.query_row(sql, (), read).unwrap();
    assert_eq!(texts, ["ada", "ada@example.org", "London", "computes", "logic"]);
    assert_eq!(version, 1);
    let counted = store.query(|conn| {
        let count = "SELECT count(*) FROM tutors WHERE city = 'London'";
        conn.query_row(count, (), |row| row.get::<_, i64>(0))
    });
    assert_eq!(counted.await.unwrap(), 1, "the same through the store");
    let written = store.query(|conn| conn.execute("DELETE FROM tutors", ())).await;
    assert_eq!(*written.unwrap_err().kind(), ErrorKind::Internal, "it only reads");
}

#[tokio::test]
async fn a_value_that_somebody_else_wrote_is_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, conn, tutors) = begun(folder.path()).await;
    conn.execute("UPDATE tutors SET city = 'Paris'", ()).unwrap();
    assert_eq!(tutors.get("ada").await.unwrap().unwrap().city, "Paris");
    assert_eq!(tutors.find("city", "Paris").await.unwrap().len(), 1);
    conn.execute("UPDATE tutors SET subjects = 'logic'", ()).unwrap();
    let error = tutors.get("ada").await.unwrap_err();
    let message = Tutor::COLLECTION.to_owned();
    assert_eq!(*error.kind(), ErrorKind::Decode { message, field: Some("subjects".into()) });
}

#[tokio::test]
async fn a_constraint_of_the_operators_own_refuses_one_commit_and_none_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, conn, tutors) = begun(folder.path()).await;
    let polite = "CREATE TRIGGER polite BEFORE INSERT ON tutors WHEN NEW.about = 'rude' BEGIN \
                  SELECT RAISE(ABORT, 'about is to be polite'); END";
    conn.execute_batch(polite).unwrap();
    let rude = Tutor { bio: "rude".into(), ..ada() };
    let other = Tutor { tutor_id: "bob".into(), email: None, ..ada() };
    let mut with_events = saves(&rude);
    with_events.appends = deposit("16").appends;
    let (refused, beside, other) = tokio::join!(
        store.commit(with_events),
        store.commit(deposit("17")),
        store.commit(saves(&other)),
    );
    let refused = refused.unwrap_err();
    assert_eq!(*refused.kind(), ErrorKind::Invalid { field: Some("bio".into()) }, "{refused}");
    beside.unwrap();
    other.unwrap();
    assert_eq!(*tutors.get("ada").await.unwrap().unwrap(), ada());
    let events: i64 = conn.query_row("SELECT count(*) FROM events", (), |row| row.get(0)).unwrap();
    assert_eq!(events, 1, "nothing of the refused commit");
}

#[tokio::test]
async fn a_table_of_the_store_or_of_the_user_is_no_collection() {
    let folder = tempfile::tempdir().unwrap();
    let (store, conn, _) = begun(folder.path()).await;
    conn.execute_batch("CREATE TABLE notes (id TEXT)").unwrap();
    for name in ["events", "documents", "Documents", "notes"] {
        let mapping = Mapping::new(1, vec![Field::new("id", FieldType::Text)]).id("id");
        let refused = store.declare(Collection::new(name).mapped(mapping)).await.unwrap_err();
        let field = Some("collection".to_owned());
        assert_eq!(*refused.kind(), ErrorKind::Invalid { field }, "{name}: {refused}");
    }
}

/// A tutor without a bio, and with a number in place of a city.
fn changed() -> Collection {
    let fields =
        Tutor::mapping().unwrap().fields.into_iter().filter_map(|field| match &*field.name {
            "bio" => None,
            "city" => Some(Field::new("city", FieldType::Integer.optional()).indexed()),
            _ => Some(field),
        });
    let collection = Collection::new("tutors").indexed("city").unique("email");
    collection.mapped(Mapping::new(2, fields.collect()).id("tutor_id"))
}

#[tokio::test]
async fn a_refused_change_says_the_statement_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let (store, conn, _) = begun(folder.path()).await;
    conn.execute("UPDATE tutors SET city = '17'", ()).unwrap();
    // As the errors say them.
    let needed = [
        ("bio", "ALTER TABLE \"tutors\" DROP COLUMN \"about\""),
        (
            "city",
            "ALTER TABLE \"tutors\" RENAME COLUMN \"city\" TO before; \
             ALTER TABLE \"tutors\" ADD COLUMN \"city\" INTEGER; \
             UPDATE \"tutors\" SET \"city\" = CAST(before AS INTEGER); \
             DROP INDEX IF EXISTS \"tutors__city__idx\"; \
             ALTER TABLE \"tutors\" DROP COLUMN before",
        ),
    ];
    for (field, statement) in needed {
        let refused = store.declare(changed()).await.unwrap_err();
        assert_eq!(*refused.kind(), ErrorKind::Invalid { field: Some(field.into()) }, "{refused}");
        assert!(refused.to_string().contains(statement), "{refused}");
        conn.execute_batch(statement).unwrap();
    }
    store.declare(changed()).await.unwrap();
    let found = store.find_documents(FindDocuments::by("tutors", "city", 17)).await.unwrap();
    assert_eq!(found[0].id, "ada");
}

#[tokio::test]
async fn what_an_operator_has_made_beside_the_store_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (store, conn, tutors) = begun(folder.path()).await;
    conn.execute_batch(
        "PRAGMA foreign_keys = ON;
         ALTER TABLE tutors ADD COLUMN note TEXT;
         UPDATE tutors SET note = 'kept';
         CREATE INDEX by_note ON tutors (note);
         CREATE VIEW londoners AS SELECT tutor_id FROM tutors WHERE city = 'London';
         CREATE TABLE rooms (tutor TEXT, of TEXT,
           FOREIGN KEY (of, tutor) REFERENCES tutors (_tenant, tutor_id) ON DELETE CASCADE);
         INSERT INTO rooms VALUES ('ada', '')",
    )
    .unwrap();
    // Written over, and with another schema: a column more, one that must be there no more.
    store.commit(saves(&Tutor { bio: "x".into(), ..ada() })).await.unwrap();
    let mut fields = Tutor::mapping().unwrap().fields;
    fields.push(Field::new("age", FieldType::Integer.optional()));
    fields[3].of = FieldType::Text.optional();
    let next = Collection::new("tutors").indexed("city").unique("email");
    let next = next.mapped(Mapping::new(2, fields).id("tutor_id"));
    store.declare(next).await.unwrap();
    store.commit(saves(&Tutor { bio: "y".into(), ..ada() })).await.unwrap();
    assert_eq!(tutors.get("ada").await.unwrap().unwrap().bio, "y");
    let kept = "SELECT t.note, l.tutor_id, r.tutor FROM tutors AS t, londoners AS l, rooms AS r";
    let read = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?]);
    let kept: [String; 3] = conn.query_row(kept, (), read).unwrap();
    assert_eq!(kept, ["kept", "ada", "ada"]);
    let index = "SELECT count(*) FROM sqlite_master WHERE name = 'by_note'";
    assert_eq!(conn.query_row(index, (), |row| row.get::<_, i64>(0)).unwrap(), 1);
}

#[tokio::test]
async fn unique_values_change_hands_in_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, tutors) = begun(folder.path()).await;
    let bob = Tutor { tutor_id: "bob".into(), email: Some("bob@example.org".into()), ..ada() };
    store.commit(saves(&bob)).await.unwrap();
    let swapped =
        [Tutor { email: bob.email.clone(), ..ada() }, Tutor { email: ada().email, ..bob }];
    let documents = swapped.iter().flat_map(|tutor| saves(tutor).documents).collect();
    store.commit(Commit { documents, ..Commit::default() }).await.unwrap();
    for tutor in swapped {
        assert_eq!(*tutors.get(&tutor.tutor_id).await.unwrap().unwrap(), tutor);
    }
}

#[tokio::test]
async fn a_query_that_panics_or_begins_a_transaction_spoils_nothing() {
    let store = SqliteStore::in_memory().await.unwrap();
    store.query(|_| -> Result<(), rusqlite::Error> { panic!("as it is to") }).await.unwrap_err();
    store.query(|conn| conn.execute_batch("BEGIN")).await.unwrap();
    store.commit(deposit("17")).await.unwrap();
}

#[tokio::test]
async fn entities_are_found_by_their_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let (_, conn, _) = begun(folder.path()).await;
    for condition in ["city = 'x'", "email = 'x'", "tutor_id = 'x'"] {
        let explain = format!(
            "EXPLAIN QUERY PLAN SELECT * FROM tutors WHERE _tenant = '' AND {condition} \
             AND tutor_id > '' ORDER BY tutor_id LIMIT 10"
        );
        let plan: String = conn.query_row(&explain, (), |row| row.get("detail")).unwrap();
        assert!(plan.starts_with("SEARCH") && plan.contains("INDEX"), "{condition}: {plan}");
    }
}

#[tokio::test]
async fn the_file_is_opened_anew_with_its_entities() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, _) = begun(folder.path()).await;
    store.close().await.unwrap();
    let store = SqliteStore::open(folder.path().join("tutors.db")).await.unwrap();
    let tutors = Documents::<Tutor>::new(Arc::new(store.clone()));
    assert_eq!(*tutors.get("ada").await.unwrap().unwrap(), ada());
    store.commit(saves(&Tutor { city: "Rome".into(), ..ada() })).await.unwrap();
    assert_eq!(tutors.get("ada").await.unwrap().unwrap().version(), 2);
}
