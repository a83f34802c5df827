//! What is known about a message: its id, its cause, its tenant, its times.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::error::BoxError;
use crate::message::fingerprint::Fingerprinter;
use crate::message::id::MessageId;
use crate::message::local::{IdempotencyKey, Locals, Received};
use crate::message::timestamp::Timestamp;

/// What is known about a message, beside what it says.
///
/// An empty one costs nothing: the id is made when it is first asked for, the rest is allocated
/// when it is first set. Cloning makes the id, so that all copies of a message agree on it.
///
/// ```
/// use cqrs_core::Metadata;
///
/// let command = Metadata::default().with_tenant("acme").with_actor("ada");
/// let event = command.effect(command.id().derived("event", 0));
/// assert_eq!(event.tenant(), Some("acme"));
/// assert_eq!(event.causation(), Some(command.id()));
/// assert_eq!(event.correlation(), Some(command.id().to_string().as_str()));
/// ```
#[derive(Debug, Default)]
pub struct Metadata {
    id: OnceLock<MessageId>,
    more: Option<Arc<More>>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition_key: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: BTreeMap<String, String>,
    /// Part of every key, so it has a column of its own.
    #[serde(skip)]
    tenant: Option<Box<str>>,
    /// Never recorded: whose inbox the commit of this request marks.
    #[serde(skip)]
    inbox: Option<Box<str>>,
    /// Never recorded, and no part of what the message says.
    #[serde(skip)]
    local: Locals,
}

impl Metadata {
    /// Metadata of the message with this id.
    pub fn of(id: MessageId) -> Self {
        Self { id: OnceLock::from(id), more: None }
    }

    /// The id; made now when nobody asked before.
    pub fn id(&self) -> MessageId {
        *self.id.get_or_init(MessageId::fresh)
    }

    /// What ties all messages of one conversation together: an id chosen by whoever started it, or
    /// the id of the first message.
    pub fn correlation(&self) -> Option<&str> {
        self.more.as_ref()?.correlation_id.as_deref()
    }

    /// The message that caused this one.
    pub fn causation(&self) -> Option<MessageId> {
        self.more.as_ref()?.causation_id
    }

    /// The trace it belongs to, as the W3C `traceparent` header has it.
    pub fn traceparent(&self) -> Option<&str> {
        self.more.as_ref()?.traceparent.as_deref()
    }

    /// Whose data it is; part of every stream's and document's key.
    pub fn tenant(&self) -> Option<&str> {
        self.more.as_ref()?.tenant.as_deref()
    }

    /// Who asked.
    pub fn actor(&self) -> Option<&str> {
        self.more.as_ref()?.actor.as_deref()
    }

    /// What keeps it in order with others: messages with one key are handled one after the other.
    pub fn partition_key(&self) -> Option<&str> {
        self.more.as_ref()?.partition_key.as_deref()
    }

    /// Version of the body of a message between services; 1 where it says nothing. What is recorded
    /// has a [place of its own](crate::NewEvent::schema_version) for it.
    pub fn schema_version(&self) -> Option<u16> {
        self.more.as_ref()?.schema_version
    }

    /// When it happened, as its sender says. When it was recorded is the store's to say:
    /// [`Recorded::recorded_at`](crate::Recorded::recorded_at).
    pub fn occurred_at(&self) -> Option<Timestamp> {
        self.more.as_ref()?.occurred_at
    }

