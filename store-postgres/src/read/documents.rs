//! Documents: one, found and counted; and what their collections are declared as.

use cqrs_core::{
    Collection, Conflict, Document, DocumentKey, Error, ErrorKind, FieldValue, FindDocuments, Json,
    Result,
};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;

use super::Reader;
use crate::error::Trouble;
use crate::row::{Text, bound, can_be_tenant, can_exist, tenant, value_text};
use crate::statements::{Sql, Statements};

/// Documents that are indexed anew at once.
const AT_ONCE: i64 = 1_000;

/// Documents that were found, or their number.
pub(crate) type Found<T> = Result<T, Trouble>;

/// The body in a column. Checked, because people edit tables.
fn body_of(row: &Row, index: usize, name: &str, id: &str) -> Result<Json, Trouble> {
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

pub(crate) async fn document(
    statements: &Statements,
    client: &ClientWrapper,
    key: &DocumentKey,
) -> Found<Option<Document>> {
    let whose = tenant(key.tenant.as_deref());
    if !(can_be_tenant(key.tenant.as_deref()) && can_exist(&key.collection) && can_exist(&key.id)) {
        return Ok(None);
    }
    let rows =
        statements.query(client, Sql::Document, &[&&*key.collection, &whose, &key.id]).await?;
    rows.first().map(|row| document_of(row, &key.collection)).transpose()
}

/// A page of documents.
pub(crate) async fn find(reader: &Reader, find: &FindDocuments) -> Found<Vec<Document>> {
    let client = reader.connector.get().await?;
    let field = declared_field(reader, &client, find).await?;
    let (name, whose) = (&*find.collection, tenant(find.tenant.as_deref()));
    if is_of_nobody(find) {
        return Ok(Vec::new());
    }
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
    let field = declared_field(reader, &client, find).await?;
    let (name, whose) = (&*find.collection, tenant(find.tenant.as_deref()));
    if is_of_nobody(find) {
        return Ok(0);
    }
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

/// The field to find by, which the collection must have declared.
async fn declared_field<'f>(
    reader: &Reader,
    client: &ClientWrapper,
    find: &'f FindDocuments,
) -> Found<Option<(&'f str, &'f FieldValue)>> {
    let fields = fields(&reader.statements, client, &find.collection).await?;
    let collection = Collection::from_declaration(&find.collection, fields.as_deref())?;
    let Some((field, value)) = &find.field else { return Ok(None) };
    collection.field(field)?;
    Ok(Some((field, value)))
}

async fn fields(
    statements: &Statements,
    client: &ClientWrapper,
    name: &str,
) -> Found<Option<String>> {
    if !can_exist(name) {
        return Ok(None);
    }
    let rows = statements.query(client, Sql::Collection, &[&name]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
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
    let wanted = collection.declaration();
    // Most often: every start of a process declares what it uses.
    let is_declared = async |client: &ClientWrapper| {
        Ok::<_, Trouble>(
            fields(statements, client, &collection.name).await? == Some(wanted.clone()),
        )
    };
    if is_declared(&*reader.connector.get().await?).await? {
        return Ok(());
    }
    // A connection of its own: what is not committed ends with it.
    let client = &reader.connector.own().await?;
    client.batch_execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'").await?;
    statements.query(client, Sql::TakeTurn, &[&lock_timeout]).await?;
    if is_declared(client).await? {
        return Ok(());
    }
    let name = &*collection.name;
    statements.query(client, Sql::RemoveCollectionFields, &[&name]).await?;
    let mut after = (String::new(), String::new());
    loop {
        let (whose, id) = &after;
        let rows = statements
            .query(client, Sql::DocumentsOfCollection, &[&name, whose, id, &AT_ONCE])
            .await?;
        let Some(last) = rows.last() else { break };
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
    statements.query(client, Sql::PutCollection, &[&name, &wanted]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// Values of fields to insert.
#[derive(Default)]
struct Columns {
    tenants: Vec<String>,
    fields: Vec<String>,
    values: Vec<String>,
    ids: Vec<String>,
    uniques: Vec<bool>,
}

impl Columns {
    fn push(&mut self, whose: &str, field: &cqrs_core::IndexedField, value: &FieldValue, id: &str) {
        self.tenants.push(whose.to_owned());
        self.fields.push(field.name.clone().into_owned());
        self.values.push(value_text(value));
        self.ids.push(id.to_owned());
        self.uniques.push(field.unique);
    }

    async fn insert(
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
        let is_taken = error.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION);
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
