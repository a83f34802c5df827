//! How the declaration of a collection is kept, and documents as they come out of a row.

use cqrs_core::{Collection, Document, Error, ErrorKind, IndexedField, Json, Result};
use rusqlite::Row;
use serde_json::{Value, json};

use crate::error::Trouble;

/// The fields as JSON.
pub(crate) fn encode_fields(collection: &Collection) -> String {
    let fields = collection.fields.iter();
    let fields = fields.map(|field| json!({ "name": field.name, "unique": field.unique }));
    Value::Array(fields.collect()).to_string()
}

/// The collection as it was declared; an error when it was not.
pub(crate) fn declared(name: &str, fields: Option<&str>) -> Result<Collection> {
    let fields = fields.ok_or_else(|| Collection::undeclared(name))?;
    let damaged = || {
        let context = format!("the declaration of the collection `{name}` is damaged: {fields}");
        Error::new(ErrorKind::Internal, context)
    };
    let Ok(Value::Array(list)) = serde_json::from_str(fields) else { return Err(damaged()) };
    let field = |field: &Value| {
        let (name, unique) = (field.get("name")?.as_str()?, field.get("unique")?.as_bool()?);
        Some(IndexedField { name: name.to_owned().into(), unique })
    };
    let fields = list.iter().map(field).collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
    Ok(Collection { name: name.to_owned().into(), fields })
}

/// The body in a column. Checked, because people edit files.
pub(crate) fn body_of(row: &Row<'_>, index: usize, name: &str, id: &str) -> Result<Json, Trouble> {
    Ok(Json::parse(row.get_ref(index)?.as_str().map_err(rusqlite::Error::from)?).map_err(
        |cause| {
            let context = format!("the document {name}/{id} is no JSON: repair it ({cause})");
            let kind = ErrorKind::Decode { message: name.to_owned(), field: None };
            Error::new(kind, context).with_source(cause)
        },
    )?)
}

/// A document from a row of id, version and body.
pub(crate) fn document_of(row: &Row<'_>, name: &str) -> Result<Document, Trouble> {
    let id = row.get::<_, String>(0)?;
    let body = body_of(row, 2, name, &id)?;
    Ok(Document { version: row.get::<_, i64>(1)? as u64, body, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_comes_back() {
        let collection = Collection::new("tutor").indexed("city").unique("email");
        let back = declared("tutor", Some(&encode_fields(&collection))).unwrap();
        assert_eq!(back, collection);
    }

    #[test]
    fn a_damaged_declaration_is_an_error() {
        for fields in ["", "{}", "[1]", r#"[{"name":"a"}]"#] {
            assert!(declared("tutor", Some(fields)).is_err(), "{fields}");
        }
    }
}
