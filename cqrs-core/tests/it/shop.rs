//! A shop whose checkout is a saga, and whose departments answer as a test wants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::memory::MemoryStore;
use cqrs_core::{
    Answered, App, Append, Clock, Command, Commit, Context, Effect, Event, EventType, Expected,
    Failure, Json, ManualClock, Metadata, NewEvent, Payload, Reaction, ReadLog, Rejection, Request,
    RequestKind, Res, RetryPolicy, Route, Running, RuntimeSettings, Saga, SagaInstance, Store,
    StreamId, Timestamp, Trigger, Wire, Work,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Shop {
    Ordered { order: String },
    CalledOff { order: String },
}

impl Event for Shop {
    const TYPES: &'static [EventType] = &[
        EventType::new("shop.ordered", "Ordered"),
        EventType::new("shop.called_off", "CalledOff"),
    ];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Ordered { .. } => &Self::TYPES[0],
            Self::CalledOff { .. } => &Self::TYPES[1],
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) what: String,
    pub(crate) order: String,
}

impl Event for Told {
    const TYPES: &'static [EventType] = &[EventType::new("departments.told", "Told")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
#[error("no")]
pub(crate) struct No;

impl Rejection for No {
    fn code(&self) -> &'static str {
        "departments.no"
    }
}

/// What a department does about a command.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// It says no.
    Rejects,
    /// It fails, so many times.
    Fails(u32),
    Panics,
    /// It does it once this is true.
    Waits(watch::Receiver<bool>),
}

/// What the departments do, by command and order; where nothing is said, they do as they are told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Desk {
    pub(crate) does: Arc<Mutex<HashMap<String, Does>>>,
    pub(crate) begun: Arc<Mutex<Vec<String>>>,
}

impl Desk {
    pub(crate) fn set(&self, what: &str, order: &str, does: impl Into<Option<Does>>) {
        let (key, mut all) = (format!("{what} {order}"), self.does.lock().unwrap());
        match does.into() {
            Some(does) => drop(all.insert(key, does)),
            None => drop(all.remove(&key)),
        }
    }

    pub(crate) fn begun(&self, what: &str) -> usize {
        self.begun.lock().unwrap().iter().filter(|begun| begun.starts_with(what)).count()
    }

