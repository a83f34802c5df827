//! Documents: one, found and counted; and what their collections are declared as.

use std::sync::Arc;

use cqrs_core::{
    Collection, Conflict, Document, DocumentKey, Error, ErrorKind, FieldValue, FindDocuments, Json,
    Result,
};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::Reader;
use crate::error::Trouble;
use crate::row::{Text, bound, can_be_tenant, can_exist, tenant, value_text};
use crate::statements::{Sql, Statements};
use crate::table::{self, Declaration, ELSEWHERE};

/// How often a table is read again because it was changed meanwhile.
const TIMES: u32 = 10;

/// Documents that are indexed anew at once.
const AT_ONCE: i64 = 1_000;

/// Documents that were found, or their number.
pub(crate) type Found<T> = Result<T, Trouble>;

/// The body in a column. Checked, because people edit tables.
pub(crate) fn body_of(row: &Row, index: usize, name: &str, id: &str) -> Result<Json, Trouble> {
    let Text(text) = row.try_get(index)?;
    Json::parse(text).map_err(|cause| {
        let context = format!("the document {name}/{id} cannot be read: repair it ({cause})");
        let kind = ErrorKind::Decode { message: name.to_owned(), field: None };
        Error::new(kind, context).with_source(cause).into()
    })
}

/// A document from a row of id, version and body.
fn document_of(row: &Row, name: &str) -> Result<Document, Trouble> {
    let id: String = row.try_get(0)?;
    let body = body_of(row, 2, name, &id)?;
    Ok(Document { version: row.try_get::<_, i64>(1)? as u64, body, id })
}

/// One of them.
pub(crate) async fn document(reader: &Reader, key: &DocumentKey) -> Found<Option<Document>> {
    let Reader { statements, declared, .. } = reader;
    let client = &*reader.connector.get().await?;
    let whose = tenant(key.tenant.as_deref());
    if !(can_be_tenant(key.tenant.as_deref()) && can_exist(&key.collection) && can_exist(&key.id)) {
        return Ok(None);
    }
    // As it was the last time.
    if let Some(known) = declared.last(&key.collection)
        && let Some(table) = &known.table
        && let Some(found) = table.document(statements, client, key).await?
    {
        return Ok(found);
    }
    let rows =
        statements.query(client, Sql::Document, &[&&*key.collection, &whose, &key.id]).await?;
    let found = rows.first().map(|row| document_of(row, &key.collection)).transpose()?;
    if found.as_ref().is_none_or(|found| found.body.as_str() != ELSEWHERE) {
        return Ok(found);
    }
    for _ in 0..TIMES {
        let declaration = declared.read(statements, client, &key.collection).await?;
        let Some(table) = &declaration.table else { return Ok(found) };
        if let Some(found) = table.document(statements, client, key).await? {
            return Ok(found);
        }
    }
    Err(changing(&key.collection))
}

/// It is declared again and again meanwhile.
fn changing(name: &str) -> Trouble {
    let context = format!("the collection `{name}` is being changed; try again");
    Error::new(ErrorKind::Unavailable, context).into()
}

/// A page of documents.
pub(crate) async fn find(reader: &Reader, find: &FindDocuments) -> Found<Vec<Document>> {
    let client = reader.connector.get().await?;
    let mut declaration = last(reader, &client, find).await?;
    if is_of_nobody(find) {
        return Ok(Vec::new());
    }
    while let Some(table) = &declaration.table {
        let found = table.find(&reader.statements, &client, find).await;
        match still(reader, &client, &declaration, find).await? {
            None => return found,
            Some(now) => declaration = now,
        }
    }
    let field = declared_field(&declaration, find)?;
    let (name, whose) = (&*find.collection, tenant(find.tenant.as_deref()));
    let after = find.after.as_deref().unwrap_or_default();
    let (limit, skip) = (i64::from(find.limit), bound(find.skip));
    let rows = match field {
        None => {
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&name, &whose, &after, &limit, &skip];
            reader.statements.query(&client, Sql::FindDocuments, &params).await?
        }
        Some((field, value)) => {
            let value = value_text(value);
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                [&name, &whose, &field, &value, &after, &limit, &skip];
            reader.statements.query(&client, Sql::FindDocumentsByField, &params).await?
        }
    };
    rows.iter().map(|row| document_of(row, name)).collect()
}

