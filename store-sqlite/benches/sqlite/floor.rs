//! What somebody would write by hand: rusqlite and serde_json, the same columns, the same
//! durability, nothing else.

use std::hint::black_box;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cqrs_core::Aggregate;
use rusqlite::{Connection, Row, Statement, params};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::Outcome;
use crate::domain::{Account, AccountEvent, Movement, NAMES};

const TABLES: &str = "
    CREATE TABLE events (
      position INTEGER PRIMARY KEY, tenant TEXT NOT NULL, category TEXT NOT NULL,
      stream TEXT NOT NULL, version INTEGER NOT NULL, type TEXT NOT NULL,
      schema_version INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, recorded INTEGER NOT NULL,
      tags TEXT, metadata TEXT NOT NULL, data TEXT,
      UNIQUE (tenant, category, stream, version)) STRICT;
    CREATE TABLE commits (
      id BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, position INTEGER NOT NULL,
      at INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/// An event to write, and the id of its commit.
pub(crate) struct NewRow {
    pub(crate) commit: Uuid,
    pub(crate) id: Uuid,
    pub(crate) stream: String,
    pub(crate) version: i64,
    pub(crate) kind: &'static str,
    pub(crate) data: String,
}

/// Writes rows in transactions.
pub(crate) struct Table {
    conn: Connection,
    position: i64,
}

impl Table {
    pub(crate) fn create(path: &Path) -> Outcome<Self> {
        let conn = Connection::open(path)?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.execute_batch(TABLES)?;
        Ok(Self { conn, position: 0 })
    }

    pub(crate) fn write(&mut self, group: &[NewRow]) -> Outcome<()> {
        let mut event = self.conn.prepare_cached(
            "INSERT INTO events VALUES (?1, '', 'account', ?2, ?3, ?4, 1, ?5, ?6, NULL, '{}', ?7)",
        )?;
        let mut commit = self.conn.prepare_cached("INSERT INTO commits VALUES (?1, ?2, ?3, ?4)")?;
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        for row in group {
            self.position += 1;
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros() as i64;
            let NewRow { commit: claim, id, stream, version, kind, data } = row;
            event.execute(params![
                self.position,
                stream,
                version,
                kind,
                id.as_bytes(),
                now,
                data
            ])?;
            commit.execute(params![claim.as_bytes(), id.as_bytes(), self.position, now])?;
        }
        self.conn.execute_batch("COMMIT")?;
        Ok(())
    }
}

/// A row and whom to tell.
pub(crate) type Job = (NewRow, oneshot::Sender<i64>);

/// A thread that writes what is queued as one group.
pub(crate) fn writer(
    mut table: Table,
) -> (mpsc::Sender<Job>, std::thread::JoinHandle<Outcome<()>>) {
    let (sender, mut jobs) = mpsc::channel::<Job>(1024);
    let thread = std::thread::spawn(move || {
        while let Some((row, answer)) = jobs.blocking_recv() {
            let (mut rows, mut answers) = (vec![row], vec![answer]);
            while let Ok((row, answer)) = jobs.try_recv() {
                rows.push(row);
                answers.push(answer);
            }
            table.write(&rows)?;
            for answer in answers {
                let _ = answer.send(table.position);
            }
        }
        Ok(())
    });
    (sender, thread)
}

/// What is recorded beside the body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Headers {
    correlation_id: Option<String>,
    causation_id: Option<Uuid>,
    actor: Option<String>,
}

pub(crate) fn decode(row: &Row<'_>) -> Outcome<AccountEvent> {
    let id = Uuid::from_slice(row.get_ref(4)?.as_blob()?)?;
    let (position, version) = (row.get::<_, i64>(0)?, row.get::<_, i64>(2)?);
    let (stream, time) = (row.get_ref(1)?.as_str()?, row.get::<_, i64>(5)?);
    let kind = row.get_ref(3)?.as_str()?;
    let metadata = row.get_ref(6)?.as_str()?;
    let movement = serde_json::from_str::<Movement>(row.get_ref(7)?.as_str()?)?;
    black_box((position, stream, version, id, time, metadata));
    match kind {
        kind if kind == NAMES[0] => Ok(AccountEvent::Opened(movement)),
        kind if kind == NAMES[1] => Ok(AccountEvent::Deposited(movement)),
        kind if kind == NAMES[2] => Ok(AccountEvent::Withdrawn(movement)),
        other => Err(format!("no event {other}").into()),
    }
}

pub(crate) const COLUMNS: &str =
    "position, stream, version, type, id_bytes, recorded_us, metadata, data";

/// Reads and decodes the whole log; events per second.
pub(crate) fn read_log(path: &Path) -> Outcome<f64> {
    let conn = Connection::open(path)?;
    let sql = format!("SELECT {COLUMNS} FROM event_rows ORDER BY position");
    let mut select = conn.prepare(&sql)?;
    let (started, mut events) = (Instant::now(), 0u32);
    let mut rows = select.query(())?;
    while let Some(row) = rows.next()? {
        let headers = serde_json::from_str::<Headers>(row.get_ref(6)?.as_str()?)?;
        black_box((&headers.correlation_id, &headers.causation_id, &headers.actor));
        black_box(decode(row)?);
        events += 1;
    }
    Ok(f64::from(events) / started.elapsed().as_secs_f64())
}

/// Loads accounts, one after the other.
pub(crate) struct Loader<'c>(Statement<'c>);

impl<'c> Loader<'c> {
    pub(crate) fn of(conn: &'c Connection) -> Outcome<Self> {
        let sql = format!(
            "SELECT {COLUMNS} FROM event_rows
             WHERE tenant = '' AND category = 'account' AND stream = ?1 ORDER BY version"
        );
        Ok(Self(conn.prepare(&sql)?))
    }

    pub(crate) fn load(&mut self, id: u64) -> Outcome<Account> {
        let mut account = Account::default();
        let mut rows = self.0.query((id.to_string(),))?;
        while let Some(row) = rows.next()? {
            account.apply(&decode(row)?);
        }
        Ok(account)
    }
}
