//! Messages as CloudEvents 1.0: their attributes by name, for the headers of a broker, and back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::message::id::MessageId;
use crate::message::metadata::Metadata;
use crate::port::Position;
use crate::port::delivery::InboundMessage;
use crate::port::publisher::OutboundMessage;

/// The version of the specification that is written and read.
const SPEC: &str = "1.0";

/// A place in the sender's log.
pub(super) const SEQUENCE: &str = "sequence";

/// All other extensions, as one JSON object.
const OTHERS: &str = "extensions";

/// How many attributes most messages have at most.
const ROOM: usize = 16;

/// Attributes that mean something here: no extension of the user's is written under one of these names.
const OURS: [&str; 18] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "partitionkey",
    "time",
    "datacontenttype",
    "dataschema",
    SEQUENCE,
    "kind",
    "schemaversion",
    "correlationid",
    "causationid",
    "traceparent",
    "tenant",
    "actor",
    "deadline",
];

/// An attribute: its name, and its value as a string (section 3.1 of the specification, the canonical string
/// encoding).
pub type Attribute<'a> = (&'a str, Cow<'a, str>);

impl OutboundMessage {
    /// Its attributes as a [CloudEvent 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md),
    /// `source` being who sends it: for adapters, which give each one to the broker as a header. The table
    /// is that of [`OutboundMessage`].
    ///
    /// ```
    /// use cqrs_core::{InboundMessage, OutboundKind, OutboundMessage};
    ///
    /// let sent = OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}").with_key("17");
    /// let attributes = sent.attributes("bank");
    /// assert!(attributes.contains(&("type", "bank.opened".into())));
    ///
    /// let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
    /// let got = InboundMessage::of_attributes(attributes, sent.body.clone(), 1)?;
    /// assert_eq!((got.metadata.id(), &*got.name), (sent.metadata.id(), "bank.opened"));
    /// # Ok::<_, cqrs_core::Error>(())
    /// ```
    pub fn attributes<'a>(&'a self, source: &'a str) -> Vec<Attribute<'a>> {
        let Self { metadata, kind, name, key, content_type, body: _, position } = self;
        let (kind, key) = (kind.name(), key.as_deref());
        let event = Event { metadata, kind, name, key, content_type, position: *position };
        event.attributes(source)
    }
}

/// What is sent, without its body.
pub(super) struct Event<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) content_type: &'a str,
    pub(super) position: Option<Position>,
}

