//! Making a table, and changing it with its entity: nothing that is stored is lost.

use std::collections::HashMap;
use std::sync::Arc;

use cqrs_core::{Cell, Change, Collection, Conflict, DocumentKey, Error, Field, Index, Mapping};
use rusqlite::{Connection, OptionalExtension};

use super::cells::from_sql;
use super::{ELSEWHERE, Table, column, create, create_index, kind, others, quoted};
use crate::collection::body_of;
use crate::error::Trouble;

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
    let other = "SELECT type FROM sqlite_master WHERE lower(name) = lower(?1)";
    let other: Option<String> = conn.query_row(other, (name,), |row| row.get(0)).optional()?;
    let Some(kind) = other else { return Ok(()) };
    let context = format!(
        "a {kind} `{name}` is there that is not the collection's: give the collection another name"
    );
    Err(Error::invalid_field("collection", context).into())
}

/// Documents that were any JSON become rows.
fn take_over(conn: &Connection, table: &Table, mapping: &Mapping) -> Result<(), Trouble> {
    let name = &*table.collection.name;
    let all = "SELECT tenant, id, body, version FROM documents \
               WHERE collection = ?1 AND body IS NOT NULL";
    let mut documents = conn.prepare(all)?;
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
        table.insert(conn, &key, row.get(3)?, &cells)?;
    }
    let elsewhere = "UPDATE documents SET body = ?2 WHERE collection = ?1 AND body IS NOT NULL";
    conn.execute(elsewhere, (name, ELSEWHERE))?;
    Ok(())
}

/// A column as it is: its type, and whether it is NOT NULL.
type Columns = HashMap<String, (String, bool)>;

