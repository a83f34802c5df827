//! Measures the store against a program written by hand with the driver, in turns on one server. `MONGODB_URI` names
//! it; an argument (`commands`, `replay`) runs a part; `SCALE` (default 1) sizes it.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{
    Append, Commit, CommitId, Expected, Json, MessageId, Metadata, NewEvent, Payload, ReadLog,
    ReadStream, Store, StreamId,
};
use futures_util::{StreamExt, TryStreamExt};
use store_mongo::MongoStore;
use store_mongo::bson::{Binary, DateTime, Document, RawDocumentBuf, doc, spec::BinarySubtype};
use store_mongo::mongodb::IndexModel;
use store_mongo::mongodb::options::{
    Acknowledgment, DatabaseOptions, IndexOptions, ReadConcern, WriteConcern,
};
use store_mongo::mongodb::{Client, Database};
use tokio::sync::{mpsc, oneshot};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn clients() -> usize {
    std::env::var("CLIENTS").map_or(32, |n| n.parse().unwrap_or(32))
}
const ACCOUNTS: u64 = 1_000;
const BODY: &str = r#"{"amount":700,"note":"a deposit of the bank that is measured here"}"#;

fn main() -> Outcome<()> {
    let url = std::env::var("MONGODB_URI")?;
    let scale: f64 = std::env::var("SCALE").map_or(Ok(1.0), |scale| scale.parse())?;
    let part = std::env::args().nth(1).filter(|part| !part.starts_with('-'));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if part.as_deref().is_none_or(|part| part == "commands") {
            let (mut by_hand, mut ours) = (Vec::new(), Vec::new());
            for _ in 0..5 {
                by_hand.push(commands_by_hand(&url, 3.0 * scale).await?);
                ours.push(commands(&url, 3.0 * scale).await?);
            }
            println!(
                "commands of {} clients: by hand {by_hand:?}, ours {ours:?}, ratio {:.2}",
                clients(),
                median(&mut ours.clone()) / median(&mut by_hand.clone())
            );
        }
        if part.as_deref().is_none_or(|part| part == "replay") {
            replay(&url, (1_000_000.0 * scale) as u64).await?;
        }
        Ok(())
    })
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn deposit(account: u64, version: u64) -> Commit {
    let id = CommitId(MessageId::fresh());
    let body = Payload::Json(Json::parse(BODY).expect("JSON"));
    let event =
        NewEvent { metadata: Metadata::of(id.event(0)), ..NewEvent::new("bank.deposited", body) };
    Commit {
        id,
        appends: vec![Append {
            stream: StreamId::new("account", account.to_string()),
            expected: Expected::Exactly(version),
            events: vec![event],
        }],
        ..Commit::default()
    }
}

async fn commands(url: &str, seconds: f64) -> Outcome<f64> {
    let store = MongoStore::builder(url).database("bench_ours").connect().await?;
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let clients = (0..clients()).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while Instant::now() < until {
                let account = fastrand::u64(..ACCOUNTS);
                let mut version = 0;
                let stream = StreamId::new("account", account.to_string());
                let mut pages = store.read_stream(ReadStream::of(stream));
                while let Some(page) = pages.next().await {
                    for event in page?.iter() {
                        version = event.version;
                    }
                }
                match store.commit(deposit(account, version)).await {
                    Ok(_) => done += 1,
                    Err(error) if error.is_conflict() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Outcome::Ok(done)
        })
    });
    let mut done = 0;
    for client in clients.collect::<Vec<_>>() {
        done += client.await??;
    }
    store.database().drop().await?;
    store.close().await;
    Ok(f64::from(done) / seconds)
}

struct Wanted {
    document: Document,
    answer: oneshot::Sender<bool>,
}

async fn database(url: &str, name: &str) -> Outcome<Database> {
    let client = Client::with_uri_str(url).await?;
    let stored = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
    let options = DatabaseOptions::builder()
        .read_concern(ReadConcern::majority())
        .write_concern(stored)
        .build();
    let db = client.database_with_options(name, options);
    let unique = || IndexOptions::builder().unique(true).build();
    let events = db.collection::<Document>("events");
    events
        .create_index(
            IndexModel::builder()
                .keys(doc! { "tenant": 1, "category": 1, "stream": 1, "version": 1 })
                .options(unique())
                .build(),
        )
        .await?;
    events
        .create_index(IndexModel::builder().keys(doc! { "id": 1 }).options(unique()).build())
        .await?;
    events.create_index(IndexModel::builder().keys(doc! { "type": 1, "_id": 1 }).build()).await?;
    events
        .create_index(IndexModel::builder().keys(doc! { "category": 1, "_id": 1 }).build())
        .await?;
    db.collection::<Document>("head").insert_one(doc! { "_id": "log", "head": 0_i64 }).await?;
    Ok(db)
}

