//! The domain's no, and either of the two.

use std::fmt;

use crate::error::{BoxError, Error, ErrorKind, Result};

/// The domain said no.
///
/// A trait of its own, not any [`std::error::Error`]: so that `?` turns both kinds of no into a
/// [`Failure`], and so that HTTP and the buses have a code to send.
///
/// ```
/// use cqrs_core::Rejection;
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the account holds {balance}, not enough")]
/// struct Overdrawn { balance: u64 }
///
/// impl Rejection for Overdrawn {
///     fn code(&self) -> &'static str { "bank.overdrawn" }
///     fn field(&self) -> Option<&str> { Some("amount") }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rejection by the domain",
    note = "derive `Rejection` for an error type of your own (or implement it); when the request cannot be rejected, its error is `Never`, which the derives take when `error` is left out"
)]
pub trait Rejection: std::error::Error + Send + Sync + 'static {
    /// Stable, for machines: `learning.course_not_published`.
    fn code(&self) -> &'static str;

    /// All codes that [`code`](Self::code) may give, for the manifest; empty: they are not known.
    fn codes() -> &'static [&'static str]
    where
        Self: Sized,
    {
        &[]
    }

    /// The field of the request that is to blame, where there is one.
    fn field(&self) -> Option<&str> {
        None
    }
}

/// The rejection of a request that the domain cannot reject: it has no value.
///
/// See [`Request`](crate::Request) for an example. (`Infallible` has no serde implementations.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl Rejection for Never {
    fn code(&self) -> &'static str {
        match *self {}
    }
}

impl serde::Serialize for Never {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> serde::Deserialize<'de> for Never {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("this request is never rejected"))
    }
}

/// Why a request was not answered: the domain said no, or the machinery broke.
///
/// `?` makes one from either side:
///
/// ```
/// use cqrs_core::{Error, ErrorKind, Failure, Never, Rejection};
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("closed")]
/// # struct Closed;
/// # impl Rejection for Closed { fn code(&self) -> &'static str { "bank.closed" } }
///
/// fn broken() -> cqrs_core::Result<()> { Err(Error::new(ErrorKind::Unavailable, "no database")) }
///
/// fn handle(open: bool) -> Result<(), Failure<Closed>> {
///     if !open { Err(Closed)? }
///     broken()?;
///     Ok(())
/// }
/// assert!(matches!(handle(false), Err(Failure::Rejected(Closed))));
/// assert!(matches!(handle(true), Err(Failure::Failed(_))));
/// ```
#[derive(Debug)]
pub enum Failure<E> {
    /// The domain said no. Asking again as it is gives the same answer.
    Rejected(E),
    /// The machinery broke, or the request was malformed.
    Failed(Error),
}

impl<E> Failure<E> {
    /// The same failure with another rejection: for a handler that sends a command whose rejection is
    /// of another type than its own.
    ///
    /// ```
    /// use cqrs_core::{Failure, Rejection};
    /// # #[derive(Debug, thiserror::Error)]
    /// # #[error("closed")]
    /// # struct Closed;
    /// # impl Rejection for Closed { fn code(&self) -> &'static str { "bank.closed" } }
    /// # #[derive(Debug, thiserror::Error)]
    /// # #[error("no payment")]
    /// # struct NoPayment;
    /// # impl Rejection for NoPayment { fn code(&self) -> &'static str { "shop.no_payment" } }
    ///
    /// fn withdraw() -> Result<(), Failure<Closed>> { Err(Closed)? }
    ///
    /// fn pay() -> Result<(), Failure<NoPayment>> {
    ///     withdraw().map_err(|failure| failure.map_rejected(|_: Closed| NoPayment))?;
    ///     Ok(())
    /// }
    /// assert!(matches!(pay(), Err(Failure::Rejected(NoPayment))));
    /// ```
    pub fn map_rejected<F>(self, map: impl FnOnce(E) -> F) -> Failure<F> {
        match self {
            Self::Rejected(rejection) => Failure::Rejected(map(rejection)),
            Self::Failed(error) => Failure::Failed(error),
        }
    }
}

impl Failure<Never> {
    /// The error, where the domain cannot say no: `app.send(c).await.map_err(Failure::into_error)?`
    /// works in every handler. See [`Failure::map_rejected`] for the other case.
    pub fn into_error(self) -> Error {
        match self {
            Self::Rejected(never) => match never {},
            Self::Failed(error) => error,
        }
    }
}

impl<E: Rejection> From<E> for Failure<E> {
    fn from(rejection: E) -> Self {
        Self::Rejected(rejection)
    }
}

impl<E: Rejection> From<Error> for Failure<E> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a layer of tower hands over: what was inside comes back with its type, tower's own errors get
/// a kind, the rest is [`ErrorKind::Internal`].
impl<E: Rejection> From<BoxError> for Failure<E> {
    fn from(error: BoxError) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(failure) => return *failure,
            Err(error) => error,
        };
        let error = match error.downcast::<E>() {
            Ok(rejection) => return Self::Rejected(*rejection),
            Err(error) => error,
        };
        Self::Failed(match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) if error.is::<tower::timeout::error::Elapsed>() => {
                Error::new(ErrorKind::DeadlineExceeded, "the time for the answer has run out")
            }
            Err(error) if error.is::<tower::load_shed::error::Overloaded>() => {
                Error::new(ErrorKind::Overloaded, "too much is going on: try again later")
            }
            Err(error) => {
                let context = format!("a layer or a handler failed: {error}");
                Error::new(ErrorKind::Internal, context).with_source(error)
            }
        })
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Failure<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(rejection) => rejection.source(),
            Self::Failed(error) => error.source(),
        }
    }
}
