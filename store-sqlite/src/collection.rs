//! Documents as they come out of a row, and what their collections are declared as.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cqrs_core::{Collection, Document, Error, ErrorKind, Json};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::Trouble;
use crate::statements::Sql;
use crate::table::Table;

/// The body in a column. Checked, because people edit files.
pub(crate) fn body_of(row: &Row<'_>, index: usize, name: &str, id: &str) -> Result<Json, Trouble> {
    Ok(Json::parse(row.get_ref(index)?.as_str().map_err(rusqlite::Error::from)?).map_err(
        |cause| {
            let context = format!("the document {name}/{id} is no JSON: repair it ({cause})");
            let kind = ErrorKind::Decode { message: name.to_owned(), field: None };
            Error::new(kind, context).with_source(cause)
        },
    )?)
}

/// A document from a row of id, version and body.
pub(crate) fn document_of(row: &Row<'_>, name: &str) -> Result<Document, Trouble> {
    let id = row.get::<_, String>(0)?;
    let body = body_of(row, 2, name, &id)?;
    Ok(Document { version: row.get::<_, i64>(1)? as u64, body, id })
}

/// What collections were declared as, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Declared(Mutex<HashMap<String, (String, Arc<Declaration>)>>);

/// What a collection was declared as, with its table, if it has one.
#[derive(Debug)]
pub(crate) struct Declaration {
    pub(crate) collection: Arc<Collection>,
    pub(crate) table: Option<Table>,
}

impl Declaration {
    pub(crate) fn read(name: &str, declared: Option<&str>) -> Result<Self, Error> {
        let collection = Arc::new(Collection::from_declaration(name, declared)?);
        Ok(Self { table: Table::of(&collection), collection })
    }
}

impl Declared {
    /// What a collection is declared as now.
    pub(crate) fn get(&self, conn: &Connection, name: &str) -> Result<Arc<Declaration>, Trouble> {
        let declared = conn
            .prepare_cached(Sql::Collection.text())?
            .query_row((name,), |row| row.get::<_, String>(0))
            .optional()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((text, declaration)), Some(declared)) = (known.get(name), &declared)
            && text == declared
        {
            return Ok(Arc::clone(declaration));
        }
        let declaration = Arc::new(Declaration::read(name, declared.as_deref())?);
        if let Some(declared) = declared {
            known.insert(name.to_owned(), (declared, Arc::clone(&declaration)));
        }
        Ok(declaration)
    }
}
