//! An entity with a field of each type: one that is always the same, and random ones.

use std::collections::BTreeMap;

use cqrs_core::{Field, FieldType, Mapping, Schema, Timestamp};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::cases::prelude::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tutor {
    pub(super) tutor_id: String,
    pub(super) email: Option<String>,
    pub(super) city: String,
    pub(super) level: i64,
    pub(super) badge: Uuid,
    pub(super) active: bool,
    pub(super) since: Timestamp,
    pub(super) hours: u64,
    pub(super) rating: f64,
    pub(super) born: Option<i32>,
    pub(super) bio: String,
    pub(super) subjects: Vec<Subject>,
    pub(super) home: Option<Place>,
    pub(super) extra: Value,
    pub(super) marks: BTreeMap<String, f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<Option<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) hours: u64,
    pub(super) since: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) at: (f64, f64),
    pub(super) id: Uuid,
}

impl Schema for Subject {
    fn field_type() -> FieldType {
        FieldType::structure("Subject", || {
            vec![
                Field::new("name", String::field_type()),
                Field::new("hours", u64::field_type()),
                Field::new("since", <Option<Timestamp>>::field_type()),
            ]
        })
    }
}

impl Schema for Place {
    fn field_type() -> FieldType {
        FieldType::structure("Place", || {
            vec![Field::new("at", <Vec<f64>>::field_type()), Field::new("id", Uuid::field_type())]
        })
    }
}

pub(super) fn mapping() -> Mapping {
    let fields = vec![
        Field::new("tutor_id", String::field_type()),
        Field::new("email", <Option<String>>::field_type()).unique(),
        Field::new("city", String::field_type()).indexed(),
        Field::new("level", i64::field_type()).indexed(),
        Field::new("badge", Uuid::field_type()).indexed(),
        Field::new("active", bool::field_type()).indexed(),
        Field::new("since", Timestamp::field_type()).indexed(),
        Field::new("hours", u64::field_type()),
        Field::new("rating", f64::field_type()),
        Field::new("born", <Option<i32>>::field_type()),
        Field::new("bio", String::field_type()).column("About"),
        Field::new("subjects", <Vec<Subject>>::field_type()),
        Field::new("home", <Option<Place>>::field_type()),
        Field::new("extra", Value::field_type()),
        Field::new("marks", <BTreeMap<String, f64>>::field_type()),
        Field::new("notes", <Vec<Option<String>>>::field_type()).may_miss(),
    ];
    Mapping::new(1, fields).id("tutor_id")
}

pub(super) fn tutors() -> Collection {
    let all = Collection::new(TUTOR).indexed("city").indexed("level").indexed("badge");
    all.indexed("active").indexed("since").unique("email").mapped(mapping())
}

/// One of each, with an id.
pub(super) fn ada(id: &str) -> Tutor {
    Tutor {
        tutor_id: id.to_owned(),
        email: None,
        city: "London".to_owned(),
        level: 1,
        badge: Uuid::from_u128(7),
        active: true,
        since: Timestamp::UNIX_EPOCH,
        hours: 40,
        rating: 4.5,
        born: Some(1815),
        bio: "computes".to_owned(),
        subjects: vec![Subject { name: "logic".to_owned(), hours: 3, since: None }],
        home: None,
        extra: json!({ "likes": ["engines", null] }),
        marks: BTreeMap::new(),
        notes: Vec::new(),
    }
}

pub(super) fn json_of(tutor: &Tutor) -> Value {
    serde_json::to_value(tutor).expect("it is JSON")
}

pub(super) fn saves(tutor: &Tutor) -> Commit {
    puts(&tutor.tutor_id, &json_of(tutor))
}

pub(super) async fn read(t: &Probe, id: &str) -> Option<Tutor> {
    let found = t.tutor(id).await?;
    Some(found.body.decode().unwrap_or_else(|e| panic!("{:?} is no tutor: {e}", found.body)))
}

pub(super) fn text(rng: &mut Rng) -> String {
    const ODD: [&str; 12] =
        ["'", "\"", "\\", "\n", "é", "🦀", "\u{202e}", "%", "_", "$", ".", "\u{7f}"];
    let part = |rng: &mut Rng| match rng.u8(0..4) {
        0 => ODD[rng.usize(..ODD.len())].to_owned(),
        _ => rng.alphanumeric().to_string(),
    };
    (0..rng.usize(0..12)).map(|_| part(rng)).collect()
}

pub(super) fn float(rng: &mut Rng) -> f64 {
    match rng.u8(0..4) {
        0 => [0.0, 1.0, -1.0, 1e17, 0.1, f64::MAX, f64::MIN_POSITIVE, 5e-324][rng.usize(..8)],
        1 => rng.f64(),
        _ => loop {
            let float = f64::from_bits(rng.u64(..));
            if float.is_finite() {
                return float;
            }
        },
    }
}

pub(super) fn time(rng: &mut Rng) -> Timestamp {
    // From the year 1 to the year 9999.
    Timestamp::from_micros(rng.i64(-62_135_596_800_000_000..=253_402_207_200_000_000))
}

pub(super) fn any(rng: &mut Rng, depth: u8) -> Value {
    match rng.u8(0..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => rng.i64(..).into(),
        3 => rng.u64(..).into(),
        4 => float(rng).into(),
        5 => text(rng).into(),
        6 => (0..rng.usize(0..4)).map(|_| any(rng, depth - 1)).collect(),
        _ => {
            let names = ["", "a.b", "$set", "_id", "a b", "é", "x"];
            let entries = (0..rng.usize(0..4)).map(|_| rng.usize(..names.len()));
            let entries: Vec<_> = entries.collect();
            Value::Object(
                entries.into_iter().map(|n| (names[n].to_owned(), any(rng, depth - 1))).collect(),
            )
        }
    }
}

pub(super) fn random(rng: &mut Rng) -> Tutor {
    let whole = |rng: &mut Rng| match rng.u8(0..3) {
        0 => [0, 1, i64::MAX, i64::MIN][rng.usize(..4)],
        _ => rng.i64(..),
    };
    let uuid = |rng: &mut Rng| Uuid::from_u128(rng.u128(..));
    Tutor {
        tutor_id: format!("{}{:x}", text(rng), rng.u64(..)),
        email: rng.bool().then(|| format!("{}{:x}", text(rng), rng.u64(..))),
        city: text(rng),
        level: whole(rng),
        badge: uuid(rng),
        active: rng.bool(),
        since: time(rng),
        hours: if rng.bool() { u64::MAX - rng.u64(0..3) } else { rng.u64(..) },
        rating: float(rng),
        born: rng.bool().then(|| rng.i32(..)),
        bio: text(rng),
        subjects: (0..rng.usize(0..4))
            .map(|_| Subject {
                name: text(rng),
                hours: rng.u64(..),
                since: rng.bool().then(|| time(rng)),
            })
            .collect(),
        home: rng.bool().then(|| Place { at: (float(rng), float(rng)), id: uuid(rng) }),
        extra: any(rng, 3),
        marks: (0..rng.usize(0..3)).map(|_| (text(rng), float(rng))).collect(),
        notes: (0..rng.usize(0..3)).map(|_| rng.bool().then(|| text(rng))).collect(),
    }
}
