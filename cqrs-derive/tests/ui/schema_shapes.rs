//! What has no fields with names, and what serde makes something else of.

use cqrs_derive::Schema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "units")]
struct Unit;

#[derive(Serialize, Deserialize, Schema)]
struct Pair(String, String);

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "emails")]
struct Email(String);

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "levels")]
enum Level {
    Junior,
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(indexable)]
enum Payment {
    Card { number: String },
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "generic")]
struct Generic<T> {
    #[schema(id)]
    id: String,
    value: T,
}

#[derive(Serialize, Deserialize, Schema)]
#[serde(tag = "kind")]
struct Tagged {
    name: String,
}

#[derive(Serialize, Deserialize, Schema)]
struct More {
    name: String,
}

#[derive(Serialize, Deserialize, Schema)]
struct Flat {
    #[serde(flatten)]
    more: More,
    #[serde(with = "text")]
    number: u64,
}

#[derive(Serialize, Deserialize, Schema)]
struct Around(#[serde(with = "text")] #[schema(id)] u64);

#[derive(Clone, Serialize, Deserialize, Schema)]
#[serde(into = "String", from = "String")]
struct Other(u64);

impl From<Other> for String {
    fn from(other: Other) -> Self {
        other.0.to_string()
    }
}

impl From<String> for Other {
    fn from(_: String) -> Self {
        Self(0)
    }
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "transparent")]
#[serde(transparent)]
struct Transparent {
    #[schema(id)]
    id: String,
}

mod text {
    pub fn serialize<S: serde::Serializer>(_: &u64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("")
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(_: D) -> Result<u64, D::Error> {
        Ok(0)
    }
}

#[derive(Serialize, Deserialize, Schema)]
#[schema(collection = "skipped")]
struct Skipped {
    #[schema(id)]
    #[serde(skip)]
    id: String,
}

#[derive(Schema)]
union Either {
    one: u8,
    other: i8,
}

fn main() {}
