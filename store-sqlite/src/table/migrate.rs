//! Making a table, and changing it with its entity: nothing that is stored is lost.

use std::collections::HashMap;
use std::sync::Arc;

use cqrs_core::{Cell, Change, Collection, Conflict, DocumentKey, Error, Field, Index, Mapping};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::cells::{from_sql, to_sql};
use super::{ELSEWHERE, Table, column, create, create_index, kind, quoted, zero};
use crate::collection::body_of;
use crate::error::Trouble;
use crate::statements::Sql;

/// Makes the table of a collection, or brings it to what its mapping says.
///
/// Errors: [`Invalid`](cqrs_core::ErrorKind::Invalid) naming the field, with the statement that it would need,
/// when something that is stored would be lost or does not fit; a conflict when documents share a value that
/// should be unique.
pub(crate) fn migrate(
    conn: &Connection,
    known: Option<&Collection>,
    collection: &Arc<Collection>,
) -> Result<(), Trouble> {
    let (Some(table), Some(mapping)) = (Table::of(collection), &collection.mapping) else {
        return Ok(());
    };
    let name = &*collection.name;
    match known.and_then(|known| known.mapping.as_ref()) {
        Some(before) => {
            Changing { conn, name, before, mapping, columns: columns(conn, name)? }.run()?;
        }
        None => {
            refuse_other(conn, name)?;
            conn.execute_batch(&create(name, mapping))?;
            take_over(conn, &table, mapping)?;
        }
    }
    index(conn, name, mapping)
}

/// A table of that name is somebody else's.
fn refuse_other(conn: &Connection, name: &str) -> Result<(), Trouble> {
    let other = conn.query_row(Sql::ObjectOfName.text(), (name,), |row| row.get(0));
    let other: Option<String> = other.optional()?;
    let Some(kind) = other else { return Ok(()) };
    let context = format!(
        "a {kind} `{name}` is there that is not the collection's: give the collection another name"
    );
    Err(Error::invalid_field("collection", context).into())
}

/// Documents that were any JSON become rows.
fn take_over(conn: &Connection, table: &Table, mapping: &Mapping) -> Result<(), Trouble> {
    let name = &*table.collection.name;
    let mut documents = conn.prepare(Sql::DocumentsToRows.text())?;
    let mut rows = documents.query((name,))?;
    while let Some(row) = rows.next()? {
        let owner = row.get::<_, String>(0)?;
        let key = DocumentKey {
            tenant: (!owner.is_empty()).then(|| owner.into()),
            collection: table.collection.name.clone(),
            id: row.get(1)?,
        };
        let body = body_of(row, 2, name, &key.id)?;
        let cells = mapping.cells(name, &key.id, &body)?;
        table.put(conn, &key, row.get(3)?, &cells)?;
    }
    conn.execute(Sql::DocumentsElsewhere.text(), (name, ELSEWHERE))?;
    Ok(())
}

/// A column as it is: its type, and whether it is NOT NULL.
type Columns = HashMap<String, (String, bool)>;

