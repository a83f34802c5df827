//! Statements of the user's: in a transaction of their own, with the commit they belong to.

use cqrs_core::{Committed, Error, Result};

use super::alone::Done;
use super::group::Transaction;
use super::{Pending, Writer};
use crate::error::Trouble;
use crate::migrate;
use crate::sink::Work;

impl Writer {
    pub(super) fn set_up(&mut self, work: Work) -> Result<()> {
        self.alone("setting up a projection", |transaction| {
            transaction.users(work)?;
            let (conn, file) = (transaction.statements.conn(), &transaction.writer.file);
            if !migrate::is_newest(conn, file) {
                let context = "`setup` changed `user_version` or `application_id`, which are the \
                               store's: keep the version of your tables in a table";
                return Err(Error::invalid_field("setup", context).into());
            }
            Ok(Done::Changed(()))
        })
    }

    /// The commit first: one that is refused, or was applied before, is no work for the projection.
    pub(super) fn project(&mut self, pending: &Pending, work: Work) -> Result<Committed> {
        self.alone("projecting events", |transaction| {
            let committed = transaction.apply(&pending.commit, pending.fingerprint)?;
            if let Committed::Before { .. } = committed {
                return Ok(Done::Unchanged(committed));
            }
            transaction.users(work)?;
            Ok(Done::Changed(committed))
        })
    }
}

impl Transaction<'_, '_> {
    fn users(&mut self, work: Work) -> Result<(), Trouble> {
        work(self.statements.conn(), &self.writer.guard)
    }
}
