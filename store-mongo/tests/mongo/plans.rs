//! What is read of a long log is found by an index, and no more of it is looked at than is wanted. The server's
//! profiler tells of each command that the store has sent.

use std::time::Duration;

use cqrs_core::{
    Append, CheckpointWrite, Commit, CommitId, DocumentKey, Expected, Fence, Filter, FindDocuments,
    FindOutgoing, FindParked, FindTimers, Fingerprint, Guard, LeaseRequest, MessageId, PageSize,
    ParkedState, ReadLog, ReadStream, Result, Settled, Store, Timer, TimerWrite, Timestamp,
};
use futures_util::StreamExt;
use store_mongo::MongoStore;
use store_mongo::bson::{Bson, Document, doc};

use crate::common::{self, Database};
use crate::long_log::{
    EVENTS, LONG, OTHERS, STREAMS, fill, long, mark, note, nth, other, parked, timer, told,
};
use crate::short::{deposit, paid};

/// What may be looked at beside what is wanted.
const BESIDE: i64 = 12;

/// Ten events.
fn small() -> PageSize {
    PageSize { events: 10, ..PageSize::default() }
}

/// The commands that the store sends while something is done.
async fn commands(store: &MongoStore, done: impl Future<Output = ()>) -> Vec<Document> {
    let db = store.database();
    let profile = db.collection::<Document>("system.profile");
    profile.drop().await.unwrap();
    db.run_command(doc! { "profile": 2, "slowms": 0 }).await.unwrap();
    done.await;
    db.run_command(doc! { "profile": 0 }).await.unwrap();
    let mut found = profile.find(doc! {}).await.unwrap();
    let mut commands = Vec::new();
    while found.advance().await.unwrap() {
        commands.push(found.deserialize_current().unwrap());
    }
    commands
}

fn number(document: &Document, name: &str) -> i64 {
    match document.get(name) {
        Some(Bson::Int32(n)) => (*n).into(),
        Some(Bson::Int64(n)) => *n,
        _ => 0,
    }
}

/// All stages of a plan with these names, wherever they are.
fn stages<'d>(document: &'d Document, name: &str, found: &mut Vec<&'d Document>) {
    for (key, value) in document {
        let inner: Vec<&Document> = match value {
            Bson::Document(inner) => vec![inner],
            Bson::Array(all) => all.iter().filter_map(Bson::as_document).collect(),
            _ => continue,
        };
        if key == name {
            found.push(document);
        }
        inner.into_iter().for_each(|inner| stages(inner, name, found));
    }
}

/// What the lookups of a command look at: only an explanation tells.
async fn lookups(store: &MongoStore, command: &Document) -> (i64, i64, i64) {
    let pipeline = command.get("pipeline").cloned().unwrap();
    let explained = doc! {
        "explain": { "aggregate": command.get_str("aggregate").unwrap(), "pipeline": pipeline, "cursor": {} },
        "verbosity": "executionStats",
    };
    let explained = store.database().run_command(explained).await.unwrap();
    let mut found = Vec::new();
    stages(&explained, "$lookup", &mut found);
    let sum = |name: &str| found.iter().map(|stage| number(stage, name)).sum();
    (sum("collectionScans"), sum("totalKeysExamined"), sum("totalDocsExamined"))
}

/// What a command has looked at: whole collections, keys and documents.
async fn looked_at(store: &MongoStore, told: &Document) -> (i64, i64, i64) {
    let command = told.get_document("command").unwrap();
    let (mut scans, mut keys, mut documents) = match command.contains_key("pipeline") {
        true => lookups(store, command).await,
        false => (0, 0, 0),
    };
    scans += i64::from(told.get_str("planSummary").is_ok_and(|plan| plan.contains("COLLSCAN")));
    keys += number(told, "keysExamined");
    documents += number(told, "docsExamined");
    (scans, keys, documents)
}

struct Checked<'s> {
    store: &'s MongoStore,
    faults: Vec<String>,
}

