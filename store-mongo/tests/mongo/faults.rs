//! Commands of a commit that fail on the server: nothing is lost, nothing is there twice, nothing is half there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{
    Append, Collection, Commit, CommitId, Committed, DocumentKey, DocumentWrite, Expected,
    FindOutgoing, FindTimers, Fingerprint, InboxMark, Json, LeaseRequest, MessageId, Metadata,
    NewEvent, Outgoing, OutgoingKind, Payload, Store, StreamId, TimerWrite, Timestamp,
};
use cqrs_testing::Load;
use store_mongo::MongoStore;
use store_mongo::bson::{Document, doc};
use store_mongo::mongodb::Client;
use tokio::sync::{Mutex, MutexGuard};

use crate::common::{self, Database};
use crate::own::wanted;

/// The commands that a commit sends.
const COMMANDS: [&str; 5] = ["findAndModify", "aggregate", "insert", "update", "commitTransaction"];

/// How a command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody knows whether it was done; it was not.
    Cut,
    Conflict,
    /// The member goes down.
    Down,
    /// It was done, and it is not known by how many members.
    Unknown,
    /// A change stream was away for longer than the server remembers.
    HistoryLost,
}

pub(crate) const FAULTS: [Fault; 4] = [Fault::Cut, Fault::Conflict, Fault::Down, Fault::Unknown];

impl Fault {
    /// Whether there is such a failure of that command.
    pub(crate) fn befalls(self, command: &str) -> bool {
        match self {
            Self::Unknown => command == "commitTransaction",
            Self::HistoryLost => command == "getMore",
            Self::Cut | Self::Conflict | Self::Down => true,
        }
    }

    fn data(self) -> Document {
        match self {
            Self::Cut => doc! { "closeConnection": true },
            Self::Conflict => {
                doc! { "errorCode": 112, "errorLabels": ["TransientTransactionError"] }
            }
            Self::Down => doc! { "errorCode": 91 },
            Self::HistoryLost => {
                doc! { "errorCode": 286, "errorLabels": ["NonResumableChangeStreamError"] }
            }
            Self::Unknown => {
                doc! { "writeConcernError": { "code": 91, "errmsg": "it goes down" } }
            }
        }
    }
}

/// The server has one fault at a time.
static ONE: Mutex<()> = Mutex::const_new(());

/// Lets commands of one client fail.
pub(crate) struct Failing {
    client: Client,
    name: String,
    _one: MutexGuard<'static, ()>,
}

impl Failing {
    pub(crate) async fn of(name: &str) -> Self {
        let _one = ONE.lock().await;
        let client = Client::with_uri_str(common::url()).await.unwrap();
        Self { client, name: name.to_owned(), _one }
    }

    pub(crate) async fn set(&self, command: &str, fault: Fault, times: i32) {
        let mut data = fault.data();
        data.insert("failCommands", vec![command]);
        data.insert("appName", &self.name);
        let fail = doc! {
            "configureFailPoint": "failCommand", "mode": { "times": times }, "data": data,
        };
        self.client.database("admin").run_command(fail).await.unwrap();
    }

    pub(crate) async fn unset(&self) {
        let off = doc! { "configureFailPoint": "failCommand", "mode": "off" };
        self.client.database("admin").run_command(off).await.unwrap();
    }
}

/// A store that is known to the server by its name.
pub(crate) async fn named(database: &str, name: &str, patience: Duration) -> MongoStore {
    let url = common::url();
    let separator = if url.contains('?') { '&' } else { '?' };
    // A member that says it goes down, and does not, is asked again soon.
    let url = format!("{url}{separator}appName={name}&heartbeatFrequencyMS=500");
    MongoStore::builder(url).database(database).patience(patience).connect().await.unwrap()
}

