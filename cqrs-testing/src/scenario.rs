//! Given events, when a command, then events or a rejection: tests of the domain, without a store.

use std::fmt::Debug;

use cqrs_core::{
    Aggregate, Command, Context, Decide, Decision, Event, EventSet, MessageId, Metadata, Payload,
    PayloadRef, Raw, Timestamp,
};

/// A test of one decision: what happened before, at which time, under which ids.
///
/// Every event passes through its recorded form, and the state through the one in which it is stored
/// ([`Aggregate::storage`]), so that a codec or an upcaster that loses something fails here too. After the event that
/// deletes an aggregate it is the default one, and does not exist. And each decision is made twice, so that one which
/// does not follow from its inputs alone is found out.
///
/// ```
/// use cqrs_testing::scenario::Scenario;
/// # use cqrs_core::{Aggregate, Command, Context, Decide, Decision, Event, EventType, Rejection, Request, RequestKind};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// # struct Reserved { seats: u32 }
/// # impl Event for Reserved {
/// #     const TYPES: &'static [EventType] = &[EventType::new("theatre.reserved", "Reserved")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
/// # #[derive(Default)]
/// # struct Show { reserved: u32 }
/// # impl Aggregate for Show {
/// #     const CATEGORY: &'static str = "show";
/// #     type Id = String;
/// #     type Event = Reserved;
/// #     fn apply(&mut self, event: &Reserved) { self.reserved += event.seats; }
/// # }
/// # struct Reserve { seats: u32 }
/// # impl Command for Reserve {}
/// # impl Request for Reserve {
/// #     const NAME: &'static str = "theatre.reserve";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = SoldOut;
/// # }
/// # #[derive(Debug, PartialEq, thiserror::Error)]
/// # #[error("sold out")]
/// # struct SoldOut;
/// # impl Rejection for SoldOut { fn code(&self) -> &'static str { "theatre.sold_out" } }
/// # impl Decide<Reserve> for Show {
/// #     fn target(_: &Reserve) -> String { "Hamlet".into() }
/// #     fn decide(&self, c: &Reserve, _: &Context<'_>) -> Result<Decision<Reserved>, SoldOut> {
/// #         if self.reserved + c.seats > 10 { return Err(SoldOut); }
/// #         Ok(Decision::event(Reserved { seats: c.seats }))
/// #     }
/// # }
///
/// Scenario::<Show>::given([Reserved { seats: 7 }])
///     .when(&Reserve { seats: 3 })
///     .then([Reserved { seats: 3 }]);
///
/// Scenario::<Show>::given([Reserved { seats: 7 }])
///     .when(&Reserve { seats: 4 })
///     .then_rejected(&SoldOut);
/// ```
#[derive(Debug)]
pub struct Scenario<A> {
    aggregate: A,
    version: u64,
    exists: bool,
    now: Timestamp,
    metadata: Metadata,
}

impl<A: Aggregate> Scenario<A> {
    /// Nothing happened yet. It is 2000-01-01T00:00:00Z, and the command has the id of all zeros.
    pub fn given_nothing() -> Self {
        Self::given([])
    }

    /// This happened before.
    ///
    /// # Panics
    /// When an event does not come back from its recorded form.
    #[track_caller]
    pub fn given(events: impl IntoIterator<Item = A::Event>) -> Self {
        let mut scenario = Self {
            aggregate: A::default(),
            version: 0,
            exists: false,
            now: Timestamp::from_micros(946_684_800_000_000),
            metadata: Metadata::of(MessageId::from_u128(0)),
        };
        for event in events {
            let event_type = event.event_type();
            let body = encoded(&event);
            scenario = scenario.and_recorded(event_type.name, event_type.version, body.as_ref());
        }
        scenario
    }

    /// This was recorded before, maybe by an older version of the code.
    ///
    /// ```
    /// # use cqrs_core::{Aggregate, Event, EventType};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    /// # struct Reserved { seats: u32 }
    /// # impl Event for Reserved {
    /// #     const TYPES: &'static [EventType] = &[EventType::new("theatre.reserved", "Reserved")];
    /// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
    /// # }
    /// # #[derive(Default)]
    /// # struct Show { reserved: u32 }
    /// # impl Aggregate for Show {
    /// #     const CATEGORY: &'static str = "show";
    /// #     type Id = String;
    /// #     type Event = Reserved;
    /// #     fn apply(&mut self, event: &Reserved) { self.reserved += event.seats; }
    /// # }
    /// use cqrs_testing::scenario::Scenario;
    ///
    /// let show = Scenario::<Show>::given_nothing()
    ///     .and_recorded_json("theatre.reserved", 1, r#"{"seats":2}"#);
    /// assert_eq!(show.state().reserved, 2);
    /// ```
    ///
    /// # Panics
    /// When the aggregate cannot read it.
    #[must_use]
    #[track_caller]
    pub fn and_recorded_json(self, event_type: &str, version: u16, body: &str) -> Self {
        self.and_recorded(event_type, version, PayloadRef::Json(body))
    }

