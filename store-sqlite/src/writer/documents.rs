//! Documents of a commit: JSON with the values of its declared fields, or rows of a table.

use std::collections::HashSet;
use std::sync::Arc;

use cqrs_core::{Cell, Collection, Conflict, DocumentKey, DocumentWrite, Error, FieldValue, Index};
use rusqlite::{ErrorCode, OptionalExtension, params};

use super::group::Transaction;
use crate::collection::{Declaration, body_of};
use crate::error::Trouble;
use crate::row::{tenant, value_to_sql};
use crate::statements::Sql;
use crate::table::ELSEWHERE;

/// What the documents of a commit are going to be, beside their bodies.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    fields: Vec<Field<'a>>,
    rows: Vec<Row<'a>>,
    /// Unique values that go from one entity of the commit to another: whose they are, and of which field.
    taken: Vec<(DocumentKey, Arc<Declaration>, cqrs_core::Field)>,
}

/// A value of a declared field that a document is going to have.
#[derive(Debug)]
struct Field<'a> {
    key: &'a DocumentKey,
    collection: Arc<Collection>,
    index: usize,
    value: FieldValue,
}

/// A document that is going to be a row of a table.
#[derive(Debug)]
struct Row<'a> {
    key: &'a DocumentKey,
    declaration: Arc<Declaration>,
    cells: Vec<Cell>,
}

impl Field<'_> {
    fn name(&self) -> &str {
        &self.collection.fields[self.index].name
    }

    fn is_unique(&self) -> bool {
        self.collection.fields[self.index].unique
    }

    fn conflict(&self) -> Error {
        conflict(self.key, self.name())
    }
}

fn conflict(key: &DocumentKey, field: &str) -> Error {
    let (collection, id) = (key.collection.clone().into_owned(), key.id.clone());
    Conflict::Unique { collection, id, field: field.to_owned() }.into()
}