/// A commit with something in each of the collections that a frequent commit writes.
fn of_everything(n: u64) -> Commit {
    let id = CommitId(MessageId::fresh());
    let json = |text: &str| Json::parse(text.to_owned()).unwrap();
    let event = |k| NewEvent {
        metadata: Metadata::of(id.event(k)),
        ..NewEvent::new("bank.deposited", Payload::Json(json("{}")))
    };
    let stream = StreamId::new("account", "1");
    Commit {
        id,
        appends: vec![Append {
            stream,
            expected: Expected::Exactly(2 * n),
            events: vec![event(0), event(1)],
        }],
        documents: vec![DocumentWrite::put(
            DocumentKey::new("progress", "1"),
            match n {
                0 => Expected::NoStream,
                n => Expected::Exactly(n),
            },
            json("{}"),
        )],
        inbox: vec![InboxMark {
            consumer: "bank".to_owned(),
            message: id.0,
            fingerprint: Fingerprint::of(b"deposit"),
            reply: None,
        }],
        timers: vec![TimerWrite {
            owner: "saga".to_owned(),
            tenant: None,
            key: n.to_string(),
            name: "due".to_owned(),
            generation: 1,
            due: Some(Timestamp::from_micros(1)),
        }],
        outgoing: vec![Outgoing::new(
            OutgoingKind::Message,
            "bank.deposited",
            "1",
            Payload::Json(json("{}")),
        )],
        ..Commit::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_command_fails_once_or_more_often_is_applied_once() {
    let database = Database::new();
    let store = named(&database.0, "fails_alone", Duration::from_secs(20)).await;
    store.declare(Collection::new("progress")).await.unwrap();
    let failing = Failing::of("fails_alone").await;
    let mut n = 0;
    for command in COMMANDS {
        for fault in FAULTS.into_iter().filter(|fault| fault.befalls(command)) {
            for times in [1, 2] {
                let what = format!("{command} fails {times} times: {fault:?}");
                let commit = of_everything(n);
                failing.set(command, fault, times).await;
                let committed = store.commit(commit.clone()).await;
                failing.unset().await;
                n += 1;
                // Two events and a message each time, and no place is lost.
                let committed = committed.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_eq!(committed.position(), 3 * n, "{what}");
                assert_eq!(store.head().await.unwrap().position, 3 * n, "{what}");
                let repeat = store.commit(commit).await.unwrap();
                let position = 3 * n;
                assert_eq!(repeat, Committed::Before { position, reply: None }, "{what}");
                let due = FindTimers {
                    owner: "saga".to_owned(),
                    due_by: Timestamp::from_micros(2),
                    limit: 1_000,
                };
                assert_eq!(store.timers(due).await.unwrap().len() as u64, n, "{what}");
                let sent = store.outgoing(FindOutgoing::after(0)).await.unwrap();
                assert_eq!(sent.len() as u64, n, "{what}");
                let document = store.document(&DocumentKey::new("progress", "1")).await.unwrap();
                assert_eq!(document.map(|document| document.version), Some(n), "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_whatever_fails_under_load() {
    let database = Database::new();
    let patient = named(&database.0, "fails_under_load", Duration::from_secs(20)).await;
    let soon = named(&database.0, "fails_under_load", Duration::from_millis(20)).await;
    let stores: [Arc<dyn Store>; 2] = [Arc::new(patient), Arc::new(soon)];
    let failing = Failing::of("fails_under_load").await;
    let load = Load::begin(&stores).await;
    let (started, seconds) = (Instant::now(), wanted("FAULT_SECONDS", 5));
    let mut faults = 0;
    while started.elapsed() < Duration::from_secs(seconds) {
        let command = COMMANDS[fastrand::usize(..COMMANDS.len())];
        let fault = FAULTS[fastrand::usize(..FAULTS.len())];
        // Whoever goes down is not asked for a while: seldom, so that there is a load.
        let is_rare = fault == Fault::Down && fastrand::u8(..20) > 0;
        if !is_rare && fault.befalls(command) {
            failing.set(command, fault, fastrand::i32(1..4)).await;
            faults += 1;
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..30))).await;
    }
    failing.unset().await;
    load.goes_on(1, Duration::from_secs(10)).await;
    println!("{faults} faults, {}", load.end(&*stores[0]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_taken_over_without_an_answer_is_told_to_be_taken_over() {
    let database = Database::new();
    let store = named(&database.0, "takes_over", Duration::from_secs(20)).await;
    let ask = |holder: &str, term| LeaseRequest {
        holder: holder.to_owned(),
        names: vec!["mailer/0".to_owned()],
        term,
    };
    // It ends at once, and was never released.
    let first = store.lease(ask("one", Duration::from_millis(1))).await.unwrap().remove(0);
    let failing = Failing::of("takes_over").await;
    // As often as the driver tries, and no more.
    failing.set("commitTransaction", Fault::Unknown, 2).await;
    let taken = store.lease(ask("two", Duration::from_secs(60))).await.unwrap().remove(0);
    failing.unset().await;
    assert_eq!((&*taken.holder, taken.token), ("two", first.token + 1));
    assert!(taken.taken_over, "{taken:?}");
}
