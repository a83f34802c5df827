//! The log, page by page, up to the head: that is read first, so that what is read later holds all up to there (P4).

use bson::{Document, RawDocumentBuf, doc};
use cqrs_core::{Head, Page, Position, ReadLog, Timestamp};
use futures_util::future::BoxFuture;
use mongodb::options::ReadConcern;

use super::pages::{Reading, Step};
use super::{Find, Reader, is_full};
use crate::error::Trouble;
use crate::filter::{matching, not_before};
use crate::migrate::LOG;
use crate::names::Coll;
use crate::row::{self, Fields, bound, id_of_log};

/// Pages of a step.
const PAGES: u32 = 8;

/// Bytes of a step, but for its last page.
const BYTES: usize = 8 << 20;

/// Positions that are looked through at once, where no index tells which are wanted.
const WINDOW: u64 = 50_000;

/// A reading of the log.
#[derive(Debug, Clone)]
pub(crate) struct LogReading {
    read: ReadLog,
    has_begun: bool,
}

impl LogReading {
    pub(crate) fn new(read: ReadLog) -> Self {
        Self { read, has_begun: false }
    }

    /// Looks whether it may be read from there, and where it begins.
    async fn begin(&mut self, reader: &Reader, head: Head) -> Result<Head, Trouble> {
        let ReadLog { log, after, .. } = self.read;
        let mut head = head;
        if head.admits(log, after).is_err() {
            // A member that was the primary may not know yet that it is none.
            head = surely(reader).await?;
            head.admits(log, after)?;
        }
        if let (false, Some(since)) = (self.has_begun, self.read.filter.since) {
            self.read.after = before(reader, since, after, head.position).await?;
        }
        self.has_begun = true;
        Ok(head)
    }
}

/// The document of the log.
fn of_log() -> Document {
    doc! { "_id": LOG }
}

fn head_of(log: Option<RawDocumentBuf>) -> Result<Head, Trouble> {
    let log = log.ok_or_else(|| Trouble::damaged("the log", "its document is missing".into()))?;
    let fields = Fields(&log);
    let head = id_of_log(&fields).and_then(|log| Ok(Head { log, position: fields.count("head")? }));
    head.map_err(|cause| Trouble::damaged("the document of the log", cause))
}

/// The log's id and end.
pub(crate) async fn head(reader: &Reader) -> Result<Head, Trouble> {
    head_of(reader.first(Find::new(Coll::Log, of_log())).await?)
}

/// The same, from a member that makes sure that it is the primary.
pub(crate) async fn surely(reader: &Reader) -> Result<Head, Trouble> {
    let log = reader.connector.db.collection::<RawDocumentBuf>(Coll::Log.name());
    head_of(log.find_one(of_log()).read_concern(ReadConcern::linearizable()).await?)
}

/// The last position before a time: times do not go back along the log.
async fn before(
    reader: &Reader,
    time: Timestamp,
    after: Position,
    head: Position,
) -> Result<Position, Trouble> {
    let time = not_before(time);
    // All up to `low` is before it; nothing above `high` is known to be.
    let (mut low, mut high) = (after, head);
    while low < high {
        let middle = low + (high - low) / 2;
        let beyond = doc! { "_id": { "$gt": bound(middle), "$lte": bound(high) } };
        let find = Find::new(Coll::Events, beyond).sort(doc! { "_id": 1 });
        let Some(found) = reader.first(find).await? else {
            high = middle;
            continue;
        };
        let fields = Fields(&found);
        let read = fields.count("_id").and_then(|at| Ok((at, fields.datetime("recorded_at")?)));
        let (position, recorded) =
            read.map_err(|cause| Trouble::damaged("an event of the log", cause))?;
        match recorded < time {
            true => low = position,
            false => high = middle,
        }
    }
    Ok(low)
}

impl Reading for LogReading {
    const DOING: &'static str = "reading the log";

    fn step(mut self, reader: &Reader) -> BoxFuture<'_, Result<Step<Self>, Trouble>> {
        Box::pin(async move {
            let known = head(reader).await?;
            let end = self.begin(reader, known).await?.position;
            let (filter, after) = (&self.read.filter, self.read.after);
            let is_told_by_index = filter.is_everything()
                || !(filter.types.is_empty()
                    && filter.categories.is_empty()
                    && filter.tags.is_empty()
                    && filter.streams.is_empty());
            let until = match is_told_by_index {
                true => end,
                false => end.min(after.saturating_add(WINDOW)),
            };
            let mut pages = vec![Page::default()];
            let Some(condition) = matching(filter, after, until) else {
                pages[0].reach(end);
                return Ok((pages, None));
            };
            let condition = Document::try_from(condition)
                .map_err(|cause| Trouble::damaged("a filter", cause.into()))?;
            let size = self.read.page;
            let most = u64::from(size.events.max(1)) * u64::from(PAGES);
            let find = Find::new(Coll::Events, condition).sort(doc! { "_id": 1 });
            let find = Find { at_once: true, ..find.limit(most) };
            let (mut tags, mut count, mut bytes, mut is_cut) = (String::new(), 0, 0, false);
            reader
                .each(find, |document| {
                    if pages.last().is_some_and(|page| is_full(page, size)) {
                        if bytes > BYTES {
                            is_cut = true;
                            return Ok(false);
                        }
                        let full = pages.last().map(|page| (page.len(), page.size()));
                        let (events, room) = full.unwrap_or_default();
                        pages.push(Page::with_capacity(events, room + room / 8));
                    }
                    let Some(page) = pages.last_mut() else { return Ok(false) };
                    let before = page.size();
                    row::push(page, document, &mut tags)?;
                    bytes += page.size() - before;
                    count += 1;
                    Ok(true)
                })
                .await?;
            let is_through = count < most && !is_cut;
            if let Some(page) = pages.last_mut().filter(|_| is_through) {
                page.reach(until);
            }
            let through = pages.last().map_or(after, Page::through);
            if through >= end {
                return Ok((pages, None));
            }
            self.read.after = through;
            Ok((pages, Some(self)))
        })
    }
}
