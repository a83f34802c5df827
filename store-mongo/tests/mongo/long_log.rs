//! A long log, and much of everything else, in which something is looked for.

use std::collections::BTreeMap;
use std::time::Duration;

use cqrs_core::{
    Append, Collection, Commit, DocumentKey, DocumentWrite, Expected, Fingerprint, InboxMark, Json,
    LeaseRequest, MessageId, NewEvent, Outgoing, OutgoingKind, ParkedState, ParkedWrite, Payload,
    SnapshotWrite, Store, StreamId, TimerWrite, Timestamp,
};
use store_mongo::MongoStore;

use crate::short::event;

/// Events, and how many of a commit: a quarter of the long stream's, the others of as many streams.
pub(crate) const EVENTS: u64 = 50_000;
const OF_COMMIT: u64 = 5_000;
pub(crate) const STREAMS: u64 = 500;
pub(crate) const LONG: u64 = EVENTS / 4;

/// Of everything else.
pub(crate) const OTHERS: usize = 10_000;
const AT_ONCE: usize = 1_000;

fn json(text: impl Into<String>) -> Json {
    Json::parse(text.into()).unwrap()
}

pub(crate) fn long() -> StreamId {
    StreamId::new("long", "long")
}

pub(crate) fn other(n: u64) -> StreamId {
    StreamId::new(format!("category-{}", n % 50), format!("stream-{n}"))
}

/// The nth event: of 100 types, one of which is rare, as are the tags.
pub(crate) fn nth(n: u64) -> NewEvent {
    let mut event = event("frequent");
    event.event_type = match n {
        n if n.is_multiple_of(5_000) => "rare".into(),
        n => format!("type-{}", n % 100).into(),
    };
    if n.is_multiple_of(1_000) {
        event.tags = vec!["rare".to_owned(), format!("n-{n}")];
    } else if n.is_multiple_of(2) {
        event.tags = vec!["frequent".to_owned()];
    }
    event
}

pub(crate) fn timer(n: usize) -> TimerWrite {
    TimerWrite {
        owner: format!("owner-{}", n % 10),
        tenant: None,
        key: format!("key-{n}"),
        name: "due".to_owned(),
        generation: 1,
        due: Some(Timestamp::from_micros(n as i64)),
    }
}

pub(crate) fn parked(n: usize) -> ParkedWrite {
    let is_parked = n.is_multiple_of(1_000);
    ParkedWrite {
        subscription: format!("subscription-{}", n % 10),
        position: n as u64 + 1,
        expected: Expected::NoStream,
        partition: 0,
        key: format!("key-{}", n % 1_000),
        message: "bank.deposited".to_owned(),
        state: if is_parked { ParkedState::Parked } else { ParkedState::Behind },
        due: is_parked.then(|| Timestamp::from_micros(n as i64)),
        cause: "it fails".to_owned(),
        attempts: 1,
        edited: None,
    }
}

pub(crate) fn told() -> Outgoing {
    Outgoing::new(OutgoingKind::Message, "bank.told", "1", Payload::Json(json("{}")))
}

pub(crate) fn note(n: usize, number: usize) -> DocumentWrite {
    let key = DocumentKey::new(format!("notes-{}", n % 4), format!("id-{n:0>6}"));
    let body = json(format!("{{\"number\":{number},\"group\":\"group-{}\"}}", n % 500));
    DocumentWrite::put(key, Expected::Any, body)
}

pub(crate) fn mark() -> InboxMark {
    InboxMark {
        consumer: "bank".to_owned(),
        message: MessageId::fresh(),
        fingerprint: Fingerprint::of(b"deposit"),
        reply: None,
    }
}

/// A long log, and much of everything else.
pub(crate) async fn fill(store: &MongoStore) {
    for n in 0..4 {
        let notes = Collection::new(format!("notes-{n}")).unique("number").indexed("group");
        store.declare(notes).await.unwrap();
    }
    store.declare(Collection::new("paid").unique("number")).await.unwrap();
    for first in (0..EVENTS).step_by(OF_COMMIT as usize) {
        let mut appends: BTreeMap<String, Append> = BTreeMap::new();
        for n in first..first + OF_COMMIT {
            let stream = if n.is_multiple_of(4) { long() } else { other(n % STREAMS) };
            let append = appends.entry(stream.to_string()).or_insert_with(|| Append {
                stream,
                expected: Expected::Any,
                events: Vec::new(),
            });
            append.events.push(nth(n));
        }
        let appends = appends.into_values().collect();
        store.commit(Commit { appends, ..Commit::default() }).await.unwrap();
    }
    for first in (0..OTHERS).step_by(AT_ONCE) {
        let all = first..first + AT_ONCE;
        store
            .commit(Commit {
                timers: all.clone().map(timer).collect(),
                parked: all.clone().map(parked).collect(),
                documents: all.clone().map(|n| note(n, n)).collect(),
                outgoing: all.clone().map(|_| told()).collect(),
                inbox: all.clone().map(|_| mark()).collect(),
                ..Commit::default()
            })
            .await
            .unwrap();
        let names = all.map(|n| format!("lease-{}/{n}", n % 10)).collect();
        let term = if first == 0 { Duration::from_secs(600) } else { Duration::ZERO };
        store.lease(LeaseRequest { holder: "one".to_owned(), names, term }).await.unwrap();
    }
    let snapshot = SnapshotWrite::Keep {
        stream: long(),
        schema: Fingerprint::of(b"1"),
        version: LONG + 1,
        body: json("{}"),
    };
    let last = Append { stream: long(), expected: Expected::Exactly(LONG), events: vec![nth(1)] };
    let commit = Commit { appends: vec![last], snapshots: vec![snapshot], ..Commit::default() };
    store.commit(commit).await.unwrap();
}
