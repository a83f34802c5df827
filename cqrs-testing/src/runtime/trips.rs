//! Trips: what the cases of sagas and of the relay write, send and react to.

use std::fmt;
use std::time::Duration;

use cqrs_core::{
    Aggregate, AppBuilder, Command, Commit, Context, Effect, Error, ErrorKind, Event, EventType,
    Failure, NewEvent, Outgoing, OutgoingKind, ParkedState, Payload, Reaction, ReadStream,
    Rejection, Request, RequestKind, Res, Route, Saga, SagaInstance, SagaStatus, Sagas, StreamId,
    Trigger, Wire, Work,
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::runtime::hand::Hand;
use crate::runtime::node::{self, Node};
use crate::runtime::notes::Noted;
use crate::runtime::world::World;
use crate::store::make::{append, body};
use crate::store::waiting::until;

/// How long a trip waits before it gives up, or reminds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// What happens to a trip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Travel {
    /// A hotel, a flight and a car are to be booked.
    Booked { trip: String },
    /// It is thought about: after a while somebody is reminded.
    Planned { trip: String },
    /// It is thought about for longer.
    Delayed { trip: String },
    /// It will not be.
    CalledOff { trip: String },
}

impl Event for Travel {
    const TYPES: &'static [EventType] = &[
        EventType::new("trips.booked", "Booked"),
        EventType::new("trips.planned", "Planned"),
        EventType::new("trips.delayed", "Delayed"),
        EventType::new("trips.called_off", "CalledOff"),
    ];

    fn event_type(&self) -> &'static EventType {
        match self {
            Self::Booked { .. } => &Self::TYPES[0],
            Self::Planned { .. } => &Self::TYPES[1],
            Self::Delayed { .. } => &Self::TYPES[2],
            Self::CalledOff { .. } => &Self::TYPES[3],
        }
    }
}

/// Somebody is to do something.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Do {
    pub(crate) what: String,
    pub(crate) trip: String,
}

/// No.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct No;

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no")
    }
}

impl std::error::Error for No {}

impl Rejection for No {
    fn code(&self) -> &'static str {
        "trips.no"
    }
}

impl Request for Do {
    const NAME: &'static str = "trips.do";
    const KIND: RequestKind = RequestKind::Command;
    type Output = ();
    type Error = No;

    fn wire() -> Option<Wire<Self>> {
        Some(Wire::json())
    }

    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl Command for Do {}

/// Something was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Done {
    what: String,
}

impl Event for Done {
    const TYPES: &'static [EventType] = &[EventType::new("trips.done", "Done")];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

/// What was done for a trip, each time.
#[derive(Debug, Default)]
struct Doings;

impl Aggregate for Doings {
    const CATEGORY: &'static str = "doings";
    type Id = String;
    type Event = Done;

    fn apply(&mut self, _: &Done) {}
}

/// The hand knows it as `hotel of 17`.
async fn do_it(c: Do, Res(hand): Res<Hand>, work: Work) -> Result<(), Failure<No>> {
    let key = format!("{} of {}", c.what, c.trip);
    let mut doings = work.load::<Doings>(&c.trip).await?;
    work.record(&mut doings, [Done { what: c.what }])?;
    let failed = |error: cqrs_core::HandlerError| {
        Failure::Failed(Error::new(ErrorKind::Internal, error.to_string()))
    };
    hand.take(&Noted { key: key.clone(), n: 0 }).await.map_err(failed)?;
    if hand.rejects(&key) { Err(Failure::Rejected(No)) } else { Ok(()) }
}

/// The name of the saga.
pub(crate) const NAME: &str = Trip::NAME;

/// A trip: books one thing after the other, or takes back what was booked.
pub(crate) struct Trip;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    trip: String,
    begun: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Alarm {
    Late,
}

impl Plan {
    fn book(&self, what: &'static str) -> Effect<Alarm> {
        let command = |what: String| Do { what, trip: self.trip.clone() };
        let back = command(format!("cancel {what}"));
        Effect::send(what, &command(what.to_owned())).compensated_by(&back)
    }
}

impl Saga for Trip {
    const NAME: &'static str = "trips.trip";
    type State = Plan;
    type Input = Travel;
    type Timer = Alarm;

    fn route(&self, event: &Travel) -> Route {
        match event {
            Travel::Booked { trip } | Travel::Planned { trip } => Route::start(trip),
            Travel::Delayed { trip } | Travel::CalledOff { trip } => Route::resume(trip),
        }
    }

