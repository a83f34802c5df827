//! Removing documents as if they had never been.

use cqrs_core::Result;

use super::Writer;
use super::alone::Done;
use crate::statements::Sql;

impl Writer {
    /// At most so many, with their fields. How many they were.
    pub(super) fn purge(&mut self, collection: &str, limit: u32) -> Result<u32> {
        self.alone("purging documents", |transaction| {
            let some = (collection, limit);
            if let Some(declared) = transaction.declared(collection)?
                && let Some(table) = &declared.table
            {
                table.purge(transaction.statements.conn(), limit)?;
            }
            transaction.statements.get(Sql::PurgeFields)?.execute(some)?;
            transaction.writer.forget_seen();
            let purged = transaction.statements.get(Sql::PurgeDocuments)?.execute(some)? as u32;
            Ok(if purged > 0 { Done::Changed(purged) } else { Done::Unchanged(0) })
        })
    }
}
