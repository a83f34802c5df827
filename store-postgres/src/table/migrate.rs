//! Making a table, and changing it with its entity: nothing that is stored is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{
    Cell, Change, Collection, Conflict, Document, DocumentKey, Error, Field, Index, Mapping,
};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::{ToSql, Type};

use super::{ELSEWHERE, Param, Table, from_row, make, named, others, quoted, read, text};
use crate::error::Trouble;
use crate::read::{Columns, body_of};
use crate::row::tenant;
use crate::statements::{Sql, Statements};

/// Rows that are looked at at once.
const AT_ONCE: i64 = 1_000;

/// How long one statement may take. Nobody writes meanwhile.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// A column as it is: its type, and whether it is NOT NULL.
type Shape = HashMap<String, (String, bool)>;

/// A table that is made or changed, in a transaction that has the turn.
struct Changing<'a> {
    statements: &'a Statements,
    client: &'a ClientWrapper,
    table: Table,
    shape: Shape,
}

/// Makes the table of a collection, or brings it to what its mapping says.
///
/// Errors: [`Invalid`](cqrs_core::ErrorKind::Invalid) naming the field, with the statement that it would need,
/// when something that is stored would be lost or does not fit; a conflict when documents share a value that
/// should be unique.
pub(crate) async fn migrate(
    statements: &Statements,
    client: &ClientWrapper,
    known: Option<&Collection>,
    collection: &Arc<Collection>,
) -> Result<(), Trouble> {
    let Some(table) = Table::of(collection, statements.schema()) else { return Ok(()) };
    let mut changing = Changing { statements, client, table, shape: Shape::new() };
    changing.shape = changing.read_shape().await?;
    let before = known.and_then(|known| known.mapping.as_ref());
    match before {
        Some(before) => changing.change(before).await?,
        None => {
            changing.make().await?;
            changing.take_over().await?;
        }
    }
    changing.index(before).await?;
    let (schema, name) = (statements.schema(), &*collection.name);
    let functions = make::functions(schema, name, changing.table.mapping());
    changing.run(&functions).await
}

