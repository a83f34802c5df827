//! A replay of the whole log, beside a loop over a cursor.

use std::time::Instant;

use cqrs_core::{
    Append, Commit, Expected, Json, NewEvent, Payload, PayloadRef, ReadLog, Store, StreamId,
};
use futures_util::StreamExt;
use store_mongo::MongoStore;
use store_mongo::bson::{RawDocumentBuf, doc};
use store_mongo::mongodb::options::ReadConcern;

use crate::domain::{ACCOUNTS, Deposited, NAME};
use crate::{Outcome, ROUNDS, Rates, emptied};

/// What was read, to be compared: events, and the bytes of their bodies and streams.
type Read = (u64, usize);

pub(crate) async fn measure(url: &str, events: u64) -> Outcome<()> {
    let name = "bench_replay";
    emptied(url, name).await?;
    let store = MongoStore::builder(url).database(name).connect().await?;
    fill(&store, events).await?;
    let mut rates = Rates::default();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let by_hand = by_hand(&store).await?;
        rates.floor.push(by_hand.0 as f64 / started.elapsed().as_secs_f64());
        let started = Instant::now();
        let ours = ours(&store).await?;
        rates.ours.push(ours.0 as f64 / started.elapsed().as_secs_f64());
        assert_eq!(by_hand, ours);
    }
    rates.report(&format!("replay of {events} events"), Some(0.7));
    store.close().await;
    emptied(url, name).await
}

async fn fill(store: &MongoStore, events: u64) -> Outcome<()> {
    let body = Json::encode(&Deposited::some())?;
    let mut written = 0;
    while written < events {
        let some = (0..500).map(|_| NewEvent::new(NAME, Payload::Json(body.clone()))).collect();
        let stream = StreamId::new("account", (written % ACCOUNTS).to_string());
        let appends = vec![Append { stream, expected: Expected::Any, events: some }];
        written = store.commit(Commit { appends, ..Commit::default() }).await?.position();
    }
    Ok(())
}

async fn by_hand(store: &MongoStore) -> Outcome<Read> {
    let events = store.database().collection::<RawDocumentBuf>("cqrs_events");
    let all = events.find(doc! {}).sort(doc! { "_id": 1 });
    let mut found = all.read_concern(ReadConcern::majority()).await?;
    let (mut count, mut size) = (0, 0);
    while found.advance().await? {
        let event = found.current();
        size += event.get_str("data")?.len() + event.get_str("stream")?.len();
        count += 1;
    }
    Ok((count, size))
}

async fn ours(store: &MongoStore) -> Outcome<Read> {
    let mut pages = store.read_log(ReadLog::after(0));
    let (mut count, mut size) = (0, 0);
    while let Some(page) = pages.next().await {
        for event in page?.iter() {
            count += 1;
            if let PayloadRef::Json(text) = event.data {
                size += text.len() + event.stream.len();
            }
        }
    }
    Ok((count, size))
}
