//! The collections and indexes: made where they are missing, at any time by any number of processes.

use std::time::Duration;

use bson::raw::RawDocumentBuf;
use bson::{DateTime, doc, rawdoc};
use cqrs_core::{Error, ErrorKind};
use futures_util::TryStreamExt;
use futures_util::future::{try_join, try_join_all};
use mongodb::{Database, IndexModel};
use uuid::Uuid;

use crate::connect::Connector;
use crate::error::{Trouble, code};
use crate::names::Coll;
use crate::row::uuid;

/// The version of the collections.
const VERSION: i32 = 1;

/// The one document of the log.
pub(crate) const LOG: &str = "log";

/// Seconds that an index which forgets can count.
const LONGEST: u64 = i32::MAX as u64;

/// Makes what is missing; or looks whether it is there.
pub(crate) async fn migrate(
    connector: &Connector,
    makes: bool,
    keep_commit_ids: Duration,
    keep_inbox: Duration,
) -> Result<(), Trouble> {
    let db = &connector.db;
    let log = db.collection::<RawDocumentBuf>(Coll::Log.name());
    if let Some(found) = log.find_one(doc! { "_id": LOG }).await? {
        let version = found.get_i32("schema").unwrap_or(i32::MAX);
        if version > VERSION {
            let place = &connector.place;
            let context = format!(
                "the collections of {place} are of version {version}, and this program knows \
                 {VERSION}: use a newer one"
            );
            let kind = ErrorKind::SchemaTooNew { found: version as u32, known: VERSION as u32 };
            return Err(Error::new(kind, context).into());
        }
    } else if !makes {
        let context = format!("{} has no log: connect once with `migrate(true)`", connector.place);
        return Err(Error::new(ErrorKind::Unavailable, context).into());
    }
    if !makes {
        return Ok(());
    }
    // Side by side: the server waits for its disk with each.
    try_join_all(Coll::ALL.into_iter().map(|coll| make(db, coll))).await?;
    try_join(
        forget_after(db, Coll::Commits, keep_commit_ids),
        forget_after(db, Coll::Inbox, keep_inbox),
    )
    .await?;
    // Last: who finds it finds the rest.
    let begin = doc! {
        "schema": VERSION,
        "log": uuid(Uuid::now_v7()),
        "head": 0_i64,
        "recorded_at": DateTime::from_millis(0),
        "turn": 0_i64,
        "declared": 0_i64,
    };
    let begun = log.update_one(doc! { "_id": LOG }, doc! { "$setOnInsert": begin }).upsert(true);
    match begun.await.map_err(Trouble::from) {
        // Two at once.
        Ok(_) | Err(Trouble::Duplicate) => Ok(()),
        Err(trouble) => Err(trouble),
    }
}

async fn make(db: &Database, coll: Coll) -> Result<(), Trouble> {
    let mut create = rawdoc! { "create": coll.name() };
    for element in &coll.options() {
        let (name, value) = element.map_err(|error| Trouble::damaged("options", error.into()))?;
        create.append(name, value);
    }
    match db.run_raw_command(create).await {
        Ok(_) => {}
        Err(error) => match Trouble::from(error) {
            trouble if trouble.code() == Some(code::NAMESPACE_EXISTS) => {}
            trouble => return Err(trouble),
        },
    }
    let indexes = coll.indexes();
    if indexes.is_empty() {
        return Ok(());
    }
    let mut all = bson::RawArrayBuf::new();
    indexes.into_iter().for_each(|index| all.push(index));
    db.run_raw_command(rawdoc! { "createIndexes": coll.name(), "indexes": all }).await?;
    Ok(())
}

/// Has the server forget documents some time after their `at`, the longest of all that asked for one. What is past
/// its time counts as forgotten before.
async fn forget_after(db: &Database, coll: Coll, kept: Duration) -> Result<(), Trouble> {
    let seconds = kept.as_secs().saturating_add(1).min(LONGEST) as i32;
    let index = rawdoc! { "name": "at", "key": { "at": 1 }, "expireAfterSeconds": seconds };
    let create = rawdoc! { "createIndexes": coll.name(), "indexes": [index] };
    let Err(error) = db.run_raw_command(create).await else { return Ok(()) };
    // It is there with another time. Who keeps them for less reads no older ones, and others may keep them for longer.
    let there = db.collection::<RawDocumentBuf>(coll.name()).list_indexes().await?;
    let there: Vec<IndexModel> = there.try_collect().await?;
    let known = there.into_iter().filter_map(|index| index.options);
    let at = known.filter(|options| options.name.as_deref() == Some("at"));
    let Some(known) = at.filter_map(|options| options.expire_after).next() else {
        return Err(error.into());
    };
    if known.as_secs() >= seconds as u64 {
        return Ok(());
    }
    let index = rawdoc! { "name": "at", "expireAfterSeconds": seconds };
    db.run_raw_command(rawdoc! { "collMod": coll.name(), "index": index }).await?;
    Ok(())
}
