//! What NATS says, as errors of the port.

use std::error::Error as _;
use std::fmt;

use async_nats::jetstream;
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, PublishError,
};
use async_nats::jetstream::stream::{
    DeleteMessageError, DeleteMessageErrorKind, LastRawMessageError, LastRawMessageErrorKind,
};
use cqrs_core::{Error, ErrorKind};

/// The broker is out of reach, or did not answer in time.
pub(crate) fn unavailable(
    doing: impl fmt::Display,
    cause: impl Into<cqrs_core::BoxError>,
) -> Error {
    let cause = cause.into();
    let context = format!("{doing}: NATS is out of reach or does not answer ({cause}); try again");
    Error::new(ErrorKind::Unavailable, context).with_source(cause)
}

/// The connection was closed by its user.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "this connection to NATS was closed")
}

/// What JetStream refuses, for a reason of its own.
pub(crate) fn refused(doing: impl fmt::Display, error: &jetstream::Error) -> Error {
    let kind = match error.error_code() {
        code if code == jetstream::ErrorCode::STREAM_STORE_FAILED => ErrorKind::Overloaded,
        code if code == jetstream::ErrorCode::INSUFFICIENT_RESOURCES => ErrorKind::Overloaded,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{doing}: JetStream refuses it: {error}"))
}

/// An error of the client that may be an answer of JetStream.
pub(crate) trait Answered {
    /// The answer, if it is one.
    fn answer(&self) -> Option<jetstream::Error>;
}

macro_rules! answered {
    ($($error:ty: $kind:ident),* $(,)?) => {
        $(impl Answered for $error {
            fn answer(&self) -> Option<jetstream::Error> {
                match self.kind() {
                    $kind::JetStream(answer) => Some(answer),
                    _ => None,
                }
            }
        })*
    };
}

answered! {
    GetStreamError: GetStreamErrorKind,
    CreateStreamError: CreateStreamErrorKind,
    DeleteMessageError: DeleteMessageErrorKind,
    LastRawMessageError: LastRawMessageErrorKind,
}

/// Of these the answer is behind the error.
impl Answered for PublishError {
    fn answer(&self) -> Option<jetstream::Error> {
        self.source()?.downcast_ref::<jetstream::Error>().cloned()
    }
}
