//! The same by hand: a program of the driver alone that groups what its clients insert into transactions.
//!
//! It is the only one that writes, so it knows the version of each account, and asks the server for nothing but
//! the next position.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cqrs_core::MessageId;
use futures_util::TryStreamExt;
use store_mongo::bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use store_mongo::mongodb::options::{
    Acknowledgment, DatabaseOptions, IndexOptions, ReadConcern, WriteConcern,
};
use store_mongo::mongodb::{Client, Database, IndexModel};
use tokio::sync::{mpsc, oneshot};

use crate::Outcome;
use crate::domain::{ACCOUNTS, Deposited, NAME};
use crate::emptied;

/// An event that somebody wants to have inserted.
struct Wanted {
    account: u64,
    version: i64,
    document: Document,
    /// Whether it was.
    answer: oneshot::Sender<bool>,
}

/// Commands a second.
pub(crate) async fn commands(url: &str, clients: usize, seconds: f64) -> Outcome<f64> {
    let name = "bench_by_hand";
    emptied(url, name).await?;
    let db = database(url, name).await?;
    let (queue, wanted) = mpsc::channel(1_024);
    let writer = tokio::spawn(write(db.clone(), wanted));
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let clients = (0..clients).map(|_| tokio::spawn(client(db.clone(), queue.clone(), until)));
    let mut done = 0;
    for client in clients.collect::<Vec<_>>() {
        done += client.await??;
    }
    drop(queue);
    writer.await??;
    emptied(url, name).await?;
    Ok(f64::from(done) / seconds)
}

/// With the indexes that the store has.
async fn database(url: &str, name: &str) -> Outcome<Database> {
    let stored = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let options = DatabaseOptions::builder()
        .read_concern(ReadConcern::majority())
        .write_concern(stored)
        .build();
    let db = Client::with_uri_str(url).await?.database_with_options(name, options);
    let index = |keys: Document, unique: bool| {
        let options = IndexOptions::builder().unique(unique).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let events = db.collection::<Document>("events");
    let stream = doc! { "tenant": 1, "category": 1, "stream": 1, "version": 1 };
    events
        .create_indexes([
            index(stream, true),
            index(doc! { "id": 1 }, true),
            index(doc! { "type": 1, "_id": 1 }, false),
            index(doc! { "category": 1, "_id": 1 }, false),
        ])
        .await?;
    db.collection::<Document>("head").insert_one(doc! { "_id": "log", "head": 0_i64 }).await?;
    Ok(db)
}

async fn client(db: Database, queue: mpsc::Sender<Wanted>, until: Instant) -> Outcome<u32> {
    let events = db.collection::<Document>("events");
    let mut done = 0;
    while Instant::now() < until {
        let account = fastrand::u64(..ACCOUNTS);
        let stream = account.to_string();
        let of = doc! { "tenant": "", "category": "account", "stream": &stream };
        let mut found = events.find(of).sort(doc! { "version": 1 }).await?;
        let (mut version, mut balance) = (0_i64, 0);
        while let Some(event) = found.try_next().await? {
            version = event.get_i64("version")?;
            balance += serde_json::from_str::<Deposited>(event.get_str("data")?)?.amount;
        }
        std::hint::black_box(balance);
        version += 1;
        let id = MessageId::fresh().uuid();
        let id = Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() };
        let document = doc! {
            "tenant": "", "category": "account", "stream": stream, "version": version,
            "type": NAME, "schema_version": 1, "id": id, "recorded_at": DateTime::now(),
            "data": serde_json::to_string(&Deposited::some())?,
        };
        let (answer, told) = oneshot::channel();
        let wanted = Wanted { account, version, document, answer };
        queue.send(wanted).await.map_err(|_| "the writer is gone")?;
        done += u32::from(told.await?);
    }
    Ok(done)
}

/// Writes what has gathered, again and again.
async fn write(db: Database, mut wanted: mpsc::Receiver<Wanted>) -> Outcome<()> {
    let (head, events) = (db.collection::<Document>("head"), db.collection::<Document>("events"));
    let mut session = db.client().start_session().await?;
    let mut versions = HashMap::new();
    while let Some(first) = wanted.recv().await {
        let mut group = vec![first];
        while let Ok(next) = wanted.try_recv() {
            group.push(next);
        }
        let (mut documents, mut answers) = (Vec::new(), Vec::new());
        for Wanted { account, version, document, answer } in group {
            let last = versions.entry(account).or_insert(0);
            if version != *last + 1 {
                // Somebody else was faster.
                let _ = answer.send(false);
                continue;
            }
            *last = version;
            documents.push(document);
            answers.push(answer);
        }
        if documents.is_empty() {
            continue;
        }
        session.start_transaction().read_concern(ReadConcern::snapshot()).await?;
        let moved = doc! { "$inc": { "head": documents.len() as i64 } };
        let log = head.find_one_and_update(doc! { "_id": "log" }, moved).session(&mut session);
        let before = log.await?.ok_or("no head")?.get_i64("head")?;
        for (document, position) in documents.iter_mut().zip(before + 1..) {
            document.insert("_id", position);
        }
        events.insert_many(&documents).session(&mut session).await?;
        session.commit_transaction().await?;
        for answer in answers {
            let _ = answer.send(true);
        }
    }
    Ok(())
}
