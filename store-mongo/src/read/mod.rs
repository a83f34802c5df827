//! Reading: pages of streams and of the log, documents, and what waits.

mod documents;
mod log;
mod pages;
mod stream;
mod waiting;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bson::raw::RawDocument;
use bson::{Document, RawDocumentBuf};
use cqrs_core::{Page, PageSize, Result};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::connect::{Connector, backoff};
use crate::error::Trouble;
use crate::names::Coll;
use crate::seen::Seen;
use crate::writer::turn::ANSWER;

pub(crate) use documents::{Declared, count, document, find, is_mapped, read as read_document};
pub(crate) use log::{LogReading, head};
pub(crate) use pages::pages;
pub(crate) use stream::StreamReading;
pub(crate) use waiting::{
    checkpoint, committed, inbox, later, lease, leases, outgoing, parked, timers,
};

/// Where it is read.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) connector: Arc<Connector>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) declared: Arc<Declared>,
}

/// What is looked for.
pub(crate) struct Find {
    pub(crate) coll: Cow<'static, str>,
    pub(crate) filter: Document,
    pub(crate) sort: Document,
    pub(crate) limit: i64,
    pub(crate) skip: u64,
    /// Whether the first answer is to hold all of it.
    pub(crate) at_once: bool,
}

impl Find {
    pub(crate) fn new(coll: Coll, filter: Document) -> Self {
        Self::named(coll.name().into(), filter)
    }

    /// In a collection of entities.
    pub(crate) fn of(coll: &str, filter: Document) -> Self {
        Self::named(coll.to_owned().into(), filter)
    }

    fn named(coll: Cow<'static, str>, filter: Document) -> Self {
        Self { coll, filter, sort: Document::new(), limit: 0, skip: 0, at_once: false }
    }

    pub(crate) fn sort(self, sort: Document) -> Self {
        Self { sort, ..self }
    }

    /// At most so many.
    pub(crate) fn limit(self, limit: u64) -> Self {
        // 0 would be all there are.
        Self { limit: i64::try_from(limit).unwrap_or(i64::MAX).max(1), ..self }
    }
}

impl Reader {
    /// Gives each document to `take`, until that has enough: `false`.
    pub(crate) async fn each(
        &self,
        find: Find,
        mut take: impl FnMut(&RawDocument) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        let Find { coll, filter, sort, limit, skip, at_once } = find;
        let mut session = self.connector.session().await?;
        let coll = self.connector.db.collection::<RawDocumentBuf>(&coll);
        let mut found = coll.find(filter).limit(limit);
        if !sort.is_empty() {
            found = found.sort(sort);
        }
        if skip > 0 {
            found = found.skip(skip.min(i64::MAX as u64));
        }
        if at_once && limit > 0 {
            found = found.batch_size(limit.min(i32::MAX.into()) as u32);
        }
        let mut cursor = found.session(&mut session).batch().await?;
        let mut batches = cursor.stream(&mut session);
        'all: while let Some(batch) = batches.next().await {
            let batch = batch?;
            for document in batch.doc_slices()? {
                let document = document.map_err(mongodb::error::Error::from)?;
                let document = document.as_document().ok_or_else(|| {
                    Trouble::damaged("an answer", "it holds what is no document".into())
                })?;
                if !take(document)? {
                    break 'all;
                }
            }
        }
        drop(batches);
        self.connector.note(&session);
        Ok(())
    }

    /// The first one.
    pub(crate) async fn first(&self, find: Find) -> Result<Option<RawDocumentBuf>, Trouble> {
        let mut first = None;
        let take = |document: &RawDocument| {
            first = Some(document.to_owned());
            Ok(false)
        };
        self.each(find.limit(1), take).await?;
        Ok(first)
    }

    /// One attempt, which ends.
    async fn in_time<T>(
        &self,
        read: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let longest = self.connector.patience.max(ANSWER);
        timeout(longest, read).await.unwrap_or(Err(Trouble::TooLong))
    }

    /// Reads something, again and again for a while when the server is out of reach.
    pub(crate) async fn patiently<T, F>(&self, doing: &str, read: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let (since, mut attempts) = (Instant::now(), 0);
        loop {
            match self.in_time(read()).await {
                Err(trouble)
                    if trouble.is_passing() && since.elapsed() < self.connector.patience =>
                {
                    attempts += 1;
                    tokio::time::sleep(backoff(attempts)).await;
                }
                done => {
                    return done
                        .map_err(|trouble| trouble.into_error(doing, &self.connector.place));
                }
            }
        }
    }
}

/// A page takes at least one event, whatever its limits.
fn is_full(page: &Page, size: PageSize) -> bool {
    !page.is_empty() && (page.len() >= size.events as usize || page.size() >= size.bytes)
}
