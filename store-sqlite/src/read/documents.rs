//! Documents, found and counted: each from one snapshot, with what the collection was declared as.

use cqrs_core::{Collection, Document, FieldValue, FindDocuments};
use rusqlite::{Connection, OptionalExtension, Rows, Transaction, params};

use crate::collection::document_of;
use crate::error::Trouble;
use crate::row::{tenant, value_to_sql};
use crate::statements::Sql;

/// A page of them.
pub(crate) fn find_documents(
    conn: &Connection,
    find: &FindDocuments,
) -> Result<Vec<Document>, Trouble> {
    let snapshot = conn.unchecked_transaction()?;
    let field = declared_field(&snapshot, find)?;
    let (name, after) = (&*find.collection, find.after.as_deref().unwrap_or_default());
    let owner = tenant(find.tenant.as_deref());
    let skip = i64::try_from(find.skip).unwrap_or(i64::MAX);
    let found = |mut rows: Rows<'_>| {
        let mut found = Vec::new();
        while let Some(row) = rows.next()?.filter(|_| !is_of_nobody(find)) {
            found.push(document_of(row, name)?);
        }
        Ok(found)
    };
    match field {
        None => {
            let mut statement = snapshot.prepare_cached(Sql::FindDocuments.text())?;
            found(statement.query(params![owner, name, after, find.limit, skip])?)
        }
        Some((field, value)) => {
            let value = value_to_sql(value);
            let mut statement = snapshot.prepare_cached(Sql::FindDocumentsByField.text())?;
            found(statement.query(params![owner, name, field, value, after, find.limit, skip])?)
        }
    }
}

/// How many there are on all pages.
pub(crate) fn count_documents(conn: &Connection, find: &FindDocuments) -> Result<u64, Trouble> {
    let snapshot = conn.unchecked_transaction()?;
    let field = declared_field(&snapshot, find)?;
    let (owner, name) = (tenant(find.tenant.as_deref()), &*find.collection);
    let count = match field {
        None => snapshot
            .prepare_cached(Sql::CountDocuments.text())?
            .query_row(params![owner, name], |row| row.get::<_, i64>(0))?,
        Some((field, value)) => snapshot
            .prepare_cached(Sql::CountDocumentsByField.text())?
            .query_row(params![owner, name, field, value_to_sql(value)], |row| {
                row.get::<_, i64>(0)
            })?,
    };
    Ok(if is_of_nobody(find) { 0 } else { count as u64 })
}

/// The field to find by, which the collection must have declared.
fn declared_field<'f>(
    snapshot: &Transaction<'_>,
    find: &'f FindDocuments,
) -> Result<Option<(&'f str, &'f FieldValue)>, Trouble> {
    let fields = snapshot
        .prepare_cached(Sql::Collection.text())?
        .query_row((&*find.collection,), |row| row.get::<_, String>(0))
        .optional()?;
    let collection = Collection::from_fields_json(&find.collection, fields.as_deref())?;
    let Some((field, value)) = &find.field else { return Ok(None) };
    collection.field(field)?;
    Ok(Some((field, value)))
}

/// The tables write no tenant as an empty text, but nobody is called so.
fn is_of_nobody(find: &FindDocuments) -> bool {
    find.tenant.as_deref() == Some("")
}
