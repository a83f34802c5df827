//! Another number of partitions, and a replay, while events come and not all nodes know yet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, AppBuilder, Commit, Entity, Fact, FindDocuments, HandlerError, Projection, Res,
    RuntimeSettings, Store, SubscriptionState, View, Work,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::hooked::Hooked;
use crate::subscriptions::{Noted, note};

const PATIENCE: Duration = Duration::from_secs(20);

/// What was handled, where, and how often; and whether it may go on.
#[derive(Clone)]
struct Desk {
    handled: Arc<Mutex<BTreeMap<(String, u32), u32>>>,
    /// How many handlers have begun, and whether they may end.
    begun: watch::Sender<u32>,
    open: watch::Sender<bool>,
}

impl Desk {
    fn new() -> Self {
        Self {
            handled: Arc::default(),
            begun: watch::Sender::new(0),
            open: watch::Sender::new(true),
        }
    }

    fn all(&self) -> BTreeMap<(String, u32), u32> {
        self.handled.lock().unwrap().clone()
    }
}

async fn listen(event: Noted, Res(desk): Res<Desk>) -> Result<(), HandlerError> {
    desk.begun.send_modify(|begun| *begun += 1);
    desk.open.subscribe().wait_for(|open| *open).await?;
    *desk.handled.lock().unwrap().entry((event.key, event.n)).or_default() += 1;
    Ok(())
}

fn app(store: impl Store, desk: &Desk) -> AppBuilder {
    App::builder()
        .store(store)
        .resource(desk.clone())
        .event_handler("notes.listen", listen)
        .subscription("notes.listen", |s| s.partitions(4).replayable())
        .runtime(RuntimeSettings::tests())
}

pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let so = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, so).await.is_ok(), "{what}");
}

