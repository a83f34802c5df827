//! What is too large is a typed error that names it, and hostile names are names.

use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{
    Append, CheckpointWrite, Collection, Commit, CommitId, Committed, DocumentKey, DocumentWrite,
    ErrorKind, Expected, Filter, FindDocuments, FindOutgoing, FindParked, FindTimers, Fingerprint,
    InboxMark, Json, LeaseRequest, Limits, MessageId, NewEvent, Outgoing, OutgoingKind, Page,
    ParkedState, ParkedWrite, Payload, ReadLog, ReadStream, SnapshotWrite, Store, StreamId,
    TimerWrite, Timestamp,
};
use store_mongo::MongoStore;

use crate::common::{self, Database};
use crate::own::Own;
use crate::short::{collect, deposit, log_of};

const MIB: usize = 1 << 20;

/// JSON of about so many bytes.
fn json(bytes: usize) -> Json {
    Json::parse(format!("{{\"text\":\"{}\"}}", "x".repeat(bytes - 11))).unwrap()
}

fn put(id: &str, body: Json) -> DocumentWrite {
    DocumentWrite::put(DocumentKey::new("notes", id), Expected::Any, body)
}

fn events(stream: &str, count: usize, body: &Json) -> Append {
    let event = || NewEvent::new("bank.noted", Payload::Json(body.clone()));
    let events = (0..count).map(|_| event()).collect();
    Append { stream: StreamId::new("account", stream), expected: Expected::Any, events }
}

fn told(body: Json) -> Outgoing {
    Outgoing::new(OutgoingKind::Message, "bank.told", "1", Payload::Json(body))
}

fn parked(body: Json) -> ParkedWrite {
    ParkedWrite {
        subscription: "mailer".to_owned(),
        position: 1,
        expected: Expected::Any,
        partition: 0,
        key: "1".to_owned(),
        message: "bank.noted".to_owned(),
        state: ParkedState::Parked,
        due: None,
        cause: "it fails".to_owned(),
        attempts: 1,
        edited: Some(Payload::Json(body)),
    }
}

fn mark(reply: usize) -> InboxMark {
    InboxMark {
        consumer: "bank".to_owned(),
        message: MessageId::fresh(),
        fingerprint: Fingerprint::of(b"deposit"),
        reply: Some(Bytes::from(vec![b'x'; reply])),
    }
}

