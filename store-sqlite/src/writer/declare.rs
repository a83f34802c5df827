//! Declaring a collection: in a transaction of its own, with all its documents indexed anew.

use std::sync::Arc;

use cqrs_core::{Collection, Result};
use rusqlite::OptionalExtension;

use super::Writer;
use super::alone::Done;
use crate::statements::Sql;
use crate::table;

impl Writer {
    pub(super) fn declare(&mut self, collection: &Collection) -> Result<()> {
        let doing = format!("declaring the collection `{}`", collection.name);
        self.alone(&doing, |transaction| {
            let declaration = collection.declaration();
            let known = transaction
                .statements
                .get(Sql::Collection)?
                .query_row((&*collection.name,), |row| row.get::<_, String>(0))
                .optional()?;
            if known.as_ref() == Some(&declaration) {
                // Most often: every start of a process declares what it uses.
                return Ok(Done::Unchanged(()));
            }
            let known =
                known.map(|text| Collection::from_declaration(&collection.name, Some(&text)));
            let known = known.transpose()?;
            if let Some(known) = &known
                && !collection.follows(known)?
            {
                return Ok(Done::Unchanged(()));
            }
            match collection.mapping {
                Some(_) => {
                    let collection = Arc::new(collection.clone());
                    // The values of what was any JSON are found in its columns from now on.
                    transaction
                        .statements
                        .get(Sql::RemoveCollectionFields)?
                        .execute((&*collection.name,))?;
                    table::migrate(transaction.statements.conn(), known.as_ref(), &collection)?;
                }
                None => transaction.index_anew(collection)?,
            }
            let put = (&*collection.name, &declaration);
            transaction.statements.get(Sql::PutCollection)?.execute(put)?;
            transaction.writer.collections.clear();
            Ok(Done::Changed(()))
        })
    }
}
