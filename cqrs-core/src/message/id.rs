//! Ids of messages, fresh or derived from the message that caused them.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The id of one message: a command, a query or an event. Unique for ever.
///
/// ```
/// use cqrs_core::MessageId;
///
/// let command = MessageId::fresh();
/// assert_eq!(command.derived("event", 0), command.derived("event", 0));
/// assert_ne!(command.derived("event", 0), command.derived("event", 1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(Uuid);

impl MessageId {
    /// A new id: a version 7 UUID, so that ids made later sort later.
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }

    /// An id that somebody else chose.
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// An id from 128 bits, such as a digest of what it stands for.
    pub const fn from_u128(bits: u128) -> Self {
        Self(Uuid::from_u128(bits))
    }

    /// The id as a UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The `n`-th `what` made while this message is handled: a version 5 UUID (RFC 9562, section
    /// 5.5) of this id, the word and the number.
    ///
    /// The same message handled again makes the same ids, and that is what lets a store recognise
    /// a repeat after the process died between commit and answer.
    #[must_use]
    pub fn derived(self, what: &str, n: u32) -> Self {
        let mut name = Vec::with_capacity(what.len() + 4);
        name.extend_from_slice(&n.to_be_bytes());
        name.extend_from_slice(what.as_bytes());
        Self(Uuid::new_v5(&self.0, &name))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Uuid> for MessageId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}