async fn commands_by_hand(url: &str, seconds: f64) -> Outcome<f64> {
    let db = database(url, "bench_by_hand").await?;
    let (queue, mut wanted) = mpsc::channel::<Wanted>(1_024);
    let writes = db.clone();
    tokio::spawn(async move {
        let mut session = writes.client().start_session().await?;
        while let Some(first) = wanted.recv().await {
            let mut group = vec![first];
            while let Ok(next) = wanted.try_recv() {
                group.push(next);
            }
            session.start_transaction().read_concern(ReadConcern::snapshot()).await?;
            let count = group.len() as i64;
            let log = writes
                .collection::<Document>("head")
                .find_one_and_update(doc! { "_id": "log" }, doc! { "$inc": { "head": count } })
                .session(&mut session)
                .await?;
            let head = log.and_then(|log| log.get_i64("head").ok()).ok_or("no head")?;
            let documents: Vec<_> = group
                .iter_mut()
                .zip(head + 1..)
                .map(|(wanted, position)| {
                    let mut document = std::mem::take(&mut wanted.document);
                    document.insert("_id", position);
                    document
                })
                .collect();
            let inserted = writes
                .collection::<Document>("events")
                .insert_many(&documents)
                .session(&mut session)
                .await;
            let done = match inserted {
                Ok(_) => session.commit_transaction().await.is_ok(),
                Err(_) => {
                    session.abort_transaction().await?;
                    false
                }
            };
            for wanted in group {
                let _ = wanted.answer.send(done);
            }
        }
        Outcome::Ok(())
    });
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let clients = (0..clients()).map(|_| {
        let (db, queue) = (db.clone(), queue.clone());
        tokio::spawn(async move {
            let events = db.collection::<Document>("events");
            let mut done = 0;
            while Instant::now() < until {
                let account = fastrand::u64(..ACCOUNTS).to_string();
                let of = doc! { "tenant": "", "category": "account", "stream": &account };
                let mut found = events.find(of).sort(doc! { "version": 1 }).await?;
                let mut version = 0_i64;
                while let Some(event) = found.try_next().await? {
                    version = event.get_i64("version")?;
                }
                let id = Binary { subtype: BinarySubtype::Uuid, bytes: MessageId::fresh().uuid().as_bytes().to_vec() };
                let document = doc! {
                    "tenant": "", "category": "account", "stream": account, "version": version + 1,
                    "type": "bank.deposited", "schema_version": 1, "id": id, "recorded_at": DateTime::now(), "data": BODY,
                };
                let (answer, told) = oneshot::channel();
                queue.send(Wanted { document, answer }).await.map_err(|_| "the writer is gone")?;
                done += u32::from(told.await?);
            }
            Outcome::Ok(done)
        })
    });
    let mut done = 0;
    for client in clients.collect::<Vec<_>>() {
        done += client.await??;
    }
    db.drop().await?;
    Ok(f64::from(done) / seconds)
}

async fn replay(url: &str, events: u64) -> Outcome<()> {
    let store = Arc::new(MongoStore::builder(url).database("bench_replay").connect().await?);
    let mut written = store.head().await?.position;
    while written < events {
        let body = || Payload::Json(Json::parse(BODY).expect("JSON"));
        let some = (0..500).map(|_| NewEvent::new("bank.deposited", body())).collect();
        let stream = StreamId::new("account", (written % ACCOUNTS).to_string());
        let appends = vec![Append { stream, expected: Expected::Any, events: some }];
        written = store.commit(Commit { appends, ..Commit::default() }).await?.position();
    }
    for _ in 0..3 {
        let started = Instant::now();
        let coll = store.database().collection::<RawDocumentBuf>("cqrs_events");
        let mut found = coll
            .find(doc! {})
            .sort(doc! { "_id": 1 })
            .read_concern(ReadConcern::majority())
            .await?;
        let (mut count, mut size) = (0_u64, 0);
        while found.advance().await? {
            let document = found.current();
            size += document.get_str("data")?.len() + document.get_str("stream")?.len();
            count += 1;
        }
        let by_hand = count as f64 / started.elapsed().as_secs_f64();
        let started = Instant::now();
        let mut pages = store.read_log(ReadLog::after(0));
        let (mut ours, mut ours_size) = (0_u64, 0);
        while let Some(page) = pages.next().await {
            for event in page?.iter() {
                ours += 1;
                if let cqrs_core::PayloadRef::Json(text) = event.data {
                    ours_size += text.len() + event.stream.len();
                }
            }
        }
        let rate = ours as f64 / started.elapsed().as_secs_f64();
        assert_eq!((count, size), (ours, ours_size));
        println!(
            "replay of {count}: by hand {by_hand:.0}/s, ours {rate:.0}/s, ratio {:.2}",
            rate / by_hand
        );
    }
    store.close().await;
    Ok(())
}
