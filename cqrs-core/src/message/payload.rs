//! Bodies of events: JSON that is known to be JSON, bytes of another codec, or erased.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;

/// Text that is one JSON value. It cannot be made from anything else, so stores keep it in their
/// JSON columns without a second look.
///
/// ```
/// use cqrs_core::Json;
///
/// let body = Json::encode(&("a", 1)).unwrap();
/// assert_eq!(body.as_str(), r#"["a",1]"#);
/// assert!(Json::parse("{").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// Encodes a value.
    ///
    /// # Errors
    /// When the value's `Serialize` fails, or a map has keys that are not strings.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, BoxError> {
        Ok(Self(serde_json::to_string(value)?.into()))
    }

    /// Checks that the text is one JSON value, nested at most 127 deep, with numbers that a double
    /// or 64 bits can hold and strings of whole Unicode.
    ///
    /// # Errors
    /// When it is not; the error tells line and column.
    pub fn parse(text: impl Into<Arc<str>>) -> Result<Self, BoxError> {
        let text = text.into();
        // Not `IgnoredAny`, which looks neither at depth nor into strings and numbers.
        serde_json::from_str::<serde_json::Value>(&text)?;
        Ok(Self(text))
    }

    /// What a serializer of JSON wrote.
    pub(crate) fn trusted(text: String) -> Self {
        Self(text.into())
    }

    /// Decodes the value.
    ///
    /// # Errors
    /// When the JSON is not a `T`; the error names the field.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, BoxError> {
        Ok(serde_json::from_str(&self.0)?)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true: the shortest JSON value has one byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The body of an event. JSON goes into a column that the store's own tools show, the rest into a
/// column of bytes (P7).
///
/// ```
/// use cqrs_core::{Json, Payload};
///
/// let json = Payload::Json(Json::encode("text").unwrap());
/// let other = Payload::Binary { content_type: "application/cbor".into(), bytes: vec![0xf6].into() };
/// assert_eq!((json.len(), other.len()), (6, 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// JSON, the default.
    Json(Json),
    /// Another codec's bytes.
    Binary {
        /// Their media type.
        content_type: std::borrow::Cow<'static, str>,
        /// The bytes.
        bytes: Bytes,
    },
    /// The key of its subject was destroyed: the event happened, what it said is gone. Reading it
    /// is no decode failure (P6).
    Erased,
}

/// A borrowed [`Payload`]. See [`Event`](crate::Event) for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadRef<'a> {
    /// JSON text.
    Json(&'a str),
    /// Another codec's bytes.
    Binary {
        /// Their media type.
        content_type: &'a str,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// What it said is gone. See [`Payload::Erased`].
    Erased,
}

impl Payload {
    /// Length of the body in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Binary { bytes, .. } => bytes.len(),
            Self::Erased => 0,
        }
    }

    /// Whether the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload, borrowed.
    pub fn as_ref(&self) -> PayloadRef<'_> {
        match self {
            Self::Json(json) => PayloadRef::Json(json.as_str()),
            Self::Binary { content_type, bytes } => PayloadRef::Binary { content_type, bytes },
            Self::Erased => PayloadRef::Erased,
        }
    }
}

impl PayloadRef<'_> {
    /// The payload, owned. The JSON is taken as it is: it came out of a store that only takes JSON.
    pub fn to_owned(self) -> Payload {
        match self {
            Self::Json(text) => Payload::Json(Json::trusted(text.to_owned())),
            Self::Binary { content_type, bytes } => Payload::Binary {
                content_type: content_type.to_owned().into(),
                bytes: Bytes::copy_from_slice(bytes),
            },
            Self::Erased => Payload::Erased,
        }
    }
}
