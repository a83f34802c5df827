//! What commits send: in order of their keys, in vain and again, and through a stop.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    AnyRequest, App, Clock, Command, Commit, Error, ErrorKind, Failure, FindOutgoing, FindParked,
    ManualClock, Metadata, Origin, Outgoing, OutgoingKind, ParkedState, Rejection, Request,
    RequestKind, Res, RetryPolicy, RuntimeSettings, Settled, Store, Timestamp, Wire, Work,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tower::util::MapRequestLayer;

use crate::shop::{json, until};

const BOUND: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Print {
    key: String,
    n: u32,
}

#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
#[error("the paper is out")]
struct NoPaper;

impl Rejection for NoPaper {
    fn code(&self) -> &'static str {
        "printer.no_paper"
    }
}

impl Command for Print {}
impl Request for Print {
    const NAME: &'static str = "printer.print";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = NoPaper;
    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }
    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// What was printed, and what goes wrong.
#[derive(Clone, Default)]
struct Printer {
    printed: Arc<Mutex<Vec<(String, u32)>>>,
    tried: Arc<Mutex<Vec<(String, u32)>>>,
    /// Each of these fails once more.
    jams: Arc<Mutex<Vec<(String, u32)>>>,
    gate: Option<watch::Receiver<bool>>,
    /// So often it cannot be reached.
    offline: Arc<AtomicU32>,
}

impl Printer {
    fn of(&self, key: &str) -> Vec<u32> {
        let printed = self.printed.lock().unwrap();
        printed.iter().filter(|(k, _)| k == key).map(|(_, n)| *n).collect()
    }

    fn jam(&self, key: &str, n: u32, times: usize) {
        self.jams.lock().unwrap().extend(vec![(key.to_owned(), n); times]);
    }

    fn is_jammed(&self, page: &(String, u32)) -> bool {
        let mut jams = self.jams.lock().unwrap();
        let jam = jams.iter().position(|jam| jam == page);
        jam.map(|jam| jams.remove(jam)).is_some()
    }

    fn tried(&self) -> usize {
        self.tried.lock().unwrap().len()
    }
}

async fn print(p: Print, Res(printer): Res<Printer>, _: Work) -> Result<(), Failure<NoPaper>> {
    let page = (p.key, p.n);
    printer.tried.lock().unwrap().push(page.clone());
    if page.0 == "no paper" {
        return Err(NoPaper)?;
    }
    if let Some(gate) = &printer.gate {
        let _ = gate.clone().wait_for(|open| *open).await;
    }
    let less = |times: u32| times.checked_sub(1);
    if printer.offline.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
        return Err(Error::new(ErrorKind::Unavailable, "nobody answers").into());
    }
    assert!(!printer.is_jammed(&page), "the paper is jammed");
    printer.printed.lock().unwrap().push(page);
    Ok(())
}

struct Office {
    clock: ManualClock,
    store: MemoryStore,
    printer: Printer,
}

impl Office {
    fn new(printer: Printer) -> Self {
        let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
        Self { store: MemoryStore::with_clock(clock.clone()), clock, printer }
    }

    fn app(&self) -> App {
        let relay_retry = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
        let settings = RuntimeSettings { relay_retry, ..RuntimeSettings::tests() };
        App::builder()
            .store(self.store.clone())
            .clock(self.clock.clone())
            .resource(self.printer.clone())
            .handler(print)
            .runtime(RuntimeSettings { relay_partitions: 3, ..settings })
            .build()
            .unwrap()
    }

    async fn send(&self, key: &str, numbers: impl IntoIterator<Item = u32>) {
        for n in numbers {
            let work = Work::new(Arc::new(self.store.clone()), Metadata::default());
            work.send_keyed(key, &Print { key: key.to_owned(), n }).unwrap();
            assert!(work.commit().await.unwrap().is_some());
        }
    }

