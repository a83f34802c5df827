//! Events: facts with a name, a version and a body.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;
use crate::message::codec;
use crate::message::payload::{Payload, PayloadRef};
use crate::message::upcast::Upcaster;

/// One type of event: its recorded name and the version that this code writes.
///
/// See [`Event`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType {
    /// Recorded name, unique in the log and stable: `bank.money_deposited`.
    pub name: &'static str,
    /// What serde calls the enum's variant, after any `rename`. Of no use for an event that is a
    /// struct.
    pub variant: &'static str,
    /// Version of the body, from 1. Older ones are lifted by [`Upcaster`]s.
    pub version: u16,
}

impl EventType {
    /// Version 1 of the type `name`, which is `variant` in the enum.
    pub const fn new(name: &'static str, variant: &'static str) -> Self {
        Self { name, variant, version: 1 }
    }

    /// The same type at another version.
    #[must_use]
    pub const fn at_version(self, version: u16) -> Self {
        Self { version, ..self }
    }
}

/// What happened: an enum with a variant for each type of event, or a struct for a single one.
///
/// The body is encoded beside the name: `Deposited { amount: 5 }` is recorded as the type
/// `bank.deposited` and the JSON `{"amount":5}`.
///
/// That the list of types and `event_type` fit what serde makes of the variants is checked whenever
/// an event is recorded: a scenario of `cqrs-testing` with each variant finds a slip early.
///
/// ```
/// use cqrs_core::{Event, EventType};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// enum AccountEvent { Opened { owner: String }, Closed }
///
/// impl Event for AccountEvent {
///     const TYPES: &'static [EventType] = &[
///         EventType::new("bank.opened", "Opened"),
///         EventType::new("bank.closed", "Closed"),
///     ];
///     fn event_type(&self) -> &'static EventType {
///         match self {
///             Self::Opened { .. } => &Self::TYPES[0],
///             Self::Closed => &Self::TYPES[1],
///         }
///     }
/// }
///
/// let body = AccountEvent::Opened { owner: "Ada".into() }.encode().unwrap();
/// let back = AccountEvent::decode(&AccountEvent::TYPES[0], body.as_ref()).unwrap();
/// assert_eq!(back, AccountEvent::Opened { owner: "Ada".into() });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    note = "derive `Event` for it, or implement `Event`"
)]
pub trait Event: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Every type that this enum or struct is, for filters, manifests and the checks at build.
    const TYPES: &'static [EventType];

    /// How older versions of the bodies are read. Checked when the app is built: every version
    /// below the current one of each type needs one.
    const UPCASTERS: &'static [Upcaster] = &[];

    /// The type of this value.
    fn event_type(&self) -> &'static EventType;

    /// The body. The type has a column of its own.
    ///
    /// # Errors
    /// When the value's `Serialize` fails, or serde calls the variant otherwise than
    /// [`event_type`](Self::event_type). Variants with several unnamed fields are refused: their
    /// fields could never be told apart in a later version.
    fn encode(&self) -> Result<Payload, BoxError> {
        codec::variant_to_json(self.event_type().variant, self).map(Payload::Json)
    }

    /// The event of this type with this body.
    ///
    /// # Errors
    /// When the body is not one of this type at its current version; the error names the field.
    fn decode(event_type: &EventType, body: PayloadRef<'_>) -> Result<Self, BoxError> {
        match body {
            PayloadRef::Json(text) => codec::variant_from_json(event_type.variant, text),
            PayloadRef::Binary { content_type, .. } => {
                Err(format!("a body of type {content_type}, where JSON is expected").into())
            }
            PayloadRef::Erased => Err("the body was erased".into()),
        }
    }

    /// JSON Schema of the body of one of the types, for the manifest; `None`: there is none. With the
    /// feature `schema`, the function `event_schema` makes it.
    fn schema(_event_type: &EventType) -> Option<serde_json::Value> {
        None
    }

    /// Marks to find this event by, across streams: `student:17`. They are what
    /// [`Guard::NoneMatching`](crate::Guard::NoneMatching) and [`Filter`](crate::Filter) look for.
    fn tags(&self) -> Vec<String> {
        Vec::new()
    }
}
