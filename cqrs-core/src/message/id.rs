//! Ids of messages, fresh or derived from the message that caused them.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many bytes of a version 7 UUID are its time.
const TIME: usize = 6;

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

    /// The `n`-th `what` made while this message is handled: the digest of this id, the word and the
    /// number, as a version 5 UUID has it (RFC 9562, section 5.5).
    ///
    /// The same message handled again makes the same ids, and that is what lets a store recognise
    /// a repeat after the process died between commit and answer.
    ///
    /// Of a version 7 UUID, and of what is derived from it, the new one has the time, before 74 bits of the digest: a
    /// version 8 UUID (section 5.8). Any other one of version 8 is taken for such. What is written at one time then
    /// lies in one place of a store's index, however long the log.
    #[must_use]
    pub fn derived(self, what: &str, n: u32) -> Self {
        let mut name = Vec::with_capacity(what.len() + 4);
        name.extend_from_slice(&n.to_be_bytes());
        name.extend_from_slice(what.as_bytes());
        let digest = Uuid::new_v5(&self.0, &name);
        let has_time = matches!(self.0.get_version_num(), 7 | 8);
        Self(if has_time { self.at_its_time(digest) } else { digest })
    }

    /// The digest behind the time of this id.
    fn at_its_time(self, digest: Uuid) -> Uuid {
        let mut bytes = digest.into_bytes();
        bytes[..TIME].copy_from_slice(&self.0.as_bytes()[..TIME]);
        Uuid::new_v8(bytes)
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::MessageId;

    #[test]
    fn what_is_derived_from_an_id_with_a_time_has_that_time_however_often() {
        let command = MessageId::from_uuid(Uuid::now_v7());
        let event = command.derived("event", 0);
        let later = event.derived("event", 0);
        for id in [event, later] {
            assert_eq!(id.uuid().get_version_num(), 8);
            assert_eq!(id.uuid().as_bytes()[..6], command.uuid().as_bytes()[..6]);
            assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
        }
        assert_ne!(event, later);
    }

    #[test]
    fn ids_of_one_time_lead_to_different_ones() {
        let first = 0x0190_0000_0000_7000_8000_0000_0000_0000;
        let [a, b] = [first, first + 1].map(|id| MessageId::from_u128(id).derived("event", 0));
        assert_ne!(a, b);
        assert_eq!(a.uuid().as_u128() >> 80, b.uuid().as_u128() >> 80);
    }

    #[test]
    fn an_id_without_a_time_leads_to_a_digest() {
        let chosen = MessageId::from_u128(0x5bd1_6b28_ed2d_4f4f_9c3f_9f3f_5f0c_7a11);
        assert_eq!(chosen.derived("event", 0).uuid().get_version_num(), 5);
    }
}