fn is_a_move(commit: &Commit) -> bool {
    commit.documents.iter().any(|write| {
        let body = write.body.as_ref().map(cqrs_core::Json::as_str);
        write.key.collection == "cqrs.subscriptions"
            && body.is_some_and(|body| body.contains("\"moving\""))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_when_partitions_are_moved_is_handled_once() {
    let (store, desk) = (MemoryStore::default(), Desk::new());
    let (log, at_desk) = (store.clone(), desk.clone());
    // Another event comes, and is in hand, before the change is written.
    let hooked = Hooked::of(&store).before_commit(move |commit| {
        let (log, desk) = (log.clone(), at_desk.clone());
        let moves = is_a_move(commit);
        Box::pin(async move {
            if moves && *desk.begun.borrow() == 0 {
                desk.open.send_replace(false);
                note(&log, "late", 1).await;
                desk.begun.subscribe().wait_for(|begun| *begun > 0).await.unwrap();
            }
        })
    });
    let app = app(hooked, &desk).build().unwrap();
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    let subscriptions = app.subscriptions().unwrap();
    let soon = Duration::from_millis(700);
    let moved = subscriptions.repartition("notes.listen", 2, soon).await;
    assert!(moved.is_err(), "it was moved while something was in hand");
    desk.open.send_replace(true);
    subscriptions.repartition("notes.listen", 2, PATIENCE).await.unwrap();
    note(&store, "next", 1).await;
    running.settled().await.unwrap();
    assert_eq!(desk.all(), BTreeMap::from([(("late".into(), 1), 1), (("next".into(), 1), 1)]));
    running.stop(Duration::from_secs(5)).await.unwrap();
}

/// Holds what is for one key, as long as the desk is not open.
async fn hold_one(event: Noted, Res(desk): Res<Desk>) -> Result<(), HandlerError> {
    if event.key == "held" {
        desk.begun.send_modify(|begun| *begun += 1);
        desk.open.subscribe().wait_for(|open| *open).await?;
    }
    *desk.handled.lock().unwrap().entry((event.key, event.n)).or_default() += 1;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_pause_no_partition_waits_for_one_that_has_something_in_hand() {
    let (store, desk) = (MemoryStore::default(), Desk::new());
    desk.open.send_replace(false);
    let app = App::builder()
        .store(store.clone())
        .resource(desk.clone())
        .event_handler("notes.hold", hold_one)
        .subscription("notes.hold", |s| s.partitions(4))
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    note(&store, "held", 1).await;
    desk.begun.subscribe().wait_for(|begun| *begun == 1).await.unwrap();
    let subscriptions = app.subscriptions().unwrap();
    subscriptions.pause("notes.hold").await.unwrap();
    let here = async || subscriptions.get("notes.hold").await.unwrap().here;
    until("the others have ended", async || here().await == 1).await;
    subscriptions.resume("notes.hold").await.unwrap();
    until("the others go on", async || here().await == 4).await;
    for key in 0..20 {
        note(&store, &format!("key-{key}"), 1).await;
    }
    until("what is for them is handled", async || desk.all().len() > 5).await;
    assert!(!desk.all().contains_key(&("held".to_owned(), 1)));
    desk.open.send_replace(true);
    running.settled().await.unwrap();
    assert_eq!((desk.all().len(), *desk.begun.borrow()), (21, 1));
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_that_begin_at_once_are_one_after_the_other() {
    let store = MemoryStore::default();
    note(&store, "a", 1).await;
    let app = showing::<1>(store.clone());
    let running = app.start().await.unwrap();
    let subscriptions = app.subscriptions().unwrap();
    let rebuild = || subscriptions.rebuild("notes.shows");
    let (one, two, three) = tokio::join!(rebuild(), rebuild(), rebuild());
    one.and(two).and(three).unwrap();
    subscriptions.built("notes.shows", PATIENCE).await.unwrap();
    note(&store, "a", 2).await;
    running.settled().await.unwrap();
    running.stop(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_know_of_a_move_handles_nothing_twice_and_stops_nobody() {
    let (store, here, there) = (MemoryStore::default(), Desk::new(), Desk::new());
    let knows = watch::Sender::new(true);
    let asks = knows.clone();
    let late = Hooked::of(&store).before_document(move |key| {
        let (mut knows, asks) = (asks.subscribe(), key.collection == "cqrs.subscriptions");
        Box::pin(async move {
            if asks {
                knows.wait_for(|knows| *knows).await.unwrap();
            }
        })
    });
    let one = app(store.clone(), &here).build().unwrap();
    let other = app(late, &there).build().unwrap();
    let running = one.start().await.unwrap();
    let beside = other.start().await.unwrap();
    let subscriptions = one.subscriptions().unwrap();
    until("both have partitions", async || {
        let here = subscriptions.get("notes.listen").await.unwrap().here;
        let there = other.subscriptions().unwrap().get("notes.listen").await.unwrap().here;
        here > 0 && there > 0 && here + there == 4
    })
    .await;
    knows.send_replace(false);
    let moving = tokio::spawn({
        let subscriptions = subscriptions.clone();
        async move { subscriptions.repartition("notes.listen", 3, PATIENCE).await }
    });
    until("it is told", async || {
        let status = subscriptions.get("notes.listen").await.unwrap();
        status.state == SubscriptionState::Moving || status.partitions == 3
    })
    .await;
    for key in 0..40 {
        note(&store, &format!("key-{key}"), 1).await;
    }
    until("the other node goes on", async || !there.all().is_empty()).await;
    knows.send_replace(true);
    moving.await.unwrap().unwrap();
    for key in 0..40 {
        note(&store, &format!("key-{key}"), 2).await;
    }
    until("all is handled", async || here.all().len() + there.all().len() >= 80).await;
    let mut all = here.all();
    for (event, times) in there.all() {
        *all.entry(event).or_default() += times;
    }
    assert_eq!(all.len(), 80);
    assert!(all.values().all(|times| *times == 1), "{all:?}");
    running.stop(Duration::from_secs(5)).await.unwrap();
    beside.stop(Duration::from_secs(5)).await.unwrap();
}

/// Publishes each event.
async fn publish(event: Noted, work: Work, Res(desk): Res<Desk>) -> Result<(), HandlerError> {
    work.publish(&event)?;
    listen(event, Res(desk)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_hand_when_a_replay_begins_is_sent_once() {
    let (store, desk) = (MemoryStore::default(), Desk::new());
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (log, at_desk, outbox) = (store.clone(), desk.clone(), sent.clone());
    // One is handled, and another one is in hand, when the change is written.
    let hooked = Hooked::of(&store).before_commit(move |commit| {
        let (log, desk) = (log.clone(), at_desk.clone());
        let bodies = commit.outgoing.iter().map(|message| format!("{:?}", message.body));
        outbox.lock().unwrap().extend(bodies);
        let is_change = commit.documents.iter().any(|d| d.key.collection == "cqrs.subscriptions");
        Box::pin(async move {
            if is_change && desk.all().len() == 1 && *desk.begun.borrow() == 1 {
                desk.open.send_replace(false);
                note(&log, "late", 1).await;
                desk.begun.subscribe().wait_for(|begun| *begun > 1).await.unwrap();
            }
        })
    });
    let app = App::builder()
        .store(hooked)
        .resource(desk.clone())
        .event_handler("notes.publish", publish)
        .subscription("notes.publish", |s| s.partitions(2).replayable())
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    note(&store, "first", 1).await;
    until("the first is handled", async || desk.all().len() == 1).await;
    let rebuilding = tokio::spawn({
        let subscriptions = app.subscriptions().unwrap();
        async move { subscriptions.rebuild("notes.publish").await }
    });
    until("the other is in hand", async || *desk.begun.borrow() >= 2).await;
    desk.open.send_replace(true);
    rebuilding.await.unwrap().unwrap();
    until("all is handled again", async || desk.all().values().all(|times| *times == 2)).await;
    running.stop(Duration::from_secs(5)).await.unwrap();
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 2, "{sent:?}");
}

#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    id: String,
    by: u16,
}

impl Entity for Shown {
    const COLLECTION: &'static str = "shown";

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// One program's version of a projection.
struct Shows<const VERSION: u16>;

impl<const VERSION: u16> Projection for Shows<VERSION> {
    const NAME: &'static str = "notes.shows";
    const VERSION: u16 = VERSION;
    type Input = Noted;
    type View = Shown;

    fn keys(event: &Fact<'_, Noted>) -> Vec<String> {
        vec![event.data.key.clone()]
    }

    fn project(key: &str, _: Option<Shown>, _: &Fact<'_, Noted>) -> Option<Shown> {
        Some(Shown { id: key.to_owned(), by: VERSION })
    }
}

fn showing<const VERSION: u16>(store: impl Store) -> App {
    App::builder()
        .store(store)
        .projection::<Shows<VERSION>>()
        .subscription("notes.shows", |s| s.partitions(6))
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_program_makes_nothing_of_a_newer_version() {
    let store = MemoryStore::default();
    for key in 0..30 {
        note(&store, &format!("key-{key}"), 1).await;
    }
    // The new program gets no lease before the old one knows of it.
    let goes_on = watch::Sender::new(false);
    let asks = goes_on.clone();
    let late = Hooked::of(&store).before_lease(move |_| {
        let mut goes_on = asks.subscribe();
        Box::pin(async move { drop(goes_on.wait_for(|goes_on| *goes_on).await) })
    });
    let (old, new) = (showing::<1>(store.clone()), showing::<2>(late));
    let before = old.start().await.unwrap();
    before.ready().await;
    let after = new.start().await.unwrap();
    until("the old one knows", async || {
        let status = old.subscriptions().unwrap().get("notes.shows").await.unwrap();
        status.building.is_some()
    })
    .await;
    goes_on.send_replace(true);
    new.subscriptions().unwrap().built("notes.shows", PATIENCE).await.unwrap();
    let head = store.head().await.unwrap().position;
    let reached = new.wait_for("notes.shows", head, PATIENCE).await.unwrap();
    assert!(reached.is_yes(), "{reached:?}");
    let views = View::<Shows<2>>::new(Arc::new(store.clone()));
    let all = views.query(FindDocuments::all("shown")).await.unwrap();
    assert_eq!(all.len(), 30);
    assert!(all.iter().all(|shown| shown.by == 2), "{all:?}");
    before.stop(Duration::from_secs(5)).await.unwrap();
    after.stop(Duration::from_secs(5)).await.unwrap();
}
