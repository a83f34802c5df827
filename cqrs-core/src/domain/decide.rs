//! Decisions: what follows from a command in a state.

use crate::domain::aggregate::Aggregate;
use crate::domain::context::Context;
use crate::message::request::Command;

/// An aggregate that decides on the command `C`.
///
/// ```
/// use cqrs_core::{Aggregate, Command, Context, Decide, Decision, Rejection, Request, RequestKind};
/// # use cqrs_core::{Event, EventType, Metadata, Timestamp};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// # enum AccountEvent { Withdrawn { amount: u64 } }
/// # impl Event for AccountEvent {
/// #     const TYPES: &'static [EventType] = &[EventType::new("bank.withdrawn", "Withdrawn")];
/// #     fn event_type(&self) -> &'static EventType { &Self::TYPES[0] }
/// # }
/// # #[derive(Default)]
/// # struct Account { balance: u64 }
/// # impl Aggregate for Account {
/// #     const CATEGORY: &'static str = "account";
/// #     type Id = String;
/// #     type Event = AccountEvent;
/// #     fn apply(&mut self, event: &AccountEvent) {
/// #         let AccountEvent::Withdrawn { amount } = event;
/// #         self.balance -= amount;
/// #     }
/// # }
/// # #[derive(Debug, PartialEq, thiserror::Error)]
/// # #[error("not enough money")]
/// # struct Overdrawn;
/// # impl Rejection for Overdrawn { fn code(&self) -> &'static str { "bank.overdrawn" } }
///
/// struct Withdraw { account: String, amount: u64 }
/// # impl Request for Withdraw {
/// #     const NAME: &'static str = "bank.withdraw";
/// #     const KIND: RequestKind = RequestKind::Command;
/// #     type Output = u64;
/// #     type Error = Overdrawn;
/// # }
/// # impl Command for Withdraw {}
///
/// impl Decide<Withdraw> for Account {
///     fn target(command: &Withdraw) -> String { command.account.clone() }
///
///     fn decide(&self, command: &Withdraw, _: &Context<'_>) -> Result<Decision<AccountEvent, u64>, Overdrawn> {
///         let left = self.balance.checked_sub(command.amount).ok_or(Overdrawn)?;
///         Ok(Decision::event(AccountEvent::Withdrawn { amount: command.amount }).returning(left))
///     }
/// }
///
/// let metadata = Metadata::default();
/// let context = Context::new(Timestamp::UNIX_EPOCH, &metadata, 1);
/// let account = Account { balance: 10 };
/// let decision = account.decide(&Withdraw { account: "17".into(), amount: 4 }, &context).unwrap();
/// assert_eq!(decision.output, 6);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide on `{C}`",
    label = "needs `impl Decide<{C}> for {Self}`"
)]
pub trait Decide<C: Command>: Aggregate {
    /// Which aggregate the command is for.
    fn target(command: &C) -> Self::Id;

    /// What follows from the command in this state. It may run several times for one command, when
    /// another commit came first.
    ///
    /// # Errors
    /// When the domain says no.
    fn decide(
        &self,
        command: &C,
        context: &Context<'_>,
    ) -> Result<Decision<Self::Event, C::Output>, C::Error>;
}

/// What was decided: the events that happen, and what the command answers.
///
/// See [`Decide`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a decision that is not returned changes nothing"]
pub struct Decision<E, O = ()> {
    /// What happens, in order; maybe nothing.
    pub events: Vec<E>,
    /// The answer.
    pub output: O,
}

impl<E> Decision<E> {
    /// One event.
    pub fn event(event: E) -> Self {
        Self { events: vec![event], output: () }
    }

    /// Several events, in order.
    pub fn events(events: impl IntoIterator<Item = E>) -> Self {
        Self { events: events.into_iter().collect(), output: () }
    }

    /// Nothing happens: what the command asks for is so already.
    pub fn nothing() -> Self {
        Self { events: Vec::new(), output: () }
    }

    /// The same events with an answer.
    pub fn returning<O>(self, output: O) -> Decision<E, O> {
        Decision { events: self.events, output }
    }
}
