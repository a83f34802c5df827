//! Buses that send wrongly.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cqrs_core::memory::MemoryBus;
use cqrs_core::{
    BusCapabilities, BusHealth, BusLimits, MessageId, Metadata, OutboundKind, OutboundMessage,
    Publisher, Result, Unpublished,
};

use crate::base::Fault;

/// Declares a fault that sends something else.
macro_rules! message_fault {
    ($(#[$doc:meta])* $name:ident, |$message:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(crate) struct $name;

        impl Fault for $name {
            fn message(&self, $message: OutboundMessage) -> Option<OutboundMessage> {
                Some($body)
            }
        }
    };
}

/// Loses every seventh message, and says nothing.
#[derive(Debug, Default)]
pub(crate) struct DropsOneOfSeven(AtomicU32);

impl Fault for DropsOneOfSeven {
    fn message(&self, message: OutboundMessage) -> Option<OutboundMessage> {
        (self.0.fetch_add(1, Ordering::SeqCst) % 7 != 6).then_some(message)
    }
}

/// Says that all is well.
#[derive(Debug, Default)]
pub(crate) struct TellsOfNoFailure;

#[async_trait]
impl Fault for TellsOfNoFailure {
    async fn publish(
        &self,
        bus: &MemoryBus,
        sent: Vec<OutboundMessage>,
    ) -> Result<(), Unpublished> {
        let _ = bus.publish(sent).await;
        Ok(())
    }
}

/// Blames the message after the one that failed.
#[derive(Debug, Default)]
pub(crate) struct NamesTheNextOne;

#[async_trait]
impl Fault for NamesTheNextOne {
    async fn publish(
        &self,
        bus: &MemoryBus,
        sent: Vec<OutboundMessage>,
    ) -> Result<(), Unpublished> {
        bus.publish(sent).await.map_err(|mut unpublished| {
            unpublished.failed.iter_mut().for_each(|(n, _)| *n += 1);
            unpublished
        })
    }
}

/// Sends the later ones of a key past one that failed.
#[derive(Debug, Default)]
pub(crate) struct SendsEachByItself;

#[async_trait]
impl Fault for SendsEachByItself {
    async fn publish(
        &self,
        bus: &MemoryBus,
        sent: Vec<OutboundMessage>,
    ) -> Result<(), Unpublished> {
        let mut failed = Vec::new();
        for (n, message) in sent.into_iter().enumerate() {
            if let Err(unpublished) = bus.publish(vec![message]).await {
                failed.push((n, unpublished.into_first()));
            }
        }
        Unpublished::unless_empty(failed)
    }
}

/// Does not notice what nobody listens to.
#[derive(Debug, Default)]
pub(crate) struct CountsNothing;

#[async_trait]
impl Fault for CountsNothing {
    async fn health(&self, bus: &MemoryBus) -> BusHealth {
        BusHealth { unheard: 0, ..cqrs_core::Bus::health(bus).await }
    }
}

/// Says that it knows ids, and does not.
#[derive(Debug)]
pub(crate) struct LooksAtNoIds(BusCapabilities);

impl Default for LooksAtNoIds {
    fn default() -> Self {
        Self(cqrs_core::Bus::capabilities(&MemoryBus::default()).clone())
    }
}

impl Fault for LooksAtNoIds {
    fn bus() -> MemoryBus {
        MemoryBus::default().deduplicate(Duration::ZERO)
    }

    fn capabilities(&self) -> Option<&BusCapabilities> {
        Some(&self.0)
    }
}

/// The same metadata without what a filter takes away from its JSON.
fn without(message: OutboundMessage, field: &str) -> OutboundMessage {
    let json = message.metadata.to_json();
    let mut fields: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    fields.as_object_mut().expect("it is an object").remove(field);
    let (id, tenant) = (message.metadata.id(), message.metadata.tenant());
    let metadata = Metadata::from_json(id, tenant, &fields.to_string()).expect("it is metadata");
    OutboundMessage { metadata, ..message }
}

message_fault! {
    /// Loses what is not ours.
    LosesExtensions, |message| without(message, "extensions")
}

message_fault! {
    /// Loses the version of the body.
    LosesVersions, |message| without(message, "schema_version")
}

message_fault! {
    /// Takes everything for JSON.
    LosesContentTypes, |message| OutboundMessage {
        content_type: "application/json".to_owned(),
        ..message
    }
}

message_fault! {
    /// Escapes a key, and does not take it back.
    EscapesTexts, |message| OutboundMessage {
        key: message.key.map(|key| key.replace('%', "%25")),
        ..message
    }
}

message_fault! {
    /// Keeps so much of a body.
    CutsBodies, |message| OutboundMessage {
        body: message.body.slice(..message.body.len().min(65_536)),
        ..message
    }
}

/// Says that it has limits, and has others.
#[derive(Debug)]
pub(crate) struct TakesWhatIsTooLarge(BusCapabilities);

impl Default for TakesWhatIsTooLarge {
    fn default() -> Self {
        Self(cqrs_core::Bus::capabilities(&MemoryBus::default()).clone())
    }
}

impl Fault for TakesWhatIsTooLarge {
    fn bus() -> MemoryBus {
        MemoryBus::default().limits(BusLimits { body: usize::MAX, ..BusLimits::default() })
    }

    fn capabilities(&self) -> Option<&BusCapabilities> {
        Some(&self.0)
    }
}

/// Stores the last one first.
#[derive(Debug, Default)]
pub(crate) struct SendsBackwards;

#[async_trait]
impl Fault for SendsBackwards {
    async fn publish(
        &self,
        bus: &MemoryBus,
        mut sent: Vec<OutboundMessage>,
    ) -> Result<(), Unpublished> {
        sent.reverse();
        bus.publish(sent).await
    }
}

message_fault! {
    /// Tells of keys, and keeps no order by them.
    IgnoresKeys, |message| match &message.key {
        Some(key) => {
            let metadata = message.metadata.clone().with_partition_key(key.as_str());
            OutboundMessage { metadata, key: None, ..message }
        }
        None => message,
    }
}

/// The same for nobody in particular.
fn of_nobody(message: OutboundMessage) -> OutboundMessage {
    let (id, json) = (message.metadata.id(), message.metadata.to_json());
    let metadata = Metadata::from_json(id, None, &json).expect("it is metadata");
    OutboundMessage { metadata, ..message }
}

message_fault! {
    /// Keeps one order for all tenants.
    MixesUpTenants, |message| of_nobody(message)
}

message_fault! {
    /// Keeps one order for all keys.
    KnowsOneKey, |message| OutboundMessage { key: Some("all".to_owned()), ..message }
}

/// Sends a command to whoever listens as well.
#[derive(Debug, Default)]
pub(crate) struct MixesUpKinds;

#[async_trait]
impl Fault for MixesUpKinds {
    async fn publish(
        &self,
        bus: &MemoryBus,
        sent: Vec<OutboundMessage>,
    ) -> Result<(), Unpublished> {
        let copies = sent.iter().filter(|message| message.kind == OutboundKind::Command);
        let copies = copies.cloned().map(|message| OutboundMessage {
            kind: OutboundKind::Message,
            metadata: message.metadata.with_id(MessageId::fresh()),
            ..message
        });
        bus.publish(copies.collect()).await?;
        bus.publish(sent).await
    }
}
