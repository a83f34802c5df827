//! Adaptive groups: what arrives while the last group is in flight is the next group. Nothing waits
//! for a group to fill.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio::sync::oneshot;
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

/// The way in. Who finds a worker idle takes it at once; who comes later waits, and when the worker
/// is free, the first who waits takes it for all who wait. So one client alone pays for no task
/// beside its own. Not cancel safe: who has the worker must go on.
pub(crate) struct Grouping<W: Work> {
    state: Arc<Mutex<State<W>>>,
}

struct State<W: Work> {
    idle: Vec<W>,
    waiting: VecDeque<(W::Asked, oneshot::Sender<Told<W>>)>,
}

enum Told<W: Work> {
    Answer(Result<W::Answer>),
    /// The worker is free; here is one's own question back.
    Lead(W, W::Asked),
}

impl<W: Work> Clone for Grouping<W> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<W: Work> Grouping<W> {
    /// With as many groups in flight at once as there are workers.
    pub(crate) fn among(idle: Vec<W>) -> Self {
        Self { state: Arc::new(Mutex::new(State { idle, waiting: VecDeque::new() })) }
    }

    pub(crate) async fn ask(&self, asked: W::Asked) -> Result<W::Answer> {
        let entered = {
            let mut state = self.state();
            match state.idle.pop() {
                Some(worker) => Ok((worker, asked)),
                None => {
                    let (sender, told) = oneshot::channel();
                    state.waiting.push_back((asked, sender));
                    Err(told)
                }
            }
        };
        let (worker, asked) = match entered {
            Ok(free) => free,
            Err(told) => match told.await? {
                Told::Answer(answer) => return answer,
                Told::Lead(worker, asked) => (worker, asked),
            },
        };
        self.lead(worker, asked).await
    }

    async fn lead(&self, worker: W, asked: W::Asked) -> Result<W::Answer> {
        let (mut group, mut senders) = (vec![asked], Vec::new());
        {
            let mut state = self.state();
            let others = state.waiting.len().min(MOST - 1);
            for (asked, sender) in state.waiting.drain(..others) {
                group.push(asked);
                senders.push(sender);
            }
        }
        let mut answers = worker.together(&group).await.into_iter();
        let own = answers.next().ok_or("no answer")?;
        // First the next group, then the answers.
        let mut state = self.state();
        match state.waiting.pop_front() {
            Some((asked, sender)) => {
                let _ = sender.send(Told::Lead(worker, asked));
            }
            None => state.idle.push(worker),
        }
        drop(state);
        for (answer, sender) in answers.zip(senders) {
            let _ = sender.send(Told::Answer(answer));
        }
        own
    }

    fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().expect("nobody panicked")
    }
}

/// Loads many accounts with one statement.
pub(crate) struct Load {
    connection: Arc<Connection>,
    one: Statement,
    many: Statement,
}

impl Load {
    pub(crate) async fn over(connection: &Arc<Connection>) -> Result<Self> {
        let one = connection.prepare(include_str!("../../sql/floor_load.sql")).await?;
        let many = connection.prepare(include_str!("../../sql/floor_group_load.sql")).await?;
        Ok(Self { connection: Arc::clone(connection), one, many })
    }

    async fn load(
        &self,
        group: &[String],
    ) -> std::result::Result<Vec<Rows>, tokio_postgres::Error> {
        if let [stream] = group {
            return Ok(vec![Rows(self.connection.query(&self.one, &[stream]).await?)]);
        }
        let mut answers: Vec<Rows> = group.iter().map(|_| Rows(Vec::new())).collect();
        for row in self.connection.query(&self.many, &[&group]).await? {
            let number: i64 = row.get(2);
            answers[number as usize - 1].0.push(row);
        }
        Ok(answers)
    }
}

#[async_trait]
impl Work for Load {
    type Asked = String;
    type Answer = Rows;

    async fn together(&self, group: &[String]) -> Vec<Result<Rows>> {
        match self.load(group).await {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => group.iter().map(|_| Err(error.to_string().into())).collect(),
        }
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
    one: Statement,
    many: Statement,
}

impl Commit {
    pub(crate) async fn over(connection: &Arc<Connection>) -> Result<Self> {
        let one = connection.prepare(include_str!("../../sql/floor_insert.sql")).await?;
        let many = connection.prepare(include_str!("../../sql/floor_group_insert.sql")).await?;
        Ok(Self { connection: Arc::clone(connection), one, many })
    }

    async fn insert(&self, group: &[Append]) -> std::result::Result<(), tokio_postgres::Error> {
        if let [Append { stream, version, event }] = group {
            let (name, id, event) = (event.name(), Uuid::now_v7(), Json(event));
            self.connection.execute(&self.one, &[stream, version, &name, &id, &event]).await?;
            return Ok(());
        }
        let streams: Vec<&str> = group.iter().map(|append| append.stream.as_str()).collect();
        let versions: Vec<i64> = group.iter().map(|append| append.version).collect();
        let names: Vec<&str> = group.iter().map(|append| append.event.name()).collect();
        let ids: Vec<Uuid> = group.iter().map(|_| Uuid::now_v7()).collect();
        let events: Vec<Json<&AccountEvent>> =
            group.iter().map(|append| Json(&append.event)).collect();
        let inserted = self
            .connection
            .execute(&self.many, &[&streams, &versions, &names, &ids, &events])
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