    #[track_caller]
    fn and_recorded(
        mut self,
        event_type: &str,
        schema_version: u16,
        payload: PayloadRef<'_>,
    ) -> Self {
        let raw = Raw { event_type, schema_version, payload };
        match A::Event::from_raw(raw) {
            Some(Ok(event)) => self.aggregate.apply(&event),
            Some(Err(error)) => {
                panic!("`{event_type}` at version {schema_version} cannot be read: {error}")
            }
            None => panic!("`{}` has no event `{event_type}`", A::CATEGORY),
        }
        self.version += 1;
        let storage = A::storage();
        self.exists = !storage.deletes(&self.aggregate);
        if !self.exists {
            self.aggregate = A::default();
            return self;
        }
        match storage.restored(&self.aggregate) {
            Ok(Some(state)) => self.aggregate = state,
            Ok(None) => {}
            Err(error) => {
                panic!("a `{}` does not come back from its storage: {error}", A::CATEGORY)
            }
        }
        self
    }

    /// It is this time.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// The command has this metadata: its id, from which all ids are made, its actor and the rest.
    #[must_use]
    pub fn with(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The state so far.
    pub fn state(&self) -> &A {
        &self.aggregate
    }

    /// The aggregate decides on a command.
    ///
    /// # Panics
    /// When the command is invalid, when a decided event does not come back from its recorded form,
    /// or when the decision comes out differently the second time.
    #[track_caller]
    pub fn when<C>(self, command: &C) -> Decided<A, C>
    where
        A: Decide<C>,
        C: Command,
    {
        if let Err(error) = command.validate() {
            panic!("`{}` is invalid: {error}", C::NAME);
        }
        let decide = || {
            let context = Context::new(self.now, &self.metadata, self.version);
            let context = context.existing(self.exists);
            self.aggregate.decide(command, &context)
        };
        let (first, second) = (decide(), decide());
        assert_eq!(
            fingerprint::<A, C>(&first),
            fingerprint::<A, C>(&second),
            "the decision on `{}` came out differently the second time: it depends on more than \
             the state, the command and the context",
            C::NAME
        );
        Decided { scenario: self, outcome: first }
    }
}

/// The events in their recorded form, or the text of the rejection.
fn fingerprint<A: Decide<C>, C: Command>(
    outcome: &Result<Decision<A::Event, C::Output>, C::Error>,
) -> Result<Vec<(&'static str, Payload)>, String> {
    match outcome {
        Ok(decision) => {
            let events = decision.events.iter();
            Ok(events.map(|event| (event.event_type().name, encoded(event))).collect())
        }
        Err(rejection) => Err(rejection.to_string()),
    }
}

fn encoded<E: Event>(event: &E) -> Payload {
    match event.encode() {
        Ok(payload) => payload,
        Err(error) => panic!("`{}` cannot be encoded: {error}", event.event_type().name),
    }
}

/// What came of a command. See [`Scenario`] for an example.
#[derive(Debug)]
#[must_use = "say what should have come of it"]
pub struct Decided<A: Aggregate, C: Command> {
    scenario: Scenario<A>,
    outcome: Result<Decision<A::Event, C::Output>, C::Error>,
}

impl<A, C> Decided<A, C>
where
    A: Decide<C>,
    C: Command,
    A::Event: Debug + PartialEq,
{
    /// These events happened, in this order. Answers with the scenario after them, for the next
    /// command.
    ///
    /// # Panics
    /// When others happened, or the command was rejected.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Scenario<A> {
        let expected: Vec<_> = expected.into_iter().collect();
        let decision = match self.outcome {
            Ok(decision) => decision,
            Err(rejection) => panic!("`{}` was rejected: {rejection}", C::NAME),
        };
        assert_eq!(decision.events, expected, "the events of `{}`", C::NAME);
        decision.events.into_iter().fold(self.scenario, |scenario, event| {
            let event_type = event.event_type();
            scenario.and_recorded(event_type.name, event_type.version, encoded(&event).as_ref())
        })
    }

    /// Nothing happened.
    ///
    /// # Panics
    /// When something did, or the command was rejected.
    #[track_caller]
    pub fn then_nothing(self) -> Scenario<A> {
        self.then([])
    }

    /// The command answered this.
    ///
    /// # Panics
    /// When it answered something else, or was rejected.
    #[track_caller]
    pub fn then_output(self, expected: &C::Output) -> Self
    where
        C::Output: Debug + PartialEq,
    {
        match &self.outcome {
            Ok(decision) => assert_eq!(&decision.output, expected, "the answer of `{}`", C::NAME),
            Err(rejection) => panic!("`{}` was rejected: {rejection}", C::NAME),
        }
        self
    }

    /// The domain said no, in these words.
    ///
    /// # Panics
    /// When it said yes, or gave another reason.
    #[track_caller]
    pub fn then_rejected(self, expected: &C::Error) -> Scenario<A>
    where
        C::Error: PartialEq,
    {
        match &self.outcome {
            Ok(decision) => {
                panic!("`{}` was not rejected, and made {:?}", C::NAME, decision.events)
            }
            Err(rejection) => {
                assert!(
                    rejection == expected,
                    "`{}` was rejected for another reason: {rejection:?}, not {expected:?}",
                    C::NAME
                );
            }
        }
        self.scenario
    }
}
