//! The turn to write: whoever has it is alone until the transaction ends, and what is read in it is what was there.

use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Bson, Document, rawdoc};
use cqrs_core::{LogId, Position};
use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
use mongodb::{ClientSession, Database};
use tokio::time::timeout;
use uuid::Uuid;

use super::judge::Turn;
use crate::connect::Connector;
use crate::error::Trouble;
use crate::migrate::LOG;
use crate::names::Coll;
use crate::orphans::end_on_server;
use crate::row::bound;

/// How long one command may take. A member that hangs is known as such, and another one takes its place.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// Begins a transaction.
pub(crate) async fn begin(session: &mut ClientSession) -> Result<(), Trouble> {
    let stored = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let begun =
        session.start_transaction().read_concern(ReadConcern::snapshot()).write_concern(stored);
    Ok(begun.await?)
}

/// Takes the turn, which is the first thing that is done in a transaction: the snapshot that it reads is as new.
/// The head moves by so many places.
///
/// # Errors
/// A [conflict](Trouble::is_conflict): somebody else has it.
pub(crate) async fn take(
    db: &Database,
    session: &mut ClientSession,
    places: u64,
) -> Result<Turn, Trouble> {
    let moved = rawdoc! {
        "$set": {
            "turn": { "$add": ["$turn", 1_i64] },
            "head": { "$add": ["$head", bound(places)] },
            // The clock may step back; the log's times do not.
            "recorded_at": { "$max": ["$recorded_at", "$$NOW"] },
            "now": "$$NOW",
        },
    };
    let command = rawdoc! {
        "findAndModify": Coll::Log.name(), "query": { "_id": LOG }, "update": [moved], "new": true,
    };
    let taken = timeout(ANSWER, db.run_raw_command(command).session(session)).await;
    let answer = taken.map_err(|_| Trouble::TooLong)??;
    let missing = || Trouble::damaged("the log", "its document is missing".into());
    let log = answer.get_document("value").map_err(|_| missing())?;
    of(log, places).map_err(|cause| Trouble::damaged("the document of the log", cause))
}

/// Looks where the log stands, without the turn.
pub(crate) async fn look_at(db: &Database, session: &mut ClientSession) -> Result<Turn, Trouble> {
    let now = rawdoc! { "$set": { "now": "$$NOW" } };
    let command = rawdoc! {
        "aggregate": Coll::Log.name(), "pipeline": [{ "$match": { "_id": LOG } }, now], "cursor": {},
    };
    let looked = async {
        let mut found = db.run_raw_cursor_command(command).session(&mut *session).await?;
        Ok::<_, Trouble>(found.next(session).await.transpose()?)
    };
    let log = timeout(ANSWER, looked).await.map_err(|_| Trouble::TooLong)??;
    let log = log.ok_or_else(|| Trouble::damaged("the log", "its document is missing".into()))?;
    of(&log, 0).map_err(|cause| Trouble::damaged("the document of the log", cause))
}

fn of(log: &Document, places: u64) -> Result<Turn, cqrs_core::BoxError> {
    let head: u64 = log.get_i64("head")?.try_into()?;
    Ok(Turn {
        log: log_id(log)?,
        head: head - places,
        recorded: *log.get_datetime("recorded_at")?,
        now: *log.get_datetime("now")?,
        number: log.get_i64("turn")?,
        declared: log.get_i64("declared")?,
    })
}

/// The identity of the log, in its document.
pub(crate) fn log_id(log: &Document) -> Result<LogId, cqrs_core::BoxError> {
    match log.get("log") {
        Some(Bson::Binary(id)) if id.subtype == BinarySubtype::Uuid => {
            Ok(LogId(Uuid::from_slice(&id.bytes)?))
        }
        _ => Err("`log` is no UUID".into()),
    }
}

/// Ends a transaction: what was written is there, on the disks of most members.
pub(crate) async fn commit(session: &mut ClientSession) -> Result<(), Trouble> {
    match timeout(ANSWER, session.commit_transaction()).await {
        Ok(committed) => Ok(committed?),
        Err(_) => Err(Trouble::TooLong),
    }
}

/// Ends a transaction that has failed. Where a command was not answered, the driver does not know that it has begun.
pub(crate) async fn end(connector: &Connector, session: &mut ClientSession, trouble: &Trouble) {
    abort(session).await;
    if matches!(trouble, Trouble::TooLong) {
        end_on_server(&connector.client, session.id().clone()).await;
    }
}

/// Ends a transaction of which nothing stays. One that is gone is none to end.
pub(crate) async fn abort(session: &mut ClientSession) {
    if let Ok(Err(error)) = timeout(ANSWER, session.abort_transaction()).await {
        let trouble = Trouble::from(error);
        tracing::trace!(?trouble, "a transaction was gone before it was ended");
    }
}

/// Where the head is when it was moved by so many places.
pub(crate) const fn promised(turn: &Turn, places: u64) -> Position {
    turn.head + places
}