/// How many there are on all pages.
pub(crate) async fn count(reader: &Reader, find: &FindDocuments) -> Found<u64> {
    let client = reader.connector.get().await?;
    let mut declaration = last(reader, &client, find).await?;
    if is_of_nobody(find) {
        return Ok(0);
    }
    while let Some(table) = &declaration.table {
        let found = table.count(&reader.statements, &client, find).await;
        match still(reader, &client, &declaration, find).await? {
            None => return found,
            Some(now) => declaration = now,
        }
    }
    let field = declared_field(&declaration, find)?;
    let (name, whose) = (&*find.collection, tenant(find.tenant.as_deref()));
    let row = match field {
        None => reader.statements.one(&client, Sql::CountDocuments, &[&name, &whose]).await?,
        Some((field, value)) => {
            let value = value_text(value);
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                [&name, &whose, &field, &value];
            reader.statements.one(&client, Sql::CountDocumentsByField, &params).await?
        }
    };
    Ok(row.try_get::<_, i64>(0)? as u64)
}

/// What the collection is declared as now, if that is something else: what was read is of no use then.
async fn still(
    reader: &Reader,
    client: &ClientWrapper,
    as_known: &Arc<Declaration>,
    find: &FindDocuments,
) -> Found<Option<Arc<Declaration>>> {
    let now = declaration(reader, client, find).await?;
    Ok((!Arc::ptr_eq(&now, as_known)).then_some(now))
}

/// What the collection was declared as when it was last read, if it is a table: it is looked at once more in
/// the end.
async fn last(
    reader: &Reader,
    client: &ClientWrapper,
    find: &FindDocuments,
) -> Found<Arc<Declaration>> {
    let known = reader.declared.last(&find.collection);
    match known.filter(|known| known.table.is_some() && declared_field(known, find).is_ok()) {
        Some(known) => Ok(known),
        None => {
            let declaration = declaration(reader, client, find).await?;
            declared_field(&declaration, find)?;
            Ok(declaration)
        }
    }
}

/// What the collection is declared as.
async fn declaration(
    reader: &Reader,
    client: &ClientWrapper,
    find: &FindDocuments,
) -> Found<Arc<Declaration>> {
    if !can_exist(&find.collection) {
        return Err(Collection::undeclared(&find.collection).into());
    }
    reader.declared.read(&reader.statements, client, &find.collection).await
}

/// The field to find by, which the collection must have declared.
fn declared_field<'f>(
    declaration: &Declaration,
    find: &'f FindDocuments,
) -> Found<Option<(&'f str, &'f FieldValue)>> {
    let Some((field, value)) = &find.field else { return Ok(None) };
    declaration.collection.field(field)?;
    Ok(Some((field, value)))
}

/// Whether nobody is called so, or nothing.
fn is_of_nobody(find: &FindDocuments) -> bool {
    let field = |(_, value): &(_, FieldValue)| match value {
        FieldValue::Text(text) => can_exist(text),
        _ => true,
    };
    !can_be_tenant(find.tenant.as_deref())
        || !find.after.as_deref().is_none_or(can_exist)
        || !find.field.as_ref().is_none_or(field)
}

