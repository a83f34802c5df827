//! A message with its metadata, and an answer with its position.

use crate::message::metadata::Metadata;

/// A message and what is known about it. What a [`Handler`](crate::Handler) takes.
#[derive(Debug, Clone)]
pub struct Envelope<T> {
    /// Id, cause, tenant and the rest.
    pub metadata: Metadata,
    /// The message.
    pub message: T,
}

impl<T> From<T> for Envelope<T> {
    fn from(message: T) -> Self {
        Self { metadata: Metadata::default(), message }
    }
}

/// An answer and the position in the log of the commit behind it, so that a reader can wait for it.
/// What a [`Handler`](crate::Handler) returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    /// The answer.
    pub output: T,
    /// Position of the commit; `None` when nothing was written.
    pub position: Option<u64>,
}

impl<T> From<T> for Reply<T> {
    fn from(output: T) -> Self {
        Self { output, position: None }
    }
}
