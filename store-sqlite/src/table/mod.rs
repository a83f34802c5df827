//! Tables of entities with a schema: their SQL, which their columns make, and their rows.

mod cells;
mod migrate;

pub(crate) use migrate::migrate;

use std::sync::Arc;

use cqrs_core::{
    Cell, Collection, Document, DocumentKey, Field, FieldType, FindDocuments, Index, Mapping,
};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use crate::error::Trouble;
use crate::row::tenant;
use cells::{from_sql, to_sql};

/// What `documents` has for a body that is a row of a table.
pub(crate) const ELSEWHERE: &str = "null";

/// The table of a collection. A row is an entity: `_tenant`, its id, `_version`, and its other columns.
#[derive(Debug)]
pub(crate) struct Table {
    collection: Arc<Collection>,
    put: String,
    delete: String,
    read: String,
}

impl Table {
    /// The table of a collection that has one.
    pub(crate) fn of(collection: &Arc<Collection>) -> Option<Self> {
        let mapping = collection.mapping.as_ref()?;
        let (name, id) = (quoted(&collection.name), quoted(mapping.id_column()));
        let mut columns = vec!["_tenant".to_owned(), id.clone(), "_version".to_owned()];
        columns.extend(others(mapping).map(|field| quoted(&field.column)));
        let places: Vec<_> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let read: Vec<_> = mapping.fields.iter().map(|field| quoted(&field.column)).collect();
        let read = format!("SELECT {id}, _version, {} FROM {name}", read.join(", "));
        let sets: Vec<_> =
            columns[2..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
        Some(Self {
            put: format!(
                "INSERT INTO {name} ({}) VALUES ({}) ON CONFLICT (_tenant, {id}) DO UPDATE SET {}",
                columns.join(", "),
                places.join(", "),
                sets.join(", ")
            ),
            delete: format!("DELETE FROM {name} WHERE _tenant = ?1 AND {id} = ?2"),
            read,
            collection: Arc::clone(collection),
        })
    }

    fn mapping(&self) -> &Mapping {
        // It has one, or there would be no table.
        static NONE: Mapping = Mapping { version: 0, id: None, fields: Vec::new() };
        self.collection.mapping.as_ref().unwrap_or(&NONE)
    }

    /// Who holds a value of a unique field.
    pub(crate) fn holder(
        &self,
        conn: &Connection,
        owner: Option<&str>,
        field: &Field,
        value: &Cell,
    ) -> rusqlite::Result<Option<String>> {
        let (name, id) = (quoted(&self.collection.name), quoted(self.mapping().id_column()));
        let column = quoted(&field.column);
        let sql = format!("SELECT {id} FROM {name} WHERE _tenant = ?1 AND {column} = ?2");
        let mut statement = conn.prepare_cached(&sql)?;
        statement.query_row((tenant(owner), to_sql(value)), |row| row.get(0)).optional()
    }

    /// Takes a unique value from an entity that gets another one, or none, in the same commit. Where there must be
    /// one, the entity goes and comes again.
    pub(crate) fn take(
        &self,
        conn: &Connection,
        key: &DocumentKey,
        field: &Field,
    ) -> rusqlite::Result<()> {
        if !field.may_be_absent() {
            return self.delete(conn, key);
        }
        let (name, id) = (quoted(&self.collection.name), quoted(self.mapping().id_column()));
        let column = quoted(&field.column);
        let sql = format!("UPDATE {name} SET {column} = NULL WHERE _tenant = ?1 AND {id} = ?2");
        let place = (tenant(key.tenant.as_deref()), &*key.id);
        conn.prepare_cached(&sql)?.execute(place).map(drop)
    }

    pub(crate) fn delete(&self, conn: &Connection, key: &DocumentKey) -> rusqlite::Result<()> {
        let place = (tenant(key.tenant.as_deref()), &*key.id);
        conn.prepare_cached(&self.delete)?.execute(place).map(drop)
    }

    pub(crate) fn put(
        &self,
        conn: &Connection,
        key: &DocumentKey,
        version: i64,
        cells: &[Cell],
    ) -> rusqlite::Result<()> {
        let mapping = self.mapping();
        let begin = [
            Value::Text(tenant(key.tenant.as_deref()).to_owned()),
            Value::Text(key.id.clone()),
            Value::Integer(version),
        ];
        let of_id = mapping.id.as_deref();
        let others =
            mapping.fields.iter().zip(cells).filter(|(field, _)| Some(&*field.name) != of_id);
        let values = begin.into_iter().chain(others.map(|(_, cell)| to_sql(cell)));
        conn.prepare_cached(&self.put)?.execute(params_from_iter(values)).map(drop)
    }

    pub(crate) fn document(
        &self,
        conn: &Connection,
        key: &DocumentKey,
    ) -> Result<Option<Document>, Trouble> {
        let id = quoted(self.mapping().id_column());
        let sql = format!("{} WHERE _tenant = ?1 AND {id} = ?2", self.read);
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query((tenant(key.tenant.as_deref()), &*key.id))?;
        rows.next()?.map(|row| self.document_of(row)).transpose()
    }

    /// A page of them.
    pub(crate) fn find(
        &self,
        conn: &Connection,
        find: &FindDocuments,
    ) -> Result<Vec<Document>, Trouble> {
        let Some(value) = self.to_find(find)? else { return Ok(Vec::new()) };
        let id = quoted(self.mapping().id_column());
        let by = by(value.as_ref());
        let sql = format!(
            "{} WHERE _tenant = ?1 AND {id} > ?2{by} ORDER BY {id} LIMIT ?3 OFFSET ?4",
            self.read
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let skip = i64::try_from(find.skip).unwrap_or(i64::MAX);
        let after = find.after.clone().unwrap_or_default();
        let mut values = vec![
            Value::Text(tenant(find.tenant.as_deref()).to_owned()),
            Value::Text(after),
            Value::Integer(find.limit.into()),
            Value::Integer(skip),
        ];
        values.extend(value.map(|(_, cell)| to_sql(&cell)));
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(self.document_of(row)?);
        }
        Ok(found)
    }

    /// How many there are on all pages.
    pub(crate) fn count(&self, conn: &Connection, find: &FindDocuments) -> Result<u64, Trouble> {
        let Some(value) = self.to_find(find)? else { return Ok(0) };
        let name = quoted(&self.collection.name);
        let by = by(value.as_ref()).replace("?5", "?2");
        let sql = format!("SELECT count(*) FROM {name} WHERE _tenant = ?1{by}");
        let owner = Value::Text(tenant(find.tenant.as_deref()).to_owned());
        let values = [owner].into_iter().chain(value.map(|(_, cell)| to_sql(&cell)));
        let mut statement = conn.prepare_cached(&sql)?;
        Ok(statement.query_row(params_from_iter(values), |row| row.get::<_, i64>(0))? as u64)
    }

    /// Removes those of so many documents.
    pub(crate) fn purge(&self, conn: &Connection, limit: u32) -> rusqlite::Result<()> {
        let (name, id) = (quoted(&self.collection.name), quoted(self.mapping().id_column()));
        let sql = format!(
            "DELETE FROM {name} WHERE (_tenant, {id}) IN (SELECT tenant, id FROM documents \
             WHERE collection = ?1 ORDER BY tenant, id LIMIT ?2)"
        );
        conn.execute(&sql, (&*self.collection.name, limit)).map(drop)
    }

    /// The field to find by, and its value. `None`: no entity has it.
    fn to_find(&self, find: &FindDocuments) -> Result<Option<Option<(&Field, Cell)>>, Trouble> {
        if find.tenant.as_deref() == Some("") {
            return Ok(None);
        }
        let Some((name, value)) = &find.field else { return Ok(Some(None)) };
        self.collection.field(name)?;
        let field = self.mapping().field(name);
        let found = field.and_then(|field| Some((field, Cell::to_find(&field.of, value)?)));
        Ok(found.map(Some))
    }

    fn document_of(&self, row: &Row<'_>) -> Result<Document, Trouble> {
        let (id, version): (String, i64) = (row.get(0)?, row.get(1)?);
        let mapping = self.mapping();
        let mut cells = Vec::with_capacity(mapping.fields.len());
        for (n, field) in mapping.fields.iter().enumerate() {
            let value = row.get_ref(n + 2)?;
            let cell = match mapping.id.as_deref() == Some(&*field.name) {
                true => Cell::of_id(&field.of, &id),
                false => from_sql(&field.of, value),
            };
            cells.push(cell.ok_or_else(|| field.unreadable(&self.collection.name, &id))?);
        }
        Ok(Document { version: version as u64, body: mapping.body(cells), id })
    }
}

/// The fields that are not the id.
fn others(mapping: &Mapping) -> impl Iterator<Item = &Field> {
    let id = mapping.id.as_deref();
    mapping.fields.iter().filter(move |field| Some(&*field.name) != id)
}

/// The condition on the value to find by.
fn by(value: Option<&(&Field, Cell)>) -> String {
    value.map(|(field, _)| format!(" AND {} = ?5", quoted(&field.column))).unwrap_or_default()
}

/// A name as SQL has it. Those of mapped collections and their columns are letters, digits and `_`.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What makes the table, under a name.
fn create(name: &str, mapping: &Mapping) -> String {
    let id = quoted(mapping.id_column());
    let mut columns = vec![
        "_tenant TEXT NOT NULL DEFAULT ''".to_owned(),
        format!("{id} TEXT NOT NULL"),
        "_version INTEGER NOT NULL DEFAULT 1".to_owned(),
    ];
    columns.extend(others(mapping).map(column));
    format!(
        "CREATE TABLE {} ({}, PRIMARY KEY (_tenant, {id})) STRICT",
        quoted(name),
        columns.join(", ")
    )
}

/// A column, as a table is made with it.
fn column(field: &Field) -> String {
    let null = if field.may_be_absent() { "" } else { " NOT NULL" };
    format!("{} {}{null}", quoted(&field.column), kind(&field.of))
}

/// The type of a column.
fn kind(of: &FieldType) -> &'static str {
    match of.present() {
        FieldType::Integer | FieldType::Bool => "INTEGER",
        FieldType::Float => "REAL",
        // What is larger than a whole number of SQLite is text of 20 digits, after all numbers.
        FieldType::Unsigned => "ANY",
        _ => "TEXT",
    }
}

/// The value of a column that is added where nothing is stored.
fn zero(of: &FieldType) -> &'static str {
    match kind(of) {
        "INTEGER" | "ANY" => "0",
        "REAL" => "0.0",
        _ => "''",
    }
}

/// What makes the index of a field.
fn create_index(collection: &str, mapping: &Mapping, field: &Field) -> String {
    let unique = if field.index == Some(Index::Unique) { "UNIQUE " } else { "" };
    let last = match field.index {
        Some(Index::Unique) => String::new(),
        _ => format!(", {}", quoted(mapping.id_column())),
    };
    format!(
        "CREATE {unique}INDEX {} ON {} (_tenant, {}{last})",
        quoted(&Mapping::index_name(collection, field)),
        quoted(collection),
        quoted(&field.column),
    )
}
