//! The first pages of streams: whatever is asked for while the last group was on its way is read together,
//! as one statement. Who finds nobody else about asks by himself: the way through the task and back costs
//! as much as the round trip. His connection is his own, for he may stop to read what comes back.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use cqrs_core::{Error, ErrorKind, Page, ReadStream, Result, StreamId, Version};
use deadpool_postgres::ClientWrapper;
use futures_util::TryStreamExt;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_postgres::types::ToSql;

use super::pages::may_pass;
use super::{Reader, is_full, rows};
use crate::connect::{Slot, backoff};
use crate::error::{Trouble, closed};
use crate::row::{EVENT, bound, event, tenant};
use crate::statements::Sql;

/// Streams of one group at most.
const AT_ONCE: usize = 256;

/// After so many groups of one stream, one after the other, it is worth while to have a connection for who
/// is alone; after as many again, if it is lost.
const LONE: u64 = 16;

/// Pages that are read of a stream alone. Of those of a group it is one.
const ALONE: usize = 4;

/// The first pages of a stream, and where it goes on; `None`: that was all.
type First = (Vec<Page>, Option<ReadStream>);

struct Asked {
    read: ReadStream,
    answer: oneshot::Sender<Result<First>>,
}

/// Takes requests for the one who loads.
#[derive(Clone)]
pub(crate) struct Loads {
    queue: mpsc::Sender<Asked>,
    shared: Arc<Shared>,
}

/// What the task shares with those who ask.
struct Shared {
    reader: Reader,
    /// The connection of the groups, and that of those who are alone.
    groups: Slot,
    alone: Slot,
    /// Held while a connection is made for those who are alone.
    putting: Semaphore,
    /// Held by whoever is on the way alone.
    turn: Semaphore,
    /// Streams of the last group.
    last: AtomicUsize,
}

impl Loads {
    pub(crate) fn start(reader: Reader, closing: watch::Receiver<bool>) -> Self {
        let (queue, asked) = mpsc::channel(1_024);
        let (groups, alone) = (Slot::default(), Slot::default());
        let (putting, turn) = (Semaphore::new(1), Semaphore::new(1));
        let last = AtomicUsize::new(0);
        let shared = Arc::new(Shared { reader, groups, alone, putting, turn, last });
        tokio::spawn(run(shared.clone(), asked, closing));
        Self { queue, shared }
    }

    /// The first pages of a stream that is read forwards.
    pub(crate) async fn first(&self, read: ReadStream) -> Result<First> {
        if self.queue.is_closed() {
            return Err(closed(&self.shared.reader.connector.place));
        }
        if self.shared.last.load(Relaxed) <= 1
            && let Ok(_turn) = self.shared.turn.try_acquire()
            && let Some(client) = self.shared.alone.client()
        {
            // Whatever goes wrong is left to the task.
            match load(&self.shared.reader, &client, &[&read]).await {
                Ok(mut firsts) => {
                    if let Some(first) = firsts.pop() {
                        return first;
                    }
                }
                Err(trouble) => {
                    tracing::debug!(?trouble, "a stream was not loaded; trying again");
                    self.shared.alone.lose(&client);
                }
            }
        }
        let (answer, first) = oneshot::channel();
        if self.queue.send(Asked { read, answer }).await.is_err() {
            return Err(closed(&self.shared.reader.connector.place));
        }
        first.await.unwrap_or_else(|_| Err(closed(&self.shared.reader.connector.place)))
    }
}

impl Shared {
    /// The connection of the place, or a new one.
    async fn connected(&self, slot: &Slot) -> Result<Arc<ClientWrapper>, Trouble> {
        match slot.client() {
            Some(client) => Ok(client),
            None => Ok(slot.put(self.reader.connector.own().await?)),
        }
    }
}

async fn run(
    shared: Arc<Shared>,
    mut queue: mpsc::Receiver<Asked>,
    mut closing: watch::Receiver<bool>,
) {
    let mut lone = 0u64;
    loop {
        let mut group: Vec<Asked> = Vec::new();
        let first = tokio::select! {
            first = queue.recv() => first,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Some(first) = first else { return };
        group.push(first);
        while group.len() < AT_ONCE
            && let Ok(asked) = queue.try_recv()
        {
            group.push(asked);
        }
        group.retain(|asked| !asked.answer.is_closed());
        if group.is_empty() {
            continue;
        }
        shared.last.store(group.len(), Relaxed);
        lone = if group.len() == 1 { lone + 1 } else { 0 };
        let reads: Vec<&ReadStream> = group.iter().map(|asked| &asked.read).collect();
        let (since, mut attempts) = (Instant::now(), 0);
        let loaded = loop {
            let loaded = match shared.connected(&shared.groups).await {
                Ok(client) => {
                    let loaded = load(&shared.reader, &client, &reads).await;
                    if loaded.is_err() {
                        shared.groups.lose(&client);
                    }
                    loaded
                }
                Err(trouble) => Err(trouble),
            };
            let trouble = match loaded {
                Ok(firsts) => break Ok(firsts),
                Err(trouble) => trouble,
            };
            if !may_pass(&trouble) || since.elapsed() >= shared.reader.patience {
                break Err(trouble);
            }
            attempts += 1;
            tokio::time::sleep(backoff(attempts)).await;
        };
        match loaded {
            Ok(firsts) => {
                for (asked, first) in group.into_iter().zip(firsts) {
                    // Whoever asked may have gone.
                    let _ = asked.answer.send(first);
                }
            }
            Err(trouble) => {
                let error = trouble.into_error("loading streams", &shared.reader.connector.place);
                let error = Arc::new(error);
                for asked in group {
                    let copy = Error::new(error.kind().clone(), error.to_string());
                    let _ = asked.answer.send(Err(copy.with_source(error.clone())));
                }
                continue;
            }
        }
        if lone > 0 && lone.is_multiple_of(LONE) {
            drop(tokio::spawn(put_alone(shared.clone())));
        }
    }
}

/// Sees to it that there is a connection for those who are alone, if that is possible.
async fn put_alone(shared: Arc<Shared>) {
    let Ok(_one) = shared.putting.try_acquire() else { return };
    if let Err(trouble) = shared.connected(&shared.alone).await {
        tracing::debug!(?trouble, "all streams are loaded by the same connection");
    }
}

/// The columns of a group.
#[derive(Default)]
struct Columns<'a> {
    tenants: Vec<&'a str>,
    categories: Vec<&'a str>,
    streams: Vec<&'a str>,
    low: Vec<i64>,
    high: Vec<i64>,
    most: Vec<i32>,
    schemas: Vec<Option<Vec<u8>>>,
}

