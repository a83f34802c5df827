//! Messages as NATS has them: a CloudEvent in binary mode, each attribute in a header.
//!
//! The headers are those of the [NATS binding](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md):
//! `ce-` before the name. What is not printable ASCII is percent-encoded, as the binding for HTTP has it
//! (section 3.1.3.2): a header has no line breaks in it.

use std::borrow::Cow;

use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use cqrs_core::{Error, InboundMessage, OutboundMessage, Result};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Before the name of each attribute.
const PREFIX: &str = "ce-";

/// The attribute that HTTP has in a header of its own, and with it those who use the binding for HTTP here.
const CONTENT_TYPE: &str = "datacontenttype";
const CONTENT_TYPE_OF_HTTP: &str = "content-type";

/// What is percent-encoded beside all that is not ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The id by which the broker knows a message that is sent again.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";

/// Attributes as headers.
pub(crate) fn of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a str, Cow<'a, str>)>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in attributes {
        let encoded = Cow::from(utf8_percent_encode(&value, ENCODED));
        // What is encoded is longer.
        let value =
            if encoded.len() == value.len() { value.into_owned() } else { encoded.into_owned() };
        match known(name) {
            Some(name) => headers.insert(name, value),
            None => headers.insert(format!("{PREFIX}{name}"), value),
        }
    }
    headers
}

/// The header of an attribute that most messages have: it is not made anew each time.
fn known(attribute: &str) -> Option<HeaderName> {
    macro_rules! known {
        ($($attribute:literal)*) => {
            Some(match attribute {
                $($attribute => const { HeaderName::from_static(concat!("ce-", $attribute)) },)*
                _ => return None,
            })
        };
    }
    known! {
        "specversion" "id" "source" "type" "datacontenttype" "kind" "subject" "partitionkey" "correlationid"
        "causationid" "time" "sequence" "schemaversion" "deadline" "status"
    }
}

/// Headers of a message.
pub(crate) fn of(message: &OutboundMessage, source: &str) -> HeaderMap {
    let mut headers = of_attributes(message.attributes(source));
    headers
        .insert(const { HeaderName::from_static(MESSAGE_ID) }, message.metadata.id().to_string());
    headers
}

/// The attributes that these headers have.
///
/// # Errors
/// [`Invalid`](cqrs_core::ErrorKind::Invalid): one is no text.
pub(crate) fn attributes(headers: &HeaderMap) -> Result<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let mut attributes: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(headers.len());
    let mut of_http = None;
    for (name, values) in headers.iter() {
        let name: &str = name.as_ref();
        let is_ours = name.get(..PREFIX.len()).is_some_and(|p| p.eq_ignore_ascii_case(PREFIX));
        let Some(value) = values.first() else { continue };
        if !is_ours {
            if name.eq_ignore_ascii_case(CONTENT_TYPE_OF_HTTP) {
                of_http = Some(value.as_str().into());
            }
            continue;
        }
        let mut name = Cow::from(&name[PREFIX.len()..]);
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name.to_mut().make_ascii_lowercase();
        }
        let value = percent_decode_str(value.as_str()).decode_utf8().map_err(|_| {
            let context = format!("the attribute `{name}` is no UTF-8 when it is decoded");
            Error::invalid_field(name.clone(), context)
        })?;
        attributes.push((name, value));
    }
    if let Some(value) = of_http
        && attributes.iter().all(|(name, _)| name != CONTENT_TYPE)
    {
        attributes.push((CONTENT_TYPE.into(), value));
    }
    Ok(attributes)
}

/// The message of these headers.
///
/// # Errors
/// [`Invalid`](cqrs_core::ErrorKind::Invalid): it is no CloudEvent in binary mode.
pub(crate) fn read(headers: &HeaderMap, body: Bytes, attempt: u32) -> Result<InboundMessage> {
    let attributes = attributes(headers)?;
    let attributes = attributes.iter().map(|(name, value)| (&**name, &**value));
    InboundMessage::of_attributes(attributes, body, attempt)
}

#[cfg(test)]
mod tests {
    use cqrs_core::{Metadata, OutboundKind};
    use proptest::prelude::*;

    use super::*;

    fn message(key: &str, note: &str) -> OutboundMessage {
        let metadata = Metadata::default().with_extension("note", note);
        OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}")
            .with_key(key)
            .with_metadata(metadata)
    }

    #[test]
    fn each_attribute_is_a_header_of_printable_ascii() {
        let message = message("Ängel & \"Söhne\"", "100 %\r\n");
        let headers = of(&message, "bank");
        let text = |name: &str| headers.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(text("ce-type").as_deref(), Some("bank.opened"));
        assert_eq!(text("ce-source").as_deref(), Some("bank"));
        assert_eq!(text("ce-partitionkey").as_deref(), Some("%C3%84ngel%20&%20%22S%C3%B6hne%22"));
        assert_eq!(text("ce-note").as_deref(), Some("100%20%25%0D%0A"));
        assert_eq!(text("Nats-Msg-Id"), Some(message.metadata.id().to_string()));
        for (value, encoded) in [("%", "%25"), ("\r", "%0D"), ("ä", "%C3%A4"), ("", "")] {
            let headers = of_attributes([("note", value.into())]);
            assert_eq!(headers.get("ce-note").map(async_nats::HeaderValue::as_str), Some(encoded));
        }
    }

    #[test]
    fn headers_of_others_are_read_whatever_their_case() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("Ce-Specversion", "1.0"), ("CE-ID", "7"), ("ce-source", "/py"), ("ce-type", "sold")]
        {
            headers.insert(name, value);
        }
        headers.insert("c", "too short for a prefix");
        let message = read(&headers, Bytes::from_static(b"{}"), 1).unwrap();
        assert_eq!((&*message.name, &*message.content_type), ("sold", "application/json"));
        let content_type = |headers: &_| read(headers, Bytes::new(), 1).unwrap().content_type;
        headers.insert("Content-Type", "text/plain");
        assert_eq!(content_type(&headers), "text/plain", "as HTTP has it");
        headers.insert("ce-datacontenttype", "text/csv");
        assert_eq!(content_type(&headers), "text/csv");
        headers.insert("ce-type", "%FF");
        assert!(read(&headers, Bytes::new(), 1).is_err());
        assert!(read(&HeaderMap::new(), Bytes::new(), 1).is_err(), "no CloudEvent at all");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_comes_back(key in ".{1,20}", note in ".{0,20}") {
            let sent = message(&key, &note);
            let got = read(&of(&sent, "bank"), sent.body.clone(), 1).unwrap();
            prop_assert_eq!(got.metadata, sent.metadata.with_partition_key(key));
        }
    }
}
