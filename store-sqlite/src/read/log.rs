//! One page of the log: how it is looked through depends on the filter, how far is bounded.

use cqrs_core::{Filter, Head, LogId, Page, PageSize, Position, ReadLog, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::ahead::Step;
use super::merge::{of_streams, of_tags};
use super::{Room, empty_page, is_full};
use crate::error::Trouble;
use crate::row::{event, uuid_text};
use crate::statements::Sql;

/// Positions that are looked through at most for one page: an empty page with how far it got is
/// better than a long silence.
const LOOKED_THROUGH: u64 = 16_384;

/// Streams that are worth a look into their index each; the log is scanned for more.
const FEW_STREAMS: usize = 64;

/// A reading of the log, between two of its pages.
#[derive(Debug)]
pub(crate) struct LogReading {
    read: ReadLog,
    plan: Plan,
    room: Option<Room>,
}

/// How to find what the filter lets through.
#[derive(Debug)]
enum Plan {
    /// Row after row.
    Everything,
    /// Row after row, with the cheap conditions checked by SQLite: JSON lists of types and
    /// categories.
    Scan { types: Option<String>, categories: Option<String> },
    /// By the index of each stream.
    Streams,
    /// By the index of the tags.
    Tags,
}

impl Plan {
    fn of(filter: &Filter) -> Self {
        let list = |names: &[std::borrow::Cow<'static, str>]| {
            (!names.is_empty()).then(|| serde_json::Value::from(names).to_string())
        };
        if filter.is_everything() {
            Self::Everything
        } else if !filter.tags.is_empty() {
            Self::Tags
        } else if (1..=FEW_STREAMS).contains(&filter.streams.len()) {
            Self::Streams
        } else {
            Self::Scan { types: list(&filter.types), categories: list(&filter.categories) }
        }
    }
}

impl LogReading {
    pub(crate) fn new(read: ReadLog) -> Self {
        Self { plan: Plan::of(&read.filter), read, room: None }
    }

    /// Reads a page: the head and the events from one snapshot, so that the page holds all there
    /// is up to where it got (P4).
    pub(crate) fn page(conn: &Connection, mut reading: Self) -> Result<Step<Self>, Trouble> {
        let snapshot = conn.unchecked_transaction()?;
        let head = log_head(&snapshot)?;
        let read = &mut reading.read;
        head.admits(read.log, read.after)?;
        if let Some(since) = read.filter.since {
            read.after = before_time(&snapshot, since, read.after, head.position)?;
        }
        let mut page = empty_page(reading.room);
        look(
            &snapshot,
            &reading.plan,
            &read.filter,
            read.after,
            head.position,
            read.page,
            &mut page,
        )?;
        reading.room = Some(Room::of(&page));
        read.after = page.through();
        let more = read.after < head.position;
        Ok((Some(page), more.then_some(reading)))
    }
}

/// The log's id and end, as of the open snapshot.
pub(crate) fn log_head(conn: &Connection) -> rusqlite::Result<Head> {
    conn.prepare_cached(Sql::LogHead.text())?.query_row((), |row| {
        Ok(Head { log: LogId(uuid_text(row, 0)?), position: row.get::<_, i64>(1)? as u64 })
    })
}

/// The first event after a position that the filter lets through.
pub(crate) fn first_matching(
    conn: &Connection,
    filter: &Filter,
    mut after: Position,
    head: Position,
) -> Result<Option<Position>, Trouble> {
    let plan = Plan::of(filter);
    if let Some(since) = filter.since {
        after = before_time(conn, since, after, head)?;
    }
    while after < head {
        let one = PageSize { events: 1, bytes: 1 };
        let mut page = Page::default();
        look(conn, &plan, filter, after, head, one, &mut page)?;
        if let Some(event) = page.iter().next() {
            return Ok(Some(event.position));
        }
        after = page.through();
    }
    Ok(None)
}

/// Fills a page with what comes after a position; it tells how far it was looked.
fn look(
    conn: &Connection,
    plan: &Plan,
    filter: &Filter,
    after: Position,
    head: Position,
    size: PageSize,
    page: &mut Page,
) -> Result<(), Trouble> {
    match plan {
        Plan::Everything => {
            let mut statement = conn.prepare_cached(Sql::ReadLog.text())?;
            let mut rows = statement.query((after as i64, head as i64))?;
            while !is_full(page, size) {
                let Some(row) = rows.next()? else {
                    page.reach(head);
                    break;
                };
                event(row, None, |event| page.push(event))?;
            }
        }
        Plan::Scan { types, categories } => {
            let end = head.min(after.saturating_add(LOOKED_THROUGH));
            let mut statement = conn.prepare_cached(Sql::ReadLogFiltered.text())?;
            let tenant = filter.tenant.as_deref();
            let bounds = params![after as i64, end as i64, types, categories, tenant];
            let mut rows = statement.query(bounds)?;
            while !is_full(page, size) {
                let Some(row) = rows.next()? else {
                    page.reach(end);
                    break;
                };
                take(page, filter, row)?;
            }
        }
        Plan::Streams => {
            let found = of_streams(conn, &filter.streams, after, head, size.events)?;
            fetch(conn, page, filter, size, found)?;
        }
        Plan::Tags => {
            let found = of_tags(conn, &filter.tags, after, head, size.events)?;
            fetch(conn, page, filter, size, found)?;
        }
    }
    Ok(())
}

/// Positions to look at, in order, and up to where that is all of them.
pub(super) struct Found {
    pub(super) positions: Vec<Position>,
    pub(super) through: Position,
}

/// Fills the page from positions.
fn fetch(
    conn: &Connection,
    page: &mut Page,
    filter: &Filter,
    size: PageSize,
    found: Found,
) -> Result<(), Trouble> {
    let mut statement = conn.prepare_cached(Sql::ReadEvent.text())?;
    for position in found.positions {
        if is_full(page, size) {
            page.reach(position - 1);
            return Ok(());
        }
        let mut rows = statement.query((position as i64,))?;
        // A tag may outlive its event when somebody deleted the row.
        if let Some(row) = rows.next()? {
            take(page, filter, row)?;
        }
    }
    page.reach(found.through);
    Ok(())
}

fn take(page: &mut Page, filter: &Filter, row: &rusqlite::Row<'_>) -> Result<(), Trouble> {
    event(row, None, |event| {
        if filter.matches(event) {
            page.push(event);
        }
    })
}

/// The last position before a time, or `after` where that is later. Recorded times never decrease,
/// so it is searched for by halves.
fn before_time(
    conn: &Connection,
    since: Timestamp,
    after: Position,
    head: Position,
) -> Result<Position, Trouble> {
    let mut from = conn.prepare_cached(Sql::TimeFrom.text())?;
    // All at or below `low` is too early; nothing above `high` need be looked at.
    let (mut low, mut high) = (after, head);
    while low < high {
        let middle = low + (high - low) / 2 + 1;
        let next = from
            .query_row((middle as i64,), |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        match next {
            Some((position, recorded)) if recorded < since.as_micros() => low = position as u64,
            _ => high = middle - 1,
        }
    }
    Ok(low)
}
