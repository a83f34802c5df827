//! The encoded form of a request, its output and its rejection.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;
use crate::message::request::Request;

/// How one type becomes bytes and comes back. See [`Wire`].
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
            decode: |bytes| Ok(serde_json::from_slice(bytes)?),
        }
    }
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
