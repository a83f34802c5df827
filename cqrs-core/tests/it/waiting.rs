//! Waiting for what was written: for the whole commit, whatever its last position is.

use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    App, Append, Commit, Event, Expected, FindParked, HandlerError, Json, MessageId, Metadata,
    NewEvent, Outgoing, OutgoingKind, Payload, Position, Reached, RetryPolicy, RuntimeSettings,
    Store, StreamId,
};

use crate::subscriptions::Noted;

const PATIENCE: Duration = Duration::from_secs(10);

async fn refuse(event: Noted) -> Result<(), HandlerError> {
    if event.key == "bad" { Err(HandlerError::fatal("it is bad")) } else { Ok(()) }
}

/// What a command does: events of these keys, and a message where it is told.
async fn write(store: &dyn Store, keys: &[&str], sends: bool) -> Position {
    let metadata = Metadata::default().with_causation(MessageId::fresh());
    let append = |key: &&str| {
        let body = Json::encode(&Noted { key: (*key).to_owned(), n: 1 }).unwrap();
        let event = NewEvent::new(Noted::TYPES[0].name, Payload::Json(body));
        let events =
            vec![NewEvent { metadata: metadata.clone().with_id(MessageId::fresh()), ..event }];
        Append { stream: StreamId::new("note", *key), expected: Expected::Any, events }
    };
    let body = Payload::Json(Json::parse("{}").unwrap());
    let sent = sends.then(|| Outgoing::new(OutgoingKind::Message, "told", "all", body));
    let commit = Commit {
        appends: keys.iter().map(append).collect(),
        outgoing: sent.into_iter().collect(),
        ..Commit::default()
    };
    store.commit(commit).await.unwrap().position()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_its_events_that_is_parked_is_told_of_whatever_comes_after_it() {
    let store = MemoryStore::default();
    let app = App::builder()
        .store(store.clone())
        .event_handler("notes.refuse", refuse)
        .subscription("notes.refuse", |s| s.partitions(3).retry(RetryPolicy::never()))
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    let running = app.start().await.unwrap();
    let wait = async |position| app.wait_for("notes.refuse", position, PATIENCE).await.unwrap();
    let before = write(&store, &["good", "better"], true).await;
    assert_eq!(wait(before).await, Reached::Yes);
    let among = write(&store, &["good", "bad", "better"], false).await;
    let reached = wait(among).await;
    let entry = store.parked(FindParked::of("notes.refuse")).await.unwrap().remove(0);
    assert_eq!(reached, Reached::Parked(entry.id()));
    let beside = write(&store, &["good", "better"], false).await;
    assert_eq!(wait(beside).await, Reached::Yes);
    let sending = write(&store, &["bad", "good"], true).await;
    assert_eq!(wait(sending).await, Reached::Parked(entry.id()));
    assert_eq!(wait(before).await, Reached::Yes);
    running.stop(PATIENCE).await.unwrap();
}
