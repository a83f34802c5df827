//! Transactions of the dead: a process that dies or hangs while it has the turn would keep all others from writing for
//! a minute. Who writes leaves the id of its session; others look whether that does anything, and end it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::options::ReadConcern;
use mongodb::{Client, ClientSession};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::connect::Connector;
use crate::deaths::connected;
use crate::error::Trouble;
use crate::names::Coll;
use crate::writer::turn::ANSWER;

/// A transaction in which nothing was done for so long is one of the dead, or of who has stopped.
const INACTIVE: Duration = Duration::from_millis(1_500);

/// Between two commands of who lives. Whoever has not done anything for longer, and is not connected, is dead.
const PAUSE: Duration = Duration::from_millis(50);

/// Who has waited for others for so long looks whether they live.
const HELD: Duration = Duration::from_millis(150);

/// How long a writer is known after it was enrolled, and how often it is looked for those who are not.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// How long the looking after others may take.
const LONGEST: Duration = Duration::from_secs(3);

/// A session that writes, whose id others know.
pub(crate) struct Enrolled {
    pub(crate) session: ClientSession,
    since: Instant,
}

impl Enrolled {
    /// This one, or a new one; its id is left again from time to time.
    pub(crate) async fn or_new(kept: Option<Self>, connector: &Connector) -> Result<Self, Trouble> {
        let session = match kept {
            Some(kept) if kept.since.elapsed() < KEPT / 2 => return Ok(kept),
            Some(kept) => kept.session,
            None => connector.session().await?,
        };
        enrol(connector, &session).await?;
        Ok(Self { session, since: Instant::now() })
    }
}

/// Something that a session has begun. Dropped in the middle of it, the server is told to end it: the driver says
/// nothing of a transaction whose first command was not answered yet.
pub(crate) struct Begun {
    client: Client,
    id: Option<Document>,
}

impl Begun {
    pub(crate) fn of(connector: &Connector, session: &ClientSession) -> Self {
        Self { client: connector.client.clone(), id: Some(session.id().clone()) }
    }

    /// It is over, whatever came of it.
    pub(crate) fn over(mut self) {
        self.id = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) {
            let client = self.client.clone();
            runtime.spawn(async move { end_on_server(&client, id).await });
        }
    }
}

/// Has the server end the transaction of a session. Where that does not work, others do so when they wait for it.
pub(crate) async fn end_on_server(client: &Client, id: Document) {
    let admin = client.database("admin");
    let ended = admin.run_command(doc! { "killSessions": [id] });
    if let Ok(Err(error)) = timeout(LONGEST, ended.into_future()).await {
        let trouble = Trouble::from(error);
        tracing::debug!(?trouble, "a transaction may be open; others end it");
    }
}

/// Sessions of users that are remembered: the driver uses them again and again. With more, all are forgotten.
const SESSIONS: usize = 4_096;

/// Sessions of users whose ids others know, and since when.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<String, Instant>>);

impl Known {
    /// Sees to it that others know the id of a session, whoever made it.
    pub(crate) async fn enrol(
        &self,
        connector: &Connector,
        session: &ClientSession,
    ) -> Result<(), Trouble> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = session.id().to_string();
        if lock().get(&id).is_some_and(|since| since.elapsed() < KEPT / 2) {
            return Ok(());
        }
        enrol(connector, session).await?;
        let mut known = lock();
        if known.len() >= SESSIONS {
            known.clear();
        }
        known.insert(id, Instant::now());
        Ok(())
    }
}

/// Leaves the id of a session that writes.
async fn enrol(connector: &Connector, session: &ClientSession) -> Result<(), Trouble> {
    let Some(id) = session.id().get("id") else { return Ok(()) };
    let writers = connector.db.collection::<Document>(Coll::Writers.name());
    let here = vec![doc! { "$set": { "at": "$$NOW" } }];
    let known = writers.update_one(doc! { "_id": id.clone() }, here).upsert(true);
    timeout(ANSWER, known.into_future()).await.map_err(|_| Trouble::TooLong)??;
    Ok(())
}

