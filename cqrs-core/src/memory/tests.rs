//! What only a clock in our hands shows: terms of leases, times of messages, and retention.

use std::time::Duration;

use super::MemoryStore;
use crate::message::timestamp::Timestamp;
use crate::{
    Append, Commit, Committed, Expected, FindOutgoing, FindParked, Fingerprint, InboxMark, Json,
    LeaseRequest, ManualClock, MessageId, NewEvent, Outgoing, OutgoingKind, ParkedState,
    ParkedWrite, Payload, ReadLog, Store, StreamId,
};
use futures_util::StreamExt;

const SECOND: Duration = Duration::from_secs(1);

fn at_noon() -> (MemoryStore, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000_000));
    (MemoryStore::with_clock(clock.clone()), clock)
}

fn asks(holder: &str, term: Duration) -> LeaseRequest {
    LeaseRequest { holder: holder.into(), names: vec!["mailer/0".into()], term }
}

fn body() -> Payload {
    Payload::Json(Json::parse("{}").unwrap())
}

fn event() -> Commit {
    let events = vec![NewEvent::new("bank.opened", body())];
    let append = Append { stream: StreamId::new("account", "1"), expected: Expected::Any, events };
    Commit { appends: vec![append], ..Commit::default() }
}

fn message() -> Commit {
    let message = Outgoing::new(OutgoingKind::Message, "bank.told", "1", body());
    Commit { outgoing: vec![message], ..Commit::default() }
}

#[tokio::test]
async fn a_lease_ends_to_the_microsecond() {
    let (store, clock) = at_noon();
    let mine = store.lease(asks("node-a", SECOND)).await.unwrap().remove(0);
    clock.set(Timestamp::from_micros(mine.until.as_micros() - 1));
    let told = store.lease(asks("node-b", SECOND)).await.unwrap().remove(0);
    assert_eq!(told, mine, "a microsecond before its end");
    assert_eq!(store.leases("").await.unwrap(), std::slice::from_ref(&mine));
    clock.set(mine.until);
    assert_eq!(store.leases("").await.unwrap(), [], "at its end");
    let theirs = store.lease(asks("node-b", SECOND)).await.unwrap().remove(0);
    assert!(theirs.is_of("node-b") && theirs.taken_over && theirs.token == mine.token + 1);
}

#[tokio::test]
async fn a_clock_that_steps_back_gives_nobody_a_lease_early() {
    let (store, clock) = at_noon();
    let mine = store.lease(asks("node-a", SECOND)).await.unwrap().remove(0);
    clock.set(Timestamp::UNIX_EPOCH);
    assert!(store.lease(asks("node-b", SECOND)).await.unwrap()[0].is_of("node-a"));
    clock.set(mine.until);
    assert!(store.lease(asks("node-b", SECOND)).await.unwrap()[0].is_of("node-b"));
}

#[tokio::test]
async fn a_renewal_counts_from_now() {
    let (store, clock) = at_noon();
    let first = store.lease(asks("node-a", SECOND * 10)).await.unwrap().remove(0);
    clock.advance(SECOND * 9);
    let again = store.lease(asks("node-a", SECOND * 10)).await.unwrap().remove(0);
    assert_eq!(again.until, first.until.saturating_add(SECOND * 9));
    clock.advance(SECOND * 11);
    let late = store.lease(asks("node-a", SECOND * 10)).await.unwrap().remove(0);
    assert_eq!((late.token, late.taken_over), (first.token, false), "nobody came in between");
}

#[tokio::test]
async fn a_term_without_end_never_ends() {
    let (store, clock) = at_noon();
    let mine = store.lease(asks("node-a", Duration::MAX)).await.unwrap().remove(0);
    assert_eq!(mine.until, Timestamp::MAX);
    clock.set(Timestamp::from_micros(Timestamp::MAX.as_micros() - 1));
    assert!(store.lease(asks("node-b", SECOND)).await.unwrap()[0].is_of("node-a"));
}

