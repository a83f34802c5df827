//! Documents, found and counted: each from one snapshot, with what the collection was declared as.

use cqrs_core::{Document, DocumentKey, FieldValue, FindDocuments};
use rusqlite::{Connection, Rows, params};

use crate::collection::{Declaration, Declared, document_of};
use crate::error::Trouble;
use crate::row::{tenant, value_to_sql};
use crate::statements::Sql;
use crate::table::ELSEWHERE;

/// One of them.
pub(crate) fn document(
    conn: &Connection,
    declared: &Declared,
    key: &DocumentKey,
) -> Result<Option<Document>, Trouble> {
    let snapshot = conn.unchecked_transaction()?;
    let place = (tenant(key.tenant.as_deref()), &*key.collection, &*key.id);
    let found = {
        let mut statement = snapshot.prepare_cached(Sql::Document.text())?;
        let mut rows = statement.query(place)?;
        rows.next()?.map(|row| document_of(row, &key.collection)).transpose()?
    };
    match found {
        Some(found) if found.body.as_str() == ELSEWHERE => {
            let declaration = declared.get(&snapshot, &key.collection)?;
            match &declaration.table {
                Some(table) => table.document(&snapshot, key),
                None => Ok(Some(found)),
            }
        }
        found => Ok(found),
    }
}

/// A page of them.
pub(crate) fn find_documents(
    conn: &Connection,
    declared: &Declared,
    find: &FindDocuments,
) -> Result<Vec<Document>, Trouble> {
    let snapshot = conn.unchecked_transaction()?;
    let declaration = declared.get(&snapshot, &find.collection)?;
    if let Some(table) = &declaration.table {
        return table.find(&snapshot, find);
    }
    let field = declared_field(&declaration, find)?;
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
pub(crate) fn count_documents(
    conn: &Connection,
    declared: &Declared,
    find: &FindDocuments,
) -> Result<u64, Trouble> {
    let snapshot = conn.unchecked_transaction()?;
    let declaration = declared.get(&snapshot, &find.collection)?;
    if let Some(table) = &declaration.table {
        return table.count(&snapshot, find);
    }
    let field = declared_field(&declaration, find)?;
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
    declaration: &Declaration,
    find: &'f FindDocuments,
) -> Result<Option<(&'f str, &'f FieldValue)>, Trouble> {
    let Some((field, value)) = &find.field else { return Ok(None) };
    declaration.collection.field(field)?;
    Ok(Some((field, value)))
}

/// The tables write no tenant as an empty text, but nobody is called so.
fn is_of_nobody(find: &FindDocuments) -> bool {
    find.tenant.as_deref() == Some("")
}