    /// When its answer is of no more use.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.more.as_ref()?.deadline
    }

    /// An attribute that is not ours.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.more.as_ref()?.extensions.get(name).map(String::as_str)
    }

    /// All attributes that are not ours, sorted by name.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &str)> {
        let extensions = self.more.iter().flat_map(|more| &more.extensions);
        extensions.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A value that travels with the message inside the process: see
    /// [`with_local`](Self::with_local).
    pub fn local<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.more.as_ref()?.local.get()
    }

    /// Whose inbox the commit of this request marks, so that its repeat is answered from there.
    pub fn inbox(&self) -> Option<&str> {
        self.more.as_ref()?.inbox.as_deref()
    }

    /// Sets [`id`](Self::id).
    #[must_use]
    pub fn with_id(mut self, id: MessageId) -> Self {
        self.id = OnceLock::from(id);
        self
    }

    /// Sets [`correlation`](Self::correlation).
    #[must_use]
    pub fn with_correlation(mut self, id: impl Into<Box<str>>) -> Self {
        self.more_mut().correlation_id = Some(id.into());
        self
    }

    /// Sets [`causation`](Self::causation).
    #[must_use]
    pub fn with_causation(mut self, id: MessageId) -> Self {
        self.more_mut().causation_id = Some(id);
        self
    }

    /// Sets [`traceparent`](Self::traceparent).
    #[must_use]
    pub fn with_traceparent(mut self, traceparent: impl Into<Box<str>>) -> Self {
        self.more_mut().traceparent = Some(traceparent.into());
        self
    }

    /// Sets [`tenant`](Self::tenant).
    #[must_use]
    pub fn with_tenant(mut self, tenant: impl Into<Box<str>>) -> Self {
        self.more_mut().tenant = Some(tenant.into());
        self
    }

    /// Sets [`actor`](Self::actor).
    #[must_use]
    pub fn with_actor(mut self, actor: impl Into<Box<str>>) -> Self {
        self.more_mut().actor = Some(actor.into());
        self
    }

    /// Sets [`partition_key`](Self::partition_key).
    #[must_use]
    pub fn with_partition_key(mut self, key: impl Into<Box<str>>) -> Self {
        self.more_mut().partition_key = Some(key.into());
        self
    }

    /// Sets [`schema_version`](Self::schema_version).
    #[must_use]
    pub fn with_schema_version(mut self, version: u16) -> Self {
        self.more_mut().schema_version = Some(version);
        self
    }

    /// Sets [`occurred_at`](Self::occurred_at).
    #[must_use]
    pub fn with_occurred_at(mut self, at: Timestamp) -> Self {
        self.more_mut().occurred_at = Some(at);
        self
    }

    /// Sets [`deadline`](Self::deadline).
    #[must_use]
    pub fn with_deadline(mut self, at: Timestamp) -> Self {
        self.more_mut().deadline = Some(at);
        self
    }

    /// Sets one [`extension`](Self::extension). Extensions are recorded with every event that follows
    /// from the message, for ever, and passed on: no place for secrets
    /// ([`with_local`](Self::with_local) is).
    #[must_use]
    pub fn with_extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.more_mut().extensions.insert(name.into(), value.into());
        self
    }

    /// Adds a value for layers and handlers: who was authenticated with which roles, say. One of
    /// each type. It is never recorded; what the handler sends on has it too.
    ///
    /// ```
    /// use cqrs_core::Metadata;
    ///
    /// struct Roles(Vec<String>);
    ///
    /// let metadata = Metadata::default().with_local(Roles(vec!["tutor".into()]));
    /// assert_eq!(metadata.local::<Roles>().unwrap().0, ["tutor"]);
    /// ```
    #[must_use]
    pub fn with_local<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.more_mut().local.insert(value);
        self
    }

    /// Sets [`inbox`](Self::inbox): the command is applied once for this consumer and id, and its
    /// repeat answers as the first did. The command needs a [`wire`](crate::Request::wire) form.
    ///
    /// The consumer is whoever takes the message in: the name of an HTTP gateway, of a subscription,
    /// of a service. What is marked is kept for as long as the store is.
    ///
    /// ```
    /// use cqrs_core::memory::MemoryStore;
    /// use cqrs_core::{App, Command, Failure, MessageId, Metadata, Never, Request, RequestKind, Wire, Work};
    /// # use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Clone, Serialize, Deserialize)]
    /// struct Roll;
    /// # impl Command for Roll {}
    /// # impl Request for Roll {
    /// #     const NAME: &'static str = "dice.roll";
    /// #     const KIND: RequestKind = RequestKind::Command;
    /// #     type Output = u128;
    /// #     type Error = Never;
    /// #     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
    /// # }
    /// async fn roll(_: Roll, _: Work) -> Result<u128, Failure<Never>> {
    ///     Ok(MessageId::fresh().uuid().as_u128())
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let app = App::builder().store(MemoryStore::default()).handler(roll).build()?;
    /// let id = MessageId::fresh();
    /// let first = app.send(Roll).with(Metadata::of(id).with_inbox("desk")).await?;
    /// let repeat = app.send(Roll).with(Metadata::of(id).with_inbox("desk")).await?;
    /// assert_eq!(first, repeat);
    /// # Ok::<_, cqrs_core::BoxError>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn with_inbox(mut self, consumer: impl Into<Box<str>>) -> Self {
        self.more_mut().inbox = Some(consumer.into());
        self
    }

    /// Metadata with the id `id` for something that this message causes: same conversation, tenant,
    /// actor, trace, deadline and extensions, this message as its cause; no inbox, no time, no
    /// partition key and no version of its own.
    #[must_use]
    pub fn effect(&self, id: MessageId) -> Self {
        let mut effect = Self { id: OnceLock::from(id), more: self.more.clone() };
        let cause = self.id();
        let more = effect.more_mut();
        more.correlation_id.get_or_insert_with(|| cause.to_string().into());
        more.causation_id = Some(cause);
        more.inbox = None;
        more.occurred_at = None;
        more.partition_key = None;
        more.schema_version = None;
        more.local.remove::<IdempotencyKey>();
        more.local.remove::<Received>();
        effect
    }

    /// What the ids of everything are derived from that the request `name` with this metadata
    /// makes. Two consumers of one message, each with an inbox, make different things of it.
    pub(crate) fn base_id(&self, name: &str) -> MessageId {
        match self.inbox() {
            None => self.id(),
            Some(consumer) => self.id().derived(&format!("{consumer}\u{1f}{name}"), 0),
        }
    }

    /// Drops what was meant for the answer and not for the record of what happened.
    #[must_use]
    pub(crate) fn for_events(&self) -> Self {
        let mut cause = self.effect(self.id());
        let more = cause.more_mut();
        more.occurred_at = self.occurred_at();
        more.partition_key = self.partition_key().map(Into::into);
        more.deadline = None;
        more.local.clear();
        cause
    }

    /// Metadata of a message that is sent when the answer to this one is long known: without what was
    /// meant for the answer, and what is local.
    #[must_use]
    pub(crate) fn for_outgoing(&self, id: MessageId) -> Self {
        let mut effect = self.effect(id);
        let more = effect.more_mut();
        more.deadline = None;
        more.local.clear();
        effect
    }

    /// The same with another id: the next of several effects of one cause.
    #[must_use]
    pub(crate) fn sibling(&self, id: MessageId) -> Self {
        Self { id: OnceLock::from(id), more: self.more.clone() }
    }

    /// What a store keeps beside the id and the tenant, which have columns of their own.
    pub fn to_json(&self) -> String {
        match &self.more {
            // Strings, ids and times only: there is nothing in it that JSON cannot take.
            Some(more) => serde_json::to_string(&**more).unwrap_or_default(),
            None => "{}".to_owned(),
        }
    }

    /// What [`to_json`](Self::to_json) wrote, with the columns.
    ///
    /// # Errors
    /// When the text is not what `to_json` writes.
    pub fn from_json(id: MessageId, tenant: Option<&str>, json: &str) -> Result<Self, BoxError> {
        let mut metadata = Self::of(id);
        if json != "{}" {
            metadata.more = Some(Arc::new(serde_json::from_str(json)?));
        }
        if let Some(tenant) = tenant {
            metadata.more_mut().tenant = Some(tenant.into());
        }
        Ok(metadata)
    }

    /// Bytes of all names and values, for [`Limits::headers`](crate::Limits::headers).
    pub fn size(&self) -> usize {
        let Some(more) = &self.more else { return 0 };
        let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        text(&more.correlation_id)
            + text(&more.traceparent)
            + text(&more.actor)
            + text(&more.partition_key)
            + more.extensions.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// Adds all that is recorded.
    pub(crate) fn fingerprint(&self, f: &mut Fingerprinter) {
        f.add(self.id().uuid().as_bytes());
        // What was set to nothing, and what never leaves the process, is as if it were not there.
        let more = self.more.as_deref().filter(|more| **more != More::default());
        f.option(more, |f, more| {
            let More {
                correlation_id,
                causation_id,
                traceparent,
                actor,
                partition_key,
                schema_version,
                occurred_at,
                deadline,
                extensions,
                tenant,
                inbox: _,
                local: _,
            } = more;
            for text in [correlation_id, traceparent, actor, partition_key, tenant] {
                f.option(text.as_deref(), Fingerprinter::text);
            }
            f.option(*causation_id, |f, id| f.add(id.uuid().as_bytes()));
            for time in [occurred_at, deadline] {
                f.option(*time, |f, time| f.number(time.as_micros() as u64));
            }
            f.option(*schema_version, |f, version| f.number(u64::from(version)));
            f.number(extensions.len() as u64);
            for (name, value) in extensions {
                f.text(name);
                f.text(value);
            }
        });
    }

    fn more_mut(&mut self) -> &mut More {
        Arc::make_mut(self.more.get_or_insert_default())
    }
}

/// A lazy id that is cloned before it is made would give two copies of one message two ids.
impl Clone for Metadata {
    fn clone(&self) -> Self {
        self.sibling(self.id())
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        let empty = More::default();
        self.id() == other.id()
            && self.more.as_deref().unwrap_or(&empty) == other.more.as_deref().unwrap_or(&empty)
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