#[tokio::test]
async fn times_do_not_go_back_from_messages_to_events() {
    let (store, clock) = at_noon();
    store.commit(message()).await.unwrap();
    let sent = store.outgoing(FindOutgoing::after(0)).await.unwrap().remove(0);
    clock.set(Timestamp::UNIX_EPOCH);
    store.commit(event()).await.unwrap();
    let page = store.read_log(ReadLog::after(0)).next().await.unwrap().unwrap();
    let recorded_at = page.get(0).unwrap().recorded_at;
    assert_eq!(recorded_at, sent.recorded_at, "the clock stepped back, the log's times do not");
}

#[tokio::test]
async fn an_entry_is_there_since_it_was_set_aside() {
    let (store, clock) = at_noon();
    let aside = ParkedWrite {
        subscription: "mailer".into(),
        position: 17,
        expected: Expected::Any,
        partition: 0,
        key: "account-4".into(),
        message: "bank.opened".into(),
        state: ParkedState::Retrying,
        due: None,
        cause: "no such address".into(),
        attempts: 1,
        edited: None,
    };
    let parks = || Commit { parked: vec![aside.clone()], ..Commit::default() };
    store.commit(parks()).await.unwrap();
    let first = store.parked(FindParked::of("mailer")).await.unwrap().remove(0);
    clock.advance(SECOND);
    store.commit(parks()).await.unwrap();
    let again = store.parked(FindParked::of("mailer")).await.unwrap().remove(0);
    assert_eq!((again.version, again.since), (2, first.since));
}

fn handles(message: MessageId) -> Commit {
    let fingerprint = Fingerprint::of(b"charge 5");
    let consumer = "payments".into();
    let mark = InboxMark { consumer, message, fingerprint, reply: Some("charged".into()) };
    Commit { inbox: vec![mark], ..event() }
}

#[tokio::test]
async fn the_inbox_knows_a_message_for_as_long_as_it_says() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000_000));
    let store = MemoryStore::with_clock(clock.clone()).keep_inbox(SECOND * 60);
    let id = MessageId::fresh();
    store.commit(handles(id)).await.unwrap();
    clock.advance(SECOND * 60);
    assert!(store.inbox("payments", id).await.unwrap().is_some(), "at the end of its time");
    assert!(matches!(store.commit(handles(id)).await.unwrap(), Committed::Before { .. }));
    clock.advance(Duration::from_micros(1));
    assert!(store.inbox("payments", id).await.unwrap().is_none(), "after its time");
    let again = store.commit(handles(id)).await.unwrap();
    assert!(matches!(again, Committed::Now { .. }), "handled anew");
    assert!(store.inbox("payments", id).await.unwrap().is_some(), "and known again");
}

#[tokio::test]
async fn what_is_forgotten_is_swept_and_what_is_known_is_not() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000_000));
    let store = MemoryStore::with_clock(clock.clone()).keep_inbox(SECOND * 60);
    let old = MessageId::fresh();
    store.commit(handles(old)).await.unwrap();
    clock.advance(SECOND * 30);
    let kept = MessageId::fresh();
    store.commit(handles(kept)).await.unwrap();
    clock.advance(SECOND * 45);
    for _ in 0..3_000 {
        store.commit(handles(MessageId::fresh())).await.unwrap();
    }
    assert!(store.inbox("payments", old).await.unwrap().is_none());
    assert!(store.inbox("payments", kept).await.unwrap().is_some());
    assert!(store.state().inbox_holds(kept) && !store.state().inbox_holds(old), "swept");
}

#[tokio::test]
async fn the_id_of_a_commit_is_known_for_as_long_as_the_store_says() {
    let clock = ManualClock::at(Timestamp::from_micros(1_000_000_000));
    let store = MemoryStore::with_clock(clock.clone()).keep_commit_ids(SECOND * 60);
    let first = Commit { outgoing: message().outgoing, ..Commit::default() };
    store.commit(first.clone()).await.unwrap();
    clock.advance(SECOND * 60);
    let again = store.commit(first.clone()).await.unwrap();
    assert!(matches!(again, Committed::Before { .. }), "at the end of its time");
    clock.advance(Duration::from_micros(1));
    // The message still waits, so that even now it is not sent twice.
    assert!(store.commit(first).await.is_err());
    assert_eq!(store.outgoing(FindOutgoing::after(0)).await.unwrap().len(), 1);
}
