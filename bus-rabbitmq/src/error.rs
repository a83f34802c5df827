//! What RabbitMQ says, as errors of the port.

use std::fmt;

use cqrs_core::{Error, ErrorKind};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};

/// The broker is out of reach, or did not answer in time.
pub(crate) fn unavailable(
    doing: impl fmt::Display,
    cause: impl Into<cqrs_core::BoxError>,
) -> Error {
    let cause = cause.into();
    let context =
        format!("{doing}: RabbitMQ is out of reach or does not answer ({cause}); try again");
    Error::new(ErrorKind::Unavailable, context).with_source(cause)
}

/// The connection was closed by its user.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "this connection to RabbitMQ was closed")
}

/// An answer of the server: it is there, and says no.
pub(crate) fn refusal(error: &lapin::Error) -> Option<AMQPSoftError> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft.clone()),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}

/// What the client says of an operation.
pub(crate) fn of(doing: impl fmt::Display, error: lapin::Error) -> Error {
    match refusal(&error) {
        // Another connection uses it just now.
        Some(AMQPSoftError::RESOURCELOCKED) | None => unavailable(doing, error),
        Some(_) => {
            let context = format!("{doing}: RabbitMQ refuses it: {error}");
            Error::new(ErrorKind::Internal, context).with_source(error)
        }
    }
}
