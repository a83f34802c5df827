//! Messages as RabbitMQ has them: a CloudEvent in binary mode, each attribute in a header.
//!
//! The headers are those of the [AMQP binding](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md)
//! (section 3.1.3): `cloudEvents_` before the name. The content type is the property of that name (section 3.1.1). What
//! others have written may have `cloudEvents:` there, or `ce-`, as in the
//! [binding of Knative](https://github.com/knative-extensions/eventing-rabbitmq/blob/main/cloudevents-protocol-spec/spec.md).

use std::borrow::Cow;

use bytes::Bytes;
use cqrs_core::{InboundMessage, OutboundMessage, Result, Timestamp};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::names::short;

/// Before the name of each attribute.
const PREFIX: &str = "cloudEvents_";

/// What others may have before the name of each attribute.
const PREFIXES: [&str; 3] = [PREFIX, "cloudEvents:", "ce-"];

/// The attribute that is a time.
const TIME: &str = "time";

/// The attribute that is a property.
const CONTENT_TYPE: &str = "datacontenttype";

/// Stored on the disk, not in memory alone.
const PERSISTENT: u8 = 2;

/// Attributes as properties.
pub(crate) fn of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a str, Cow<'a, str>)>,
) -> BasicProperties {
    let mut headers = FieldTable::default();
    let mut properties = BasicProperties::default();
    for (name, value) in attributes {
        if name == CONTENT_TYPE {
            properties = properties.with_content_type(short(value.into_owned()));
            continue;
        }
        let value = AMQPValue::LongString(value.into_owned().into());
        headers.insert(short([PREFIX, name].concat()), value);
    }
    properties.with_headers(headers)
}

/// Properties of a message, which is stored. Its id, name and source are what operators see in lists of messages.
pub(crate) fn of(message: &OutboundMessage, source: &str) -> BasicProperties {
    of_attributes(message.attributes(source))
        .with_message_id(short(message.metadata.id().to_string()))
        .with_type(short(message.name.clone()))
        .with_app_id(short(source.to_owned()))
        .with_delivery_mode(PERSISTENT)
}

/// What of a message of ours is stored, too.
pub(crate) fn stored(properties: BasicProperties) -> BasicProperties {
    properties.with_delivery_mode(PERSISTENT)
}

/// A header as a text. `None`: there is none, or it is no text, number or time.
pub(crate) fn text<'a>(headers: &'a FieldTable, name: &str) -> Option<Cow<'a, str>> {
    text_of(headers.inner().get(name)?)
}

fn text_of(value: &AMQPValue) -> Option<Cow<'_, str>> {
    Some(match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()),
        AMQPValue::ShortString(text) => text.as_str().into(),
        AMQPValue::Boolean(value) => value.to_string().into(),
        AMQPValue::ShortShortInt(value) => value.to_string().into(),
        AMQPValue::ShortShortUInt(value) => value.to_string().into(),
        AMQPValue::ShortInt(value) => value.to_string().into(),
        AMQPValue::ShortUInt(value) => value.to_string().into(),
        AMQPValue::LongInt(value) => value.to_string().into(),
        AMQPValue::LongUInt(value) => value.to_string().into(),
        AMQPValue::LongLongInt(value) => value.to_string().into(),
        AMQPValue::Timestamp(seconds) => {
            let micros = i64::try_from(*seconds).ok()?.checked_mul(1_000_000)?;
            Timestamp::from_micros(micros).to_string().into()
        }
        _ => return None,
    })
}

/// A time as a text: a number is milliseconds, as AMQP 1.0 has them, for which this version has no type.
fn time_of(value: &AMQPValue) -> Option<Cow<'_, str>> {
    let millis = match value {
        AMQPValue::LongInt(millis) => i64::from(*millis),
        AMQPValue::LongUInt(millis) => i64::from(*millis),
        AMQPValue::LongLongInt(millis) => *millis,
        _ => return text_of(value),
    };
    Some(Timestamp::from_micros(millis.checked_mul(1_000)?).to_string().into())
}

