//! What the collection of entities is made with: a validator, and indexes.

use bson::{Bson, Document, doc};
use cqrs_core::{Field, FieldType, Index, Mapping};

use super::is_number;

/// The validator, a JSON schema.
pub(super) fn validator(mapping: &Mapping) -> Document {
    let mut properties = doc! {
        "_tenant": { "bsonType": "string" },
        "_version": { "bsonType": ["long", "int"] },
    };
    let mut required = vec!["_tenant", "_version"];
    for field in &mapping.fields {
        properties.insert(&*field.column, schema(&field.of, field.index.is_some()));
        if !field.may_be_absent() {
            required.push(&field.column);
        }
    }
    doc! { "$jsonSchema": { "bsonType": "object", "required": required, "properties": properties } }
}

/// What values of a field are. Of an indexed one they are what is looked for, and nothing else that is read as
/// the same.
fn schema(of: &FieldType, is_indexed: bool) -> Document {
    match of {
        FieldType::Optional(of) => {
            let mut schema = schema(of, is_indexed);
            let types = match schema.remove("bsonType") {
                Some(Bson::Array(types)) => types,
                Some(one) => vec![one],
                // Anything.
                None => return schema,
            };
            let types: Vec<Bson> = types.into_iter().chain([Bson::from("null")]).collect();
            schema.insert("bsonType", types);
            schema
        }
        FieldType::Text => doc! { "bsonType": "string" },
        FieldType::Uuid if is_indexed => doc! { "bsonType": "binData" },
        FieldType::Uuid => doc! { "bsonType": ["binData", "string"] },
        FieldType::Time if is_indexed => doc! { "bsonType": "string" },
        FieldType::Time => doc! { "bsonType": ["string", "date"] },
        FieldType::Integer => doc! { "bsonType": ["long", "int", "double"] },
        FieldType::Unsigned => doc! { "bsonType": ["long", "int", "double", "decimal"] },
        FieldType::Float => doc! { "bsonType": ["double", "long", "int"] },
        FieldType::Bool => doc! { "bsonType": "bool" },
        FieldType::List(of) => doc! { "bsonType": "array", "items": schema(of, false) },
        FieldType::Struct(fields) => {
            let mut properties = Document::new();
            let mut required = Vec::new();
            for field in fields {
                properties.insert(&*field.name, schema(&field.of, false));
                if !field.may_be_absent() {
                    required.push(&*field.name);
                }
            }
            let mut schema = doc! { "bsonType": "object", "properties": properties };
            if !required.is_empty() {
                schema.insert("required", required);
            }
            schema
        }
        FieldType::Json => Document::new(),
    }
}

/// What values of an indexed field are, for `$type`.
pub(super) fn indexed_type(of: &FieldType) -> &'static str {
    match of.present() {
        FieldType::Bool => "bool",
        FieldType::Uuid => "binData",
        of if is_number(of) => "number",
        _ => "string",
    }
}

/// The indexes, with their names.
pub(super) fn indexes(collection: &str, mapping: &Mapping) -> Vec<(String, Document)> {
    let indexed = mapping.fields.iter().filter(|field| field.index.is_some());
    indexed
        .map(|field| (Mapping::index_name(collection, field), index(collection, field)))
        .collect()
}

fn index(collection: &str, field: &Field) -> Document {
    let name = Mapping::index_name(collection, field);
    match field.index {
        Some(Index::Unique) => doc! {
            "name": name,
            "unique": true,
            "key": { "_tenant": 1, &*field.column: 1 },
            "partialFilterExpression": { &*field.column: { "$type": indexed_type(&field.of) } },
        },
        _ => doc! { "name": name, "key": { "_tenant": 1, &*field.column: 1, "_id": 1 } },
    }
}

/// Whether an index of this name is one of ours, of an entity that is or was. Those of others do not have two `_` in
/// these places.
pub(super) fn is_ours(collection: &str, name: &str) -> bool {
    let rest = name.strip_prefix(collection).and_then(|rest| rest.strip_prefix("__"));
    rest.is_some_and(|rest| rest.ends_with("__key") || rest.ends_with("__idx"))
}
