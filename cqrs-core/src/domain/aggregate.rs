//! Aggregates: state that is the fold of its events.

use crate::domain::storage::Storage;
use crate::message::event::Event;

/// State that is made of its events, and decides on commands ([`Decide`](crate::Decide)). It may be
/// stored with snapshots, or as a document ([`Storage`]).
///
/// ```
/// use cqrs_core::{Aggregate, Event, EventType};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, Serialize, Deserialize)]
/// enum AccountEvent { Deposited { amount: u64 }, Withdrawn { amount: u64 } }
///
/// impl Event for AccountEvent {
///     const TYPES: &'static [EventType] = &[
///         EventType::new("bank.deposited", "Deposited"),
///         EventType::new("bank.withdrawn", "Withdrawn"),
///     ];
///     fn event_type(&self) -> &'static EventType {
///         match self {
///             Self::Deposited { .. } => &Self::TYPES[0],
///             Self::Withdrawn { .. } => &Self::TYPES[1],
///         }
///     }
/// }
///
/// #[derive(Default)]
/// struct Account { balance: u64 }
///
/// impl Aggregate for Account {
///     const CATEGORY: &'static str = "account";
///     type Id = String;
///     type Event = AccountEvent;
///     fn apply(&mut self, event: &AccountEvent) {
///         match event {
///             AccountEvent::Deposited { amount } => self.balance += amount,
///             AccountEvent::Withdrawn { amount } => self.balance -= amount,
///         }
///     }
/// }
///
/// let mut account = Account::default();
/// account.apply(&AccountEvent::Deposited { amount: 5 });
/// assert_eq!(account.balance, 5);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    note = "derive `Aggregate` for it, or implement `Aggregate`"
)]
pub trait Aggregate: Default + Send + Sync + 'static {
    /// Category of its streams: stable, at most 256 bytes.
    const CATEGORY: &'static str;

    /// What tells one from another.
    type Id: AggregateId;

    /// What happens to it.
    type Event: Event;

    /// Takes in an event. Events are facts: this neither checks nor fails.
    fn apply(&mut self, event: &Self::Event);

    /// How it is stored: as its events, unless it says otherwise. See [`Storage`] for an example.
    fn storage() -> Storage<Self> {
        Storage::events()
    }
}

/// What tells aggregates of one kind apart. Texts, UUIDs and whole numbers are ids.
///
/// ```
/// use cqrs_core::AggregateId;
///
/// #[derive(Clone, PartialEq, Eq)]
/// struct Seat { row: u32, place: char }
///
/// impl AggregateId for Seat {
///     fn key(&self) -> String { format!("{}-{}", self.row, self.place) }
/// }
/// assert_eq!(Seat { row: 12, place: 'A' }.key(), "12-A");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell aggregates apart",
    note = "use a text, a UUID or a whole number, or implement `AggregateId` for it: `fn key(&self) -> String`"
)]
pub trait AggregateId: Clone + Eq + Send + Sync + 'static {
    /// The id of the stream: at most 1,024 bytes, no control characters, different for different
    /// ids.
    fn key(&self) -> String;
}

macro_rules! displayed_ids {
    ($($id:ty),*) => { $(
        impl AggregateId for $id {
            fn key(&self) -> String {
                self.to_string()
            }
        }
    )* };
}

displayed_ids!(String, uuid::Uuid, crate::MessageId, u32, u64, i32, i64);
