//! Tables of entities with a schema: their SQL, which their columns make, and their rows.

mod make;
mod migrate;

pub(crate) use migrate::migrate;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cqrs_core::{
    Cell, Collection, Document, DocumentKey, Field, FieldType, FindDocuments, Mapping, Timestamp,
};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};

use crate::error::Trouble;
use crate::row::{bound, tenant};
use crate::statements::{Sql, Statements};

/// What `documents` has for a body that is a row of a table.
pub(crate) const ELSEWHERE: &str = "null";

/// What collections were declared as, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Declared(Mutex<HashMap<String, (String, Arc<Declaration>)>>);

/// What a collection was declared as, with its table, if it has one.
#[derive(Debug)]
pub(crate) struct Declaration {
    pub(crate) collection: Arc<Collection>,
    pub(crate) table: Option<Table>,
}

impl Declared {
    /// What it was when it was last read.
    pub(crate) fn last(&self, name: &str) -> Option<Arc<Declaration>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|(_, declaration)| Arc::clone(declaration))
    }

    /// Reads what it is.
    pub(crate) async fn read(
        &self,
        statements: &Statements,
        client: &ClientWrapper,
        name: &str,
    ) -> Result<Arc<Declaration>, Trouble> {
        let rows = statements.query(client, Sql::Collection, &[&name]).await?;
        let declared: Option<String> = rows.first().map(|row| row.try_get(0)).transpose()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((text, declaration)), Some(declared)) = (known.get(name), &declared)
            && text == declared
        {
            return Ok(Arc::clone(declaration));
        }
        let collection = Arc::new(Collection::from_declaration(name, declared.as_deref())?);
        let table = Table::of(&collection, statements.schema());
        let declaration = Arc::new(Declaration { collection, table });
        if let Some(declared) = declared {
            known.insert(name.to_owned(), (declared, Arc::clone(&declaration)));
        }
        Ok(declaration)
    }
}

/// The table of a collection. A row is an entity: `_tenant`, its id, `_version`, and its other columns.
#[derive(Debug)]
pub(crate) struct Table {
    collection: Arc<Collection>,
    schema: String,
    /// Everything of an entity.
    read: String,
    declaration: String,
}

/// A value as a parameter.
type Param = (Box<dyn ToSql + Sync + Send>, Type);

impl Table {
    /// The table of a collection that has one.
    pub(crate) fn of(collection: &Arc<Collection>, schema: &str) -> Option<Self> {
        let mapping = collection.mapping.as_ref()?;
        let table = named(schema, &collection.name);
        let columns: Vec<_> = others(mapping).map(read).collect();
        let read = format!(
            "SELECT {}, _version{} FROM {table}",
            quoted(mapping.id_column()),
            columns.iter().map(|column| format!(", {column}")).collect::<String>(),
        );
        let declaration = collection.declaration();
        let (collection, schema) = (Arc::clone(collection), schema.to_owned());
        Some(Self { collection, schema, read, declaration })
    }

    fn mapping(&self) -> &Mapping {
        // It has one, or there would be no table.
        static NONE: Mapping = Mapping { version: 0, id: None, fields: Vec::new() };
        self.collection.mapping.as_ref().unwrap_or(&NONE)
    }

    fn name(&self) -> String {
        named(&self.schema, &self.collection.name)
    }

    /// One of them; `None`: the table is another one by now.
    pub(crate) async fn document(
        &self,
        statements: &Statements,
        client: &ClientWrapper,
        key: &DocumentKey,
    ) -> Result<Option<Option<Document>>, Trouble> {
        let id = quoted(self.mapping().id_column());
        // What it is declared as in the same moment.
        let sql = format!(
            "SELECT t.*, k.fields FROM {}.collections AS k \
             LEFT JOIN LATERAL ({} WHERE _tenant = $1 AND {id} = $2) AS t ON true WHERE k.name = $3",
            self.schema, self.read
        );
        let owner = tenant(key.tenant.as_deref()).to_owned();
        let name = self.collection.name.clone().into_owned();
        let params = vec![text(owner), text(key.id.clone()), text(name)];
        let rows = match query(statements, client, &sql, &params).await {
            Err(trouble) if trouble.code() == Some(&SqlState::UNDEFINED_COLUMN) => return Ok(None),
            rows => rows?,
        };
        let Some(row) = rows.first() else { return Ok(None) };
        if row.try_get::<_, &str>(row.len() - 1)? != self.declaration {
            return Ok(None);
        }
        let is_there = row.try_get::<_, Option<&str>>(0)?.is_some();
        Ok(Some(is_there.then(|| self.document_of(row)).transpose()?))
    }

    /// A page of them.
    pub(crate) async fn find(
        &self,
        statements: &Statements,
        client: &ClientWrapper,
        find: &FindDocuments,
    ) -> Result<Vec<Document>, Trouble> {
        let Some((by, value)) = self.to_find(find, 5)? else { return Ok(Vec::new()) };
        let id = quoted(self.mapping().id_column());
        let sql = format!(
            "{} WHERE _tenant = $1 AND {id} > $2{by} ORDER BY {id} LIMIT $3 OFFSET $4",
            self.read
        );
        let mut params: Vec<Param> = vec![
            text(tenant(find.tenant.as_deref()).to_owned()),
            text(find.after.clone().unwrap_or_default()),
            (Box::new(i64::from(find.limit)), Type::INT8),
            (Box::new(bound(find.skip)), Type::INT8),
        ];
        params.extend(value);
        let rows = query(statements, client, &sql, &params).await?;
        rows.iter().map(|row| self.document_of(row)).collect()
    }