/// The attributes that these properties have.
pub(crate) fn attributes(properties: &BasicProperties) -> Vec<(String, Cow<'_, str>)> {
    let headers = properties.headers().as_ref().map(FieldTable::inner);
    let named = |name: &ShortString| {
        let name = name.as_str();
        let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))?;
        Some(name.to_ascii_lowercase())
    };
    let headers = headers.into_iter().flatten();
    let attributes = headers.filter_map(|(name, value)| {
        let name = named(name)?;
        let value = if name == TIME { time_of(value)? } else { text_of(value)? };
        Some((name, value))
    });
    let content_type = properties.content_type().as_ref();
    let content_type =
        content_type.map(|value| (CONTENT_TYPE.to_owned(), Cow::from(value.as_str())));
    attributes.chain(content_type).collect()
}

/// The message of these properties.
///
/// # Errors
/// [`Invalid`](cqrs_core::ErrorKind::Invalid): it is no CloudEvent in binary mode.
pub(crate) fn read(
    properties: &BasicProperties,
    body: Bytes,
    attempt: u32,
) -> Result<InboundMessage> {
    let attributes = attributes(properties);
    let attributes = attributes.iter().map(|(name, value)| (name.as_str(), &**value));
    InboundMessage::of_attributes(attributes, body, attempt)
}

#[cfg(test)]
mod tests {
    use cqrs_core::{Metadata, OutboundKind};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_attribute_is_a_header_and_the_content_type_a_property() {
        let message = OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}");
        let properties = of(&message.with_key("Ängel"), "bank");
        let headers = properties.headers().clone().unwrap();
        let text = |name| text(&headers, name).map(Cow::into_owned);
        assert_eq!(text("cloudEvents_type").as_deref(), Some("bank.opened"));
        assert_eq!(text("cloudEvents_partitionkey").as_deref(), Some("Ängel"));
        assert_eq!(text("cloudEvents_datacontenttype"), None);
        let content_type = properties.content_type().clone().unwrap();
        assert_eq!(content_type.as_str(), "application/json");
    }

    #[test]
    fn what_others_have_written_is_read() {
        let second = "1970-01-01T00:00:01Z";
        let times = [
            ("cloudEvents:", AMQPValue::Timestamp(1)),
            ("cloudEvents_", AMQPValue::LongLongInt(1_000)),
            ("ce-", AMQPValue::LongString(second.into())),
        ];
        for (prefix, time) in times {
            let mut headers = FieldTable::default();
            for (name, value) in
                [("specversion", "1.0"), ("id", "7"), ("source", "/py"), ("type", "x")]
            {
                let value = AMQPValue::LongString(value.into());
                headers.insert(format!("{prefix}{name}").into(), value);
            }
            headers.insert(format!("{prefix}time").into(), time);
            headers.insert(format!("{prefix}priority").into(), AMQPValue::LongInt(5));
            headers.insert("other".into(), AMQPValue::Void);
            let read = read(&BasicProperties::default().with_headers(headers), Bytes::new(), 1);
            let message = read.unwrap();
            assert_eq!((&*message.name, message.metadata.extension("priority")), ("x", Some("5")));
            assert_eq!(message.metadata.occurred_at().unwrap().to_string(), second);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_comes_back(
            key in prop::option::of(".{1,30}"), note in ".{1,300}", body in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let metadata = Metadata::default().with_extension("note", note);
            let message = OutboundMessage {
                key,
                ..OutboundMessage::new(OutboundKind::Command, "bank.open", body).with_metadata(metadata)
            };
            let got = read(&of(&message, "bank"), message.body.clone(), 1).unwrap();
            prop_assert_eq!(got.metadata.id(), message.metadata.id());
            prop_assert_eq!(got.metadata.partition_key(), message.key.as_deref());
            prop_assert_eq!(got.metadata.extension("note"), message.metadata.extension("note"));
            prop_assert_eq!((got.name, got.body), (message.name, message.body));
        }
    }
}
