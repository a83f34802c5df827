//! Opening connections: what is refused, and the settings of writer and readers.

use std::path::Path;
use std::time::{Duration, Instant};

use cqrs_core::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::config::{SqliteBuilder, Synchronous};
use crate::error::{Trouble, is_busy};
use crate::migrate;
use crate::statements::Sql;

/// Memory of the writer for pages of the file, in KiB: the indexes over ids are hit in random
/// order, and a miss costs a system call.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// Memory of a reader, in KiB: it goes through the file once, so it needs little.
const READER_CACHE_KIB: i64 = 2 * 1024;

/// Pages in the write-ahead log (16 MiB) before they are moved to the file. Four times SQLite's
/// default: pages of the random indexes are written several times before they are moved once.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Opens the connection that writes, with the newest tables.
pub(crate) fn writer(
    settings: &SqliteBuilder,
    path: Option<&Path>,
    file: &str,
) -> Result<Connection> {
    let Some(path) = path else {
        let open = || {
            let conn = Connection::open_in_memory()?;
            keep_prepared(&conn)?;
            migrate::migrate(&conn, file)?;
            Ok::<_, Trouble>(conn)
        };
        return open().map_err(|trouble| trouble.into_error("opening it", file));
    };
    check_path(path, file)?;
    let open = || {
        let conn = connect(path)?;
        // Before anything is changed in a file that may not be ours.
        patiently(settings.busy_timeout, || migrate::inspect(&conn, file))?;
        // Processes that open a new file at once get in each other's way here.
        let mode = patiently(settings.busy_timeout, || {
            let mode = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| {
                row.get::<_, String>(0)
            });
            Ok(mode?)
        })?;
        if !mode.eq_ignore_ascii_case("wal") {
            let context = format!("{file} cannot have a write-ahead log: put it on a local disk");
            return Err(Error::invalid_field("path", context).into());
        }
        let synchronous = match settings.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        conn.pragma_update(None, "synchronous", synchronous)?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // The log file is cut back to this after a long read had let it grow.
        conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
        conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
        patiently(settings.busy_timeout, || migrate::migrate(&conn, file))?;
        Ok::<_, Trouble>(conn)
    };
    open().map_err(|trouble| trouble.into_error("opening it", file))
}

/// Opens a connection that only reads. No memory mapping: what it maps counts as the process's own
/// memory, and a file that is cut off under it kills the process.
pub(crate) fn reader(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let conn = connect(path)?;
    // Not SQLite's read-only mode: that cannot recover the write-ahead log of a killed process.
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    conn.busy_timeout(busy_timeout)?;
    Ok(conn)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // One thread at a time uses a connection, so SQLite need not lock; and a path is a path, not a
    // URI with parameters.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    keep_prepared(&conn)?;
    // Whoever waits here waits by its own rules.
    conn.busy_timeout(Duration::ZERO)?;
    Ok(conn)
}

/// Statements of users' projections that stay prepared.
const OF_USERS: usize = 64;

/// Prepares every statement once.
fn keep_prepared(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(Sql::COUNT + OF_USERS);
    // Otherwise the planner looks at the values of a range, and prepares the statement anew for
    // other ones: at every load of a stream.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

fn check_path(path: &Path, file: &str) -> Result<()> {
    // To SQLite, these are not paths but databases that vanish.
    if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
        let context = format!("`{file}` is no path of a file: use `in_memory` for none");
        return Err(Error::invalid_field("path", context));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => {
            let context =
                format!("{file} cannot be made: there is no folder {}; make it", folder.display());
            Err(Error::invalid_field("path", context))
        }
        _ if path.is_dir() => {
            let context = format!("{file} is a folder: give the path of a file in it");
            Err(Error::invalid_field("path", context))
        }
        _ => Ok(()),
    }
}

/// Tries again while another process holds the lock, for so long at most.
fn patiently<T>(
    timeout: Duration,
    mut attempt: impl FnMut() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(Trouble::Sqlite(error)) if is_busy(&error) && started.elapsed() < timeout => {
                std::thread::sleep(Duration::from_micros(fastrand::u64(500..2_000)));
            }
            done => return done,
        }
    }
}
