//! Timers that are set, and how to find those that are due.

use crate::message::timestamp::Timestamp;

/// A timer that is set. See [`TimerWrite`](crate::TimerWrite) for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// What set it: the name of a saga.
    pub owner: String,
    /// Whose data it is.
    pub tenant: Option<Box<str>>,
    /// Which instance of the owner.
    pub key: String,
    /// Which of the instance's timers.
    pub name: String,
    /// Which setting of it.
    pub generation: u64,
    /// When it is due.
    pub due: Timestamp,
}

/// Which timers to find. See [`TimerWrite`](crate::TimerWrite) for an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindTimers {
    /// Those of this owner.
    pub owner: String,
    /// Those that are due at this time or earlier; `Timestamp::MAX`: all of them.
    pub due_by: Timestamp,
    /// At most this many, the earliest first.
    pub limit: u32,
}