fn columns(conn: &Connection, name: &str) -> rusqlite::Result<Columns> {
    let mut info = conn.prepare(Sql::ColumnsOfTable.text())?;
    let rows = info.query_map((name,), |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

/// A table that is to be changed.
struct Changing<'a> {
    conn: &'a Connection,
    name: &'a str,
    before: &'a Mapping,
    mapping: &'a Mapping,
    columns: Columns,
}

impl Changing<'_> {
    fn run(&self) -> Result<(), Trouble> {
        if self.columns.is_empty() {
            let context = format!(
                "the table `{}` is gone: restore it from a backup, or delete its row of `collections` \
                 and its documents",
                self.name
            );
            return Err(Error::invalid_field("collection", context).into());
        }
        if !self.before.keeps_id(self.mapping) {
            return self.begin_anew();
        }
        let changes = self.before.changes(self.mapping);
        changes.iter().try_for_each(|change| self.check(change))?;
        self.drop_indexes(&changes)?;
        for (field, step) in self.steps(&changes) {
            self.alter(field, &step)?;
        }
        Ok(())
    }

    /// Another id: only where nothing is stored.
    fn begin_anew(&self) -> Result<(), Trouble> {
        if self.any("true")? {
            let id = self.mapping.id_field().or(self.before.id_field());
            let id = id.map_or("id", |field| &*field.name);
            let context = format!(
                "`{id}` of `{}` would be another id than what is stored has: move the entities into a \
                 collection of another name",
                self.name
            );
            return Err(Error::invalid_field(id, context).into());
        }
        self.conn.execute_batch(&format!("DROP TABLE {}", quoted(self.name)))?;
        Ok(self.conn.execute_batch(&create(self.name, self.mapping))?)
    }

    /// Changes the table. What others have made of it may stand in the way.
    fn alter(&self, field: &Field, step: &str) -> Result<(), Trouble> {
        self.conn.execute_batch(step).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::Unknown | ErrorCode::ConstraintViolation) => {
                let what = format!("has something beside it that is not the store's ({error})");
                Trouble::Ours(field.cannot_change(self.name, &what, step))
            }
            _ => error.into(),
        })
    }

    /// What changes the table, where nothing speaks against it: with what it has of others.
    fn steps<'f>(&self, changes: &[Change<'f>]) -> Vec<(&'f Field, String)> {
        let table = quoted(self.name);
        let alter = |what: String| format!("ALTER TABLE {table} {what}");
        let (mut gone, mut away, mut back, mut steps) = (vec![], vec![], vec![], vec![]);
        for change in changes {
            match *change {
                Change::Removed(field) => {
                    if self.columns.contains_key(&*field.column) {
                        let drop = format!("DROP COLUMN {}", quoted(&field.column));
                        gone.push((field, alter(drop)));
                    }
                }
                Change::Added(field) => steps.extend(self.add(field).map(|add| (field, add))),
                Change::Changed { from, to } => {
                    let Some(at) = self.column_of(from, to) else {
                        steps.extend(self.add(to).map(|add| (to, add)));
                        continue;
                    };
                    if at != to.column {
                        // By way of another name: two may swap theirs.
                        let (was, column) = (quoted(at), quoted(&to.column));
                        let other = quoted(&format!("__was_{}", away.len()));
                        away.push((to, alter(format!("RENAME COLUMN {was} TO {other}"))));
                        back.push((to, alter(format!("RENAME COLUMN {other} TO {column}"))));
                    }
                    steps.extend(self.retype(at, to).map(|step| (to, step)));
                }
            }
        }
        gone.into_iter().chain(away).chain(back).chain(steps).collect()
    }

    /// What adds a column. One that must have a value is added where nothing is stored.
    fn add(&self, field: &Field) -> Option<String> {
        let is_ahead = self.is_ahead(field);
        let (table, null) = (quoted(self.name), field.may_be_absent());
        let default = if null { String::new() } else { format!(" DEFAULT {}", zero(&field.of)) };
        (!is_ahead).then(|| format!("ALTER TABLE {table} ADD COLUMN {}{default}", column(field)))
    }

    /// What makes another type of a column without values, or one that must have a value, or need not.
    fn retype(&self, at: &str, to: &Field) -> Option<String> {
        let (of, not_null) = self.columns.get(at)?;
        let is_id = self.mapping.id.as_deref() == Some(&*to.name);
        let (kind, may_miss) = (kind(&to.of), to.may_be_absent());
        if is_id || (of == kind && *not_null != may_miss) {
            return None;
        }
        let (table, name) = (quoted(self.name), quoted(&to.column));
        let other = Field { column: "__new".into(), ..to.clone() };
        let default = if may_miss { String::new() } else { format!(" DEFAULT {}", zero(&to.of)) };
        // One of another type has no values.
        let values = match of == kind {
            true => format!("UPDATE {table} SET __new = {name}; "),
            false => String::new(),
        };
        Some(format!(
            "ALTER TABLE {table} ADD COLUMN {}{default}; {values}\
             ALTER TABLE {table} DROP COLUMN {name}; \
             ALTER TABLE {table} RENAME COLUMN __new TO {name}",
            column(&other)
        ))
    }

    /// Whether somebody has made the column of a field ahead of the change.
    fn is_ahead(&self, field: &Field) -> bool {
        self.columns.contains_key(&*field.column) && !self.before.has_column(&field.column)
    }

    /// Where the values of a changed field are; `None`: somebody has put them aside.
    fn column_of<'f>(&self, from: &'f Field, to: &'f Field) -> Option<&'f str> {
        match self.columns.contains_key(&*from.column) {
            true => Some(&from.column),
            false => self.is_ahead(to).then_some(&*to.column),
        }
    }

    /// Whether nothing is lost by a change, and all that is stored fits.
    fn check(&self, change: &Change<'_>) -> Result<(), Trouble> {
        let table = quoted(self.name);
        match *change {
            Change::Removed(field) => {
                let column = quoted(&field.column);
                let is_there = self.columns.contains_key(&*field.column);
                if is_there && self.any(&format!("{column} IS NOT NULL"))? {
                    let index = drop_index(self.name, field);
                    let needed = format!("{index}ALTER TABLE {table} DROP COLUMN {column}");
                    return self.refuse(field, "has values, and is no field any more", &needed);
                }
                Ok(())
            }
            Change::Added(field) if self.is_ahead(field) => {
                self.check_present(&field.column, field)
            }
            Change::Added(field) => self.check_added(field),
            Change::Changed { from, to } => {
                let Some(at) = self.column_of(from, to) else { return self.check_added(to) };
                if self.mapping.id.as_deref() == Some(&*to.name) {
                    return Ok(());
                }
                if !to.keeps(from) {
                    self.check_values(at, from, to)?;
                }
                self.check_present(at, to)
            }
        }
    }

    /// Whether a field can be added.
    fn check_added(&self, field: &Field) -> Result<(), Trouble> {
        if field.may_be_absent() || !self.any("true")? {
            return Ok(());
        }
        let needed =
            format!("ALTER TABLE {} ADD COLUMN {} DEFAULT …", quoted(self.name), column(field));
        self.refuse(field, "is missing in what is stored", &needed)
    }

    /// Whether all rows have a value, where they must.
    fn check_present(&self, at: &str, field: &Field) -> Result<(), Trouble> {
        let (table, column) = (quoted(self.name), quoted(at));
        if !field.may_be_absent() && self.any(&format!("{column} IS NULL"))? {
            let needed = format!("UPDATE {table} SET {column} = … WHERE {column} IS NULL");
            return self.refuse(field, "has no value in some of what is stored", &needed);
        }
        Ok(())
    }

    /// Whether all values are what the field is now, as they are.
    fn check_values(&self, at: &str, from: &Field, to: &Field) -> Result<(), Trouble> {
        let (table, column, kind) = (quoted(self.name), quoted(at), kind(&to.of));
        let of_kind = self.columns.get(at).is_some_and(|(of, _)| of == kind);
        // A text that looks like JSON is another thing than JSON.
        let is_alike = from.of.is_plain() == to.of.is_plain();
        let id = quoted(self.before.id_column());
        let all = format!("SELECT {id}, {column} FROM {table} WHERE {column} IS NOT NULL");
        let mut statement = self.conn.prepare(&all)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let (id, value): (String, Value) = (row.get(0)?, row.get(1)?);
            let fits = match from_sql(&to.of, (&value).into()) {
                _ if !of_kind || !is_alike => false,
                Some(Cell::Json(json)) => to.check(self.name, &id, &json).is_ok(),
                // What is read as the same and is written otherwise would not be found.
                Some(cell) => to_sql(&cell) == value,
                None => false,
            };
            if fits {
                continue;
            }
            let index = drop_index(self.name, from);
            let needed = match (is_alike, of_kind) {
                (true, true) => {
                    format!("UPDATE {table} SET {column} = … WHERE {column} IS NOT NULL")
                }
                (true, false) => format!(
                    "ALTER TABLE {table} RENAME COLUMN {column} TO before; \
                     ALTER TABLE {table} ADD COLUMN {column} {kind}; \
                     UPDATE {table} SET {column} = CAST(before AS {kind}); \
                     {index}ALTER TABLE {table} DROP COLUMN before"
                ),
                // The field is as one that was not there before, and its values are to be found beside it.
                (false, _) => {
                    format!("{index}ALTER TABLE {table} RENAME COLUMN {column} TO before")
                }
            };
            return self.refuse(to, &format!("has values that are no {}", to.of), &needed);
        }
        Ok(())
    }

    fn any(&self, condition: &str) -> rusqlite::Result<bool> {
        let table = quoted(self.name);
        let any = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {condition})");
        self.conn.query_row(&any, (), |row| row.get(0))
    }

    fn refuse(&self, field: &Field, what: &str, needed: &str) -> Result<(), Trouble> {
        Err(field.cannot_change(self.name, what, needed).into())
    }

    /// Those of fields that are something else now; they are made anew.
    fn drop_indexes(&self, changes: &[Change<'_>]) -> Result<(), Trouble> {
        for change in changes {
            match *change {
                Change::Removed(field) | Change::Changed { from: field, .. } => {
                    let there = indexes(self.conn, self.name)?;
                    let index = Mapping::index_name(self.name, field);
                    if field.index.is_some() && there.contains(&index) {
                        self.conn.execute_batch(&format!("DROP INDEX {}", quoted(&index)))?;
                    }
                }
                Change::Added(_) => {}
            }
        }
        Ok(())
    }
}

