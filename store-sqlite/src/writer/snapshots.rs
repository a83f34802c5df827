//! Snapshots of a commit: written after its events, which nothing of them can refuse.

use cqrs_core::SnapshotWrite;
use rusqlite::params;

use super::group::Transaction;
use crate::row::tenant;
use crate::statements::Sql;

impl Transaction<'_, '_> {
    pub(super) fn write_snapshots(&mut self, writes: &[SnapshotWrite]) -> rusqlite::Result<()> {
        for write in writes {
            let stream = write.stream();
            let place = (tenant(stream.tenant.as_deref()), &*stream.category, &*stream.id);
            match write {
                SnapshotWrite::Keep { stream: _, schema, version, body } => {
                    self.statements.get(Sql::KeepSnapshot)?.execute(params![
                        place.0,
                        place.1,
                        place.2,
                        schema.as_bytes(),
                        *version as i64,
                        body.as_str(),
                    ])?;
                    self.statements.get(Sql::DropOldSnapshots)?.execute(place)?;
                }
                SnapshotWrite::Forget { .. } => {
                    self.statements.get(Sql::ForgetSnapshots)?.execute(place)?;
                }
            }
        }
        Ok(())
    }
}
