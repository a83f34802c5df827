//! One or several event types as one input.

use std::cmp::Ordering;

use crate::error::{BoxError, Problem};
use crate::message::event::{Event, EventType};
use crate::message::payload::PayloadRef;
use crate::message::upcast;

/// What a decoder needs of a recorded event. See [`Upcaster`](crate::Upcaster) for an example.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// The recorded name of its type.
    pub event_type: &'a str,
    /// The recorded version of its body.
    pub schema_version: u16,
    /// The body.
    pub payload: PayloadRef<'a>,
}

/// One or several event types as one input of a reader. Every [`Event`] is one; several together
/// are an enum:
///
/// ```
/// use cqrs_core::{BoxError, Event, EventSet, EventType, Problem, Raw};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)] struct Opened;
/// # impl Event for Opened {
/// #     const TYPES: &'static [EventType] = &[EventType::new("bank.opened", "Opened")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
/// # #[derive(Clone, Serialize, Deserialize)] struct Charged;
/// # impl Event for Charged {
/// #     const TYPES: &'static [EventType] = &[EventType::new("payments.charged", "Charged")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
///
/// enum Input { Bank(Opened), Payments(Charged) }
///
/// impl EventSet for Input {
///     fn types() -> Vec<EventType> { [Opened::types(), Charged::types()].concat() }
///     fn problems() -> Vec<Problem> { [Opened::problems(), Charged::problems()].concat() }
///     fn from_raw(raw: Raw<'_>) -> Option<Result<Self, BoxError>> {
///         Opened::from_raw(raw).map(|r| r.map(Self::Bank))
///             .or_else(|| Charged::from_raw(raw).map(|r| r.map(Self::Payments)))
///     }
/// }
/// assert_eq!(Input::types().len(), 2);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an event nor a set of events",
    note = "derive `Event` for it, or `EventSet` for an enum of several events"
)]
pub trait EventSet: Sized + Send + Sync + 'static {
    /// All the types.
    fn types() -> Vec<EventType>;

    /// What is wrong with the types and their upcasters; reported when the app is built.
    fn problems() -> Vec<Problem>;

    /// JSON Schema of the body of the type with this name, for the manifest; `None`: there is none.
    fn schema(_event_type: &str) -> Option<serde_json::Value> {
        None
    }

    /// Decodes one of them, lifting older versions. `None`: not one of these types.
    ///
    /// # Errors
    /// When the body is not one of that type, was written by a newer version of the code, or was
    /// erased.
    fn from_raw(raw: Raw<'_>) -> Option<Result<Self, BoxError>>;
}

#[diagnostic::do_not_recommend]
impl<E: Event> EventSet for E {
    fn types() -> Vec<EventType> {
        E::TYPES.to_vec()
    }

    fn problems() -> Vec<Problem> {
        upcast::problems(E::TYPES, E::UPCASTERS)
    }

    fn schema(event_type: &str) -> Option<serde_json::Value> {
        E::schema(E::TYPES.iter().find(|t| t.name == event_type)?)
    }

    fn from_raw(raw: Raw<'_>) -> Option<Result<Self, BoxError>> {
        let event_type = E::TYPES.iter().find(|t| t.name == raw.event_type)?;
        let (recorded, current) = (raw.schema_version, event_type.version);
        Some(match (recorded.cmp(&current), raw.payload) {
            (Ordering::Equal, payload) => E::decode(event_type, payload),
            (Ordering::Less, PayloadRef::Json(body)) => {
                upcast::lift(event_type, E::UPCASTERS, recorded, body)
                    .and_then(|body| E::decode(event_type, PayloadRef::Json(&body)))
            }
            (Ordering::Less, _) => {
                Err(format!("version {recorded} is not JSON, so no upcaster can lift it").into())
            }
            (Ordering::Greater, _) => {
                Err(format!("version {recorded} is newer than version {current} of this code")
                    .into())
            }
        })
    }
}
