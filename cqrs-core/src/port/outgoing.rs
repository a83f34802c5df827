//! Messages that a commit sends: how they wait, and how they are found.

use crate::message::timestamp::Timestamp;
use crate::port::Position;
use crate::port::commit::Outgoing;
use crate::port::read::PageSize;

/// An outgoing message that is not settled yet. See [`Outgoing`] for an example.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingMessage {
    /// Its place in the log: messages and events of one commit share one count, events first.
    pub position: Position,
    /// When it was recorded, by the store's clock.
    pub recorded_at: Timestamp,
    /// The message.
    pub message: Outgoing,
}

/// Which pending messages to find: in the order of positions, due or not. See [`Outgoing`] for an
/// example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindOutgoing {
    /// Those after this position.
    pub after: Position,
    /// At most so many, and so many bytes of bodies; at least one.
    pub page: PageSize,
}

impl FindOutgoing {
    /// The first ones after a position: at most 256, or 1 MiB.
    pub fn after(position: Position) -> Self {
        Self { after: position, page: PageSize { events: 256, bytes: 1 << 20 } }
    }
}
