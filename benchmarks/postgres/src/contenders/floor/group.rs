//! Adaptive groups: what arrives while the last group is in flight is the next group. Nothing waits
//! for a group to fill.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Json;
use tokio_postgres::{Client as Connection, Row, Statement};
use uuid::Uuid;

use super::tables::{self, Loaded};
use crate::account::AccountEvent;
use crate::contender::Result;
use crate::server;

/// A group has no more than this.
const MOST: usize = 256;

/// What is done with a group.
#[async_trait]
pub(crate) trait Work: Send + Sync + 'static {
    type Asked: Send + 'static;
    type Answer: Send + 'static;

    /// An answer for each, in their order.
    async fn together(&self, group: &[Self::Asked]) -> Vec<Result<Self::Answer>>;
}

/// The way in.
pub(crate) struct Grouping<W: Work> {
    queue: mpsc::UnboundedSender<Waiting<W>>,
}

type Waiting<W> = (<W as Work>::Asked, oneshot::Sender<Result<<W as Work>::Answer>>);

impl<W: Work> Clone for Grouping<W> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<W: Work> Grouping<W> {
    /// With as many groups in flight at once as there are workers.
    pub(crate) fn among(workers: impl IntoIterator<Item = W>) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for worker in workers {
            tokio::spawn(serve(worker, Arc::clone(&waiting)));
        }
        Self { queue }
    }

    pub(crate) async fn ask(&self, asked: W::Asked) -> Result<W::Answer> {
        let (sender, answer) = oneshot::channel();
        self.queue.send((asked, sender)).map_err(|_| "the group has ended")?;
        answer.await?
    }
}

async fn serve<W: Work>(worker: W, waiting: Arc<Mutex<mpsc::UnboundedReceiver<Waiting<W>>>>) {
    let mut arrived = Vec::with_capacity(MOST);
    loop {
        if waiting.lock().await.recv_many(&mut arrived, MOST).await == 0 {
            return;
        }
        let (group, senders): (Vec<_>, Vec<_>) = arrived.drain(..).unzip();
        for (answer, sender) in worker.together(&group).await.into_iter().zip(senders) {
            // Who asked may have gone.
            let _ = sender.send(answer);
        }
    }
}

/// Loads many accounts with one statement.
pub(crate) struct Load {
    connection: Arc<Connection>,
    load: Statement,
}

impl Load {
    pub(crate) async fn over(connection: &Arc<Connection>) -> Result<Self> {
        let load = connection.prepare(include_str!("../../sql/floor_group_load.sql")).await?;
        Ok(Self { connection: Arc::clone(connection), load })
    }
}

#[async_trait]
impl Work for Load {
    type Asked = String;
    type Answer = Rows;

    async fn together(&self, group: &[String]) -> Vec<Result<Rows>> {
        let rows = match self.connection.query(&self.load, &[&group]).await {
            Ok(rows) => rows,
            Err(error) => return group.iter().map(|_| Err(error.to_string().into())).collect(),
        };
        let mut answers: Vec<Rows> = group.iter().map(|_| Rows(Vec::new())).collect();
        for row in rows {
            let number: i64 = row.get(2);
            answers[number as usize - 1].0.push(row);
        }
        answers.into_iter().map(Ok).collect()
    }
}

/// The events of one account, to be decoded by the one who asked.
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    pub(crate) fn loaded(&self) -> Result<Loaded> {
        tables::loaded(&self.0)
    }
}

/// An event to be stored as the version of its stream.
pub(crate) struct Append {
    pub(crate) stream: String,
    pub(crate) version: i64,
    pub(crate) event: AccountEvent,
}

/// Stores the events of many streams with one statement.
pub(crate) struct Commit {
    connection: Arc<Connection>,
    insert: Statement,
}

impl Commit {
    pub(crate) async fn over(connection: &Arc<Connection>) -> Result<Self> {
        let insert = connection.prepare(include_str!("../../sql/floor_group_insert.sql")).await?;
        Ok(Self { connection: Arc::clone(connection), insert })
    }

    async fn insert(&self, group: &[Append]) -> std::result::Result<(), tokio_postgres::Error> {
        let streams: Vec<&str> = group.iter().map(|append| append.stream.as_str()).collect();
        let versions: Vec<i64> = group.iter().map(|append| append.version).collect();
        let names: Vec<&str> = group.iter().map(|append| append.event.name()).collect();
        let ids: Vec<Uuid> = group.iter().map(|_| Uuid::now_v7()).collect();
        let events: Vec<Json<&AccountEvent>> =
            group.iter().map(|append| Json(&append.event)).collect();
        let inserted = self
            .connection
            .execute(&self.insert, &[&streams, &versions, &names, &ids, &events])
            .await?;
        assert_eq!(inserted, group.len() as u64, "all or nothing");
        Ok(())
    }
}

#[async_trait]
impl Work for Commit {
    type Asked = Append;
    type Answer = ();

    async fn together(&self, group: &[Append]) -> Vec<Result<()>> {
        match self.insert(group).await {
            Ok(()) => group.iter().map(|_| Ok(())).collect(),
            // One of them lost a race, or two are the same: each gets a verdict of its own.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) && group.len() > 1 => {
                let mut verdicts = Vec::with_capacity(group.len());
                for append in group.chunks(1) {
                    verdicts.push(self.insert(append).await.map_err(Into::into));
                }
                verdicts
            }
            Err(error) => group.iter().map(|_| Err(error.to_string().into())).collect(),
        }
    }
}

/// Connections of their own for as many groups in flight at once.
pub(crate) async fn connections(url: &str, number: usize) -> Result<Vec<Arc<Connection>>> {
    let mut connections = Vec::with_capacity(number);
    for _ in 0..number {
        connections.push(Arc::new(server::connect(url).await?));
    }
    Ok(connections)
}
