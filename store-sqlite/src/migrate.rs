//! The tables: made and brought to the newest version when a store is opened.

use cqrs_core::{Error, ErrorKind, Result};
use rusqlite::Connection;
use uuid::Uuid;

use crate::error::Trouble;
use crate::statements::Sql;

/// What makes version `n + 1` out of version `n`. A published entry never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("sql/migrations/0001_tables.sql"),
    include_str!("sql/migrations/0002_snapshots.sql"),
    include_str!("sql/migrations/0003_runtime.sql"),
];

/// Marks a file as one of this store: `CQRS` in ASCII.
const APPLICATION_ID: i32 = 0x4351_5253;

/// How far a database got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is in it.
    Fresh,
    /// It is ours, at an older version or at the newest.
    At(usize),
}

/// Looks at a database without changing it.
///
/// Errors: [`ErrorKind::SchemaTooNew`]; [`ErrorKind::Invalid`] when the tables are somebody else's.
pub(crate) fn inspect(conn: &Connection, file: &str) -> Result<Standing, Trouble> {
    // One snapshot: another process may be making the tables right now.
    let _snapshot = conn.is_autocommit().then(|| conn.unchecked_transaction()).transpose()?;
    let number = |pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    if application == APPLICATION_ID {
        let version = usize::try_from(version).unwrap_or_default();
        if version <= MIGRATIONS.len() {
            return Ok(Standing::At(version));
        }
        let (found, known) = (version as u32, MIGRATIONS.len() as u32);
        let context = format!(
            "{file} was written by a newer version of this store (tables {found}, known {known}): \
             update this program; the file was left as it is"
        );
        return Err(Error::new(ErrorKind::SchemaTooNew { found, known }, context).into());
    }
    let objects =
        conn.query_row("SELECT count(*) FROM sqlite_master", (), |r| r.get::<_, i64>(0))?;
    if application == 0 && version == 0 && objects == 0 {
        return Ok(Standing::Fresh);
    }
    let context = format!(
        "{file} is a database of another application ({objects} tables and indexes): give a file \
         of its own"
    );
    Err(Error::invalid_field("path", context).into())
}

/// Whether a database is ours, and at the newest version.
pub(crate) fn is_newest(conn: &Connection, file: &str) -> bool {
    matches!(inspect(conn, file), Ok(Standing::At(version)) if version == MIGRATIONS.len())
}

/// Brings a database to the newest version. Several processes may do it at once: each looks again
/// once it holds the lock. Errors with SQLite's busy when another one holds it.
pub(crate) fn migrate(conn: &Connection, file: &str) -> Result<(), Trouble> {
    migrate_to(conn, file, MIGRATIONS.len())
}

fn migrate_to(conn: &Connection, file: &str, to: usize) -> Result<(), Trouble> {
    if inspect(conn, file)? == Standing::At(to) {
        return Ok(());
    }
    conn.execute_batch(Sql::BeginImmediate.text())?;
    let done = locked(conn, file, to).and_then(|()| Ok(conn.execute_batch(Sql::Commit.text())?));
    if done.is_err() && !conn.is_autocommit() {
        // The first error is the one to tell.
        let _ = conn.execute_batch(Sql::Rollback.text());
    }
    done
}

fn locked(conn: &Connection, file: &str, to: usize) -> Result<(), Trouble> {
    let from = match inspect(conn, file)? {
        Standing::Fresh => 0,
        Standing::At(version) => version,
    };
    for (n, migration) in MIGRATIONS.iter().enumerate().take(to).skip(from) {
        tracing::info!(file, version = n + 1, "migrating the tables");
        conn.execute_batch(migration)?;
        if n == 0 {
            let never = cqrs_core::Timestamp::MIN.as_micros();
            conn.execute(Sql::CreateLog.text(), (Uuid::now_v7().to_string(), never))?;
        }
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", to as u32)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(conn: &Connection) -> Vec<(String, Option<String>)> {
        let sql = "SELECT name, sql FROM sqlite_master ORDER BY type, name";
        let mut master = conn.prepare(sql).unwrap();
        let rows = master.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn fresh_is_what_every_earlier_version_is_migrated_to() {
        let fresh = Connection::open_in_memory().unwrap();
        migrate(&fresh, "test").unwrap();
        for earlier in 0..=MIGRATIONS.len() {
            let conn = Connection::open_in_memory().unwrap();
            migrate_to(&conn, "test", earlier).unwrap();
            migrate(&conn, "test").unwrap();
            assert_eq!(tables(&conn), tables(&fresh), "from {earlier}");
            assert_eq!(inspect(&conn, "test").unwrap(), Standing::At(MIGRATIONS.len()));
        }
    }

    #[test]
    fn migrating_again_keeps_the_log() {
        let conn = Connection::open_in_memory().unwrap();
        let id = || {
            migrate(&conn, "test").unwrap();
            conn.query_row(Sql::LogHead.text(), (), |row| row.get::<_, String>(0)).unwrap()
        };
        assert_eq!(id(), id());
    }
}