impl<'a> Event<'a> {
    /// All of its attributes.
    pub(super) fn attributes(self, source: &'a str) -> Vec<Attribute<'a>> {
        let metadata = self.metadata;
        let mut attributes: Vec<Attribute<'_>> = Vec::with_capacity(ROOM);
        attributes
            .extend(self.named(source).map(|(name, value)| -> Attribute<'a> { (name, value) }));
        let (named, rest): (Vec<_>, Vec<_>) =
            metadata.extensions().partition(|(name, value)| is_attribute(name, value));
        attributes.extend(named.into_iter().map(|(name, value)| (name, value.into())));
        if !rest.is_empty() {
            let rest: BTreeMap<_, _> = rest.into_iter().collect();
            // A map of strings: there is nothing in it that JSON cannot take.
            let rest = serde_json::to_string(&rest).unwrap_or_default();
            attributes.push((OTHERS, rest.into()));
        }
        attributes
    }

    /// Those whose names mean something here.
    pub(super) fn named(
        self,
        source: &'a str,
    ) -> impl Iterator<Item = (&'static str, Cow<'a, str>)> {
        let Self { metadata, kind, name, key, content_type, position } = self;
        let always = [
            ("specversion", SPEC.into()),
            ("id", metadata.id().to_string().into()),
            ("source", source.into()),
            ("type", name.into()),
            ("datacontenttype", content_type.into()),
            ("kind", kind.into()),
        ];
        let texts = [
            ("subject", key),
            ("partitionkey", key),
            ("correlationid", metadata.correlation()),
            ("traceparent", metadata.traceparent()),
            ("tenant", metadata.tenant()),
            ("actor", metadata.actor()),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text?.into())));
        let others = [
            ("time", metadata.occurred_at().map(|time| time.to_string())),
            ("deadline", metadata.deadline().map(|time| time.to_string())),
            ("causationid", metadata.causation().map(|id| id.to_string())),
            ("schemaversion", metadata.schema_version().map(|version| version.to_string())),
            (SEQUENCE, position.map(|position| format!("{position:020}"))),
        ];
        let others = others.into_iter().filter_map(|(name, text)| Some((name, text?.into())));
        always.into_iter().chain(texts).chain(others)
    }
}

/// Whether an extension may be an attribute of its own: the name is one, and the value is no empty one, which
/// not every binding tells from none.
fn is_attribute(name: &str, value: &str) -> bool {
    let is_name = (1..=20).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_name && name != OTHERS && !OURS.contains(&name) && !value.is_empty()
}

impl InboundMessage {
    /// The message with these attributes, in any order: for adapters, which take them from the headers of
    /// their broker. So are messages of others: what sends CloudEvents need not know this suite.
    ///
    /// An `id` that is no UUID becomes one that is derived from it and the `source`, which together
    /// name an event. Without `datacontenttype` the body is taken for JSON. An attribute that is none of ours
    /// is an [extension](Metadata::extension).
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming the attribute: `specversion`, `id`, `source` or `type` is
    /// missing, the version is not 1.0, or a value is not what its name says.
    pub fn of_attributes<'a>(
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: Bytes,
        attempt: u32,
    ) -> Result<Self> {
        let mut given = Given::default();
        for (name, value) in attributes {
            given.take(name, value)?;
        }
        given.message(body, attempt)
    }
}

/// What has been given so far.
#[derive(Default)]
struct Given<'a> {
    version: Option<&'a str>,
    id: Option<&'a str>,
    source: Option<&'a str>,
    name: Option<&'a str>,
    content_type: Option<&'a str>,
    metadata: Metadata,
}

impl<'a> Given<'a> {
    fn take(&mut self, name: &'a str, value: &'a str) -> Result<()> {
        let metadata = std::mem::take(&mut self.metadata);
        self.metadata = match name {
            "partitionkey" => metadata.with_partition_key(value),
            "time" => metadata.with_occurred_at(parsed(name, value)?),
            "deadline" => metadata.with_deadline(parsed(name, value)?),
            "schemaversion" => metadata.with_schema_version(parsed(name, value)?),
            "correlationid" => metadata.with_correlation(value),
            "causationid" => {
                metadata.with_causation(MessageId::from_uuid(parsed::<Uuid>(name, value)?))
            }
            "traceparent" => metadata.with_traceparent(value),
            "tenant" => metadata.with_tenant(value),
            "actor" => metadata.with_actor(value),
            OTHERS => {
                let others = serde_json::from_str::<BTreeMap<String, String>>(value);
                let others = others.map_err(|error| unlike(OTHERS, value, &error))?;
                others
                    .into_iter()
                    .fold(metadata, |metadata, (name, value)| metadata.with_extension(name, value))
            }
            "specversion" | "id" | "source" | "type" | "datacontenttype" => {
                let place = match name {
                    "specversion" => &mut self.version,
                    "id" => &mut self.id,
                    "source" => &mut self.source,
                    "type" => &mut self.name,
                    _ => &mut self.content_type,
                };
                *place = Some(value);
                metadata
            }
            // What they say is said elsewhere, or of no use to who gets it.
            "subject" | SEQUENCE | "kind" | "dataschema" => metadata,
            _ => metadata.with_extension(name, value),
        };
        Ok(())
    }

