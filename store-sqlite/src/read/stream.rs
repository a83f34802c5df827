//! One page of a stream.

use cqrs_core::{ReadStream, Timestamp};
use rusqlite::Connection;

use super::ahead::Step;
use super::{empty_page, is_full};
use crate::error::Trouble;
use crate::row::{event, tenant};
use crate::statements::Sql;

/// Reads a page. One statement is one snapshot: no transaction is needed.
pub(crate) fn stream_page(
    conn: &Connection,
    mut read: ReadStream,
) -> Result<Step<ReadStream>, Trouble> {
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
    let mut page = empty_page(read.page);
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
    if let Some(version) = more {
        match read.backwards {
            true => read.to = version,
            false => read.from = version,
        }
    }
    Ok(((!page.is_empty()).then_some(page), more.map(|_| read)))
}
