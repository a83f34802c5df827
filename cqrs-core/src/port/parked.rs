//! What is set aside because it cannot be handled now.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::message::payload::Payload;
use crate::message::timestamp::Timestamp;
use crate::port::commit::Expected;
use crate::port::{Position, Version};

/// Sets an entry aside, or changes what is said of it. One entry for each subscription, position and
/// key: an event may change several views.
///
/// ```
/// use cqrs_core::memory::MemoryStore;
/// use cqrs_core::{Commit, Expected, FindParked, ParkedState, ParkedWrite, Settled, Store};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::default();
/// let aside = ParkedWrite {
///     subscription: "mailer".into(),
///     position: 17,
///     expected: Expected::NoStream,
///     partition: 0,
///     key: "account-4".into(),
///     message: "bank.opened".into(),
///     state: ParkedState::Parked,
///     due: None,
///     cause: "no such address".into(),
///     attempts: 8,
///     edited: None,
/// };
/// store.commit(Commit { parked: vec![aside], ..Commit::default() }).await?;
/// let found = store.parked(FindParked::of("mailer")).await?;
/// assert_eq!((found[0].position, found[0].cause.as_str()), (17, "no such address"));
///
/// let done = Settled::Parked {
///     subscription: "mailer".into(),
///     position: 17,
///     key: "account-4".into(),
/// };
/// store.commit(Commit { settled: vec![done], ..Commit::default() }).await?;
/// assert!(store.parked(FindParked::of("mailer")).await?.is_empty());
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ParkedWrite {
    /// The subscription.
    pub subscription: String,
    /// Its place in the log.
    pub position: Position,
    /// What must be there: versions count the writes of an entry.
    pub expected: Expected,
    /// The partition that its key is in.
    pub partition: u32,
    /// The key behind which later messages queue up.
    pub key: String,
    /// Name of the event or message.
    pub message: String,
    /// What becomes of it.
    pub state: ParkedState,
    /// When the partition's owner does something about it; `None`: not by itself.
    pub due: Option<Timestamp>,
    /// Why it is here.
    pub cause: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What an operator put in the place of its body.
    pub edited: Option<Payload>,
}

/// What becomes of an entry that is set aside. See [`ParkedWrite`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ParkedState {
    /// It is tried again when it is due.
    Retrying,
    /// It waits for an operator.
    Parked,
    /// It waits for an earlier one of its key.
    Behind,
    /// An operator gave it up: whoever owns its partition lets it go.
    Discarding,
}

impl ParkedState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Retrying, Self::Parked, Self::Behind, Self::Discarding];

    /// Its name in stores and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Behind => "behind",
            Self::Discarding => "discarding",
        }
    }

    /// The state of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for ParkedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An entry as the store has it. See [`ParkedWrite`] for an example.
#[derive(Debug, Clone, PartialEq)]
pub struct ParkedEntry {
    /// The subscription.
    pub subscription: String,
    /// Its place in the log.
    pub position: Position,
    /// How often it was written.
    pub version: Version,
    /// The partition that its key is in.
    pub partition: u32,
    /// The key behind which later messages queue up.
    pub key: String,
    /// Name of the event or message.
    pub message: String,
    /// What becomes of it.
    pub state: ParkedState,
    /// When the partition's owner does something about it; `None`: not by itself.
    pub due: Option<Timestamp>,
    /// Why it is here.
    pub cause: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What an operator put in the place of its body.
    pub edited: Option<Payload>,
    /// When it was set aside, by the store's clock.
    pub since: Timestamp,
}

impl ParkedEntry {
    /// Its id, for people and URLs: an event may have several, with one id.
    pub fn id(&self) -> ParkedId {
        ParkedId { subscription: self.subscription.clone(), position: self.position }
    }

    /// Where the next page begins: see [`FindParked::after`].
    pub fn place(&self) -> (String, Position, String) {
        (self.subscription.clone(), self.position, self.key.clone())
    }

    /// The entry as it is, to change it: expects that nobody else does.
    pub fn to_write(&self) -> ParkedWrite {
        ParkedWrite {
            subscription: self.subscription.clone(),
            position: self.position,
            expected: Expected::Exactly(self.version),
            partition: self.partition,
            key: self.key.clone(),
            message: self.message.clone(),
            state: self.state,
            due: self.due,
            cause: self.cause.clone(),
            attempts: self.attempts,
            edited: self.edited.clone(),
        }
    }
}

/// Names an entry, or all that are set aside of one event: `17@mailer`.
///
/// ```
/// use cqrs_core::ParkedId;
///
/// let id: ParkedId = "17@mailer".parse()?;
/// assert_eq!((id.position, id.subscription.as_str()), (17, "mailer"));
/// assert_eq!(id.to_string(), "17@mailer");
/// # Ok::<_, cqrs_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParkedId {
    /// The subscription.
    pub subscription: String,
    /// Its place in the log.
    pub position: Position,
}

impl fmt::Display for ParkedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.position, self.subscription)
    }
}

impl FromStr for ParkedId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('@').filter(|(_, subscription)| !subscription.is_empty());
        let id = parts.and_then(|(position, subscription)| {
            Some(Self { subscription: subscription.to_owned(), position: position.parse().ok()? })
        });
        id.ok_or_else(|| {
            let text: String = text.chars().take(100).collect();
            let context = format!("{text:?} is no id of a parked entry, such as 17@mailer");
            Error::invalid_field("id", context)
        })
    }
}

/// Which entries to find: in the order of subscriptions, positions and keys. What is not set does not
/// filter. See [`ParkedWrite`] for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindParked {
    /// Those of this subscription.
    pub subscription: Option<String>,
    /// Those with this key.
    pub key: Option<String>,
    /// Those in this state.
    pub state: Option<ParkedState>,
    /// Those that are due at this time or earlier.
    pub due_by: Option<Timestamp>,
    /// Those at this position.
    pub position: Option<Position>,
    /// Those after this [place](ParkedEntry::place).
    pub after: Option<(String, Position, String)>,
    /// At most this many.
    pub limit: u32,
}

impl Default for FindParked {
    /// The first 100.
    fn default() -> Self {
        Self {
            subscription: None,
            key: None,
            state: None,
            due_by: None,
            position: None,
            after: None,
            limit: 100,
        }
    }
}

impl FindParked {
    /// The first 100 of a subscription.
    pub fn of(subscription: impl Into<String>) -> Self {
        Self { subscription: Some(subscription.into()), ..Self::default() }
    }

    /// Only those with this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only those in this state.
    #[must_use]
    pub fn state(mut self, state: ParkedState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only those that are due by then.
    #[must_use]
    pub fn due_by(mut self, time: Timestamp) -> Self {
        self.due_by = Some(time);
        self
    }

    /// Only those at this position.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// Only those after this [place](ParkedEntry::place): the next page.
    #[must_use]
    pub fn after(mut self, last: (String, Position, String)) -> Self {
        self.after = Some(last);
        self
    }

    /// At most this many.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}