/// Declares a collection, with all its documents indexed anew, while nobody else writes.
pub(crate) async fn declare(
    reader: &Reader,
    lock_timeout: &str,
    collection: &Collection,
) -> Found<()> {
    let statements = &reader.statements;
    let name = &*collection.name;
    let wanted = collection.declaration();
    // Most often nothing is to be done: every start of a process declares what it uses.
    let known = async |client: &ClientWrapper| {
        let rows = statements.query(client, Sql::Collection, &[&name]).await?;
        let known: Option<String> = rows.first().map(|row| row.try_get(0)).transpose()?;
        let known =
            known.map(|text| Collection::from_declaration(name, Some(&text))).transpose()?;
        let is_done = match &known {
            Some(known) => !collection.follows(known)?,
            None => false,
        };
        Ok::<_, Trouble>((known, is_done))
    };
    let (_, is_done) = known(&*reader.connector.get().await?).await?;
    if is_done {
        return Ok(());
    }
    // A connection of its own: what is not committed ends with it.
    let client = &reader.connector.own().await?;
    // What is done to a large table takes its time.
    let begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'; \
                 SET LOCAL statement_timeout = 0";
    client.batch_execute(begin).await?;
    statements.query(client, Sql::TakeTurn, &[&lock_timeout]).await?;
    let (known, is_done) = known(client).await?;
    if is_done {
        return Ok(());
    }
    match collection.mapping {
        Some(_) => {
            let collection = Arc::new(collection.clone());
            table::migrate(statements, client, known.as_ref(), &collection).await?;
        }
        None => index_anew(statements, client, collection).await?,
    }
    statements.query(client, Sql::PutCollection, &[&name, &wanted]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// Indexes the documents that are there by the fields of a collection.
async fn index_anew(
    statements: &Statements,
    client: &ClientWrapper,
    collection: &Collection,
) -> Found<()> {
    let name = &*collection.name;
    statements.query(client, Sql::RemoveCollectionFields, &[&name]).await?;
    let mut after = (String::new(), String::new());
    loop {
        let (whose, id) = &after;
        let rows = statements
            .query(client, Sql::DocumentsOfCollection, &[&name, whose, id, &AT_ONCE])
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        let next = (last.try_get(0)?, last.try_get(1)?);
        let mut columns = Columns::default();
        for row in &rows {
            let (whose, id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let body = body_of(row, 2, name, &id)?;
            for (n, value) in collection.values(&id, &body)? {
                columns.push(&whose, &collection.fields[n], &value, &id);
            }
        }
        columns.insert(statements, client, collection).await?;
        after = next;
    }
}

/// Values of fields to insert.
#[derive(Default)]
pub(crate) struct Columns {
    tenants: Vec<String>,
    fields: Vec<String>,
    values: Vec<String>,
    ids: Vec<String>,
    uniques: Vec<bool>,
}

impl Columns {
    pub(crate) fn push(
        &mut self,
        whose: &str,
        field: &cqrs_core::IndexedField,
        value: &FieldValue,
        id: &str,
    ) {
        self.tenants.push(whose.to_owned());
        self.fields.push(field.name.clone().into_owned());
        self.values.push(value_text(value));
        self.ids.push(id.to_owned());
        self.uniques.push(field.unique);
    }

    pub(crate) async fn insert(
        self,
        statements: &Statements,
        client: &ClientWrapper,
        collection: &Collection,
    ) -> Found<()> {
        let Self { tenants, fields, values, ids, uniques } = &self;
        let name = &*collection.name;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&name, tenants, fields, values, ids, uniques];
        let inserted = statements.query(client, Sql::InsertFields, &params).await;
        let Err(Trouble::Postgres(error)) = &inserted else { return inserted.map(drop) };
        let is_taken = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
        if !is_taken {
            return inserted.map(drop);
        }
        // Which two it are is known to the server only: the first unique field is named.
        let field = collection.fields.iter().find(|field| field.unique);
        let field = field.map(|field| field.name.clone().into_owned()).unwrap_or_default();
        let id = ids.first().cloned().unwrap_or_default();
        let collection = name.to_owned();
        Err(Error::from(Conflict::Unique { collection, id, field }).into())
    }
}