/// The store goes on.
async fn goes_on(store: &MongoStore, position: u64) {
    assert_eq!(store.head().await.unwrap().position, position);
    let committed = store.commit(deposit("usual", Expected::Any)).await.unwrap();
    assert_eq!(committed.position(), position + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_a_limit_is_named_and_nothing_of_its_commit_is_written() {
    let database = Database::new();
    let store = common::store(&database.0).connect().await.unwrap();
    store.declare(Collection::new("notes")).await.unwrap();
    let large = || json(4 * MIB + 1);
    let snapshot = SnapshotWrite::Keep {
        stream: StreamId::new("account", "17"),
        schema: Fingerprint::of(b"1"),
        version: 1,
        body: large(),
    };
    let first = Append { expected: Expected::NoStream, ..events("17", 1, &json(20)) };
    let with = |large: Commit| Commit { documents: vec![put("small", json(20))], ..large };
    let empty = Commit::default;
    for (n, (commit, named)) in [
        (Commit { appends: vec![events("17", 1, &large())], ..empty() }, "bank.noted"),
        (Commit { views: vec![put("1", large())], ..empty() }, "notes/1"),
        (Commit { appends: vec![first], snapshots: vec![snapshot], ..empty() }, "account/17"),
        (Commit { inbox: vec![mark(4 * MIB + 1)], ..empty() }, "the reply"),
        (Commit { outgoing: vec![told(large())], ..empty() }, "bank.told"),
        (Commit { parked: vec![parked(large())], ..empty() }, "bank.noted"),
        (
            Commit { appends: vec![events("17", 5, &json(4 * MIB))], ..empty() },
            "the commit's bodies",
        ),
        (
            Commit { appends: vec![events("17", 10_001, &json(20))], ..empty() },
            "the commit's parts",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let error = store.commit(with(commit)).await.unwrap_err();
        let ErrorKind::TooLarge { what, size, limit } = error.kind() else {
            panic!("{named}: {error:?}");
        };
        assert!(what.contains(named) && size > limit, "{named}: {what} {size} {limit}");
        assert!(store.document(&DocumentKey::new("notes", "small")).await.unwrap().is_none());
        goes_on(&store, n as u64).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_much_as_the_highest_limits_allow_has_room_and_more_cannot_be_allowed() {
    let database = Database::new();
    let highest = Limits { payload: 7 * MIB, headers: MIB, tags: 1_024, ..Limits::default() };
    for limits in [
        Limits { payload: 7 * MIB + 1, ..highest },
        Limits { headers: MIB + 1, ..highest },
        Limits { id: 1_025, ..highest },
        Limits { name: 257, ..highest },
        Limits { tags: 1_025, ..highest },
        Limits { parts: 10_001, ..highest },
    ] {
        let refused = common::store(&database.0).limits(limits).connect().await.unwrap_err();
        let is_named = matches!(refused.kind(), ErrorKind::Invalid { field: Some(field) } if field == "limits");
        assert!(is_named, "{refused:?}");
    }
    let store = common::store(&database.0).limits(highest).connect().await.unwrap();
    let fields = (0..64).fold(Collection::new("notes"), |notes, n| notes.unique(format!("f{n}")));
    store.declare(fields).await.unwrap();
    let full = || json(7 * MIB);
    let mut append = events("17", 1, &full());
    append.events[0].tags = (0..1_024).map(|n| format!("{n:0>256}")).collect();
    let stream = append.stream.clone();
    let committed = store.commit(Commit { appends: vec![append], ..Commit::default() }).await;
    assert_eq!(committed.unwrap().position(), 1);
    // Two snapshots lie side by side.
    for (n, schema) in [b"1", b"2", b"3"].into_iter().enumerate() {
        let snapshot = SnapshotWrite::Keep {
            stream: stream.clone(),
            schema: Fingerprint::of(schema),
            version: n as u64 + 2,
            body: full(),
        };
        let expected = Expected::Exactly(n as u64 + 1);
        let appends = vec![Append { expected, ..events("17", 1, &json(20)) }];
        let commit = Commit { appends, snapshots: vec![snapshot], ..Commit::default() };
        store.commit(commit).await.unwrap();
    }
    let fold = ReadStream { snapshot: Some(Fingerprint::of(b"3")), ..ReadStream::of(stream) };
    let pages = collect(store.read_stream(fold)).await.unwrap();
    assert_eq!(pages[0].snapshot().map(|snapshot| snapshot.version), Some(4));
    let values = (0..64).map(|n| format!("\"f{n}\":\"{n:0>1024}\""));
    let values = values.collect::<Vec<_>>().join(",");
    let body = format!("{{{values},\"text\":\"{}\"}}", "x".repeat(7 * MIB - values.len() - 14));
    let documents = vec![put("1", Json::parse(body).unwrap())];
    store.commit(Commit { documents, ..Commit::default() }).await.unwrap();
    for commit in [
        Commit { inbox: vec![mark(7 * MIB)], ..Commit::default() },
        Commit { outgoing: vec![told(full())], ..Commit::default() },
        Commit { parked: vec![parked(full())], ..Commit::default() },
    ] {
        store.commit(commit).await.unwrap();
    }
    let sent = store.outgoing(FindOutgoing::after(0)).await.unwrap();
    assert_eq!(sent[0].message.body.len(), 7 * MIB);
    goes_on(&store, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_the_cache_of_the_server_has_no_room_for_is_too_large_and_others_are_not() {
    // A cache of its own: others would have to wait for room.
    let own = Own::begin(1).await;
    let limits = Limits { commit: 1 << 30, ..Limits::default() };
    let store = MongoStore::builder(own.url()).limits(limits).connect().await.unwrap();
    let body = json(4 * MIB);
    let huge = || Commit { appends: vec![events("huge", 32, &body)], ..Commit::default() };
    let size = huge().bodies();
    let usual = || store.commit(deposit("17", Expected::Any));
    let (refused, one, two) = tokio::join!(store.commit(huge()), usual(), usual());
    let mut session = store.session().await.unwrap();
    let mut within = Err(cqrs_core::Error::new(ErrorKind::Unavailable, "not tried yet"));
    // Short of room, the server may first say that others are in the way.
    for _ in 0..10 {
        if !matches!(&within, Err(error) if *error.kind() == ErrorKind::Unavailable) {
            break;
        }
        session.start_transaction().await.unwrap();
        within = store.commit_in(&mut session, huge()).await;
        let _ = session.abort_transaction().await;
    }
    for error in [refused.unwrap_err(), within.unwrap_err()] {
        let ErrorKind::TooLarge { what, size: told, limit } = error.kind() else {
            panic!("{error:?}");
        };
        assert_eq!((&**what, *told), ("the commit", size));
        assert!(*limit < size && error.to_string().contains("cache"), "{error}");
    }
    let mut positions = [one, two].map(|committed| committed.unwrap().position());
    positions.sort_unstable();
    assert_eq!(positions, [1, 2]);
    goes_on(&store, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_parts_are_looked_up_by_the_longest_names() {
    let database = Database::new();
    let store = common::store(&database.0).connect().await.unwrap();
    let longest = |n: usize| format!("{n:0>1024}");
    let commit = |generation| {
        let timer = |n| TimerWrite {
            owner: longest(n % 2),
            tenant: Some("x".repeat(256).into()),
            key: longest(n),
            name: longest(n),
            generation,
            due: Some(Timestamp::from_micros(1)),
        };
        let parked = |n| ParkedWrite {
            subscription: longest(n % 3),
            position: 1,
            key: longest(n),
            ..parked(json(20))
        };
        Commit {
            id: CommitId(MessageId::fresh()),
            timers: (0..1_000).map(timer).collect(),
            parked: (0..600).map(parked).collect(),
            ..Commit::default()
        }
    };
    let mut last = None;
    for generation in 1..=2 {
        let commit = commit(generation);
        store.commit(commit.clone()).await.unwrap();
        last = Some(commit);
    }
    let repeat = store.commit(last.unwrap()).await.unwrap();
    assert_eq!(repeat, Committed::Before { position: 0, reply: None });
    let find = FindTimers { owner: longest(1), due_by: Timestamp::from_micros(1), limit: 10_000 };
    let timers = store.timers(find).await.unwrap();
    assert!(timers.len() == 500 && timers.iter().all(|timer| timer.generation == 2));
}

/// What a name may be that somebody has thought of.
fn hostile() -> Vec<String> {
    let longest = "x".repeat(1_024);
    let all = [
        ".",
        "a.b",
        "$",
        "$set",
        "$$NOW",
        "$a.b",
        "_id",
        "{\"$gt\":\"\"}",
        "[]",
        "null",
        "'\"`\\",
        "%_*?^",
        "/",
        "a/b",
        " ",
        "\u{7f}\u{80}",
        "é",
        "e\u{301}",
        "\u{202e}evil",
        "😀",
        "\u{feff}",
        "\u{10ffff}",
        &longest,
    ];
    all.into_iter().filter(|name| !name.chars().any(char::is_control)).map(str::to_owned).collect()
}

/// A commit in which everything is called so.
fn called(name: &str) -> Commit {
    let short: String = name.chars().take(60).collect();
    let tenant = || Some(short.clone().into());
    let mut append = events(name, 1, &json(20));
    let category = short.clone().into();
    append.stream = StreamId { tenant: tenant(), category, id: name.to_owned() };
    append.events[0].event_type = short.clone().into();
    append.events[0].tags = vec![short.clone()];
    let key =
        DocumentKey { tenant: tenant(), collection: short.clone().into(), id: name.to_owned() };
    let body = serde_json::json!({ "name": name }).to_string();
    let mut message = told(json(20));
    message.key = name.to_owned();
    message.name = short.clone().into();
    Commit {
        id: CommitId(MessageId::fresh()),
        appends: vec![append],
        documents: vec![DocumentWrite::put(key, Expected::NoStream, Json::parse(body).unwrap())],
        inbox: vec![InboxMark { consumer: name.to_owned(), ..mark(3) }],
        checkpoint: Some(CheckpointWrite {
            subscription: name.to_owned(),
            partition: 7,
            from: 0,
            to: 1,
            fence: None,
        }),
        timers: vec![TimerWrite {
            owner: name.to_owned(),
            tenant: tenant(),
            key: name.to_owned(),
            name: name.to_owned(),
            generation: 1,
            due: Some(Timestamp::from_micros(1)),
        }],
        outgoing: vec![message],
        parked: vec![ParkedWrite {
            subscription: name.to_owned(),
            key: name.to_owned(),
            message: short,
            cause: name.to_owned(),
            ..parked(json(20))
        }],
        ..Commit::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_names_are_found_again_as_they_were_written_and_no_others_with_them() {
    let database = Database::new();
    let store = common::store(&database.0).connect().await.unwrap();
    store.commit(deposit("first", Expected::Any)).await.unwrap();
    for name in hostile() {
        let commit = called(&name);
        let document = commit.documents[0].key.clone();
        store
            .declare(Collection::new(document.collection.clone()).unique("name"))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let committed = store.commit(commit.clone()).await;
        committed.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let ask = LeaseRequest {
            holder: name.clone(),
            names: vec![name.clone()],
            term: Duration::from_secs(60),
        };
        assert!(store.lease(ask).await.unwrap()[0].is_of(&name), "{name}");
    }
    for name in hostile() {
        let Commit { appends, documents, inbox, .. } = &called(&name);
        let append = &appends[0];
        let short = append.events[0].tags[0].clone();
        let found =
            collect(store.read_stream(ReadStream::of(append.stream.clone()))).await.unwrap();
        let event = found[0].iter().next().unwrap();
        assert_eq!((event.stream, event.category), (&*name, &*short));
        assert_eq!((event.tenant, event.event_type), (Some(&*short), &*short));
        assert_eq!(event.tags().collect::<Vec<_>>(), [&*short]);
        for filter in [
            Filter { types: vec![short.clone().into()], ..Filter::default() },
            Filter { categories: vec![short.clone().into()], ..Filter::default() },
            Filter { tags: vec![short.clone()], ..Filter::default() },
            Filter { tenant: Some(short.clone().into()), ..Filter::default() },
            Filter { streams: vec![append.stream.clone()], ..Filter::default() },
        ] {
            let found = log_of(&store, filter.clone()).await;
            let names = found.iter().flat_map(Page::iter).map(|event| event.stream);
            assert_eq!(names.collect::<Vec<_>>(), [&*name], "{filter:?}");
        }
        let key = &documents[0].key;
        assert_eq!(store.document(key).await.unwrap().unwrap().id, name);
        let all = FindDocuments { tenant: key.tenant.clone(), ..FindDocuments::all(short.clone()) };
        let by = FindDocuments::by(short.clone(), "name", name.clone());
        let by = FindDocuments { tenant: key.tenant.clone(), ..by };
        for find in [all.clone(), by] {
            let found = store.find_documents(find.clone()).await.unwrap();
            assert_eq!(found.iter().map(|d| &*d.id).collect::<Vec<_>>(), [&*name], "{find:?}");
            assert_eq!(store.count_documents(&find).await.unwrap(), 1);
        }
        let after = FindDocuments { after: Some(name.clone()), ..all };
        assert!(store.find_documents(after).await.unwrap().is_empty());
        assert_eq!(store.checkpoint(&name, 7).await.unwrap(), Some(1));
        assert!(store.inbox(&name, inbox[0].message).await.unwrap().is_none());
        let due = FindTimers { owner: name.clone(), due_by: Timestamp::from_micros(2), limit: 9 };
        let timers = store.timers(due).await.unwrap();
        assert_eq!(
            timers.iter().map(|t| (&*t.key, &*t.name)).collect::<Vec<_>>(),
            [(&*name, &*name)]
        );
        let of = FindParked { subscription: Some(name.clone()), ..FindParked::default() };
        let of_key = FindParked { key: Some(name.clone()), ..FindParked::default() };
        for find in [of, of_key] {
            let parked = store.parked(find).await.unwrap();
            assert_eq!(parked.iter().map(|p| &*p.cause).collect::<Vec<_>>(), [&*name]);
        }
        let held = store.leases(&name).await.unwrap();
        assert!(held.iter().any(|lease| lease.name == name), "{name}");
        assert!(held.iter().all(|lease| lease.name.starts_with(&name)), "{name}");
    }
    let sent = store.outgoing(FindOutgoing::after(0)).await.unwrap();
    let keys: Vec<_> = sent.into_iter().map(|pending| pending.message.key).collect();
    assert_eq!(keys, hostile());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_cannot_be_are_refused_and_found_nowhere() {
    let database = Database::new();
    let store = common::store(&database.0).connect().await.unwrap();
    for name in ["", "\0", "a\0b", "\n", "\u{1f}", &"x".repeat(MIB)] {
        for commit in [
            deposit(name, Expected::Any),
            Commit { documents: vec![put(name, json(20))], ..Commit::default() },
            Commit {
                inbox: vec![InboxMark { consumer: name.to_owned(), ..mark(3) }],
                ..Commit::default()
            },
            Commit {
                parked: vec![ParkedWrite { key: name.to_owned(), ..parked(json(20)) }],
                ..Commit::default()
            },
        ] {
            let error = store.commit(commit).await.unwrap_err();
            let is_typed =
                matches!(error.kind(), ErrorKind::Invalid { .. } | ErrorKind::TooLarge { .. });
            assert!(is_typed && error.to_string().len() < 5_000, "{error:?}");
        }
        // Asked for by such a name, nothing is there.
        let stream = StreamId::new("account", name);
        assert!(collect(store.read_stream(ReadStream::of(stream))).await.unwrap().is_empty());
        assert!(store.document(&DocumentKey::new("notes", name)).await.unwrap().is_none());
        assert_eq!(store.checkpoint(name, 0).await.unwrap(), None);
        assert!(store.inbox(name, MessageId::fresh()).await.unwrap().is_none());
        let find = FindParked { key: Some(name.to_owned()), ..FindParked::default() };
        assert!(store.parked(find).await.unwrap().is_empty());
        store.release(name, &[name.to_owned()]).await.unwrap();
        let filter = Filter { tags: vec![name.to_owned()], ..Filter::default() };
        match collect(store.read_log(ReadLog::after(0).filter(filter))).await {
            Ok(pages) => assert!(pages.iter().all(Page::is_empty)),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::TooLarge { .. }), "{error:?}"),
        }
    }
    goes_on(&store, 0).await;
}
