//! Sagas: what follows from events, answers and time, across aggregates. Pure: they tell what is to
//! be done, and the runtime does it.

pub(crate) mod effect;
pub(crate) mod outcome;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::context::Context;
use crate::error::BoxError;
use crate::message::event_set::EventSet;
use effect::Effect;
use outcome::Outcome;

/// What a saga answers to a trigger: what is to be done, or why it cannot go on. An error parks what
/// it was about, with nothing changed.
pub type Reaction<S> = Result<Vec<Effect<<S as Saga>::Timer>>, BoxError>;

/// A process across aggregates: it reacts to events, to the answers to its commands, and to its
/// timers, with a state of its own for each key. What it reacts to, its state, what it sends and its
/// timers are one commit.
///
/// The value itself is the definition, with whatever settings it needs; the state is [`State`]. It is
/// pure: the same state and trigger give the same effects, so a test needs neither store nor clock.
///
/// [`State`]: Self::State
///
/// ```
/// use std::time::Duration;
/// use cqrs_core::{Answered, Context, Effect, Metadata, Outcome, Reaction, Route, Saga, Timestamp, Trigger};
/// # use cqrs_core::{Command, Event, EventType, Never, Request, RequestKind, Wire};
/// use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Ordered { order: String, cents: u64 }
/// # impl Event for Ordered {
/// #     const TYPES: &'static [EventType] = &[EventType::new("shop.ordered", "Ordered")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Charge { order: String, cents: u64 }
/// # impl Request for Charge {
/// #     const NAME: &'static str = "payments.charge";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = bool;
/// #     type Error = Never;
/// #     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
/// # }
/// # impl Command for Charge {}
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # struct Ship { order: String }
/// # impl Request for Ship {
/// #     const NAME: &'static str = "shop.ship";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = ();
/// #     type Error = Never;
/// #     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
/// # }
/// # impl Command for Ship {}
///
/// struct Checkout { patience: Duration }
///
/// #[derive(Debug, Default, Serialize, Deserialize)]
/// struct Progress { order: String }
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// enum Waiting { Payment }
///
/// impl Saga for Checkout {
///     const NAME: &'static str = "shop.checkout";
///     type State = Progress;
///     type Input = Ordered;
///     type Timer = Waiting;
///
///     fn route(&self, event: &Ordered) -> Route { Route::start(&event.order) }
///
///     fn react(&self, state: &mut Progress, trigger: Trigger<'_, Self>, _: &Context<'_>) -> Reaction<Self> {
///         Ok(match trigger {
///             Trigger::Event(Ordered { order, cents }) => {
///                 state.order.clone_from(order);
///                 let charge = Charge { order: order.clone(), cents: *cents };
///                 vec![Effect::send("charge", &charge), Effect::schedule(Waiting::Payment, self.patience)]
///             }
///             Trigger::Outcome { step: "charge", outcome } => match outcome.of::<Charge>()? {
///                 Answered::Done(true) => {
///                     let ship = Ship { order: state.order.clone() };
///                     vec![Effect::cancel(Waiting::Payment), Effect::send("ship", &ship)]
///                 }
///                 _ => vec![Effect::fail("not paid")],
///             },
///             Trigger::Outcome { step: "ship", .. } => vec![Effect::complete()],
///             Trigger::Timer(Waiting::Payment) => vec![Effect::fail("paid too late")],
///             _ => vec![],
///         })
///     }
/// }
///
/// // A test: plain values.
/// let (saga, metadata) = (Checkout { patience: Duration::from_secs(10) }, Metadata::default());
/// let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, 1);
/// let mut state = Progress { order: "17".into() };
/// let paid = Trigger::Outcome { step: "charge", outcome: &Outcome::done::<Charge>(&true)? };
/// let effects = saga.react(&mut state, paid, &context)?;
/// assert_eq!(effects[1], Effect::send("ship", &Ship { order: "17".into() }));
/// # Ok::<_, cqrs_core::BoxError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a saga",
    note = "implement `Saga` for it: its state, the events it takes, `route` and `react`"
)]
pub trait Saga: Send + Sync + 'static {
    /// Its name, and that of its checkpoint: stable.
    const NAME: &'static str;

    /// Version of the state's form, from 1. Older ones are lifted by [`upcast`](Self::upcast), newer
    /// ones are refused.
    const VERSION: u16 = 1;

    /// What it knows of one key. It begins as the default.
    type State: Default + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The events it takes in.
    type Input: EventSet;

    /// The timers that it sets: an enum, or `()` without any.
    type Timer: Serialize + DeserializeOwned + fmt::Debug + PartialEq + Send + Sync + 'static;

    /// Which instance an event is for.
    fn route(&self, event: &Self::Input) -> Route;

    /// Reacts: changes the state, and tells what is to be done. Neither asks a clock nor does
    /// anything itself.
    ///
    /// # Errors
    /// When it cannot go on: what it was about is retried as the subscription's policy says, and then
    /// parked.
    fn react(
        &self,
        state: &mut Self::State,
        trigger: Trigger<'_, Self>,
        context: &Context<'_>,
    ) -> Reaction<Self>;

    /// What becomes of an event for an instance that does not exist. Default: it is parked, and tried
    /// again by itself once the instance is started.
    fn missing(&self, _event: &Self::Input) -> Missing {
        Missing::Park
    }

    /// Lifts the JSON of a state by one version.
    ///
    /// # Errors
    /// When it cannot: the instance's events park, and it shows in the list of sagas.
    fn upcast(_from: u16, state: serde_json::Value) -> Result<serde_json::Value, BoxError> {
        Ok(state)
    }
}

/// Which instance of a saga an event is for. See [`Saga`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// This one, which is started where it does not exist.
    Start(String),
    /// This one, which exists.
    Continue(String),
    /// None.
    Ignore,
}

impl Route {
    /// It starts the instance of this key.
    pub fn start(key: &(impl ToString + ?Sized)) -> Self {
        Self::Start(key.to_string())
    }

    /// It is for the instance of this key.
    pub fn resume(key: &(impl ToString + ?Sized)) -> Self {
        Self::Continue(key.to_string())
    }
}

/// What becomes of an event whose instance does not exist. See [`Saga::missing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is parked until the instance is started, or an operator acts.
    Park,
    /// It is passed over.
    Ignore,
}

/// What a saga reacts to. See [`Saga`] for an example.
pub enum Trigger<'a, S: Saga + ?Sized> {
    /// An event.
    Event(&'a S::Input),
    /// A timer of its own is due.
    Timer(&'a S::Timer),
    /// What came of a command that it sent.
    Outcome {
        /// The step under which it was sent.
        step: &'a str,
        /// The answer.
        outcome: &'a Outcome,
    },
    /// All that was to be compensated is. What follows [`Effect::compensate`].
    Compensated,
    /// Somebody wants it to end. Unless it says what is to be done, it is compensated and ends as
    /// cancelled.
    Cancel {
        /// Why.
        reason: &'a str,
    },
}

impl<S: Saga + ?Sized> Clone for Trigger<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Saga + ?Sized> Copy for Trigger<'_, S> {}

/// Without what the events say.
impl<S: Saga + ?Sized> fmt::Debug for Trigger<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(_) => f.write_str("Event"),
            Self::Timer(timer) => f.debug_tuple("Timer").field(timer).finish(),
            Self::Outcome { step, outcome } => {
                f.debug_struct("Outcome").field("step", step).field("outcome", outcome).finish()
            }
            Self::Compensated => f.write_str("Compensated"),
            Self::Cancel { reason } => f.debug_struct("Cancel").field("reason", reason).finish(),
        }
    }
}