/// SQLite drops no column that is indexed: what an operator has to do first.
fn drop_index(collection: &str, field: &Field) -> String {
    let index = field.index.map(|_| quoted(&Mapping::index_name(collection, field)));
    index.map(|index| format!("DROP INDEX IF EXISTS {index}; ")).unwrap_or_default()
}

fn indexed(mapping: &Mapping) -> impl Iterator<Item = &Field> {
    mapping.fields.iter().filter(|field| field.index.is_some())
}

/// The indexes of a table that somebody made.
fn indexes(conn: &Connection, name: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(Sql::IndexesOfTable.text())?;
    let rows = statement.query_map((name,), |row| row.get(0))?;
    rows.collect()
}

/// Makes the indexes that are missing.
fn index(conn: &Connection, name: &str, mapping: &Mapping) -> Result<(), Trouble> {
    let there = indexes(conn, name)?;
    for field in indexed(mapping) {
        let index = Mapping::index_name(name, field);
        if there.contains(&index) {
            continue;
        }
        if field.index == Some(Index::Unique) {
            let (table, id) = (quoted(name), quoted(mapping.id_column()));
            let column = quoted(&field.column);
            let twice = format!(
                "SELECT max({id}) FROM {table} WHERE {column} IS NOT NULL \
                 GROUP BY _tenant, {column} HAVING count(*) > 1 LIMIT 1"
            );
            if let Some(id) = conn.query_row(&twice, (), |row| row.get(0)).optional()? {
                let (collection, field) = (name.to_owned(), field.name.clone().into_owned());
                return Err(Error::from(Conflict::Unique { collection, id, field }).into());
            }
        }
        conn.execute_batch(&create_index(name, mapping, field))?;
    }
    Ok(())
}
