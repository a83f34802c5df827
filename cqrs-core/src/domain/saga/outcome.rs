//! What came of a command that a saga sent.

use std::fmt;

use bytes::Bytes;

use crate::error::{BoxError, Rejection};
use crate::message::request::{Command, Request};
use crate::message::wire::Wire;

/// What came of a command that a saga sent, as it was answered. See [`Saga`](crate::Saga) for an
/// example.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was handled, and answered this.
    Done(Bytes),
    /// The domain said no.
    Rejected {
        /// [`Rejection::code`].
        code: String,
        /// The rejection in its wire form.
        body: Bytes,
    },
    /// It could not be handled, for this reason. Whether it had an effect is not known.
    Failed(String),
}

/// An [`Outcome`] with its types.
pub enum Answered<C: Request> {
    /// It was handled.
    Done(C::Output),
    /// The domain said no.
    Rejected(C::Error),
    /// It could not be handled, for this reason.
    Failed(String),
}

impl Outcome {
    /// The answer of this output, for tests.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn done<C: Command>(output: &C::Output) -> Result<Self, BoxError> {
        Ok(Self::Done((wire::<C>()?.output.encode)(output)?))
    }

    /// The answer of this rejection, for tests.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn rejected<C: Command>(rejection: &C::Error) -> Result<Self, BoxError> {
        let body = (wire::<C>()?.rejection.encode)(rejection)?;
        Ok(Self::Rejected { code: rejection.code().to_owned(), body })
    }

    /// The outcome of the command `C`.
    ///
    /// # Errors
    /// When it is not an answer to a `C`.
    pub fn of<C: Command>(&self) -> Result<Answered<C>, BoxError> {
        let not = |cause: BoxError| format!("this is no answer to `{}`: {cause}", C::NAME);
        Ok(match self {
            Self::Done(body) => Answered::Done((wire::<C>()?.output.decode)(body).map_err(not)?),
            Self::Rejected { body, .. } => {
                Answered::Rejected((wire::<C>()?.rejection.decode)(body).map_err(not)?)
            }
            Self::Failed(reason) => Answered::Failed(reason.clone()),
        })
    }

    /// Whether it was handled.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

fn wire<C: Command>() -> Result<Wire<C>, BoxError> {
    C::wire().ok_or_else(|| format!("`{}` has no wire form", C::NAME).into())
}

/// Without what the answer says.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(_) => f.write_str("Done"),
            Self::Rejected { code, .. } => f.debug_tuple("Rejected").field(code).finish(),
            Self::Failed(reason) => f.debug_tuple("Failed").field(reason).finish(),
        }
    }
}

impl<C: Request> fmt::Debug for Answered<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done(_) => "Done",
            Self::Rejected(_) => "Rejected",
            Self::Failed(_) => "Failed",
        })
    }
}
