//! The encoded form of a request, its output and its rejection.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;
use crate::message::request::Request;

/// How one type becomes bytes and comes back.
///
/// ```
/// use cqrs_core::Codec;
///
/// let codec = Codec::<(u8, bool)>::json();
/// let bytes = (codec.encode)(&(1, true)).unwrap();
/// assert_eq!((codec.decode)(&bytes).unwrap(), (1, true));
/// ```
pub struct Codec<T> {
    /// To bytes.
    pub encode: fn(&T) -> Result<Bytes, BoxError>,
    /// From bytes, all of them.
    pub decode: fn(&[u8]) -> Result<T, BoxError>,
}

impl<T: Serialize + DeserializeOwned> Codec<T> {
    /// JSON through serde.
    pub const fn json() -> Self {
        Self {
            encode: |value| Ok(serde_json::to_vec(value)?.into()),
            decode: |bytes| serde_json::from_slice(bytes).map_err(|_| field_error::<T>(bytes)),
        }
    }
}

/// Bytes that are not the type they should be, and the field to blame. The error of
/// [`Codec::json`].
///
/// ```
/// use cqrs_core::{Codec, FieldError};
///
/// #[derive(Debug, serde::Serialize, serde::Deserialize)]
/// struct Deposit { amount: u64 }
///
/// let error = (Codec::<Deposit>::json().decode)(br#"{"amount":-1}"#).unwrap_err();
/// assert_eq!(error.downcast_ref::<FieldError>().unwrap().field(), Some("amount"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct FieldError {
    field: Option<String>,
    cause: serde_json::Error,
}

impl FieldError {
    /// The field to blame, with dots and brackets where it lies deeper; `None` when it is the whole.
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }
}

/// Decodes again, slowly, to learn where it fails.
#[cold]
fn field_error<T: DeserializeOwned>(bytes: &[u8]) -> BoxError {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut json) else {
        return match json.end() {
            Err(cause) => FieldError { field: None, cause }.into(),
            Ok(()) => "it could not be decoded the first time".into(),
        };
    };
    // A path that ends in `?` is one that the text broke off in.
    let path = error.path().to_string();
    let path = path.trim_end_matches('?').trim_end_matches('.');
    let path = if path.is_empty() { "." } else { path };
    let cause = error.into_inner();
    // serde reports a missing field where it is missing from.
    let text = cause.to_string();
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = match (path, missing) {
        (".", None) => None,
        (".", Some(missing)) => Some(missing.to_owned()),
        (path, None) => Some(path.to_owned()),
        (path, Some(missing)) => Some(format!("{path}.{missing}")),
    };
    FieldError { field, cause }.into()
}

/// What a request needs to be called by name from bytes, to be answered from its inbox, and to
/// travel: codecs for itself, its output and its rejection.
///
/// See [`Request::wire`] for an example.
pub struct Wire<R: Request> {
    /// The media type of all three.
    pub content_type: &'static str,
    /// The request.
    pub request: Codec<R>,
    /// What it answers.
    pub output: Codec<R::Output>,
    /// How it is refused.
    pub rejection: Codec<R::Error>,
    /// JSON Schemas of the three, for the manifest. With the feature `schema`,
    /// the method `with_schema` makes them.
    pub schemas: Option<fn() -> Schemas>,
}

/// JSON Schemas of a request's wire form. See [`Manifest`](crate::Manifest).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schemas {
    /// Of the request.
    pub request: serde_json::Value,
    /// Of what it answers.
    pub output: serde_json::Value,
    /// Of how it is refused.
    pub rejection: serde_json::Value,
}

impl<R> Wire<R>
where
    R: Request + Serialize + DeserializeOwned,
    R::Output: Serialize + DeserializeOwned,
    R::Error: Serialize + DeserializeOwned,
{
    /// JSON through serde.
    pub const fn json() -> Self {
        Self {
            content_type: "application/json",
            request: Codec::json(),
            output: Codec::json(),
            rejection: Codec::json(),
            schemas: None,
        }
    }
}

impl<T> fmt::Debug for Codec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

impl<R: Request> fmt::Debug for Wire<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}