    async fn pending(&self) -> usize {
        self.store.outgoing(FindOutgoing::after(0)).await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_key_go_in_order_also_when_some_fail_in_the_middle() {
    let office = Office::new(Printer::default());
    for key in 0..20 {
        office.send(&format!("key-{key}"), 0..10).await;
    }
    // A lane of its own that is longer than what is kept of it in memory.
    office.send("long", 0..500).await;
    office.printer.jam("key-3", 4, 2);
    office.printer.jam("long", 40, 2);
    office.printer.jam("key-7", 0, 1);
    let running = office.app().start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(office.printer.of("key-3"), [0, 1, 2, 3]);
    assert_eq!(office.printer.of("key-7").len(), 0);
    assert_eq!(office.printer.of("long").len(), 40);
    for key in [0, 1, 2, 4, 5, 6, 8, 19] {
        let all: Vec<u32> = (0..10).collect();
        assert_eq!(office.printer.of(&format!("key-{key}")), all, "key {key}");
    }
    while let Some(due) = running.next_due().await.unwrap() {
        office.clock.set(due.max(office.clock.now()));
        running.settled().await.unwrap();
    }
    for key in 0..20 {
        let all: Vec<u32> = (0..10).collect();
        assert_eq!(office.printer.of(&format!("key-{key}")), all, "key {key}");
    }
    assert_eq!(office.printer.of("long"), (0..500).collect::<Vec<_>>());
    assert_eq!(office.pending().await, 0);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_out_of_reach_is_tried_again_in_real_time_whatever_the_clock_says() {
    let office = Office::new(Printer::default());
    office.printer.offline.store(5, Ordering::SeqCst);
    office.send("a", 0..3).await;
    let running = office.app().start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!((office.printer.of("a"), office.printer.tried()), (vec![0, 1, 2], 8));
    assert_eq!(office.pending().await, 0);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_one_that_nobody_hears_of_parks_at_once_and_its_key_waits() {
    let office = Office::new(Printer::default());
    let running = office.app().start().await.unwrap();
    office.send("no paper", 0..3).await;
    office.send("other", 0..3).await;
    running.settled().await.unwrap();
    assert_eq!(office.printer.of("other"), [0, 1, 2]);
    assert_eq!(office.printer.tried(), 4);
    let parked = office.store.parked(FindParked::of("cqrs.relay")).await.unwrap();
    assert_eq!((parked.len(), parked[0].state), (1, ParkedState::Parked));
    assert_eq!(parked[0].cause, "rejected: printer.no_paper: the paper is out");
    assert_eq!(office.pending().await, 3);
    running.stop(BOUND).await.unwrap();

    // Another node, later: it knows what waits.
    let app = office.app();
    let running = app.start().await.unwrap();
    office.send("other", 3..5).await;
    running.settled().await.unwrap();
    assert_eq!(office.printer.of("other"), [0, 1, 2, 3, 4]);
    assert_eq!(office.printer.tried(), 6);
    app.parked().unwrap().discard(&parked[0].id(), "no").await.unwrap();
    running.settled().await.unwrap();
    // The next one of the key had its turn.
    let next = office.store.parked(FindParked::of("cqrs.relay")).await.unwrap();
    assert!(next[0].position > parked[0].position);
    assert_eq!(office.pending().await, 2);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_here_handles_waits_for_a_process_that_does_and_costs_no_attempt() {
    let office = Office::new(Printer::default());
    office.send("a", 0..2).await;
    let elsewhere = App::builder()
        .store(office.store.clone())
        .clock(office.clock.clone())
        .runtime(RuntimeSettings { relay_partitions: 3, ..RuntimeSettings::tests() })
        .build()
        .unwrap();
    let running = elsewhere.start().await.unwrap();
    for _ in 0..20 {
        running.settled().await.unwrap();
        office.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(office.pending().await, 2);
    assert!(office.store.parked(FindParked::default()).await.unwrap().is_empty());
    let relay = elsewhere.subscriptions().unwrap().get("cqrs.relay").await.unwrap();
    assert_eq!((relay.position, relay.lag, relay.partitions, relay.here), (0, 2, 3, 3));
    running.stop(BOUND).await.unwrap();
    let app = office.app();
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    let all = app.subscriptions().unwrap().list().await.unwrap();
    assert!(matches!(&all[..], [relay] if relay.lag == 0 && relay.position == 2), "{all:?}");
    assert_eq!(office.printer.of("a"), [0, 1]);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_to_be_sent_yet_holds_up_its_key_only() {
    let office = Office::new(Printer::default());
    let later = office.clock.now().saturating_add(Duration::from_secs(60));
    let body = json(r#"{"key":"later","n":1}"#);
    let message = Outgoing {
        not_before: Some(later),
        ..Outgoing::new(OutgoingKind::Command, "printer.print", "later", body)
    };
    let commit = Commit { outgoing: vec![message], ..Commit::default() };
    office.store.commit(commit).await.unwrap();
    office.send("later", [2]).await;
    office.send("now", [1]).await;
    let running = office.app().start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!((office.printer.of("now"), office.printer.of("later")), (vec![1], vec![]));
    assert_eq!(running.next_due().await.unwrap(), Some(later));
    office.clock.set(later);
    until("it is sent", async || office.printer.of("later").len() == 2).await;
    assert_eq!(office.printer.of("later"), [1, 2]);
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_on_its_way_and_gives_up_the_rest_without_an_attempt() {
    let (open, gate) = watch::channel(false);
    let office = Office::new(Printer { gate: Some(gate), ..Printer::default() });
    office.send("slow", 0..2).await;
    let running = office.app().start().await.unwrap();
    until("it has begun", async || office.printer.tried() == 1).await;
    let mut stopping = Box::pin(running.stop(BOUND));
    assert!(futures_util::poll!(&mut stopping).is_pending());
    open.send_replace(true);
    stopping.await.unwrap();
    // It was finished and settled; the next one was not begun.
    assert_eq!(office.printer.of("slow"), [0]);
    assert_eq!((office.pending().await, office.printer.tried()), (1, 1));

    open.send_replace(false);
    office.printer.jam("slow", 1, 1);
    let running = office.app().start().await.unwrap();
    until("it has begun", async || office.printer.tried() == 2).await;
    running.stop(Duration::from_millis(1)).await.unwrap();
    assert!(office.store.parked(FindParked::default()).await.unwrap().is_empty());
    assert_eq!(office.pending().await, 1);
    open.send_replace(true);
    let running = office.app().start().await.unwrap();
    running.settled().await.unwrap();
    let entry = office.store.parked(FindParked::default()).await.unwrap().remove(0);
    assert_eq!((entry.state, entry.attempts), (ParkedState::Retrying, 1));
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_see_that_a_handler_has_sent_it() {
    let office = Office::new(Printer::default());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = seen.clone();
    let layer = MapRequestLayer::new(move |request: AnyRequest| {
        sees.lock().unwrap().push((request.name(), request.origin()));
        request
    });
    let app = App::builder()
        .store(office.store.clone())
        .resource(office.printer.clone())
        .handler(print)
        .layer(layer)
        .runtime(RuntimeSettings::tests())
        .build()
        .unwrap();
    office.send("a", [1]).await;
    let running = app.start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [("printer.print", Origin::Handler)]);
    running.stop(BOUND).await.unwrap();
}

/// The process dies after the command, before it is settled: the repeat is answered from the inbox.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_settling_repeats_no_effect() {
    let office = Office::new(Printer::default());
    office.send("a", [1]).await;
    let message = office.store.outgoing(FindOutgoing::after(0)).await.unwrap().remove(0).message;
    let running = office.app().start().await.unwrap();
    running.settled().await.unwrap();
    assert_eq!(office.printer.tried(), 1);
    // As if it had not been settled.
    let commit = Commit { outgoing: vec![message], ..Commit::default() };
    office.store.commit(commit).await.unwrap();
    running.settled().await.unwrap();
    assert_eq!((office.pending().await, office.printer.of("a")), (0, vec![1]));
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_somebody_else_settled_are_passed_over() {
    let office = Office::new(Printer::default());
    office.printer.jam("a", 0, 1);
    office.send("a", 0..2).await;
    let running = office.app().start().await.unwrap();
    running.settled().await.unwrap();
    let pending = office.store.outgoing(FindOutgoing::after(0)).await.unwrap().remove(0);
    let settled = vec![Settled::Outgoing(pending.message.metadata.id())];
    office.store.commit(Commit { settled, ..Commit::default() }).await.unwrap();
    let due = running.next_due().await.unwrap().unwrap();
    office.clock.set(due);
    until("its key goes on", async || office.printer.of("a") == [1]).await;
    running.settled().await.unwrap();
    assert!(office.store.parked(FindParked::default()).await.unwrap().is_empty());
    running.stop(BOUND).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_another_version_parks_and_says_so() {
    let office = Office::new(Printer::default());
    office.send("a", [1]).await;
    let sent = office.store.outgoing(FindOutgoing::after(0)).await.unwrap().remove(0).message;
    assert_eq!(sent.metadata.schema_version(), Some(1));
    let body = json(r#"{"key":"b","n":1}"#);
    let message = Outgoing {
        metadata: Metadata::default().with_schema_version(7),
        ..Outgoing::new(OutgoingKind::Command, "printer.print", "b", body)
    };
    let commit = Commit { outgoing: vec![message], ..Commit::default() };
    office.store.commit(commit).await.unwrap();
    let running = office.app().start().await.unwrap();
    running.settled().await.unwrap();
    let parked = office.store.parked(FindParked::of("cqrs.relay")).await.unwrap();
    assert!(parked[0].cause.contains("not at version 7"), "{}", parked[0].cause);
    assert_eq!((parked.len(), office.printer.of("a")), (1, vec![1]));
    running.stop(BOUND).await.unwrap();
}
