//! A stream, page by page.

use bson::{Document, doc};
use cqrs_core::{Page, ReadStream};
use futures_util::future::BoxFuture;

use super::pages::{Reading, Step};
use super::{Find, Reader, is_full};
use crate::error::Trouble;
use crate::filter::not_after;
use crate::names::Coll;
use crate::row::{self, Fields, bound, tenant};

/// Pages of a step, but for the first: whoever loads a stream mostly wants no more than one.
const PAGES: u32 = 8;

/// A reading of a stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamReading {
    read: ReadStream,
    pages: u32,
}

impl StreamReading {
    pub(crate) fn new(read: ReadStream) -> Self {
        Self { read, pages: 1 }
    }

    /// The snapshot that is wanted: its version and its body. One that was edited is none; there are always the events.
    async fn snapshot(&self, reader: &Reader) -> Result<Option<(u64, String)>, Trouble> {
        let Some(schema) = self.read.wanted_snapshot() else { return Ok(None) };
        let stream = &self.read.stream;
        let of = doc! {
            "_id": {
                "tenant": tenant(stream.tenant.as_deref()),
                "category": &*stream.category,
                "stream": stream.id.as_str(),
            },
        };
        let found = reader.first(Find::new(Coll::Snapshots, of)).await?;
        let Some(found) = found else { return Ok(None) };
        let (low, high) = (self.read.from.max(1), self.read.to);
        let kept = found.get_array("kept").ok();
        let snapshots = kept.into_iter().flatten().filter_map(|kept| {
            let fields = Fields(kept.ok()?.as_document()?);
            let is_wanted = fields.bytes("schema").ok()? == schema.as_bytes();
            let version = fields.count("version").ok()?;
            let fits = is_wanted && (low..=high).contains(&version);
            fits.then(|| Some((version, fields.text("data").ok()?.to_owned())))?
        });
        Ok(snapshots.max_by_key(|(version, _)| *version))
    }

    fn condition(&self, from: u64) -> Document {
        let ReadStream { stream, to, recorded_until, .. } = &self.read;
        let mut condition = doc! {
            "tenant": tenant(stream.tenant.as_deref()),
            "category": &*stream.category,
            "stream": stream.id.as_str(),
            "version": { "$gte": bound(from), "$lte": bound(*to) },
        };
        if let Some(until) = recorded_until {
            condition.insert("recorded_at", doc! { "$lte": not_after(*until) });
        }
        condition
    }
}

impl Reading for StreamReading {
    const DOING: &'static str = "reading a stream";

    fn step(mut self, reader: &Reader) -> BoxFuture<'_, Result<Step<Self>, Trouble>> {
        Box::pin(async move {
            let snapshot = self.snapshot(reader).await?;
            self.read.snapshot = None;
            // The event of its version tells that the stream is as long.
            let from = snapshot.as_ref().map_or(self.read.from, |(version, _)| *version);
            let size = self.read.page;
            // One more tells whether it goes on, and one that there is the snapshot.
            let most = u64::from(size.events.max(1)) * u64::from(self.pages) + 1;
            let most = most + u64::from(snapshot.is_some());
            let order = if self.read.backwards { -1 } else { 1 };
            let find =
                Find::new(Coll::Events, self.condition(from)).sort(doc! { "version": order });
            let find = Find { at_once: true, ..find.limit(most) };
            let mut pages: Vec<Page> = vec![Page::default()];
            let (mut snapshot, mut last, mut more) = (snapshot, 0, None);
            let (mut tags, stream, allowed) = (String::new(), self.read.stream.clone(), self.pages);
            reader
                .each(find, |document| {
                    let version = Fields(document).count("version").unwrap_or_default();
                    let full = pages.len() == allowed as usize
                        && pages.last().is_some_and(|page| is_full(page, size));
                    if full {
                        more = Some(version);
                        return Ok(false);
                    }
                    if pages.last().is_some_and(|page| is_full(page, size)) {
                        pages.push(Page::default());
                    }
                    let Some(page) = pages.last_mut() else { return Ok(false) };
                    if let Some((at, body)) = snapshot.take()
                        && at == version
                    {
                        page.begin_with(at, body);
                        last = version;
                        return Ok(true);
                    }
                    row::push(page, document, &mut tags)?;
                    last = version;
                    Ok(true)
                })
                .await?;
            // One that lies beyond the end is none: then the stream is read from its beginning.
            if snapshot.is_some() {
                return self.step(reader).await;
            }
            if !self.read.backwards && last > 0 {
                reader.seen.note(&stream, last);
            }
            pages.retain(|page| !page.is_empty() || page.snapshot().is_some());
            let rest = more.map(|version| {
                let mut read = self.read;
                match read.backwards {
                    true => read.to = version,
                    false => read.from = version,
                }
                Self { read, pages: PAGES }
            });
            Ok((pages, rest))
        })
    }
}
