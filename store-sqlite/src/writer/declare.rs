//! Declaring a collection: in a transaction of its own, with all its documents indexed anew.

use std::sync::Arc;
use std::time::Instant;

use cqrs_core::{Collection, Result};
use rusqlite::{Connection, OptionalExtension};

use super::pace::Pace;
use super::{Writer, lock};
use crate::collection::encode_fields;
use crate::error::{Trouble, is_busy};
use crate::statements::Sql;

impl Writer {
    pub(super) fn declare(&mut self, collection: &Collection) -> Result<()> {
        let conn = Arc::clone(&self.conn);
        let conn = lock(&conn);
        let declared = self.declare_in_transaction(&conn, collection);
        if declared.is_err() || !conn.is_autocommit() {
            self.roll_back(&conn);
        }
        declared.map_err(|trouble| {
            let doing = format!("declaring the collection `{}`", collection.name);
            trouble.into_error(&doing, &self.file)
        })
    }

    fn declare_in_transaction(
        &mut self,
        conn: &Connection,
        collection: &Collection,
    ) -> Result<(), Trouble> {
        let started = Instant::now();
        while let Err(error) = conn.execute_batch(Sql::BeginImmediate.text()) {
            if !is_busy(&error) || started.elapsed() >= self.busy_timeout {
                return Err(error.into());
            }
            Pace::wait_for_lock();
        }
        let fields = encode_fields(collection);
        let mut transaction = self.transaction(conn)?;
        let known = transaction
            .statements
            .get(Sql::Collection)?
            .query_row((&*collection.name,), |row| row.get::<_, String>(0))
            .optional()?;
        if known.as_ref() == Some(&fields) {
            // Most often: every start of a process declares what it uses. The caller rolls back.
            return Ok(());
        }
        transaction.index_anew(collection)?;
        let put = (&*collection.name, &fields);
        transaction.statements.get(Sql::PutCollection)?.execute(put)?;
        self.collections.clear();
        conn.execute_batch(Sql::Commit.text())?;
        Ok(())
    }
}