/// Forgets writers that have been there for long. Those who live are enrolled again.
pub(crate) async fn forget(connector: Arc<Connector>) {
    loop {
        tokio::time::sleep(SWEEP.mul_f64(0.5 + fastrand::f64())).await;
        let writers = connector.db.collection::<Document>(Coll::Writers.name());
        let age = doc! { "$subtract": ["$$NOW", "$at"] };
        let old = doc! { "$expr": { "$gt": [age, KEPT.as_millis() as i64] } };
        if let Err(error) = writers.delete_many(old).await {
            let trouble = Trouble::from(error);
            tracing::debug!(?trouble, "old writers stay; they are forgotten later");
        }
    }
}

/// Somebody who waits for others, and looks from time to time whether they live.
#[derive(Default)]
pub(crate) struct Waits(Option<Instant>);

impl Waits {
    /// They were in the way once more.
    pub(crate) async fn for_others(&mut self, connector: &Connector) {
        let since = *self.0.get_or_insert_with(Instant::now);
        if since.elapsed() > HELD {
            self.0 = None;
            free(connector).await;
        }
    }
}

/// Ends transactions of writers that are dead, or in which nothing is done. What goes wrong is tried again by whoever
/// waits.
async fn free(connector: &Connector) {
    match timeout(LONGEST, try_to_free(connector)).await {
        Ok(Ok(())) => {}
        Ok(Err(trouble)) => {
            tracing::warn!(?trouble, place = %connector.place, "transactions of dead nodes cannot be ended");
        }
        Err(_) => tracing::warn!(place = %connector.place, "no answer to who has the turn"),
    }
}

async fn try_to_free(connector: &Connector) -> Result<(), Trouble> {
    let writers = connector.db.collection::<Document>(Coll::Writers.name());
    let ids: Vec<Document> = writers.find(doc! {}).await?.try_collect().await?;
    let ids: Vec<Bson> = ids.into_iter().filter_map(|mut writer| writer.remove("_id")).collect();
    let idle = doc! {
        "type": "idleSession",
        "lsid.id": { "$in": ids },
        "transaction.timeInactiveMicros": { "$gte": PAUSE.as_micros() as i64 },
    };
    let admin = connector.client.database("admin");
    // One's own operations alone need no privilege.
    let looked = [doc! { "$currentOp": { "idleSessions": true } }, doc! { "$match": idle }];
    let found = admin.aggregate(looked).read_concern(ReadConcern::local()).await?;
    let found: Vec<Document> = found.try_collect().await?;
    if found.is_empty() {
        return Ok(());
    }
    let connected = connected(connector).await?;
    let mut sessions = Vec::new();
    for found in &found {
        let Some(id) = found.get_document("lsid").ok().and_then(|lsid| lsid.get("id")) else {
            continue;
        };
        let idle =
            found.get_document("transaction").and_then(|it| it.get_i64("timeInactiveMicros"));
        let idle = Duration::from_micros(idle.unwrap_or_default().max(0).unsigned_abs());
        let node = found.get_document("clientMetadata").and_then(|of| of.get_document("driver"));
        let node = node.and_then(|driver| driver.get_str("version"));
        // One that lives is connected; should it have lost that, it begins again.
        let is_dead = node.is_ok_and(|node| !connected.iter().any(|other| other == node));
        if !is_dead && idle < INACTIVE {
            continue;
        }
        let (client, app) = (found.get_str("client"), found.get_str("appName"));
        let (client, app) = (client.unwrap_or_default(), app.unwrap_or_default());
        tracing::warn!(
            place = %connector.place, client, app, ?idle, is_dead,
            "a transaction is ended in which nothing is done: others wait for their turn to write"
        );
        sessions.push(doc! { "id": id.clone() });
    }
    if !sessions.is_empty() {
        admin.run_command(doc! { "killSessions": sessions }).await?;
    }
    Ok(())
}
