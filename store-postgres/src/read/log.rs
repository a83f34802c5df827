//! The log, page by page: how it is looked through depends on the filter, how far is bounded.

use std::borrow::Cow;

use cqrs_core::{Filter, Head, LogId, Page, Position, ReadLog, StreamId};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::pages::{Reading, Taker};
use super::{Reader, is_full, rows};
use crate::error::Trouble;
use crate::row::{At, bound, can_be_tenant, can_exist, event, tenant};
use crate::statements::{Sql, Statements};

/// Pages that one statement reads.
const AT_ONCE: u32 = 8;

/// Positions that are looked through at once where most of them are wanted: an empty page with how far
/// it got is better than a long silence.
const WINDOW: u64 = 16_384;

/// Where at least one in so many positions is wanted, the log is looked through; else an index is.
const DENSE: u64 = 8;

/// A reading of the log.
pub(crate) struct LogReading {
    read: ReadLog,
    names: Names,
    has_begun: bool,
    /// Most of what lies ahead is wanted.
    is_dense: bool,
}

/// A filter as columns; what it does not name is NULL.
struct Names {
    types: Option<Vec<String>>,
    categories: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    tenants: Option<Vec<String>>,
    of_categories: Option<Vec<String>>,
    streams: Option<Vec<String>>,
    /// It names only what cannot exist.
    nothing: bool,
}

impl Names {
    fn of(filter: &Filter) -> Self {
        fn some<T>(from: &[T], text: impl Fn(&T) -> String) -> Option<Vec<String>> {
            (!from.is_empty()).then(|| from.iter().map(text).collect())
        }
        let Filter { types, categories, streams, tags, tenant: whose, since: _ } = filter;
        let is_stream = |s: &StreamId| {
            can_be_tenant(s.tenant.as_deref()) && can_exist(&s.category) && can_exist(&s.id)
        };
        let none =
            |names: &[Cow<'_, str>]| !names.is_empty() && !names.iter().any(|name| can_exist(name));
        let nothing = !can_be_tenant(whose.as_deref())
            || none(types)
            || none(categories)
            || !tags.iter().all(|tag| can_exist(tag))
            || (!streams.is_empty() && !streams.iter().any(is_stream));
        let streams: Vec<StreamId> = streams.iter().filter(|s| is_stream(s)).cloned().collect();
        let plain = |names: &[Cow<'static, str>]| -> Vec<String> {
            names.iter().filter(|name| can_exist(name)).map(ToString::to_string).collect()
        };
        let (types, categories) = (plain(types), plain(categories));
        Self {
            nothing,
            types: some(&types, Clone::clone),
            categories: some(&categories, Clone::clone),
            tags: some(tags, Clone::clone),
            tenants: some(&streams, |s: &StreamId| tenant(s.tenant.as_deref()).to_owned()),
            of_categories: some(&streams, |s: &StreamId| s.category.clone().into_owned()),
            streams: some(&streams, |s: &StreamId| s.id.clone()),
        }
    }

    /// Whether an index tells positions.
    fn has_index(&self) -> bool {
        let Self { types, categories, tags, streams, .. } = self;
        types.is_some() || categories.is_some() || tags.is_some() || streams.is_some()
    }

    /// Whether a look through the log checks all but tags and streams.
    fn may_be_dense(&self) -> bool {
        self.tags.is_none() && self.streams.is_none()
    }
}

impl LogReading {
    pub(crate) fn new(read: ReadLog) -> Self {
        let names = Names::of(&read.filter);
        Self { read, names, has_begun: false, is_dense: false }
    }

    /// Looks whether it may be read from there, and where it begins.
    async fn begin(
        &mut self,
        reader: &Reader,
        client: &deadpool_postgres::ClientWrapper,
        head: Head,
    ) -> Result<Position, Trouble> {
        let read = &mut self.read;
        head.admits(read.log, read.after)?;
        if let (false, Some(since)) = (self.has_begun, read.filter.since) {
            let (after, head) = (bound(read.after), bound(head.position));
            let params: [&(dyn ToSql + Sync); 3] = [&At(since), &after, &head];
            let row = reader.statements.one(client, Sql::BeforeTime, &params).await?;
            read.after = row.try_get::<_, i64>(0)? as u64;
        }
        self.has_begun = true;
        Ok(head.position)
    }

