//! Transactions of the dead: a process that dies or hangs while it has the turn would keep all others from writing for
//! a minute. Who writes leaves the id of its session; others look whether that does anything, and end it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::ClientSession;
use mongodb::options::ReadConcern;
use tokio::time::timeout;

use crate::connect::Connector;
use crate::error::Trouble;
use crate::names::Coll;

/// A transaction in which nothing was done for so long is one of the dead.
const INACTIVE: Duration = Duration::from_millis(1_500);

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
    writers.update_one(doc! { "_id": id.clone() }, here).upsert(true).await?;
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
            tracing::debug!(%error, "old writers stay; they are forgotten later");
        }
    }
}

/// Ends transactions of writers in which nothing is done. What goes wrong is tried again by whoever waits.
pub(crate) async fn free(connector: &Connector) {
    match timeout(LONGEST, try_to_free(connector)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(freed)) => {
            tracing::warn!(freed, place = %connector.place, "transactions of dead nodes were ended");
        }
        Ok(Err(trouble)) => {
            tracing::warn!(?trouble, place = %connector.place, "transactions of dead nodes cannot be ended");
        }
        Err(_) => tracing::warn!(place = %connector.place, "no answer to who has the turn"),
    }
}

async fn try_to_free(connector: &Connector) -> Result<usize, Trouble> {
    let writers = connector.db.collection::<Document>(Coll::Writers.name());
    let ids: Vec<Document> = writers.find(doc! {}).await?.try_collect().await?;
    let ids: Vec<Bson> = ids.into_iter().filter_map(|mut writer| writer.remove("_id")).collect();
    let inactive = INACTIVE.as_micros() as i64;
    let idle = doc! {
        "type": "idleSession",
        "lsid.id": { "$in": ids },
        "transaction.timeInactiveMicros": { "$gte": inactive },
    };
    let admin = connector.client.database("admin");
    // One's own operations alone need no privilege.
    let looked = [doc! { "$currentOp": { "idleSessions": true } }, doc! { "$match": idle }];
    let found = admin.aggregate(looked).read_concern(ReadConcern::local()).await?;
    let found: Vec<Document> = found.try_collect().await?;
    let sessions: Vec<Bson> = found
        .iter()
        .filter_map(|found| found.get_document("lsid").ok()?.get("id").cloned())
        .map(|id| Bson::Document(doc! { "id": id }))
        .collect();
    if sessions.is_empty() {
        return Ok(0);
    }
    let count = sessions.len();
    admin.run_command(doc! { "killSessions": sessions }).await?;
    Ok(count)
}
