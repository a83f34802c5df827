//! A scenario fails where the domain is wrong, and says so.

use std::cell::Cell;

use cqrs_core::{
    Aggregate, Command, Context, Decide, Decision, Event, EventType, MessageId, Metadata,
    Rejection, Request, RequestKind, Storage, Timestamp, Upcaster,
};
use cqrs_testing::scenario::Scenario;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Reserved {
    seats: u32,
    at: Timestamp,
    ticket: MessageId,
}

impl Event for Reserved {
    const TYPES: &'static [EventType] =
        &[EventType::new("theatre.reserved", "Reserved").at_version(2)];
    const UPCASTERS: &'static [Upcaster] = &[Upcaster {
        event_type: "theatre.reserved",
        from: 1,
        lift: |mut body| {
            body["at"] = "2000-01-01T00:00:00Z".into();
            body["ticket"] = "00000000-0000-0000-0000-000000000000".into();
            Ok(body)
        },
    }];

    fn event_type(&self) -> &'static EventType {
        &Self::TYPES[0]
    }
}

#[derive(Debug, Default)]
struct Show {
    reserved: u32,
}

impl Aggregate for Show {
    const CATEGORY: &'static str = "show";
    type Id = String;
    type Event = Reserved;

    fn apply(&mut self, event: &Reserved) {
        self.reserved += event.seats;
    }
}

#[derive(Debug)]
struct Reserve {
    seats: u32,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("sold out")]
struct SoldOut;

impl Rejection for SoldOut {
    fn code(&self) -> &'static str {
        "theatre.sold_out"
    }
}

impl Command for Reserve {}

impl Request for Reserve {
    const NAME: &'static str = "theatre.reserve";
    const KIND: RequestKind = RequestKind::Command;
    type Output = u32;
    type Error = SoldOut;

    fn validate(&self) -> cqrs_core::Result<()> {
        match self.seats {
            0 => Err(cqrs_core::Error::invalid_field("seats", "at least one")),
            _ => Ok(()),
        }
    }
}

thread_local! {
    /// What an impure decision looks at.
    static SECRET: Cell<u32> = const { Cell::new(0) };
}

impl Decide<Reserve> for Show {
    fn target(_: &Reserve) -> String {
        "Hamlet".into()
    }

    fn decide(
        &self,
        c: &Reserve,
        context: &Context<'_>,
    ) -> Result<Decision<Reserved, u32>, SoldOut> {
        let left = 10u32.checked_sub(self.reserved + c.seats).ok_or(SoldOut)?;
        let seats = if c.seats == 9 { SECRET.replace(SECRET.get() + 1) } else { c.seats };
        let reserved = Reserved { seats, at: context.now(), ticket: context.new_id() };
        Ok(Decision::event(reserved).returning(left))
    }
}

fn reserved(seats: u32) -> Reserved {
    let metadata = Metadata::of(MessageId::from_u128(0));
    let at = "2000-01-01T00:00:00Z".parse().expect("a time");
    let ticket = Context::new(at, &metadata, 0).new_id();
    Reserved { seats, at, ticket }
}

#[test]
fn commands_follow_one_another_with_fixed_time_and_ids() {
    Scenario::<Show>::given([reserved(4)])
        .when(&Reserve { seats: 3 })
        .then_output(&3)
        .then([reserved(3)])
        .when(&Reserve { seats: 4 })
        .then_rejected(&SoldOut);
}

#[test]
fn the_time_and_the_ids_can_be_chosen() {
    let at = "2030-01-01T00:00:00Z".parse().expect("a time");
    let metadata = Metadata::of(MessageId::from_u128(7));
    let ticket = Context::new(at, &metadata, 0).new_id();
    Scenario::<Show>::given_nothing()
        .at(at)
        .with(metadata.clone())
        .when(&Reserve { seats: 1 })
        .then([Reserved { seats: 1, at, ticket }]);
}

#[test]
fn recorded_events_of_older_versions_are_lifted() {
    let show = Scenario::<Show>::given_nothing().and_recorded_json(
        "theatre.reserved",
        1,
        r#"{"seats":7}"#,
    );
    assert_eq!(show.state().reserved, 7);
}

#[test]
#[should_panic(expected = "the events of `theatre.reserve`")]
fn other_events_fail() {
    Scenario::<Show>::given_nothing().when(&Reserve { seats: 1 }).then([reserved(2)]);
}

#[test]
#[should_panic(expected = "was rejected: sold out")]
fn a_rejection_fails_where_events_are_expected() {
    Scenario::<Show>::given([reserved(10)]).when(&Reserve { seats: 1 }).then_nothing();
}

#[test]
#[should_panic(expected = "was not rejected")]
fn events_fail_where_a_rejection_is_expected() {
    Scenario::<Show>::given_nothing().when(&Reserve { seats: 1 }).then_rejected(&SoldOut);
}

#[test]
#[should_panic(expected = "the answer of `theatre.reserve`")]
fn another_answer_fails() {
    let decided = Scenario::<Show>::given_nothing().when(&Reserve { seats: 1 });
    let _ = decided.then_output(&1);
}

#[test]
#[should_panic(expected = "is invalid: at least one")]
fn an_invalid_command_fails() {
    let _ = Scenario::<Show>::given_nothing().when(&Reserve { seats: 0 });
}

#[test]
#[should_panic(expected = "came out differently the second time")]
fn a_decision_that_is_not_pure_fails() {
    let _ = Scenario::<Show>::given_nothing().when(&Reserve { seats: 9 });
}

#[test]
#[should_panic(expected = "cannot be read")]
fn a_recorded_event_that_cannot_be_read_fails() {
    let _ = Scenario::<Show>::given_nothing().and_recorded_json("theatre.reserved", 2, "{}");
}

/// Forgets in a snapshot what it decides by.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Forgetful {
    #[serde(skip)]
    reserved: u32,
}

impl Aggregate for Forgetful {
    const CATEGORY: &'static str = "forgetful";
    type Id = String;
    type Event = Reserved;

    fn apply(&mut self, event: &Reserved) {
        self.reserved += event.seats;
    }

    fn storage() -> Storage<Self> {
        Storage::snapshots(100)
    }
}

#[test]
fn a_state_is_what_comes_back_from_its_snapshot() {
    let body = r#"{"seats":7,"at":"2000-01-01T00:00:00Z","ticket":"00000000-0000-0000-0000-000000000000"}"#;
    let show =
        Scenario::<Forgetful>::given_nothing().and_recorded_json("theatre.reserved", 2, body);
    assert_eq!(show.state().reserved, 0, "what a snapshot leaves out is not there");
}
