//! Projections: pure functions that make views of events.

use crate::domain::fact::Fact;
use crate::message::event_set::EventSet;
use crate::schema::entity::Entity;

/// Makes views of events: pure, so that one definition runs inline (in the commit of the events),
/// behind the log (durable), in memory (live) or when it is asked for. See
/// [`AppBuilder::projection`](crate::AppBuilder::projection) for how it runs, and
/// [`View`](crate::View) for how it is read.
///
/// ```
/// use cqrs_core::{Entity, Fact, Projection};
/// # use cqrs_core::{Event, EventType};
/// use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, Serialize, Deserialize)]
/// # enum AccountEvent { Opened { owner: String }, Deposited { amount: u64 }, Closed }
/// # impl Event for AccountEvent {
/// #     const TYPES: &'static [EventType] = &[
/// #         EventType::new("bank.opened", "Opened"),
/// #         EventType::new("bank.deposited", "Deposited"),
/// #         EventType::new("bank.closed", "Closed"),
/// #     ];
/// #     fn event_type(&self) -> &'static EventType {
/// #         match self { Self::Opened { .. } => &Self::TYPES[0], Self::Deposited { .. } => &Self::TYPES[1], Self::Closed => &Self::TYPES[2] }
/// #     }
/// # }
///
/// #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
/// struct Balance { account: String, owner: String, amount: u64 }
///
/// impl Entity for Balance {
///     const COLLECTION: &'static str = "balance";
///     const INDEXED: &'static [&'static str] = &["owner"];
///     fn id(&self) -> String { self.account.clone() }
/// }
///
/// struct Balances;
///
/// impl Projection for Balances {
///     const NAME: &'static str = "bank.balances";
///     type Input = AccountEvent;
///     type View = Balance;
///
///     fn keys(event: &Fact<'_, AccountEvent>) -> Vec<String> {
///         vec![event.stream.to_owned()]
///     }
///
///     fn project(key: &str, view: Option<Balance>, event: &Fact<'_, AccountEvent>) -> Option<Balance> {
///         let mut view = view.unwrap_or_else(|| Balance { account: key.to_owned(), ..Balance::default() });
///         match event.data {
///             AccountEvent::Opened { owner } => view.owner.clone_from(owner),
///             AccountEvent::Deposited { amount } => view.amount += amount,
///             AccountEvent::Closed => return None,
///         }
///         Some(view)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a projection",
    note = "implement `Projection` for it: the events it takes, the view it makes, `keys` and `project`"
)]
pub trait Projection: Send + Sync + 'static {
    /// Its name, and that of its checkpoint: stable.
    const NAME: &'static str;

    /// Raised when what it makes of the events changes: the views are then built anew, beside those
    /// of the version before.
    const VERSION: u16 = 1;

    /// The events it takes in: all of these types.
    type Input: EventSet;

    /// What it makes: a document for each key. Its [`Entity::id`] is the key.
    type View: Entity;

    /// Which views the event changes: none, one or several, each named once.
    fn keys(event: &Fact<'_, Self::Input>) -> Vec<String>;

    /// What becomes of one of these views; `None`: there is none. It sees the events of its key in the
    /// order of the log, each once. The tenant of the view is the event's.
    fn project(
        key: &str,
        view: Option<Self::View>,
        event: &Fact<'_, Self::Input>,
    ) -> Option<Self::View>;
}
