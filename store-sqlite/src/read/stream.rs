//! One page of a stream.

use cqrs_core::{Page, ReadStream, Timestamp};
use rusqlite::{Connection, params};

use super::ahead::Step;
use super::{Room, empty_page, is_full};
use crate::error::Trouble;
use crate::row::{bound, event, tenant};
use crate::statements::Sql;

/// A reading of a stream, between two of its pages.
#[derive(Debug)]
pub(crate) struct StreamReading {
    read: ReadStream,
    room: Option<Room>,
}

impl StreamReading {
    pub(crate) fn new(read: ReadStream) -> Self {
        Self { read, room: None }
    }

    /// Reads a page. One statement is one snapshot: no transaction is needed.
    pub(crate) fn page(conn: &Connection, mut reading: Self) -> Result<Step<Self>, Trouble> {
        let Self { read, room } = &mut reading;
        let mut page = empty_page(*room);
        begin_with_snapshot(conn, read, &mut page)?;
        let sql = match read.backwards {
            true => Sql::ReadStreamBackwards,
            false => Sql::ReadStreamForwards,
        };
        let stream = &read.stream;
        let mut statement = conn.prepare_cached(sql.text())?;
        let mut rows = statement.query((
            tenant(stream.tenant.as_deref()),
            &*stream.category,
            &*stream.id,
            bound(read.from),
            bound(read.to),
            read.recorded_until.map_or(i64::MAX, Timestamp::as_micros),
        ))?;
        let mut more = None;
        while let Some(row) = rows.next()? {
            more = event(row, Some(stream), |event| {
                if is_full(&page, read.page) {
                    return Some(event.version);
                }
                page.push(event);
                None
            })?;
            if more.is_some() {
                break;
            }
        }
        drop(rows);
        drop(statement);
        *room = Some(Room::of(&page));
        if let Some(version) = more {
            match read.backwards {
                true => read.to = version,
                false => read.from = version,
            }
        }
        let says = !page.is_empty() || page.snapshot().is_some();
        Ok((says.then_some(page), more.map(|_| reading)))
    }
}

/// Puts the snapshot that is wanted at the beginning of the first page, and lets the reading go on
/// after it. It is a statement of its own, and needs no transaction around both: whatever is
/// committed in between comes after the snapshot.
fn begin_with_snapshot(
    conn: &Connection,
    read: &mut ReadStream,
    page: &mut Page,
) -> Result<(), Trouble> {
    let Some(schema) = read.wanted_snapshot() else { return Ok(()) };
    read.snapshot = None;
    let stream = &read.stream;
    let mut statement = conn.prepare_cached(Sql::Snapshot.text())?;
    let mut rows = statement.query(params![
        tenant(stream.tenant.as_deref()),
        &*stream.category,
        &*stream.id,
        schema.as_bytes(),
        bound(read.from.max(1)),
        bound(read.to),
    ])?;
    let Some(row) = rows.next()? else { return Ok(()) };
    let version = row.get::<_, i64>(0)? as u64;
    // Somebody may have edited it; there are always the events.
    if let Ok(body) = row.get_ref(1)?.as_str() {
        page.begin_with(version, body);
        read.from = version + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cqrs_core::StreamId;
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn reading_stream_after_stream_prepares_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "WAL").unwrap();
        crate::migrate::migrate(&writer, "test").unwrap();
        let reader = crate::open::reader(&path, std::time::Duration::ZERO).unwrap();
        for n in 0..20 {
            let insert = format!(
                "INSERT INTO event_rows VALUES
                   ({n} + 1, '', 'a', '{n}', 1, 't', 1, randomblob(16), 0, NULL, '{{}}', '{{}}', NULL, NULL)"
            );
            writer.execute_batch(&insert).unwrap();
            let read = ReadStream::of(StreamId::new("a", n.to_string())).to(n + 1);
            let (page, _) = StreamReading::page(&reader, StreamReading::new(read)).unwrap();
            assert_eq!(page.unwrap().len(), 1);
        }
        let statement = reader.prepare_cached(Sql::ReadStreamForwards.text()).unwrap();
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        assert!(statement.get_status(StatementStatus::Run) >= 20);
    }
}