impl Transaction<'_, '_> {
    /// What the writes would make, or why they cannot be made. Values may be swapped between the documents of
    /// one commit: what they held before does not count.
    pub(super) fn plan_documents<'a>(
        &mut self,
        writes: &'a [DocumentWrite],
    ) -> Result<Plan<'a>, Trouble> {
        let mut plan = Plan::default();
        for DocumentWrite { key, expected: _, body } in writes {
            let declaration = self.collection(&key.collection)?;
            let Some(body) = body else { continue };
            let collection = &declaration.collection;
            if let Some(mapping) = &collection.mapping {
                let cells = mapping.cells(&key.collection, &key.id, body)?;
                plan.rows.push(Row { key, declaration, cells });
                continue;
            }
            for (index, value) in collection.values(&key.id, body)? {
                let collection = Arc::clone(collection);
                plan.fields.push(Field { key, collection, index, value });
            }
        }
        let is_unique = plan.fields.iter().any(Field::is_unique);
        if !is_unique && plan.rows.is_empty() {
            return Ok(plan);
        }
        let written = writes.iter().map(|write| &write.key).collect::<HashSet<_>>();
        let is_other = |of: &DocumentKey, id: String| {
            let (tenant, collection) = (of.tenant.clone(), of.collection.clone());
            !written.contains(&DocumentKey { tenant, collection, id })
        };
        let mut taken = HashSet::new();
        for field in plan.fields.iter().filter(|field| field.is_unique()) {
            let DocumentKey { tenant: owner, collection, .. } = field.key;
            let owner_text = tenant(owner.as_deref());
            let place =
                params![owner_text, &**collection, field.name(), value_to_sql(&field.value)];
            let holder = self
                .statements
                .get(Sql::HolderOfValue)?
                .query_row(place, |row| row.get::<_, String>(0))
                .optional()?;
            let clash = holder.is_some_and(|id| is_other(field.key, id));
            if clash || !taken.insert((owner, collection, field.index, &field.value)) {
                return Err(field.conflict().into());
            }
        }
        let (mut taken, mut gives) = (HashSet::new(), Vec::new());
        for Row { key, declaration, cells } in &plan.rows {
            let (Some(table), Some(mapping)) =
                (&declaration.table, &declaration.collection.mapping)
            else {
                continue;
            };
            for (field, cell) in mapping.fields.iter().zip(cells) {
                if field.index != Some(Index::Unique) || *cell == Cell::Null {
                    continue;
                }
                let owner = key.tenant.as_deref();
                let holder = table.holder(self.statements.conn(), owner, field, cell)?;
                let clash = holder.clone().is_some_and(|id| is_other(key, id));
                if let Some(id) = holder.filter(|id| *id != key.id) {
                    let holder = DocumentKey { id, ..(*key).clone() };
                    gives.push((holder, Arc::clone(declaration), field.clone()));
                }
                let place = (owner, &key.collection, &field.name, format!("{cell:?}"));
                if clash || !taken.insert(place) {
                    return Err(conflict(key, &field.name).into());
                }
            }
        }
        plan.taken = gives;
        Ok(plan)
    }

    /// Writes the documents, with their fields and rows anew: all old ones go before a new one comes.
    pub(super) fn write_documents(
        &mut self,
        writes: &[DocumentWrite],
        Plan { fields, rows, taken }: &Plan<'_>,
    ) -> Result<(), Trouble> {
        for (key, declaration, field) in taken {
            if let Some(table) = &declaration.table {
                let taken = table.take(self.statements.conn(), key, field);
                taken.map_err(|error| refused(declaration, key, error))?;
            }
        }
        for write in writes {
            let DocumentWrite { key, expected: _, body } = write;
            let place = (tenant(key.tenant.as_deref()), &*key.collection, &*key.id);
            let known = self.collection(&key.collection)?;
            match &known.table {
                Some(table) if body.is_none() => {
                    let deleted = table.delete(self.statements.conn(), key);
                    deleted.map_err(|error| refused(&known, key, error))?;
                }
                Some(_) => {}
                // Where none is declared, none is indexed.
                None if known.collection.fields.is_empty() => {}
                None => {
                    self.statements.get(Sql::RemoveFields)?.execute(place)?;
                }
            }
            self.writer.document_stands_at(write);
            match body {
                Some(body) => {
                    let body = known.table.as_ref().map_or(body.as_str(), |_| ELSEWHERE);
                    let put = (place.0, place.1, place.2, body);
                    self.statements.get(Sql::PutDocument)?.execute(put)?;
                }
                None => {
                    self.statements.get(Sql::DeleteDocument)?.execute(place)?;
                }
            }
        }
        for field in fields {
            self.insert_field(field)?;
        }
        for Row { key, declaration, cells } in rows {
            let Some(table) = &declaration.table else { continue };
            let place = (tenant(key.tenant.as_deref()), &*key.collection, &*key.id);
            let version = self.statements.get(Sql::DocumentVersion)?;
            let version = version.query_row(place, |row| row.get(0))?;
            let put = table.put(self.statements.conn(), key, version, cells);
            put.map_err(|error| refused(declaration, key, error))?;
        }
        Ok(())
    }

    fn insert_field(&mut self, field: &Field<'_>) -> rusqlite::Result<()> {
        self.statements.get(Sql::InsertField)?.execute(params![
            tenant(field.key.tenant.as_deref()),
            &*field.key.collection,
            field.name(),
            value_to_sql(&field.value),
            field.key.id,
            field.is_unique(),
        ])?;
        Ok(())
    }

    /// What a collection was declared as.
    pub(super) fn collection(&mut self, name: &str) -> Result<Arc<Declaration>, Trouble> {
        let declared = self.declared(name)?;
        Ok(declared.ok_or_else(|| Collection::undeclared(name))?)
    }

    /// What a collection was declared as; `None`: it was not.
    pub(super) fn declared(&mut self, name: &str) -> Result<Option<Arc<Declaration>>, Trouble> {
        if let Some(known) = self.writer.collections.get(name) {
            return Ok(Some(Arc::clone(known)));
        }
        let declared = self
            .statements
            .get(Sql::Collection)?
            .query_row((name,), |row| row.get::<_, String>(0))
            .optional()?;
        let Some(declared) = declared else { return Ok(None) };
        let declaration = Arc::new(Declaration::read(name, Some(&declared))?);
        self.writer.collections.insert(name.to_owned(), Arc::clone(&declaration));
        Ok(Some(declaration))
    }

    /// Indexes the documents that are there by the fields of a collection.
    pub(super) fn index_anew(&mut self, collection: &Collection) -> Result<(), Trouble> {
        self.statements.get(Sql::RemoveCollectionFields)?.execute((&*collection.name,))?;
        let collection = Arc::new(collection.clone());
        let mut documents = self.statements.conn().prepare(Sql::DocumentsOfCollection.text())?;
        let mut rows = documents.query((&*collection.name,))?;
        while let Some(row) = rows.next()? {
            let owner = row.get::<_, String>(0)?;
            let key = DocumentKey {
                tenant: (!owner.is_empty()).then(|| owner.into()),
                collection: collection.name.clone(),
                id: row.get(1)?,
            };
            let body = body_of(row, 2, &collection.name, &key.id)?;
            for (index, value) in collection.values(&key.id, &body)? {
                let field = Field { key: &key, collection: Arc::clone(&collection), index, value };
                self.insert_field(&field).map_err(|error| match error.sqlite_error_code() {
                    Some(ErrorCode::ConstraintViolation) => field.conflict().into(),
                    _ => Trouble::from(error),
                })?;
            }
        }
        Ok(())
    }
}

/// A constraint of the table that is not the store's, or a value that somebody else wrote there.
#[cold]
fn refused(declaration: &Declaration, key: &DocumentKey, error: rusqlite::Error) -> Trouble {
    if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
        return error.into();
    }
    let said = error.to_string();
    let mapping = declaration.collection.mapping.as_ref();
    let mut fields = mapping.into_iter().flat_map(|mapping| &mapping.fields);
    let named = |field: &&cqrs_core::Field| {
        let mut words = said.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.any(|word| *word == *field.column)
    };
    let refused = match fields.find(named) {
        Some(field) if field.index == Some(Index::Unique) && said.contains("UNIQUE") => {
            conflict(key, &field.name)
        }
        field => {
            let field = field.map_or("collection", |field| &*field.name);
            let context = format!(
                "`{field}` of the document {}/{} is refused by a constraint of its table ({said})",
                key.collection, key.id
            );
            Error::invalid_field(field, context)
        }
    };
    refused.into()
}