    fn react(
        &self,
        state: &mut Plan,
        trigger: Trigger<'_, Self>,
        _: &Context<'_>,
    ) -> Reaction<Self> {
        let late = || Effect::schedule(Alarm::Late, PATIENCE);
        Ok(match trigger {
            Trigger::Event(Travel::Booked { .. }) if state.begun => vec![],
            Trigger::Event(Travel::Booked { trip }) => {
                (state.begun, state.trip) = (true, trip.clone());
                vec![state.book("hotel"), late(), Effect::deadline(PATIENCE)]
            }
            Trigger::Event(Travel::Planned { trip }) => {
                state.trip.clone_from(trip);
                vec![late()]
            }
            Trigger::Event(Travel::Delayed { .. }) => vec![late()],
            Trigger::Event(Travel::CalledOff { .. }) if state.begun => {
                vec![Effect::compensate("called off")]
            }
            Trigger::Event(Travel::CalledOff { .. }) => vec![Effect::cancel(Alarm::Late)],
            Trigger::Timer(Alarm::Late) if state.begun => vec![Effect::compensate("too late")],
            Trigger::Timer(Alarm::Late) => {
                let trip = state.trip.clone();
                vec![Effect::send("remind", &Do { what: "remind".into(), trip })]
            }
            Trigger::Outcome { step, outcome } if outcome.is_done() => match step {
                "hotel" => vec![state.book("flight")],
                "flight" => vec![state.book("car")],
                _ => vec![Effect::cancel(Alarm::Late), Effect::complete()],
            },
            Trigger::Outcome { step, .. } => vec![Effect::compensate(format!("no {step}"))],
            Trigger::Compensated => vec![Effect::fail("taken back")],
            Trigger::Cancel { .. } => vec![],
        })
    }
}

/// An app that does things, and nothing else.
pub(crate) fn office(app: AppBuilder) -> AppBuilder {
    app.handler(do_it)
}

/// An app that runs trips.
pub(crate) fn trips(app: AppBuilder) -> AppBuilder {
    office(app).saga(Trip)
}

/// A commit in which this happens.
pub(crate) fn happens(event: &Travel) -> Commit {
    let (Travel::Booked { trip }
    | Travel::Planned { trip }
    | Travel::Delayed { trip }
    | Travel::CalledOff { trip }) = event;
    let body = event.encode().unwrap_or_else(|e| panic!("{e}"));
    let new = NewEvent::new(event.event_type().name, body);
    let stream = StreamId::new("trip", trip);
    let append = append(&stream, cqrs_core::Expected::Any, vec![new]);
    Commit { appends: vec![append], ..Commit::default() }
}

/// This happens.
pub(crate) async fn tell(world: &World, event: Travel) {
    world.commit(happens(&event)).await;
}

/// A trip begins.
pub(crate) async fn book(world: &World, trip: &str) {
    tell(world, Travel::Booked { trip: trip.to_owned() }).await;
}

/// What is known of a trip.
pub(crate) async fn instance(world: &World, trip: &str) -> SagaInstance {
    let found = Sagas::new(world.store().await).get(NAME, trip).await;
    let found = found.unwrap_or_else(|e| panic!("{e:?}"));
    found.unwrap_or_else(|| panic!("there is no {NAME}/{trip}"))
}

/// Waits until nothing is left to do for sagas and the relay, though nodes have died.
pub(crate) async fn at_rest(world: &World, node: &Node) {
    let head = world.probe.end().await;
    assert!(node.wait_for(NAME, head, node::PATIENCE).await.is_yes(), "the saga knows all events");
    until("nothing left to send", || async {
        let mut aside = world.aside(NAME).await;
        aside.extend(world.aside("cqrs.relay").await);
        assert!(aside.iter().all(|entry| entry.state != ParkedState::Parked), "{aside:?}");
        (aside.is_empty() && world.probe.pending(0).await.is_empty()).then_some(())
    })
    .await;
}

/// A trip went its way, and each step of it was done once.
pub(crate) async fn travelled(world: &World, trip: &str) {
    assert_eq!(done(world, trip).await, ["hotel", "flight", "car"], "{trip}: each step once");
    let instance = instance(world, trip).await;
    assert_eq!(instance.status, SagaStatus::Completed, "{trip}");
    let reactions = instance.history.len();
    assert_eq!(reactions, 4, "{trip}: to its start and to each step: {:?}", instance.history);
}

/// A message that sends somebody to do something, after those before it for the same trip.
pub(crate) fn errand(what: &str, trip: &str) -> Outgoing {
    let says = Payload::Json(body(&json!({ "what": what, "trip": trip })));
    Outgoing::new(OutgoingKind::Command, Do::NAME, trip, says)
}

/// A commit that sends them.
pub(crate) fn sends(outgoing: impl IntoIterator<Item = Outgoing>) -> Commit {
    Commit { outgoing: outgoing.into_iter().collect(), ..Commit::default() }
}

/// What was done for a trip, each time, in order.
pub(crate) async fn done(world: &World, trip: &str) -> Vec<String> {
    let read = ReadStream::of(StreamId::new("doings", trip));
    let mut pages = world.probe.read_stream(read);
    let mut done = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap_or_else(|e| panic!("{e:?}"));
        for event in page.iter() {
            let decoded = event.decode::<Done>().unwrap_or_else(|e| panic!("{e:?}"));
            done.extend(decoded.map(|event| event.data.what));
        }
    }
    done
}