    /// Reads rows into pages, and hands them on. Whether they were taken.
    async fn hand_on(
        &mut self,
        rows: impl futures_util::Stream<Item = Result<Row, Trouble>>,
        pages: &mut Taker,
        more: u32,
        end: Position,
        statements: &Statements,
    ) -> Result<bool, Trouble> {
        futures_util::pin_mut!(rows);
        let size = self.read.page;
        let (mut page, mut count) =
            (Page::with_capacity(size.events.min(256) as usize, 1 << 14), 0);
        while let Some(row) = statements.next(&mut rows).await? {
            count += 1;
            let event = event(&row, 0, None)?;
            if is_full(&page, size) {
                let full = std::mem::take(&mut page);
                page = Page::with_capacity(full.len(), full.size() + full.size() / 8);
                let through = full.through();
                if pages.take(full).await.is_err() {
                    return Ok(false);
                }
                self.read.after = through;
            }
            page.push(&event);
        }
        if count < more {
            page.reach(end);
        }
        let through = page.through();
        if pages.take(page).await.is_err() {
            return Ok(false);
        }
        self.read.after = through;
        Ok(true)
    }
}

/// The log's id and end.
pub(crate) async fn head(
    reader: &Reader,
    client: &deadpool_postgres::ClientWrapper,
) -> Result<Head, Trouble> {
    let row = reader.statements.one(client, Sql::Head, &[]).await?;
    Ok(Head { log: LogId(row.try_get(0)?), position: row.try_get::<_, i64>(1)? as u64 })
}

impl Reading for LogReading {
    const DOING: &'static str = "reading the log";

    fn read<'a>(
        &'a mut self,
        reader: &'a Reader,
        pages: &'a mut Taker,
    ) -> BoxFuture<'a, Result<bool, Trouble>> {
        Box::pin(async move {
            let client = reader.connector.get().await?;
            let statements = &reader.statements;
            let most = rows(self.read.page.events.max(1).saturating_mul(AT_ONCE).min(16_384));
            let (everything, after) = (self.read.filter.is_everything(), bound(self.read.after));
            // The end of the log is known before anything is read: what is read later holds all up to
            // there (P4). Both are asked for at once.
            let first = async {
                match everything {
                    true => {
                        statements.begin(&client, Sql::ReadLog, &[&after, &most]).await.map(Some)
                    }
                    false => Ok(None),
                }
            };
            let (head, first) = futures_util::future::join(head(reader, &client), first).await;
            let end = self.begin(reader, &client, head?).await?;
            if let Some(found) = first? {
                let found = found.map_err(Trouble::from);
                let taken = self.hand_on(found, pages, most as u32, end, statements).await?;
                return Ok(taken && self.read.after >= end);
            }
            if self.names.nothing {
                let mut page = Page::default();
                page.reach(end);
                return Ok(pages.take(page).await.is_ok());
            }
            if !self.names.has_index() || (self.is_dense && self.names.may_be_dense()) {
                let before = self.read.after;
                let until = end.min(before.saturating_add(WINDOW));
                let (after, last) = (bound(before), bound(until));
                let whose = self.read.filter.tenant.as_deref();
                let Names { types, categories, .. } = &self.names;
                let params: [&(dyn ToSql + Sync); 6] =
                    [&after, &last, types, categories, &whose, &most];
                let found = statements.begin(&client, Sql::ReadLogWindow, &params).await?;
                let found = found.map_err(Trouble::from);
                let taken = self.hand_on(found, pages, most as u32, until, statements).await?;
                self.is_dense = self.read.after - before < WINDOW;
                return Ok(taken && self.read.after >= end);
            }
            self.found(reader, &client, pages, end, most).await
        })
    }
}

impl LogReading {
    /// Reads what an index says.
    async fn found(
        &mut self,
        reader: &Reader,
        client: &deadpool_postgres::ClientWrapper,
        pages: &mut Taker,
        end: Position,
        most: i32,
    ) -> Result<bool, Trouble> {
        let (after, head) = (bound(self.read.after), bound(end));
        let Names { types, categories, tags, tenants, of_categories, streams, .. } = &self.names;
        let whose = self.read.filter.tenant.as_deref();
        let params: [&(dyn ToSql + Sync); 10] = [
            &after,
            &head,
            &most,
            types,
            categories,
            tags,
            tenants,
            of_categories,
            streams,
            &whose,
        ];
        let found = reader.statements.query(client, Sql::ReadLogFound, &params).await?;
        let Some(first) = found.first() else { return Ok(true) };
        let through = first.try_get::<_, i64>(14)? as u64;
        let mut events = Vec::with_capacity(found.len());
        for row in found {
            if row.try_get::<_, Option<i64>>(0)?.is_some() {
                events.push(Ok(row));
            }
        }
        let (count, before) = (events.len() as u64, self.read.after);
        let events = futures_util::stream::iter(events);
        let taken = self.hand_on(events, pages, u32::MAX, through, &reader.statements).await?;
        self.is_dense = count > 0 && (through - before) / count.max(1) < DENSE;
        Ok(taken && self.read.after >= end)
    }
}