async fn load(
    reader: &Reader,
    client: &ClientWrapper,
    reads: &[&ReadStream],
) -> Result<Vec<Result<First>>, Trouble> {
    let pages = if reads.len() == 1 { ALONE } else { 1 };
    let mut columns = Columns::default();
    for read in reads {
        columns.tenants.push(tenant(read.stream.tenant.as_deref()));
        columns.categories.push(&read.stream.category);
        columns.streams.push(&read.stream.id);
        columns.low.push(bound(read.from));
        columns.high.push(bound(read.to));
        // One more tells whether it goes on.
        columns
            .most
            .push(rows(read.page.events.max(1).saturating_mul(pages as u32)).saturating_add(1));
        columns.schemas.push(read.wanted_snapshot().map(|schema| schema.as_bytes().to_vec()));
    }
    reader.statements.bounded(fill(reader, client, reads, &columns, pages)).await
}

async fn fill(
    reader: &Reader,
    client: &ClientWrapper,
    reads: &[&ReadStream],
    columns: &Columns<'_>,
    most: usize,
) -> Result<Vec<Result<First>>, Trouble> {
    let Columns { tenants, categories, streams, low, high, most: limits, schemas } = columns;
    let snapshots = schemas.iter().any(Option::is_some);
    let mut params: Vec<&(dyn ToSql + Sync)> = match reads.len() {
        1 => vec![&tenants[0], &categories[0], &streams[0], &low[0], &high[0], &limits[0]],
        _ => vec![tenants, categories, streams, low, high, limits],
    };
    let sql = match (reads.len(), snapshots) {
        (1, false) => Sql::LoadStream,
        (1, true) => Sql::LoadFromSnapshot,
        (_, false) => Sql::LoadStreams,
        (_, true) => Sql::LoadFromSnapshots,
    };
    match reads.len() {
        1 if snapshots => params.push(&schemas[0]),
        _ if snapshots => params.push(schemas),
        _ => {}
    }
    // Of a group that is not of one mind all get everything.
    let whole = !reads.iter().all(|read| read.to_fold);
    params.push(&whole);
    let found = reader.statements.begin(client, sql, &params).await?;
    let mut firsts: Vec<Result<First>> = reads.iter().map(|_| Ok((Vec::new(), None))).collect();
    // Of each stream: what comes next is higher.
    let mut last = vec![0; reads.len()];
    let mut found = Box::pin(found);
    while let Some(row) = found.try_next().await? {
        let n = row.try_get::<_, Option<i64>>(0)?.unwrap_or(1) as usize - 1;
        let (Some(read), Some(Ok((pages, rest)))) = (reads.get(n), firsts.get_mut(n)) else {
            continue;
        };
        if rest.is_some() {
            continue;
        }
        let snapshot = match snapshots {
            true => row.try_get::<_, Option<i64>>(1 + EVENT)?.map(|version| version as u64),
            false => None,
        };
        if let Some(version) = snapshot {
            if version <= last[n] {
                firsts[n] = Err(disordered(&read.stream, version));
                continue;
            }
            let mut begun = Page::default();
            begun.begin_with(version, row.try_get::<_, &str>(2 + EVENT)?);
            pages.push(begun);
            last[n] = version;
            continue;
        }
        match event(&row, 1, Some(&read.stream)) {
            Ok(event) if event.version <= last[n] => {
                firsts[n] = Err(disordered(&read.stream, event.version));
            }
            Ok(event) => {
                last[n] = event.version;
                let is_full = pages.last().is_none_or(|page| is_full(page, read.page));
                if is_full && pages.len() >= most {
                    let from = event.version;
                    *rest = Some(ReadStream { from, snapshot: None, ..(*read).clone() });
                    continue;
                }
                if is_full {
                    pages.push(Page::default());
                }
                if let Some(page) = pages.last_mut() {
                    page.push(&event);
                }
            }
            Err(Trouble::Ours(error)) => firsts[n] = Err(error),
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(firsts)
}

#[cold]
fn disordered(stream: &StreamId, version: Version) -> Error {
    let context = format!("version {version} of {stream} came after one that is not lower");
    Error::new(ErrorKind::Internal, context)
}
