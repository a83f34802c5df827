//! A stream, page by page, behind its first page.

use cqrs_core::{Page, ReadStream, Timestamp};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;

use super::pages::{Reading, Taker};
use super::{Reader, is_full, rows};
use crate::error::Trouble;
use crate::row::{At, bound, event, tenant};
use crate::statements::Sql;

/// Pages that one statement reads.
const AT_ONCE: u32 = 8;

/// A reading of a stream.
pub(crate) struct StreamReading(ReadStream);

impl StreamReading {
    pub(crate) fn new(read: ReadStream) -> Self {
        Self(read)
    }
}

impl Reading for StreamReading {
    const DOING: &'static str = "reading a stream";

    fn read<'a>(
        &'a mut self,
        reader: &'a Reader,
        pages: &'a mut Taker,
    ) -> BoxFuture<'a, Result<bool, Trouble>> {
        Box::pin(async move {
            let read = &mut self.0;
            let client = reader.connector.get().await?;
            let most = rows(read.page.events.max(1).saturating_mul(AT_ONCE).min(16_384));
            let sql = match read.backwards {
                true => Sql::ReadStreamBackwards,
                false => Sql::ReadStream,
            };
            let stream = read.stream.clone();
            let until = At(read.recorded_until.unwrap_or(Timestamp::MAX));
            let (from, to) = (bound(read.from), bound(read.to));
            let whose = tenant(stream.tenant.as_deref());
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                [&whose, &&*stream.category, &stream.id, &from, &to, &until, &most];
            let found = reader.statements.begin(&client, sql, &params).await?;
            let mut found = Box::pin(found.map_err(Trouble::from));
            let (mut page, mut count) = (Page::default(), 0);
            while let Some(row) = reader.statements.next(&mut found).await? {
                count += 1;
                let event = event(&row, 0, Some(&stream))?;
                if is_full(&page, read.page) {
                    let full = std::mem::take(&mut page);
                    if !hand_on(read, full, pages).await {
                        return Ok(false);
                    }
                }
                page.push(&event);
            }
            if !page.is_empty() && !hand_on(read, page, pages).await {
                return Ok(false);
            }
            Ok(count < most)
        })
    }
}

/// Hands a page on, and goes on behind it.
async fn hand_on(read: &mut ReadStream, page: Page, pages: &mut Taker) -> bool {
    let last = page.iter().next_back().map(|event| event.version);
    if pages.take(page).await.is_err() {
        return false;
    }
    match (last, read.backwards) {
        (Some(last), true) => read.to = last.saturating_sub(1),
        (Some(last), false) => read.from = last + 1,
        (None, _) => {}
    }
    true
}
