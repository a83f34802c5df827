//! A message as the broker has it.

use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{InboundMessage, MessageId, Metadata, Result, Timestamp};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::FieldTable;

use crate::headers;
use crate::link::Link;
use crate::publisher::PROBE;

/// When a message was sent first that was a dead letter since, in seconds since 1970.
pub(crate) const SINCE: &str = "cqrs-since";

/// A message that came, or is lent.
#[derive(Debug)]
pub(crate) struct Raw {
    /// By which the channel knows it that it came through.
    pub(crate) tag: u64,
    /// The name under which it was published.
    pub(crate) key: String,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Bytes,
    /// It was with a connection before.
    pub(crate) comes_again: bool,
}

impl Raw {
    pub(crate) fn of(delivery: Delivery) -> Self {
        let Delivery { delivery_tag, routing_key, redelivered, properties, data, .. } = delivery;
        Self {
            tag: delivery_tag,
            key: routing_key.into(),
            properties,
            body: data.into(),
            comes_again: redelivered,
        }
    }

    /// Whether it only asks whether somebody takes its name.
    pub(crate) fn is_probe(&self) -> bool {
        self.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == PROBE)
    }

    fn header(&self, name: &str) -> Option<String> {
        let text = headers::text(self.properties.headers().as_ref()?, name)?;
        Some(text.into_owned())
    }

    /// By which it is known when it comes again: not every message has an id, and one may be there twice.
    pub(crate) fn id(&self) -> Option<String> {
        let id = self.properties.message_id().as_ref();
        id.map(|id| id.as_str().to_owned()).or_else(|| self.header("cloudEvents_id"))
    }

    /// When it was sent first, as far as it says.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        let first = self.header(SINCE).and_then(|since| since.parse().ok());
        let seconds = first.or(*self.properties.timestamp())?;
        Some(Timestamp::from_micros(i64::try_from(seconds).ok()?.checked_mul(1_000_000)?))
    }

    /// Why it is not handed over, if that is so: an inbox may have forgotten it.
    pub(crate) fn is_too_old(&self, link: &Link, attempt: u32, now: Timestamp) -> Option<String> {
        let settings = &link.settings;
        let most = match self.header(SINCE) {
            Some(_) => settings.longest_redelivery(),
            None if attempt > 1 => settings.redeliver_within,
            None => return None,
        };
        // It says when it was sent in whole seconds.
        let age = now.duration_since(self.since()?).saturating_sub(Duration::from_secs(1));
        (age > most).then(|| {
            format!(
                "it is {} s old, and maybe was handled: it is not handed over again after {} s",
                age.as_secs(),
                most.as_secs()
            )
        })
    }

    /// As it is handed over.
    pub(crate) fn inbound(&self, attempt: u32) -> Result<InboundMessage> {
        headers::read(&self.properties, self.body.clone(), attempt)
    }

    /// As it is listed; of one that cannot be read, what can be told of it.
    pub(crate) fn listed(&self, name: &str, source: &str, attempt: u32) -> InboundMessage {
        self.inbound(attempt).unwrap_or_else(|_| InboundMessage {
            metadata: Metadata::of(MessageId::from_u128(0).derived(source, 0)),
            name: name.to_owned(),
            content_type: "application/octet-stream".to_owned(),
            body: self.body.clone(),
            attempt,
        })
    }
}

/// Properties with more headers, or without some.
pub(crate) fn with_headers(
    properties: &BasicProperties,
    change: impl FnOnce(
        &mut std::collections::BTreeMap<lapin::types::ShortString, lapin::types::AMQPValue>,
    ),
) -> BasicProperties {
    let mut headers = properties.headers().as_ref().map(|h| h.inner().clone()).unwrap_or_default();
    change(&mut headers);
    properties.clone().with_headers(FieldTable::from(headers))
}