    async fn do_it(&self, what: &str, order: &str, work: &Work) -> Result<(), Failure<No>> {
        let key = format!("{what} {order}");
        self.begun.lock().unwrap().push(key.clone());
        let does = self.does.lock().unwrap().get(&key).cloned();
        match does {
            Some(Does::Rejects) => return Err(Failure::Rejected(No)),
            Some(Does::Panics) => panic!("it panics"),
            Some(Does::Fails(times)) if times > 0 => {
                self.set(what, order, Does::Fails(times - 1));
                let context = "the line is dead";
                let error = cqrs_core::Error::new(cqrs_core::ErrorKind::Internal, context);
                return Err(Failure::Failed(error));
            }
            Some(Does::Waits(mut until)) => drop(until.wait_for(|open| *open).await),
            _ => {}
        }
        let mut stream = work.load::<Department>(&order.to_owned()).await?;
        work.record(&mut stream, [Told { what: what.to_owned(), order: order.to_owned() }])?;
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Department;

impl cqrs_core::Aggregate for Department {
    const CATEGORY: &'static str = "department";
    type Id = String;
    type Event = Told;

    fn apply(&mut self, _: &Told) {}
}

macro_rules! department {
    ($($type:ident $function:ident $name:literal;)*) => { $(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub(crate) struct $type {
            pub(crate) order: String,
        }

        impl Command for $type {}
        impl Request for $type {
            const NAME: &'static str = concat!("departments.", $name);
            const KIND: RequestKind = RequestKind::Command;
            const VISIBILITY: cqrs_core::Visibility = cqrs_core::Visibility::Internal;
            type Output = String;
            type Error = No;
            fn wire() -> Option<Wire<Self>> {
                Some(Wire::json())
            }
            fn again(&self) -> Option<Self> {
                Some(self.clone())
            }
        }

        async fn $function(c: $type, work: Work, Res(desk): Res<Desk>) -> Result<String, Failure<No>> {
            desk.do_it($name, &c.order, &work).await?;
            Ok($name.to_owned())
        }
    )* };
}

department! {
    Reserve reserve "reserve";
    Release release "release";
    Charge charge "charge";
    Refund refund "refund";
    Ship ship "ship";
}

/// Reserves and charges, then ships; or takes back what was done.
pub(crate) struct Checkout;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    order: Option<String>,
    done: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Patience {
    Payment,
}

impl Saga for Checkout {
    const NAME: &'static str = "shop.checkout";
    type State = Progress;
    type Input = Shop;
    type Timer = Patience;

    fn route(&self, event: &Shop) -> Route {
        match event {
            Shop::Ordered { order } => Route::start(order),
            Shop::CalledOff { order } => Route::resume(order),
        }
    }

    fn react(
        &self,
        state: &mut Progress,
        trigger: Trigger<'_, Self>,
        _: &Context<'_>,
    ) -> Reaction<Self> {
        Ok(match trigger {
            Trigger::Event(Shop::Ordered { .. }) if state.order.is_some() => vec![],
            Trigger::Event(Shop::Ordered { order }) => {
                state.order = Some(order.clone());
                let order = || order.clone();
                vec![
                    Effect::send("reserve", &Reserve { order: order() })
                        .compensated_by(&Release { order: order() }),
                    Effect::send("charge", &Charge { order: order() })
                        .compensated_by(&Refund { order: order() }),
                    Effect::schedule(Patience::Payment, Duration::from_secs(600)),
                    Effect::deadline(Duration::from_secs(900)),
                ]
            }
            Trigger::Event(Shop::CalledOff { .. }) => vec![Effect::compensate("called off")],
            Trigger::Timer(Patience::Payment) => vec![Effect::compensate("paid too late")],
            Trigger::Outcome { step: "ship", outcome } => match outcome.of::<Ship>()? {
                Answered::Done(_) => vec![Effect::complete()],
                _ => vec![Effect::compensate("not shipped")],
            },
            Trigger::Outcome { step, outcome } if outcome.is_done() => {
                state.done.push(step.to_owned());
                let order = state.order.clone().unwrap_or_default();
                match state.done.len() {
                    2 => vec![
                        Effect::cancel(Patience::Payment),
                        Effect::send("ship", &Ship { order }).at_most(2),
                    ],
                    _ => vec![],
                }
            }
            Trigger::Outcome { step, .. } => vec![Effect::compensate(format!("no {step}"))],
            Trigger::Compensated => vec![Effect::fail("taken back")],
            Trigger::Cancel { .. } => vec![],
        })
    }
}

/// Everything that a test holds.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) desk: Desk,
    pub(crate) app: App,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_micros(1_000_000));
        let store = MemoryStore::with_clock(clock.clone());
        let desk = Desk::default();
        let app = Self::build(&clock, store.clone(), &desk);
        Self { clock, store, desk, app }
    }

    /// The app, as another process with the same store builds it.
    pub(crate) fn again(&self) -> App {
        self.over(self.store.clone())
    }

    /// The same over another handle on its store.
    pub(crate) fn over(&self, store: impl Store) -> App {
        Self::build(&self.clock, store, &self.desk)
    }

    fn build(clock: &ManualClock, store: impl Store, desk: &Desk) -> App {
        let relay_retry = RetryPolicy { attempts: 3, ..RetryPolicy::default() };
        let settings = RuntimeSettings { relay_retry, ..RuntimeSettings::tests() };
        let app = App::builder().store(store).clock(clock.clone()).resource(desk.clone());
        let app = app.runtime(RuntimeSettings { relay_partitions: 2, ..settings }).saga(Checkout);
        let app = app.handler(reserve).handler(release).handler(charge).handler(refund);
        app.handler(ship).build().unwrap()
    }

    pub(crate) async fn start(&self) -> Running {
        self.app.start().await.unwrap()
    }

    pub(crate) async fn tell(&self, event: Shop) {
        self.tell_for(None, event).await;
    }

    pub(crate) async fn tell_for(&self, tenant: Option<&str>, event: Shop) {
        let (Shop::Ordered { order } | Shop::CalledOff { order }) = &event;
        let body = event.encode().unwrap();
        let mut stream = StreamId::new("order", order);
        let mut new = NewEvent::new(event.event_type().name, body);
        if let Some(tenant) = tenant {
            stream = stream.with_tenant(tenant);
            new.metadata = Metadata::default().with_tenant(tenant);
        }
        let append = Append { stream, expected: Expected::Any, events: vec![new] };
        let commit = Commit { appends: vec![append], ..Commit::default() };
        self.store.commit(commit).await.unwrap();
    }

    pub(crate) async fn order(&self, order: &str) {
        self.tell(Shop::Ordered { order: order.to_owned() }).await;
    }

    pub(crate) async fn call_off(&self, order: &str) {
        self.tell(Shop::CalledOff { order: order.to_owned() }).await;
    }

    /// What the departments did, in the order of the log.
    pub(crate) async fn done(&self, order: &str) -> Vec<String> {
        let mut pages = self.store.read_log(ReadLog::after(0));
        let mut done = Vec::new();
        while let Some(page) = pages.next().await {
            for event in page.unwrap().iter() {
                if let Some(told) = event.decode::<Told>().unwrap().map(|told| told.data) {
                    done.extend((told.order == order).then_some(told.what));
                }
            }
        }
        done
    }

    pub(crate) async fn instance(&self, order: &str) -> SagaInstance {
        let found = self.app.sagas().unwrap().get("shop.checkout", order).await.unwrap();
        found.unwrap_or_else(|| panic!("no checkout of {order}"))
    }

    /// Lets the time pass until nothing waits for it any more, at most so long.
    pub(crate) async fn pass(&self, running: &Running, at_most: Duration) {
        let end = self.clock.now().saturating_add(at_most);
        running.settled().await.unwrap();
        while let Some(due) = running.next_due().await.unwrap().filter(|due| *due <= end) {
            self.clock.set(due.max(self.clock.now()));
            running.settled().await.unwrap();
        }
        self.clock.set(end);
        running.settled().await.unwrap();
    }
}

/// Waits until it holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    waited.unwrap_or_else(|_| panic!("not in 20 s: {what}"));
}

/// A body of the test's own.
pub(crate) fn json(text: &str) -> Payload {
    Payload::Json(Json::parse(text).unwrap())
}
