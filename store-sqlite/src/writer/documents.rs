//! Documents of a commit, and the values of their declared fields.

use std::collections::HashSet;
use std::sync::Arc;

use cqrs_core::{Collection, Conflict, DocumentKey, DocumentWrite, Error, FieldValue};
use rusqlite::{OptionalExtension, params};

use super::group::Transaction;
use crate::collection::body_of;
use crate::error::Trouble;
use crate::row::{tenant, value_to_sql};
use crate::statements::Sql;

/// A value of a declared field that a document is going to have.
#[derive(Debug)]
pub(super) struct Field<'a> {
    key: &'a DocumentKey,
    collection: Arc<Collection>,
    index: usize,
    value: FieldValue,
}

impl Field<'_> {
    fn name(&self) -> &str {
        &self.collection.fields[self.index].name
    }

    fn is_unique(&self) -> bool {
        self.collection.fields[self.index].unique
    }

    fn conflict(&self) -> Error {
        let (collection, id) = (self.key.collection.clone().into_owned(), self.key.id.clone());
        Conflict::Unique { collection, id, field: self.name().to_owned() }.into()
    }
}

impl Transaction<'_, '_> {
    /// The values that the writes would index, or why they cannot be made. Values may be swapped
    /// between the documents of one commit: what they held before does not count.
    pub(super) fn plan_fields<'a>(
        &mut self,
        writes: &'a [DocumentWrite],
    ) -> Result<Vec<Field<'a>>, Trouble> {
        let mut fields = Vec::new();
        for DocumentWrite { key, expected: _, body } in writes {
            let collection = self.collection(&key.collection)?;
            let Some(body) = body else { continue };
            for (index, value) in collection.values(&key.id, body)? {
                fields.push(Field { key, collection: Arc::clone(&collection), index, value });
            }
        }
        if !fields.iter().any(Field::is_unique) {
            return Ok(fields);
        }
        let written = writes.iter().map(|write| &write.key).collect::<HashSet<_>>();
        let mut taken = HashSet::new();
        for field in fields.iter().filter(|field| field.is_unique()) {
            let DocumentKey { tenant: owner, collection, .. } = field.key;
            let owner_text = tenant(owner.as_deref());
            let place =
                params![owner_text, &**collection, field.name(), value_to_sql(&field.value)];
            let holder = self
                .statements
                .get(Sql::HolderOfValue)?
                .query_row(place, |row| row.get::<_, String>(0))
                .optional()?;
            let clash = holder.is_some_and(|id| {
                let holder =
                    DocumentKey { tenant: owner.clone(), collection: collection.clone(), id };
                !written.contains(&holder)
            });
            if clash || !taken.insert((owner, collection, field.index, &field.value)) {
                return Err(field.conflict().into());
            }
        }
        Ok(fields)
    }

    /// Writes the documents, and their fields anew: all old ones go before a new one comes.
    pub(super) fn write_documents(
        &mut self,
        writes: &[DocumentWrite],
        fields: &[Field<'_>],
    ) -> rusqlite::Result<()> {
        for write in writes {
            let DocumentWrite { key, expected: _, body } = write;
            let place = (tenant(key.tenant.as_deref()), &*key.collection, &*key.id);
            // Where none is declared, none is indexed.
            let known = self.writer.collections.get(&*key.collection);
            if known.is_none_or(|collection| !collection.fields.is_empty()) {
                self.statements.get(Sql::RemoveFields)?.execute(place)?;
            }
            self.writer.document_stands_at(write);
            match body {
                Some(body) => {
                    let put = (place.0, place.1, place.2, body.as_str());
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
    pub(super) fn collection(&mut self, name: &str) -> Result<Arc<Collection>, Trouble> {
        if let Some(known) = self.writer.collections.get(name) {
            return Ok(Arc::clone(known));
        }
        let fields = self
            .statements
            .get(Sql::Collection)?
            .query_row((name,), |row| row.get::<_, String>(0))
            .optional()?;
        let collection = Arc::new(Collection::from_fields_json(name, fields.as_deref())?);
        self.writer.collections.insert(name.to_owned(), Arc::clone(&collection));
        Ok(collection)
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
                    Some(rusqlite::ErrorCode::ConstraintViolation) => field.conflict().into(),
                    _ => Trouble::from(error),
                })?;
            }
        }
        Ok(())
    }
}