    fn message(self, body: Bytes, attempt: u32) -> Result<InboundMessage> {
        let version = wanted("specversion", self.version)?;
        if version != SPEC {
            let context = format!("CloudEvents {version:?}: only {SPEC} can be read");
            return Err(Error::invalid_field("specversion", context));
        }
        let (id, source) = (wanted("id", self.id)?, wanted("source", self.source)?);
        Ok(InboundMessage {
            metadata: self.metadata.with_id(id_of(source, id)),
            name: wanted("type", self.name)?.to_owned(),
            content_type: self.content_type.unwrap_or("application/json").to_owned(),
            body,
            attempt,
        })
    }
}

/// The id of an event that its source calls so.
fn id_of(source: &str, id: &str) -> MessageId {
    match Uuid::try_parse(id) {
        Ok(uuid) => MessageId::from_uuid(uuid),
        // No source has a NUL in it: it is a URI reference.
        Err(_) => MessageId::from_u128(0).derived(&format!("{source}\0{id}"), 0),
    }
}

fn wanted<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str> {
    value.filter(|value| !value.is_empty()).ok_or_else(|| {
        Error::invalid_field(name, format!("it is no CloudEvent: it has no attribute `{name}`"))
    })
}

pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|error| unlike(name, value, &error))
}

fn unlike(name: &str, value: &str, error: &dyn std::fmt::Display) -> Error {
    let start: String = value.chars().take(40).collect();
    Error::invalid_field(name, format!("the attribute `{name}` is {start:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;
    use crate::message::timestamp::Timestamp;
    use crate::port::publisher::OutboundKind;

    fn read(message: &OutboundMessage) -> Result<InboundMessage> {
        let attributes = message.attributes("bank");
        let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
        InboundMessage::of_attributes(attributes, message.body.clone(), 1)
    }

    /// The least that is a CloudEvent, with one attribute more or another one.
    fn with<'a>(name: &'a str, value: &'a str) -> Result<InboundMessage> {
        let least = [("specversion", "1.0"), ("id", "7"), ("source", "/shop"), ("type", "sold")];
        let others = least.into_iter().filter(|(least, _)| *least != name);
        InboundMessage::of_attributes(others.chain([(name, value)]), Bytes::new(), 1)
    }

    #[test]
    fn each_attribute_stands_under_its_name() {
        let metadata = Metadata::of(MessageId::from_u128(7))
            .with_correlation("talk")
            .with_causation(MessageId::from_u128(8))
            .with_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .with_tenant("acme")
            .with_actor("ada")
            .with_schema_version(2)
            .with_occurred_at(Timestamp::UNIX_EPOCH)
            .with_deadline(Timestamp::UNIX_EPOCH)
            .with_extension("priority", "5")
            .with_extension("Not A Name", "x")
            .with_extension("id", "of somebody else");
        let mut message = OutboundMessage::new(OutboundKind::Command, "bank.open", "{}")
            .with_key("17")
            .with_metadata(metadata);
        message.position = Some(41);
        let mut attributes = message.attributes("bank");
        attributes.sort();
        let expected = [
            ("actor", "ada"),
            ("causationid", "00000000-0000-0000-0000-000000000008"),
            ("correlationid", "talk"),
            ("datacontenttype", "application/json"),
            ("deadline", "1970-01-01T00:00:00Z"),
            ("extensions", r#"{"Not A Name":"x","id":"of somebody else"}"#),
            ("id", "00000000-0000-0000-0000-000000000007"),
            ("kind", "command"),
            ("partitionkey", "17"),
            ("priority", "5"),
            ("schemaversion", "2"),
            ("sequence", "00000000000000000041"),
            ("source", "bank"),
            ("specversion", "1.0"),
            ("subject", "17"),
            ("tenant", "acme"),
            ("time", "1970-01-01T00:00:00Z"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("type", "bank.open"),
        ];
        let expected: Vec<Attribute<'_>> =
            expected.map(|(name, value)| (name, value.into())).into();
        assert_eq!(attributes, expected);
    }

    #[test]
    fn what_is_no_event_is_refused_by_attribute() {
        let wrong = [
            ("specversion", ""),
            ("specversion", "0.3"),
            ("id", ""),
            ("source", ""),
            ("type", ""),
            ("time", "yesterday"),
            ("deadline", "1"),
            ("schemaversion", "70000"),
            ("causationid", "7"),
            ("extensions", "[]"),
        ];
        for (name, value) in wrong {
            let error = with(name, value).unwrap_err();
            let ErrorKind::Invalid { field: Some(field) } = error.kind() else {
                panic!("{error:?}")
            };
            assert_eq!(field, name, "{error}");
        }
    }

    #[test]
    fn an_event_of_others_has_an_id_of_its_own() {
        let message = with("priority", "5").unwrap();
        assert_eq!((&*message.name, &*message.content_type), ("sold", "application/json"));
        assert_eq!(message.metadata.extension("priority"), Some("5"));
        let again = with("subject", "x").unwrap();
        assert_eq!(again.metadata.id(), message.metadata.id(), "the same event");
        let others = [with("source", "/bank"), with("id", "8"), with("source", "/shop/7")];
        for other in others {
            assert_ne!(other.unwrap().metadata.id(), message.metadata.id());
        }
        let id = "0191e0d4-8b3c-7def-8000-000000000001";
        assert_eq!(with("id", id).unwrap().metadata.id().to_string(), id);
    }

    prop_compose! {
        fn any_message()(
            texts in prop::collection::vec(prop::option::of(".{1,20}"), 5),
            times in prop::collection::vec(
                prop::option::of(-62_000_000_000_000_000i64..250_000_000_000_000_000), 2),
            ids in prop::collection::vec(any::<u128>(), 2),
            caused in any::<bool>(),
            version in prop::option::of(any::<u16>()),
            extensions in prop::collection::btree_map(
                prop_oneof!["[a-z0-9]{1,20}", ".{0,9}", prop::sample::select(OURS.to_vec()).prop_map(str::to_owned)],
                ".{0,9}", 0..6),
            body in prop::collection::vec(any::<u8>(), 0..20),
        ) -> OutboundMessage {
            let mut metadata = Metadata::of(MessageId::from_u128(ids[0]));
            if let Some(text) = &texts[0] { metadata = metadata.with_correlation(text.as_str()) }
            if let Some(text) = &texts[1] { metadata = metadata.with_traceparent(text.as_str()) }
            if let Some(text) = &texts[2] { metadata = metadata.with_tenant(text.as_str()) }
            if let Some(text) = &texts[3] { metadata = metadata.with_actor(text.as_str()) }
            if caused { metadata = metadata.with_causation(MessageId::from_u128(ids[1])) }
            if let Some(version) = version { metadata = metadata.with_schema_version(version) }
            if let Some(at) = times[0] { metadata = metadata.with_occurred_at(Timestamp::from_micros(at)) }
            if let Some(at) = times[1] { metadata = metadata.with_deadline(Timestamp::from_micros(at)) }
            for (name, value) in extensions { metadata = metadata.with_extension(name, value) }
            let message = OutboundMessage::new(OutboundKind::Message, "bank.opened", body);
            OutboundMessage { key: texts[4].clone(), metadata, ..message }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_comes_back(message in any_message()) {
            let got = read(&message).unwrap();
            let mut metadata = message.metadata.clone();
            if let Some(key) = &message.key {
                metadata = metadata.with_partition_key(key.as_str());
            }
            prop_assert_eq!(got.metadata, metadata);
            prop_assert_eq!((got.name, got.body), (message.name, message.body));
        }

        #[test]
        fn no_attribute_panics(given in prop::collection::vec((
            prop_oneof![prop::sample::select(OURS.to_vec()).prop_map(str::to_owned), ".{0,9}"], ".{0,30}"), 0..9))
        {
            let given = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let _ = InboundMessage::of_attributes(given, Bytes::new(), 1);
        }
    }
}