impl Checked<'_> {
    /// Each command looks at as many keys and documents as this, and those beside.
    async fn check(&mut self, what: &str, most: u64, done: impl Future<Output = ()>) {
        let commands = commands(self.store, done).await;
        assert!(!commands.is_empty(), "{what}: nothing is profiled");
        let mut seen = (0, 0, 0);
        for told in commands {
            let name = told.get_str("ns").unwrap();
            if !name.contains(".cqrs_") {
                continue;
            }
            let (scans, keys, documents) = looked_at(self.store, &told).await;
            seen = (seen.0 + scans, seen.1.max(keys), seen.2.max(documents));
            let most = most as i64 + BESIDE;
            if scans > 0 || keys > most || documents > most {
                let plan = told.get_str("planSummary").unwrap_or_default();
                let mut command = told.get_document("command").unwrap().to_string();
                command.truncate(700);
                self.faults.push(format!(
                    "{what}: {scans} scans, {keys} keys, {documents} documents, at most {most} \
                     ({plan}): {command}"
                ));
            }
        }
        println!("{what}: {} keys and {} documents at most", seen.1, seen.2);
    }

    /// The first page of a log.
    async fn log(&mut self, what: &str, after: u64, filter: Filter, most: u64) {
        let read = ReadLog::after(after).filter(filter).page(10);
        let store = self.store.clone();
        let first = async move {
            let page = store.read_log(read).next().await.unwrap().unwrap();
            assert!(!page.is_empty());
        };
        self.check(what, most, first).await;
    }

    async fn stream(&mut self, what: &str, read: ReadStream, most: u64) {
        let store = self.store.clone();
        let first = async move {
            let page = store.read_stream(read).next().await.unwrap().unwrap();
            assert!(!page.is_empty() || page.snapshot().is_some());
        };
        self.check(what, most, first).await;
    }

    async fn found<T>(
        &mut self,
        what: &str,
        most: u64,
        done: impl Future<Output = Result<Vec<T>>>,
    ) {
        let found = async { assert!(!done.await.unwrap().is_empty(), "{what}: nothing is found") };
        self.check(what, most, found).await;
    }

    async fn commit(&mut self, what: &str, most: u64, commit: Commit) {
        let store = self.store.clone();
        self.check(what, most, async move {
            let _ = store.commit(commit).await.unwrap();
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_looked_for_by_a_scan() {
    let database = Database::new();
    let store = &common::store(&database.0).watch(false).connect().await.unwrap();
    fill(store).await;
    let mut checked = Checked { store, faults: Vec::new() };
    let head = store.head().await.unwrap().position;
    // Pages that are read at once, of ten events each.
    let step = 80;
    let read = |from| ReadStream { from, page: small(), ..ReadStream::of(long()) };

    checked.stream("a stream from its beginning", read(1), step).await;
    checked.stream("a stream from its middle", read(LONG / 2), step).await;
    let backwards = ReadStream { backwards: true, ..read(1) };
    checked.stream("a stream backwards", backwards, step).await;
    let until = ReadStream { recorded_until: Some(Timestamp::MAX), ..read(1) };
    checked.stream("a stream up to a time", until, step).await;
    let snapshot = Some(Fingerprint::of(b"1"));
    checked.stream("a stream from its snapshot", ReadStream { snapshot, ..read(1) }, 4).await;

    let all = Filter::default;
    let of_type = |name: &'static str| Filter { types: vec![name.into()], ..all() };
    let of_tags = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Filter { tags, ..Filter::default() }
    };
    // Again, when the server has made up its mind.
    for (when, after) in [("the beginning", 0), ("the end", EVENTS * 3 / 4), ("where it began", 0)]
    {
        checked.log(&format!("the log from {when}"), after, all(), step).await;
        checked.log(&format!("a type from {when}"), after, of_type("type-7"), step).await;
        checked.log(&format!("a rare type from {when}"), after, of_type("rare"), 10).await;
        let types = vec!["rare".into(), "type-7".into(), "type-8".into()];
        let types = Filter { types, ..all() };
        checked.log(&format!("types from {when}"), after, types, step + 6).await;
        let category = Filter { categories: vec!["category-7".into()], ..all() };
        checked.log(&format!("a category from {when}"), after, category, step).await;
        let categories = vec!["category-7".into(), "category-9".into()];
        let categories = Filter { categories, ..all() };
        checked.log(&format!("categories from {when}"), after, categories, step + 4).await;
        checked.log(&format!("a tag from {when}"), after, of_tags(&["frequent"]), step).await;
        checked.log(&format!("a rare tag from {when}"), after, of_tags(&["rare"]), 50).await;
        let both = of_tags(&["rare", "n-45000"]);
        checked.log(&format!("two tags from {when}"), after, both, 50).await;
        let streams = Filter { streams: vec![other(7), other(9)], ..all() };
        checked.log(&format!("streams from {when}"), after, streams, 2 * EVENTS / STREAMS).await;
        let long = Filter { streams: vec![long(), other(7)], ..all() };
        checked.log(&format!("a long stream from {when}"), after, long, 6 * step).await;
        // No index has times: the place in the log is searched for.
        let since = Filter { since: Some(Timestamp::from_micros(1)), ..all() };
        checked.log(&format!("since a time from {when}"), after, since, step).await;
    }
    let none = Filter { tenant: Some("nobody".into()), ..all() };
    let nothing = async {
        let mut pages = store.read_log(ReadLog::after(0).filter(none));
        while let Some(page) = pages.next().await {
            assert!(page.unwrap().is_empty());
        }
    };
    // No index has tenants: so many positions are looked through at once.
    checked.check("a tenant", 50_000, nothing).await;
    checked
        .check("the head", 1, async {
            let _ = store.head().await.unwrap();
        })
        .await;

    let by = |name: &'static str, value: cqrs_core::FieldValue| FindDocuments {
        limit: 10,
        ..FindDocuments::by("notes-1", name, value)
    };
    let listed = || FindDocuments { limit: 10, ..FindDocuments::all("notes-1") };
    let find = |find| store.find_documents(find);
    checked.found("documents", 10, find(listed())).await;
    let after = FindDocuments { after: Some("id-005000".to_owned()), ..listed() };
    checked.found("documents after another one", 10, find(after.clone())).await;
    checked.found("a page of documents", 60, find(FindDocuments { skip: 50, ..after })).await;
    checked.found("documents by a field", 10, find(by("group", "group-1".to_owned().into()))).await;
    checked.found("a document by a unique field", 1, find(by("number", 4_001.into()))).await;
    let id = DocumentKey::new("notes-1", "id-004001");
    checked
        .check("a document", 1, async { assert!(store.document(&id).await.unwrap().is_some()) })
        .await;
    let count = async {
        let count = store.count_documents(&by("group", "group-1".to_owned().into())).await;
        assert_eq!(count.unwrap(), 20);
    };
    checked.check("the count of documents by a field", 20, count).await;

    let due = FindTimers {
        owner: "owner-7".to_owned(),
        due_by: Timestamp::from_micros(i64::MAX),
        limit: 10,
    };
    checked.found("timers", 10, store.timers(due.clone())).await;
    let early = FindTimers { due_by: Timestamp::from_micros(100), limit: 1_000, ..due };
    checked.found("timers that are due", 10, store.timers(early)).await;
    let sent = |after| FindOutgoing { page: small(), ..FindOutgoing::after(after) };
    checked.found("messages", 10, store.outgoing(sent(0))).await;
    checked.found("the last messages", 10, store.outgoing(sent(head - 20))).await;
    let aside = || FindParked { limit: 10, ..FindParked::default() };
    let subscription = || Some("subscription-0".to_owned());
    let after = || Some(("subscription-0".to_owned(), 5_000, String::new()));
    let (state, key) = (Some(ParkedState::Parked), || Some("key-0".to_owned()));
    let due_by = Some(Timestamp::from_micros(i64::MAX));
    for (what, most, find) in [
        ("parked entries", 10, aside()),
        ("parked entries after one", 10, FindParked { after: after(), ..aside() }),
        ("those of a subscription", 10, FindParked { subscription: subscription(), ..aside() }),
        (
            "those of a subscription after one",
            10,
            FindParked { subscription: subscription(), after: after(), ..aside() },
        ),
        ("those of a key", 10, FindParked { key: key(), ..aside() }),
        (
            "those of a key and a subscription",
            10,
            FindParked { key: key(), subscription: subscription(), ..aside() },
        ),
        ("those in a state", 10, FindParked { state, ..aside() }),
        (
            "those of a subscription in a state",
            10,
            FindParked { state, subscription: subscription(), ..aside() },
        ),
        ("those that are due", 10, FindParked { due_by, ..aside() }),
        (
            "those of a subscription that are due",
            10,
            FindParked { due_by, subscription: subscription(), ..aside() },
        ),
        (
            "the one at a position",
            10,
            FindParked { position: Some(5_001), subscription: subscription(), ..aside() },
        ),
    ] {
        checked.found(what, most, store.parked(find)).await;
    }
    // Those that are over as well.
    let begun = OTHERS as u64 / 10;
    checked.found("leases", begun, store.leases("lease-7/")).await;
    let none = async { assert!(store.leases("lease-0/x").await.unwrap().is_empty()) };
    checked.check("leases that nobody has", 0, none).await;
    checked
        .check("the inbox", 1, async {
            let _ = store.inbox("bank", MessageId::fresh()).await.unwrap();
        })
        .await;
    checked
        .check("a checkpoint", 1, async {
            let _ = store.checkpoint("seen", 0).await.unwrap();
        })
        .await;
    let unknown = CommitId(MessageId::fresh());
    checked
        .check("a commit that is unknown", 1, async {
            let _ = store.committed(unknown).await.unwrap();
        })
        .await;

    let commit = deposit("17", Expected::NoStream);
    checked.commit("a commit", 4, commit.clone()).await;
    checked.commit("its repeat", 4, commit.clone()).await;
    checked
        .check("whether it was applied", 1, async {
            let _ = store.committed(commit.id).await.unwrap();
        })
        .await;
    let to_long = Append { stream: long(), expected: Expected::Any, events: vec![nth(1)] };
    checked
        .commit("one to a long stream", 4, Commit { appends: vec![to_long], ..Commit::default() })
        .await;
    let everything = Commit {
        guards: vec![
            Guard::Stream { stream: other(9), expected: Expected::Any },
            Guard::Document {
                key: DocumentKey::new("notes-2", "id-000002"),
                expected: Expected::Any,
            },
            Guard::NoneMatching { filter: of_type("never"), after: 0 },
            Guard::NoneMatching { filter: of_tags(&["never"]), after: 0 },
        ],
        fences: vec![Fence { lease: "lease-0/0".to_owned(), token: 1 }],
        documents: vec![note(1, OTHERS + 1), note(OTHERS, OTHERS)],
        checkpoint: Some(CheckpointWrite {
            subscription: "seen".to_owned(),
            partition: 0,
            from: 0,
            to: 1,
            fence: None,
        }),
        inbox: vec![mark()],
        timers: vec![TimerWrite { generation: 2, ..timer(7) }, timer(OTHERS)],
        outgoing: vec![told()],
        settled: vec![Settled::Timer(Timer {
            owner: "owner-8".to_owned(),
            tenant: None,
            key: "key-8".to_owned(),
            name: "due".to_owned(),
            generation: 1,
            due: Timestamp::from_micros(8),
        })],
        parked: vec![parked(OTHERS)],
        ..deposit("18", Expected::NoStream)
    };
    checked.commit("a commit of everything", 30, everything).await;
    let mut session = store.session().await.unwrap();
    session.start_transaction().await.unwrap();
    let within = async {
        store.commit_in(&mut session, paid("1", 17)).await.unwrap();
        session.commit_transaction().await.unwrap();
    };
    checked.check("a commit in a transaction", 8, within).await;
    let names = vec!["lease-3/3".to_owned(), "lease-new/1".to_owned()];
    let ask = LeaseRequest { holder: "two".to_owned(), names, term: Duration::from_secs(60) };
    checked.found("leases that are given out", 4, store.lease(ask)).await;
    let released = async { store.release("two", &["lease-3/3".to_owned()]).await.unwrap() };
    checked.check("a lease that is given back", 2, released).await;
    let purged = async { assert_eq!(store.purge_documents("notes-3", 5).await.unwrap(), 5) };
    checked.check("documents that are purged", 5, purged).await;
    assert!(checked.faults.is_empty(), "{}", checked.faults.join("\n"));
}
