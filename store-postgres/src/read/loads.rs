//! First pages of streams: whatever is asked for while the last group was on its way is read together,
//! as one statement.

use std::sync::Arc;
use std::time::Instant;

use cqrs_core::{Error, Fingerprint, Page, ReadStream, Result};
use deadpool_postgres::ClientWrapper;
use futures_util::TryStreamExt;
use tokio::sync::{mpsc, oneshot, watch};

use super::pages::may_pass;
use super::{Reader, is_full, rows};
use crate::connect::backoff;
use crate::error::{Trouble, closed};
use crate::row::{bound, event, tenant};
use crate::statements::Sql;

/// Streams of one group at most.
const AT_ONCE: usize = 256;

/// The first page of a stream, and where it goes on; `None`: that was all.
type First = (Option<Page>, Option<ReadStream>);

struct Asked {
    read: ReadStream,
    answer: oneshot::Sender<Result<First>>,
}

/// Takes requests for the one who loads.
#[derive(Clone)]
pub(crate) struct Loads {
    queue: mpsc::Sender<Asked>,
    place: Arc<str>,
}

impl Loads {
    pub(crate) fn start(reader: Reader, closing: watch::Receiver<bool>) -> Self {
        let (queue, asked) = mpsc::channel(1_024);
        let place = reader.connector.place.clone();
        tokio::spawn(run(reader, asked, closing));
        Self { queue, place }
    }

    /// The first page of a stream that is read forwards.
    pub(crate) async fn first(&self, read: ReadStream) -> Result<First> {
        let (answer, first) = oneshot::channel();
        if self.queue.send(Asked { read, answer }).await.is_err() {
            return Err(closed(&self.place));
        }
        first.await.unwrap_or_else(|_| Err(closed(&self.place)))
    }
}

async fn run(reader: Reader, mut queue: mpsc::Receiver<Asked>, mut closing: watch::Receiver<bool>) {
    let mut client: Option<ClientWrapper> = None;
    loop {
        let mut group: Vec<Asked> = Vec::new();
        let count = tokio::select! {
            count = queue.recv_many(&mut group, AT_ONCE) => count,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        if count == 0 {
            return;
        }
        group.retain(|asked| !asked.answer.is_closed());
        let (since, mut attempts) = (Instant::now(), 0);
        let loaded = loop {
            let trouble = match load(&reader, &mut client, &group).await {
                Ok(firsts) => break Ok(firsts),
                Err(trouble) => trouble,
            };
            if !may_pass(&trouble) || since.elapsed() >= reader.patience {
                break Err(trouble);
            }
            client = None;
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
                client = None;
                let error = trouble.into_error("loading streams", &reader.connector.place);
                let error = Arc::new(error);
                for asked in group {
                    let copy = Error::new(error.kind().clone(), error.to_string());
                    let _ = asked.answer.send(Err(copy.with_source(error.clone())));
                }
            }
        }
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
    schemas: Vec<Option<Fingerprint>>,
}

async fn load(
    reader: &Reader,
    client: &mut Option<ClientWrapper>,
    group: &[Asked],
) -> Result<Vec<Result<First>>, Trouble> {
    let client = match client.take_if(|client| client.is_closed()) {
        None if client.is_some() => client.as_ref(),
        _ => {
            *client = Some(reader.connector.own().await?);
            client.as_ref()
        }
    };
    let Some(client) = client else { return Err(Trouble::TooLong) };
    let mut columns = Columns::default();
    for Asked { read, .. } in group {
        columns.tenants.push(tenant(read.stream.tenant.as_deref()));
        columns.categories.push(&read.stream.category);
        columns.streams.push(&read.stream.id);
        columns.low.push(bound(read.from));
        columns.high.push(bound(read.to));
        // One more tells whether it goes on.
        columns.most.push(rows(read.page.events.max(1)).saturating_add(1));
        columns.schemas.push(read.wanted_snapshot());
    }
    let snapshots = columns.schemas.iter().any(Option::is_some);
    reader.statements.bounded(fill(reader, client, group, &columns, snapshots)).await
}

async fn fill(
    reader: &Reader,
    client: &ClientWrapper,
    group: &[Asked],
    columns: &Columns<'_>,
    snapshots: bool,
) -> Result<Vec<Result<First>>, Trouble> {
    let Columns { tenants, categories, streams, low, high, most, schemas } = columns;
    let statements = &reader.statements;
    let found = match snapshots {
        false => {
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
                [tenants, categories, streams, low, high, most];
            statements.begin(client, Sql::LoadStreams, &params).await?
        }
        true => {
            let of = |schema: &Option<Fingerprint>| schema.map(|s| s.as_bytes().to_vec());
            let schemas: Vec<Option<Vec<u8>>> = schemas.iter().map(of).collect();
            let params: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                [tenants, categories, streams, low, high, most, &schemas];
            statements.begin(client, Sql::LoadFromSnapshots, &params).await?
        }
    };
    let mut firsts: Vec<Result<First>> = group.iter().map(|_| Ok((None, None))).collect();
    let mut found = Box::pin(found);
    while let Some(row) = found.try_next().await? {
        let n = row.try_get::<_, i64>(0)? as usize - 1;
        let (Some(Asked { read, .. }), Some(Ok((page, rest)))) = (group.get(n), firsts.get_mut(n))
        else {
            continue;
        };
        if rest.is_some() {
            continue;
        }
        let snapshot = match snapshots {
            true => row.try_get::<_, Option<i64>>(15)?.map(|version| version as u64),
            false => None,
        };
        if let (None, Some(version)) = (&page, snapshot) {
            let mut begun = Page::default();
            begun.begin_with(version, row.try_get::<_, &str>(16)?);
            *page = Some(begun);
        }
        if row.try_get::<_, Option<i64>>(1)?.is_none() {
            continue;
        }
        match event(&row, 1) {
            Ok(event) => {
                let page = page.get_or_insert_with(Page::default);
                if is_full(page, read.page) {
                    let from = event.version;
                    *rest = Some(ReadStream { from, snapshot: None, ..read.clone() });
                } else {
                    page.push(&event);
                }
            }
            Err(Trouble::Ours(error)) => firsts[n] = Err(error),
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(firsts)
}
