//! Positions of several streams or of several tags, brought together without a scan of the log.

use cqrs_core::{Position, StreamId};
use rusqlite::{Connection, OptionalExtension, params};

use super::log::Found;
use crate::row::tenant;
use crate::statements::Sql;

/// Looks into the index of tags at most for one page.
const SEEKS: usize = 8_192;

/// Positions of events in any of the streams, some for a page: merged from a stretch of each.
pub(super) fn of_streams(
    conn: &Connection,
    streams: &[StreamId],
    after: Position,
    head: Position,
    events: u32,
) -> rusqlite::Result<Found> {
    let stretch = (events as usize / streams.len()).clamp(16, 4_096);
    let mut found = Found { positions: Vec::new(), through: head };
    let mut select = conn.prepare_cached(Sql::StreamPositions.text())?;
    for stream in streams {
        let Some(version) = first_after(conn, stream, after)? else { continue };
        let (owner, category, id) =
            (tenant(stream.tenant.as_deref()), &*stream.category, &*stream.id);
        let mut rows = select.query(params![owner, category, id, version, stretch as i64])?;
        let (mut count, mut last) = (0, after);
        while let Some(row) = rows.next()? {
            last = row.get::<_, i64>(0)? as u64;
            found.positions.push(last);
            count += 1;
        }
        // It may go on: beyond its last position nothing is known yet.
        if count == stretch {
            found.through = found.through.min(last);
        }
    }
    found.positions.retain(|position| *position <= found.through);
    found.positions.sort_unstable();
    found.positions.dedup();
    Ok(found)
}

/// The version of a stream's first event after a position. Positions rise with versions, so it is
/// searched for by halves.
fn first_after(
    conn: &Connection,
    stream: &StreamId,
    after: Position,
) -> rusqlite::Result<Option<i64>> {
    let key = (tenant(stream.tenant.as_deref()), &*stream.category, &*stream.id);
    let bounds = conn
        .prepare_cached(Sql::StreamBounds.text())?
        .query_row(key, |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))?;
    let (Some(mut low), Some(last)) = bounds else { return Ok(None) };
    let mut select = conn.prepare_cached(Sql::StreamPositions.text())?;
    let mut high = last + 1;
    while low < high {
        let middle = low + (high - low) / 2;
        let next = select
            .query_row(params![key.0, key.1, key.2, middle, 1], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        match next {
            Some((position, version)) if position as u64 <= after => low = version + 1,
            _ => high = middle,
        }
    }
    Ok((low <= last).then_some(low))
}

/// Positions that carry all of the tags: each tag's next place is sought from where the others
/// stand, so that the rarest decides how much is looked at.
pub(super) fn of_tags(
    conn: &Connection,
    tags: &[String],
    after: Position,
    head: Position,
    events: u32,
) -> rusqlite::Result<Found> {
    let mut next = conn.prepare_cached(Sql::NextOfTag.text())?;
    let mut found = Found { positions: Vec::new(), through: head };
    let mut at = after + 1;
    let mut agreed = 0;
    for (seeks, tag) in tags.iter().cycle().enumerate() {
        if seeks >= SEEKS.max(tags.len()) || found.positions.len() >= events.max(1) as usize {
            found.through = at - 1;
            break;
        }
        let place = next
            .query_row((tag, at as i64), |row| row.get::<_, i64>(0))
            .optional()?
            .map(|place| place as u64);
        match place {
            Some(place) if place > head => break,
            None => break,
            Some(place) if place == at => agreed += 1,
            Some(place) => (at, agreed) = (place, 1),
        }
        if agreed == tags.len() {
            found.positions.push(at);
            (at, agreed) = (at + 1, 0);
        }
    }
    found.through = found.through.min(head);
    Ok(found)
}
