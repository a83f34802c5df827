//! One page of a stream.

use cqrs_core::{ReadStream, Timestamp};
use rusqlite::Connection;

use super::ahead::Step;
use super::{Room, empty_page, is_full};
use crate::error::Trouble;
use crate::row::{event, tenant};
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
        let sql = match read.backwards {
            true => Sql::ReadStreamBackwards,
            false => Sql::ReadStreamForwards,
        };
        let bound = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
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
        let mut page = empty_page(*room);
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
        Ok(((!page.is_empty()).then_some(page), more.map(|_| reading)))
    }
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
