//! Declaring a collection: in a transaction of its own, with all its documents indexed anew.

use cqrs_core::{Collection, Result};
use rusqlite::OptionalExtension;

use super::Writer;
use super::alone::Done;
use crate::statements::Sql;

impl Writer {
    pub(super) fn declare(&mut self, collection: &Collection) -> Result<()> {
        let doing = format!("declaring the collection `{}`", collection.name);
        self.alone(&doing, |transaction| {
            let fields = collection.fields_json();
            let known = transaction
                .statements
                .get(Sql::Collection)?
                .query_row((&*collection.name,), |row| row.get::<_, String>(0))
                .optional()?;
            if known.as_ref() == Some(&fields) {
                // Most often: every start of a process declares what it uses.
                return Ok(Done::Unchanged(()));
            }
            transaction.index_anew(collection)?;
            let put = (&*collection.name, &fields);
            transaction.statements.get(Sql::PutCollection)?.execute(put)?;
            transaction.writer.collections.clear();
            Ok(Done::Changed(()))
        })
    }
}