    /// How many there are on all pages.
    pub(crate) async fn count(
        &self,
        statements: &Statements,
        client: &ClientWrapper,
        find: &FindDocuments,
    ) -> Result<u64, Trouble> {
        let Some((by, value)) = self.to_find(find, 2)? else { return Ok(0) };
        let sql = format!("SELECT count(*) FROM {} WHERE _tenant = $1{by}", self.name());
        let mut params = vec![text(tenant(find.tenant.as_deref()).to_owned())];
        params.extend(value);
        let rows = query(statements, client, &sql, &params).await?;
        let count: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(count.unwrap_or_default() as u64)
    }

    /// The condition on the value to find by, which is the n-th parameter. `None`: no entity has it.
    fn to_find(
        &self,
        find: &FindDocuments,
        n: usize,
    ) -> Result<Option<(String, Option<Param>)>, Trouble> {
        let Some((name, value)) = &find.field else { return Ok(Some((String::new(), None))) };
        self.collection.field(name)?;
        let Some(field) = self.mapping().field(name) else { return Ok(None) };
        let Some(cell) = Cell::to_find(&field.of, value) else { return Ok(None) };
        let (cast, param): (&str, Param) = match cell {
            Cell::Text(value) => ("", text(value)),
            Cell::Integer(value) => ("", (Box::new(value), Type::INT8)),
            Cell::Bool(value) => ("", (Box::new(value), Type::BOOL)),
            Cell::Uuid(value) => ("", (Box::new(value), Type::UUID)),
            Cell::Unsigned(value) => ("::numeric", text(value.to_string())),
            Cell::Time(value) => ("::timestamptz", text(value.to_string())),
            Cell::Null | Cell::Float(_) | Cell::Json(_) => return Ok(None),
        };
        Ok(Some((format!(" AND {} = ${n}{cast}", quoted(&field.column)), Some(param))))
    }

    fn document_of(&self, row: &Row) -> Result<Document, Trouble> {
        let (id, version): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        let mapping = self.mapping();
        let mut cells = Vec::with_capacity(mapping.fields.len());
        let mut column = 2;
        for field in &mapping.fields {
            let cell = if mapping.id.as_deref() == Some(&*field.name) {
                Cell::of_id(&field.of, &id)
            } else {
                column += 1;
                from_row(&field.of, row, column - 1)
            };
            cells.push(cell.ok_or_else(|| field.unreadable(&self.collection.name, &id))?);
        }
        Ok(Document { version: version as u64, body: mapping.body(cells), id })
    }
}

/// Runs a statement that is made of names.
async fn query(
    statements: &Statements,
    client: &ClientWrapper,
    sql: &str,
    params: &[Param],
) -> Result<Vec<Row>, Trouble> {
    let params: Vec<(&(dyn ToSql + Sync), Type)> =
        params.iter().map(|(value, of)| (&**value as _, of.clone())).collect();
    statements.bounded(async { Ok(client.query_typed(sql, &params).await?) }).await
}

fn text(value: String) -> Param {
    (Box::new(value), Type::TEXT)
}

/// The value of a column; `None`: it is none of the field's. People edit tables.
fn from_row(of: &FieldType, row: &Row, n: usize) -> Option<Cell> {
    fn get<'r, T: FromSql<'r>>(row: &'r Row, n: usize) -> Option<Option<T>> {
        row.try_get(n).ok()
    }
    let cell = match of.present() {
        FieldType::Text => get(row, n)?.map(Cell::Text),
        FieldType::Integer => get(row, n)?.map(Cell::Integer),
        FieldType::Float => get(row, n)?.map(Cell::Float),
        FieldType::Bool => get(row, n)?.map(Cell::Bool),
        FieldType::Uuid => get(row, n)?.map(Cell::Uuid),
        FieldType::Unsigned => match get::<&str>(row, n)? {
            Some(value) => Some(Cell::Unsigned(value.parse().ok()?)),
            None => None,
        },
        FieldType::Time => get(row, n)?.map(|micros| Cell::Time(Timestamp::from_micros(micros))),
        FieldType::List(_) | FieldType::Struct(_) | FieldType::Json => get(row, n)?.map(Cell::Json),
        FieldType::Optional(_) => None,
    };
    Some(cell.unwrap_or(Cell::Null))
        .filter(|cell| !matches!(cell, Cell::Float(n) if !n.is_finite()))
}

/// How a column is read.
fn read(field: &Field) -> String {
    let column = quoted(&field.column);
    match field.of.present() {
        FieldType::Unsigned | FieldType::List(_) | FieldType::Struct(_) | FieldType::Json => {
            format!("{column}::text")
        }
        FieldType::Time => format!("(extract(epoch FROM {column}) * 1000000)::bigint"),
        _ => column,
    }
}

/// The fields that are not the id.
fn others(mapping: &Mapping) -> impl Iterator<Item = &Field> {
    let id = mapping.id.as_deref();
    mapping.fields.iter().filter(move |field| Some(&*field.name) != id)
}

/// A table or an index in the schema of the store.
pub(crate) fn named(schema: &str, name: &str) -> String {
    format!("{schema}.{}", quoted(name))
}

/// A name as SQL has it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL has it, whatever is in it.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