fn columns(conn: &Connection, name: &str) -> rusqlite::Result<Columns> {
    let mut info = conn.prepare("SELECT name, type, \"notnull\" FROM pragma_table_info(?1)")?;
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
        let changes = self.before.changes(self.mapping);
        changes.iter().try_for_each(|change| self.check(change))?;
        self.check_id()?;
        self.drop_indexes()?;
        if self.needs_copy() {
            return self.copy(&changes);
        }
        for field in others(self.mapping).filter(|field| !self.columns.contains_key(&*field.column))
        {
            let add = format!("ALTER TABLE {} ADD COLUMN {}", quoted(self.name), column(field));
            self.conn.execute_batch(&add)?;
        }
        Ok(())
    }

    /// Whether nothing is lost by a change, and all that is stored fits.
    fn check(&self, change: &Change<'_>) -> Result<(), Trouble> {
        let table = quoted(self.name);
        match *change {
            Change::Removed(field) => {
                let column = quoted(&field.column);
                match self.is_there(field) && self.any(&format!("{column} IS NOT NULL"))? {
                    true => {
                        let index = field.index.map(|_| Mapping::index_name(self.name, field));
                        let index = index.map(|index| format!("DROP INDEX {}; ", quoted(&index)));
                        let index = index.unwrap_or_default();
                        let needed = format!("{index}ALTER TABLE {table} DROP COLUMN {column}");
                        self.refuse(field, "has values, and is no field any more", &needed)
                    }
                    false => Ok(()),
                }
            }
            Change::Added(field) if field.may_be_absent() => Ok(()),
            Change::Added(field) if !self.is_there(field) => match self.any("true")? {
                true => {
                    let needed =
                        format!("ALTER TABLE {table} ADD COLUMN {} DEFAULT …", column(field));
                    self.refuse(field, "is missing in what is stored", &needed)
                }
                false => Ok(()),
            },
            Change::Added(field) => self.check_present(field),
            Change::Changed { from, to } => {
                if !to.keeps(from) {
                    self.check_values(from, to)?;
                }
                match from.may_be_absent() && !to.may_be_absent() {
                    true => self.check_present(if self.is_there(from) { from } else { to }),
                    false => Ok(()),
                }
            }
        }
    }

    /// Whether all rows have a value.
    fn check_present(&self, field: &Field) -> Result<(), Trouble> {
        let (table, column) = (quoted(self.name), quoted(&field.column));
        match self.any(&format!("{column} IS NULL"))? {
            true => {
                let needed = format!("UPDATE {table} SET {column} = … WHERE {column} IS NULL");
                self.refuse(field, "has no value in some of what is stored", &needed)
            }
            false => Ok(()),
        }
    }

    /// Whether all values are what the field is now.
    fn check_values(&self, from: &Field, to: &Field) -> Result<(), Trouble> {
        let field = if self.is_there(from) { from } else { to };
        let (table, column) = (quoted(self.name), quoted(&field.column));
        let id = quoted(self.before.id_column());
        let as_wanted = self.columns.get(&*field.column).is_some_and(|(of, _)| of == kind(&to.of));
        let all = format!("SELECT {id}, {column} FROM {table} WHERE {column} IS NOT NULL");
        let mut statement = self.conn.prepare(&all)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            let fits = match from_sql(&to.of, row.get_ref(1)?) {
                _ if !as_wanted => false,
                Some(Cell::Json(json)) => to.check(self.name, &id, &json).is_ok(),
                cell => cell.is_some(),
            };
            if !fits {
                let kind = kind(&to.of);
                let needed = match as_wanted {
                    true => format!("UPDATE {table} SET {column} = … WHERE {column} IS NOT NULL"),
                    false => {
                        // SQLite drops no column that is indexed.
                        let index = field.index.map(|_| Mapping::index_name(self.name, field));
                        let index = index.map(|index| format!("DROP INDEX {}; ", quoted(&index)));
                        format!(
                            "ALTER TABLE {table} RENAME COLUMN {column} TO before; \
                             ALTER TABLE {table} ADD COLUMN {column} {kind}; \
                             UPDATE {table} SET {column} = CAST(before AS {kind}); \
                             {}ALTER TABLE {table} DROP COLUMN before",
                            index.unwrap_or_default()
                        )
                    }
                };
                return self.refuse(to, &format!("has values that are no {}", to.of), &needed);
            }
        }
        Ok(())
    }

    /// The id stays what it is, once there are entities.
    fn check_id(&self) -> Result<(), Trouble> {
        let (before, now) = (self.before.id_field(), self.mapping.id_field());
        let same = match (before, now) {
            (Some(before), Some(now)) => before.column == now.column && before.of == now.of,
            (None, None) => true,
            _ => false,
        };
        if same || !self.any("true")? {
            return Ok(());
        }
        let field = now.or(before).map_or("id", |field| &*field.name);
        let context = format!(
            "`{field}` of `{}` would be another id than what is stored has: move the entities into a \
             collection of another name",
            self.name
        );
        Err(Error::invalid_field(field, context).into())
    }

    fn is_there(&self, field: &Field) -> bool {
        self.columns.contains_key(&*field.column)
    }

    fn any(&self, condition: &str) -> rusqlite::Result<bool> {
        let table = quoted(self.name);
        let any = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE {condition})");
        self.conn.query_row(&any, (), |row| row.get(0))
    }

    fn refuse(&self, field: &Field, what: &str, needed: &str) -> Result<(), Trouble> {
        Err(field.cannot_change(self.name, what, needed).into())
    }

    /// Whether more is to be done than to add columns.
    fn needs_copy(&self) -> bool {
        let differs = others(self.mapping).any(|field| match self.columns.get(&*field.column) {
            Some((of, not_null)) => of != kind(&field.of) || *not_null == field.may_be_absent(),
            None => !field.may_be_absent(),
        });
        let known = |name: &str| {
            ["_tenant", "_version", self.mapping.id_column()].contains(&name)
                || others(self.mapping).any(|field| field.column == name)
        };
        let more = self.columns.keys().any(|name| !known(name));
        differs || more || self.before.id_column() != self.mapping.id_column()
    }

    /// Makes the table anew, with what is in it: SQLite changes no columns.
    fn copy(&self, changes: &[Change<'_>]) -> Result<(), Trouble> {
        let fresh = format!("{}__new", self.name);
        self.conn.execute_batch(&create(&fresh, self.mapping))?;
        let mut targets =
            vec!["_tenant".into(), quoted(self.mapping.id_column()), "_version".into()];
        let mut sources =
            vec!["_tenant".into(), quoted(self.before.id_column()), "_version".into()];
        for field in others(self.mapping) {
            let was = changes.iter().find_map(|change| match change {
                Change::Changed { from, to } if *to == field && self.is_there(from) => Some(*from),
                _ => None,
            });
            let of_same_kind = |field: &&Field| {
                self.columns.get(&*field.column).is_some_and(|(of, _)| of == kind(&field.of))
            };
            let source = [was, Some(field)].into_iter().flatten().find(of_same_kind);
            if let Some(source) = source {
                targets.push(quoted(&field.column));
                sources.push(quoted(&source.column));
            }
        }
        let (fresh, table) = (quoted(&fresh), quoted(self.name));
        self.conn.execute_batch(&format!(
            "INSERT INTO {fresh} ({}) SELECT {} FROM {table}; DROP TABLE {table}; \
             ALTER TABLE {fresh} RENAME TO {table}",
            targets.join(", "),
            sources.join(", "),
        ))?;
        Ok(())
    }

    /// Those that are not as they should be; they are made anew.
    fn drop_indexes(&self) -> Result<(), Trouble> {
        let wanted: Vec<_> = indexed(self.mapping)
            .map(|field| create_index(self.name, self.mapping, field))
            .collect();
        let ours: Vec<_> =
            indexed(self.before).map(|field| Mapping::index_name(self.name, field)).collect();
        for (name, sql) in indexes(self.conn, self.name)? {
            if ours.contains(&name) && !wanted.contains(&sql) {
                self.conn.execute_batch(&format!("DROP INDEX {}", quoted(&name)))?;
            }
        }
        Ok(())
    }
}

fn indexed(mapping: &Mapping) -> impl Iterator<Item = &Field> {
    mapping.fields.iter().filter(|field| field.index.is_some())
}

/// The indexes of a table that somebody made, and by which statement.
fn indexes(conn: &Connection, name: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let all = "SELECT name, sql FROM sqlite_master \
               WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL";
    let mut statement = conn.prepare(all)?;
    let rows = statement.query_map((name,), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Makes the indexes that are missing.
fn index(conn: &Connection, name: &str, mapping: &Mapping) -> Result<(), Trouble> {
    let there = indexes(conn, name)?;
    for field in indexed(mapping) {
        let index = Mapping::index_name(name, field);
        if there.iter().any(|(name, _)| *name == index) {
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