impl Changing<'_> {
    fn collection(&self) -> &Collection {
        &self.table.collection
    }

    async fn run(&self, sql: &str) -> Result<(), Trouble> {
        let run = tokio::time::timeout(LONGEST, self.client.batch_execute(sql));
        Ok(run.await.map_err(|_| Trouble::TooLong)??)
    }

    /// As [`query`](super::query), with the time that a large table needs.
    async fn ask(&self, sql: &str, params: &[Param]) -> Result<Vec<tokio_postgres::Row>, Trouble> {
        let params: Vec<(&(dyn ToSql + Sync), Type)> =
            params.iter().map(|(value, of)| (&**value as _, of.clone())).collect();
        let asked = tokio::time::timeout(LONGEST, self.client.query_typed(sql, &params));
        Ok(asked.await.map_err(|_| Trouble::TooLong)??)
    }

    async fn rows(&self, sql: &str) -> Result<Vec<tokio_postgres::Row>, Trouble> {
        self.ask(sql, &[]).await
    }

    async fn any(&self, condition: &str) -> Result<bool, Trouble> {
        let table = self.table.name();
        let any = format!("SELECT EXISTS (SELECT FROM {table} WHERE {condition})");
        let rows = self.rows(&any).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default())
    }

    async fn read_shape(&self) -> Result<Shape, Trouble> {
        let all = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull \
                   FROM pg_attribute AS a \
                   WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
        let rows = self.ask(all, &[text(self.table.name())]).await?;
        let mut shape = Shape::new();
        for row in rows {
            shape.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
        }
        Ok(shape)
    }

    async fn make(&self) -> Result<(), Trouble> {
        let (schema, name) = (&self.table.schema, &*self.collection().name);
        if !self.shape.is_empty() {
            let context = format!(
                "a table `{name}` is in the schema `{schema}` that is not the collection's: give the \
                 collection another name"
            );
            return Err(Error::invalid_field("collection", context).into());
        }
        self.run(&make::table(schema, name, self.table.mapping())).await
    }

    /// Documents that were any JSON become rows.
    async fn take_over(&self) -> Result<(), Trouble> {
        let (name, mapping) = (&*self.collection().name, self.table.mapping());
        let mut after = (String::new(), String::new());
        loop {
            let (whose, id) = &after;
            let rows = self
                .statements
                .query(self.client, Sql::DocumentsOfCollection, &[&name, whose, id, &AT_ONCE])
                .await?;
            let Some(last) = rows.last() else { break };
            let next = (last.try_get(0)?, last.try_get(1)?);
            for row in &rows {
                let id: String = row.try_get(1)?;
                mapping.cells(name, &id, &body_of(row, 2, name, &id)?)?;
            }
            after = next;
        }
        let (table, id) = (self.table.name(), quoted(mapping.id_column()));
        let (columns, values) = make::values(mapping);
        let documents = format!("{}.documents", self.table.schema);
        let rows = format!(
            "INSERT INTO {table} (_tenant, {id}, _version{columns}) \
             SELECT b.tenant, b.id, b.version{values} FROM ( \
               SELECT d.tenant, d.id, d.version, d.body AS b FROM {documents} AS d \
               WHERE d.collection = $1 AND d.body IS NOT NULL) AS b"
        );
        let of = [text(name.to_owned())];
        self.ask(&rows, &of).await?;
        let elsewhere = format!(
            "UPDATE {documents} SET body = '{ELSEWHERE}' WHERE collection = $1 AND body IS NOT NULL"
        );
        self.ask(&elsewhere, &of).await.map(drop)
    }

    async fn change(&self, before: &Mapping) -> Result<(), Trouble> {
        let name = &self.collection().name;
        if self.shape.is_empty() {
            let context = format!(
                "the table `{name}` is gone: restore it from a backup, or delete its row of \
                 `collections` and its documents"
            );
            return Err(Error::invalid_field("collection", context).into());
        }
        if !before.keeps_id(self.table.mapping()) {
            return self.begin_anew(before).await;
        }
        let changes = before.changes(self.table.mapping());
        for change in &changes {
            self.check(before, change).await?;
        }
        for sql in self.steps(before, &changes) {
            self.run(&sql).await?;
        }
        Ok(())
    }

    /// Another id: only where nothing is stored.
    async fn begin_anew(&self, before: &Mapping) -> Result<(), Trouble> {
        let (mapping, name) = (self.table.mapping(), &*self.collection().name);
        if self.any("true").await? {
            let id = mapping.id_field().or(before.id_field()).map_or("id", |field| &*field.name);
            let context = format!(
                "`{id}` of `{name}` would be another id than what is stored has: move the entities into \
                 a collection of another name"
            );
            return Err(Error::invalid_field(id, context).into());
        }
        self.run(&format!("DROP TABLE {}", self.table.name())).await?;
        self.run(&make::table(&self.table.schema, name, mapping)).await
    }

    /// What changes the table, where nothing speaks against it.
    fn steps(&self, before: &Mapping, changes: &[Change<'_>]) -> Vec<String> {
        let (schema, name) = (&self.table.schema, &*self.collection().name);
        let table = self.table.name();
        let alter = |what: String| format!("ALTER TABLE {table} {what}");
        let (mut gone, mut away, mut back, mut steps) = (vec![], vec![], vec![], vec![]);
        // Those that are otherwise now are made anew.
        let changed = |old: &&Field| {
            changes.iter().any(|change| match change {
                Change::Removed(field) => field == old,
                Change::Changed { from, to } => {
                    from == old && (from.column != to.column || from.index != to.index)
                }
                Change::Added(_) => false,
            })
        };
        let indexed = before.fields.iter().filter(|field| field.index.is_some());
        gone.extend(indexed.filter(changed).map(|old| make::drop_index(schema, name, old)));
        let add = |field: &Field| {
            let add = format!("ADD COLUMN {}", make::column(field));
            (!self.is_ahead(before, field)).then(|| alter(add))
        };
        for change in changes {
            match *change {
                Change::Removed(field) => {
                    if self.shape.contains_key(&*field.column) {
                        gone.push(alter(format!("DROP COLUMN {}", quoted(&field.column))));
                    }
                }
                Change::Added(field) => {
                    steps.extend(add(field));
                    if self.is_ahead(before, field) {
                        steps.extend(self.presence(field, &field.column).map(alter));
                    }
                }
                Change::Changed { from, to } => {
                    let Some(at) = self.column_of(before, from, to) else {
                        steps.extend(add(to));
                        continue;
                    };
                    let column = quoted(&to.column);
                    if at != to.column {
                        // By way of another name: two may swap theirs.
                        let other = quoted(&format!("__was_{}", away.len()));
                        away.push(alter(format!("RENAME COLUMN {} TO {other}", quoted(at))));
                        back.push(alter(format!("RENAME COLUMN {other} TO {column}")));
                    }
                    if self.is_id(to) {
                        continue;
                    }
                    let kind = make::kind(&to.of);
                    if self.shape.get(at).is_some_and(|(of, _)| of != kind) {
                        let value = match to.keeps(from) {
                            true => format!("{column}::{kind}"),
                            false => format!("NULL::{kind}"),
                        };
                        let what = format!("ALTER COLUMN {column} TYPE {kind} USING {value}");
                        steps.push(alter(what));
                    }
                    steps.extend(self.presence(to, at).map(alter));
                }
            }
        }
        gone.into_iter().chain(away).chain(back).chain(steps).collect()
    }

    /// What makes a column one that must have a value, or one that need not.
    fn presence(&self, field: &Field, column: &str) -> Option<String> {
        let (_, not_null) = self.shape.get(column)?;
        let column = quoted(&field.column);
        match (not_null, field.may_be_absent()) {
            (true, true) => Some(format!("ALTER COLUMN {column} DROP NOT NULL")),
            (false, false) => Some(format!("ALTER COLUMN {column} SET NOT NULL")),
            _ => None,
        }
    }

    /// Its column is a text, whatever it is.
    fn is_id(&self, field: &Field) -> bool {
        self.table.mapping().id.as_deref() == Some(&*field.name)
    }

    /// Whether somebody has made the column of a field ahead of the change.
    fn is_ahead(&self, before: &Mapping, field: &Field) -> bool {
        self.shape.contains_key(&*field.column) && !before.has_column(&field.column)
    }

    /// Where the values of a changed field are; `None`: somebody has put them aside.
    fn column_of<'f>(&self, before: &Mapping, from: &'f Field, to: &'f Field) -> Option<&'f str> {
        match self.shape.contains_key(&*from.column) {
            true => Some(&from.column),
            false => self.is_ahead(before, to).then_some(&*to.column),
        }
    }

    /// Whether nothing is lost by a change, and all that is stored fits.
    async fn check(&self, before: &Mapping, change: &Change<'_>) -> Result<(), Trouble> {
        let table = self.table.name();
        match *change {
            Change::Removed(field) => {
                let column = quoted(&field.column);
                let is_there = self.shape.contains_key(&*field.column);
                if is_there && self.any(&format!("{column} IS NOT NULL")).await? {
                    let needed = format!("ALTER TABLE {table} DROP COLUMN {column}");
                    return self.refuse(field, "has values, and is no field any more", &needed);
                }
                Ok(())
            }
            Change::Added(field) if self.is_ahead(before, field) => {
                self.check_present(&field.column, field).await
            }
            Change::Added(field) => self.check_added(field).await,
            Change::Changed { from, to } => {
                let Some(at) = self.column_of(before, from, to) else {
                    return self.check_added(to).await;
                };
                if self.is_id(to) {
                    return Ok(());
                }
                if !to.keeps(from) {
                    self.check_values(before, at, (from, to)).await?;
                }
                self.check_present(at, to).await
            }
        }
    }

    /// Whether a field can be added.
    async fn check_added(&self, field: &Field) -> Result<(), Trouble> {
        if field.may_be_absent() || !self.any("true").await? {
            return Ok(());
        }
        let (table, column) = (self.table.name(), make::column(field));
        let needed = format!("ALTER TABLE {table} ADD COLUMN {column} DEFAULT …");
        self.refuse(field, "is missing in what is stored", &needed)
    }

    /// Whether all rows have a value, where they must.
    async fn check_present(&self, at: &str, field: &Field) -> Result<(), Trouble> {
        let (table, column) = (self.table.name(), quoted(at));
        let may_miss = self.shape.get(at).is_none_or(|(_, not_null)| !not_null);
        if !field.may_be_absent() && may_miss && self.any(&format!("{column} IS NULL")).await? {
            let needed = format!("UPDATE {table} SET {column} = … WHERE {column} IS NULL");
            return self.refuse(field, "has no value in some of what is stored", &needed);
        }
        Ok(())
    }

    /// Whether all values are what the field is now.
    async fn check_values(
        &self,
        before: &Mapping,
        at: &str,
        (from, to): (&Field, &Field),
    ) -> Result<(), Trouble> {
        let (table, column) = (self.table.name(), quoted(at));
        let kind = make::kind(&to.of);
        let of_kind = self.shape.get(at).is_some_and(|(of, _)| of == kind);
        // Whoever has changed the type of the column has seen to its values.
        if of_kind && make::kind(&from.of) != kind && to.of.is_plain() {
            return Ok(());
        }
        if !of_kind {
            if self.any(&format!("{column} IS NOT NULL")).await? {
                let needed = format!(
                    "ALTER TABLE {table} ALTER COLUMN {column} TYPE {kind} USING {column}::{kind}"
                );
                return self.refuse(to, &format!("has values that are no {}", to.of), &needed);
            }
            return Ok(());
        }
        let id = quoted(before.id_column());
        let as_read = Field { column: at.to_owned().into(), ..to.clone() };
        let page = format!(
            "SELECT _tenant, {id}, {} FROM {table} \
             WHERE {column} IS NOT NULL AND (_tenant, {id}) > ($1, $2) ORDER BY _tenant, {id} LIMIT {AT_ONCE}",
            read(&as_read)
        );
        let mut after = (String::new(), String::new());
        loop {
            let place = [text(after.0.clone()), text(after.1.clone())];
            let rows = self.ask(&page, &place).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = (last.try_get(0)?, last.try_get(1)?);
            for row in &rows {
                let id: String = row.try_get(1)?;
                let fits = match from_row(&to.of, row, 2) {
                    Some(Cell::Json(json)) => to.check(&self.collection().name, &id, &json).is_ok(),
                    cell => cell.is_some(),
                };
                if !fits {
                    let needed =
                        format!("UPDATE {table} SET {column} = … WHERE {column} IS NOT NULL");
                    return self.refuse(to, "has values that it would not take any more", &needed);
                }
            }
        }
    }

    fn refuse(&self, field: &Field, what: &str, needed: &str) -> Result<(), Trouble> {
        Err(field.cannot_change(&self.collection().name, what, needed).into())
    }

    /// Makes the indexes that are missing, and looks after the values that no two may share.
    async fn index(&self, before: Option<&Mapping>) -> Result<(), Trouble> {
        let (schema, mapping) = (&self.table.schema, self.table.mapping());
        let (name, table) = (&*self.collection().name, self.table.name());
        for field in mapping.fields.iter().filter(|field| field.index.is_some()) {
            let index = [text(named(schema, &Mapping::index_name(name, field)))];
            let is_there = "SELECT to_regclass($1) IS NOT NULL";
            let found = self.ask(is_there, &index).await?;
            if found.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default() {
                continue;
            }
            if field.index == Some(Index::Unique) {
                let (id, column) = (quoted(mapping.id_column()), quoted(&field.column));
                let twice = format!(
                    "SELECT max({id}) FROM {table} WHERE {column} IS NOT NULL \
                     GROUP BY _tenant, {column} HAVING count(*) > 1 LIMIT 1"
                );
                if let Some(row) = self.rows(&twice).await?.first() {
                    let (collection, field) = (name.to_owned(), field.name.clone().into_owned());
                    let id = row.try_get(0)?;
                    return Err(Error::from(Conflict::Unique { collection, id, field }).into());
                }
            }
            self.run(&make::index(schema, name, mapping, field)).await?;
        }
        if before.is_none_or(|before| unique(before) != unique(mapping)) {
            return self.note_values().await;
        }
        Ok(())
    }

    /// Notes the unique values anew: a group of commits asks for them before it writes.
    async fn note_values(&self) -> Result<(), Trouble> {
        let name = &*self.collection().name;
        self.statements.query(self.client, Sql::RemoveCollectionFields, &[&name]).await?;
        if unique(self.table.mapping()).is_empty() {
            return Ok(());
        }
        let id = quoted(self.table.mapping().id_column());
        // Its columns, and whose it is.
        let page = format!(
            "SELECT t.*, k._tenant FROM (SELECT _tenant, {id} FROM {table} \
               WHERE (_tenant, {id}) > ($1, $2) ORDER BY _tenant, {id} LIMIT {AT_ONCE}) AS k \
             CROSS JOIN LATERAL ({read} WHERE _tenant = k._tenant AND {id} = k.{id}) AS t \
             ORDER BY k._tenant, k.{id}",
            table = self.table.name(),
            read = self.table.read,
        );
        let mut after = (String::new(), String::new());
        loop {
            let place = [text(after.0.clone()), text(after.1.clone())];
            let rows = self.ask(&page, &place).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = (last.try_get(last.len() - 1)?, last.try_get(0)?);
            let mut columns = Columns::default();
            for row in &rows {
                let whose: String = row.try_get(row.len() - 1)?;
                let Document { id, body, .. } = self.table.document_of(row)?;
                let owner = (!whose.is_empty()).then(|| whose.as_str().into());
                let key = DocumentKey { tenant: owner, ..DocumentKey::new(name.to_owned(), id) };
                for (n, value) in self.collection().values(&key.id, &body)? {
                    let field = &self.collection().fields[n];
                    if field.unique {
                        columns.push(tenant(key.tenant.as_deref()), field, &value, &key.id);
                    }
                }
            }
            columns.insert(self.statements, self.client, self.collection()).await?;
        }
    }
}

/// The columns whose values no two entities share, by what they are in JSON.
fn unique(mapping: &Mapping) -> Vec<(&str, &str)> {
    let unique = others(mapping).filter(|field| field.index == Some(Index::Unique));
    unique.map(|field| (&*field.name, &*field.column)).collect()
}
