//! Entities: what `Schema` says of them, and that they come back from a store as they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Documents, Entity, ErrorKind, Field, FieldType, Index, Metadata, Schema as _, Store, Timestamp,
    Work,
};
use cqrs_derive::Schema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The worst of everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
#[schema(collection = "tutors", version = 7)]
#[serde(rename_all = "camelCase")]
struct Tutor {
    #[schema(id)]
    tutor_id: Uuid,
    #[schema(unique, name = "mail")]
    email: Option<Email>,
    #[schema(indexed)]
    working_level: Level,
    #[serde(rename = "type")]
    r#type: Payment,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(with = "seconds")]
    #[schema(as = i64)]
    joined: Timestamp,
    marks: BTreeMap<String, f32>,
    home: Option<Box<Place>>,
    #[serde(skip)]
    hot: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
#[schema(indexable)]
struct Email(String);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
#[schema(indexable)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Level {
    VeryJunior,
    Senior,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
#[serde(transparent)]
struct Inside {
    only: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Told(
    #[serde(with = "seconds")]
    #[schema(as = i64)]
    Timestamp,
);

/// No variant has a field, and none is a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
enum Bare {
    Object {},
    List(),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
enum Payment {
    Cash,
    Card { number: u64 },
}

/// One within itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
struct Place {
    name: String,
    within: Option<Box<Place>>,
}

mod seconds {
    use cqrs_core::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(time.as_micros() / 1_000_000)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        Ok(Timestamp::from_micros(i64::deserialize(d)? * 1_000_000))
    }
}

fn tutor(n: u128) -> Tutor {
    let outer = Place { name: "London".into(), within: None };
    Tutor {
        tutor_id: Uuid::from_u128(n),
        email: Some(Email(format!("{n}@example.org"))),
        working_level: Level::VeryJunior,
        r#type: Payment::Card { number: u64::MAX },
        notes: Vec::new(),
        joined: Timestamp::from_micros(17_000_000),
        marks: BTreeMap::from([("logic".into(), 0.1)]),
        home: Some(Box::new(Place { name: "Soho".into(), within: Some(Box::new(outer)) })),
        hot: false,
    }
}

#[test]
fn a_schema_says_what_serde_writes() {
    let mapping = Tutor::mapping().unwrap();
    assert_eq!((mapping.version, mapping.id.as_deref()), (7, Some("tutorId")));
    let place = FieldType::Struct(vec![
        Field::new("name", FieldType::Text),
        // The same again: it is not described within itself.
        Field::new("within", FieldType::Json.optional()),
    ]);
    assert_eq!(
        mapping.fields,
        [
            Field::new("tutorId", FieldType::Uuid),
            Field::new("email", FieldType::Text.optional()).column("mail").unique(),
            Field::new("workingLevel", FieldType::Text).indexed(),
            Field::new("type", FieldType::Json),
            Field::new("notes", FieldType::Text.list()).may_miss(),
            Field::new("joined", FieldType::Integer),
            Field::new("marks", FieldType::Json),
            Field::new("home", place.optional()),
        ]
    );
    assert_eq!(Tutor::INDEXED, ["workingLevel"]);
    assert_eq!(Tutor::UNIQUE, ["email"]);
    assert_eq!(Tutor::collection().fields.len(), 2);
    assert_eq!(Level::field_type(), FieldType::Text);
    assert_eq!(Inside::field_type(), FieldType::Integer);
    assert_eq!(Told::field_type(), FieldType::Integer);
    assert_eq!(Bare::field_type(), FieldType::Json);
    assert_eq!(mapping.field("email").unwrap().index, Some(Index::Unique));
}

#[tokio::test]
async fn an_entity_comes_back_as_it_was() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let tutors = Documents::<Tutor>::new(Arc::clone(&store));
    tutors.declare().await.unwrap();
    let work = Work::new(Arc::clone(&store), Metadata::default());
    let quiet = Tutor { email: None, working_level: Level::Senior, home: None, ..tutor(2) };
    let cash = Tutor { notes: vec!["x".into()], r#type: Payment::Cash, ..tutor(3) };
    for tutor in [&tutor(1), &quiet, &cash] {
        work.insert(tutor).unwrap();
    }
    work.commit().await.unwrap();
    for tutor in [&tutor(1), &quiet, &cash] {
        assert_eq!(*tutors.get(&tutor.id()).await.unwrap().unwrap(), *tutor);
    }
    let juniors = tutors.find("workingLevel", "VERY_JUNIOR").await.unwrap();
    assert_eq!(juniors.len(), 2);
    assert_eq!(*tutors.find("email", "1@example.org").await.unwrap()[0], tutor(1));
}

/// It says another thing than serde writes.
#[derive(Debug, Serialize, Deserialize, Schema)]
#[schema(collection = "liars")]
struct Liar {
    #[schema(id)]
    id: String,
    #[schema(as = bool)]
    truth: String,
}

#[tokio::test]
async fn what_is_not_as_its_schema_says_is_refused_by_its_field() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    Documents::<Liar>::new(Arc::clone(&store)).declare().await.unwrap();
    let work = Work::new(store, Metadata::default());
    work.insert(&Liar { id: "1".into(), truth: "no".into() }).unwrap();
    let refused = work.commit().await.unwrap_err();
    assert_eq!(*refused.kind(), ErrorKind::Invalid { field: Some("truth".into()) });
}
