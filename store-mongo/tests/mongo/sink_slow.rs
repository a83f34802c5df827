//! Pages that take their time: nobody else waits for them, and what happens meanwhile counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cqrs_core::{
    CheckpointWrite, Commit, Committed, Conflict, ErrorKind, Expected, Fence, HandlerError, Lease,
    LeaseRequest, ReadLog, Recorded, Result, Sink, SinkEvents, Store,
};
use futures_util::StreamExt;
use store_mongo::bson::{Document, doc};
use store_mongo::mongodb::{ClientSession, Database};
use store_mongo::{MongoProjection, MongoSink, MongoStore};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::common::{self, Database as Own};
use crate::short::deposit;
use crate::sink::Deposited;

/// Nobody waits so long for a page.
const SOON: Duration = Duration::from_secs(5);

const LEASE: &str = "seen/0";

/// Goes on when it may.
struct Slow {
    began: Arc<Semaphore>,
    goes_on: Arc<Semaphore>,
}

#[async_trait]
impl MongoProjection for Slow {
    type Input = Deposited;

    async fn project(
        &self,
        event: &Recorded<'_, Deposited>,
        database: &Database,
        session: &mut ClientSession,
    ) -> Result<(), HandlerError> {
        let seen = database.collection::<Document>("seen");
        let row = doc! { "position": event.position as i64 };
        seen.insert_one(row).session(session).await?;
        self.began.add_permits(1);
        self.goes_on.acquire().await?.forget();
        Ok(())
    }
}

/// A store with an event, and who has the lease under which it is projected.
struct World {
    store: MongoStore,
    sink: MongoSink<Slow>,
    began: Arc<Semaphore>,
    goes_on: Arc<Semaphore>,
    lease: Lease,
    _database: Own,
}

fn ask(holder: &str) -> LeaseRequest {
    let names = vec![LEASE.to_owned()];
    LeaseRequest { holder: holder.to_owned(), names, term: Duration::from_secs(60) }
}

impl World {
    async fn new() -> Self {
        let database = Own::new();
        let store = common::store(&database.0).connect().await.unwrap();
        store.commit(deposit("17", Expected::Any)).await.unwrap();
        let (began, goes_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let slow = Slow { began: began.clone(), goes_on: goes_on.clone() };
        let sink = store.sink(slow).await.unwrap();
        let lease = store.lease(ask("one")).await.unwrap().remove(0);
        Self { store, sink, began, goes_on, lease, _database: database }
    }

    /// A page on its way, in the middle of its event.
    async fn page(&self) -> JoinHandle<Result<Committed>> {
        let page = self.store.read_log(ReadLog::after(0)).next().await.unwrap().unwrap();
        let events = SinkEvents::new(Arc::new(page), |_| true);
        let fence = Fence { lease: LEASE.to_owned(), token: self.lease.token };
        let subscription = "seen".to_owned();
        let checkpoint =
            CheckpointWrite { subscription, partition: 0, from: 0, to: 1, fence: Some(fence) };
        let commit = Commit { checkpoint: Some(checkpoint), ..Commit::default() };
        let sink = self.sink.clone();
        let page = tokio::spawn(async move { sink.apply(events, commit).await });
        self.began.acquire().await.unwrap().forget();
        page
    }

    async fn seen(&self) -> u64 {
        let seen = self.store.database().collection::<Document>("seen");
        seen.count_documents(doc! {}).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_projects_a_long_page_gets_more_time_on_its_lease_meanwhile() {
    let world = World::new().await;
    let page = world.page().await;
    for _ in 0..5 {
        let asked = Instant::now();
        let lease = world.store.lease(ask("one")).await.unwrap().remove(0);
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
        assert_eq!((&*lease.holder, lease.token), ("one", world.lease.token));
    }
    // And commits of others go on.
    world.store.commit(deposit("17", Expected::Any)).await.unwrap();
    world.goes_on.add_permits(1);
    let applied = page.await.unwrap().unwrap();
    assert!(matches!(applied, Committed::Now { .. }), "{applied:?}");
    assert_eq!(world.began.available_permits(), 0, "it was projected once");
    assert_eq!(world.seen().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_lease_is_taken_over_meanwhile_writes_nothing() {
    let world = World::new().await;
    let page = world.page().await;
    world.store.release("one", &[LEASE.to_owned()]).await.unwrap();
    let asked = Instant::now();
    let taken = world.store.lease(ask("two")).await.unwrap().remove(0);
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(&*taken.holder, "two");
    world.goes_on.add_permits(100);
    let error = page.await.unwrap().unwrap_err();
    let actual = taken.token;
    let conflict = Conflict::Lease { lease: LEASE.to_owned(), token: world.lease.token, actual };
    assert_eq!(*error.kind(), ErrorKind::Conflict(conflict));
    assert_eq!(world.seen().await, 0);
    assert_eq!(world.store.checkpoint("seen", 0).await.unwrap(), None);
}

/// Writes where it must not.
struct Entangled(MongoStore);

#[async_trait]
impl MongoProjection for Entangled {
    type Input = Deposited;

    async fn project(
        &self,
        _: &Recorded<'_, Deposited>,
        _: &Database,
        _: &mut ClientSession,
    ) -> Result<(), HandlerError> {
        self.0.commit(deposit("18", Expected::Any)).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_projection_that_waits_for_itself_is_an_error_in_time() {
    let database = Own::new();
    let patience = Duration::from_secs(1);
    let store = common::store(&database.0).patience(patience).connect().await.unwrap();
    store.commit(deposit("17", Expected::Any)).await.unwrap();
    let page = store.read_log(ReadLog::after(0)).next().await.unwrap().unwrap();
    let events = SinkEvents::new(Arc::new(page), |_| true);
    let sink = store.sink(Entangled(store.clone())).await.unwrap();
    let began = Instant::now();
    let error = sink.apply(events, deposit("19", Expected::Any)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::EventNotHandled { .. }), "{error:?}");
    assert!(format!("{error:?}").contains("has had its turn to write"), "{error:?}");
    assert!(began.elapsed() < patience * 10, "{:?}", began.elapsed());
    // Nothing of it is left, and it is the next one's turn.
    store.commit(deposit("17", Expected::Exactly(1))).await.unwrap();
    assert_eq!(store.head().await.unwrap().position, 2);
}
