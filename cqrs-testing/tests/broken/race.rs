//! The readers of a race tell when they were given something else than what is there.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Append, BoxError, Commit, Expected, Filter, Json, NewEvent, Payload, Store, StreamId,
};
use cqrs_testing::race::Readers;
use tokio::runtime;

use crate::base::Broken;
use crate::quiet;
use crate::reads::{ReordersAPage, ShowsAnEventLate, SkipsAnEventBetweenPages};

const COMMITS: u32 = 500;

fn event() -> Result<Commit, BoxError> {
    let body = Payload::Json(Json::parse("{}")?);
    let stream = StreamId::new("account", "17");
    let events = vec![NewEvent::new("bank.deposited", body)];
    let appends = vec![Append { stream, expected: Expected::Any, events }];
    Ok(Commit { appends, ..Commit::default() })
}

/// Whether readers of a store that is written are content.
fn is_content(store: Arc<dyn Store>) -> Result<bool, BoxError> {
    quiet();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(async {
        let readers = Readers::begin(&store, vec![Filter::default()]);
        for _ in 0..COMMITS {
            store.commit(event()?).await?;
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        Ok(tokio::spawn(async move { readers.end(&*store).await }).await.is_ok())
    })
}

#[test]
fn a_store_that_is_right_passes() -> Result<(), BoxError> {
    assert!(is_content(Arc::new(MemoryStore::default()))?);
    Ok(())
}

#[test]
fn an_event_that_shows_late_is_caught() -> Result<(), BoxError> {
    assert!(!is_content(Arc::new(Broken::<ShowsAnEventLate>::default()))?);
    Ok(())
}

#[test]
fn an_event_that_is_skipped_is_caught() -> Result<(), BoxError> {
    assert!(!is_content(Arc::new(Broken::<SkipsAnEventBetweenPages>::default()))?);
    Ok(())
}

#[test]
fn events_in_another_order_are_caught() -> Result<(), BoxError> {
    assert!(!is_content(Arc::new(Broken::<ReordersAPage>::default()))?);
    Ok(())
}
