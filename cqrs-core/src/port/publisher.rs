//! The sending side of a bus: messages go out, and each is known to be stored or not.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::error::{Error, ErrorKind, Result};
use crate::message::metadata::Metadata;
use crate::message::payload::Payload;
use crate::port::Position;
use crate::port::bus::BusLimits;
use crate::port::check::{text, within};
use crate::port::lanes::Lane;
use crate::port::outgoing::{OutgoingKind, PendingMessage};

/// Where messages are sent.
///
/// An adapter implements this with [`Subscriber`](crate::Subscriber) and [`Bus`](crate::Bus).
/// [`MemoryBus`](crate::memory::MemoryBus) is the reference.
///
/// ```
/// use cqrs_core::memory::MemoryBus;
/// use cqrs_core::{ErrorKind, OutboundKind, OutboundMessage, Publisher};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let bus = MemoryBus::default();
/// // Nobody listens, and nobody need:
/// let opened = OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}");
/// bus.publish(vec![opened]).await?;
/// // A command is for somebody.
/// let charge = OutboundMessage::new(OutboundKind::Command, "payments.charge", "{}");
/// let unpublished = bus.publish(vec![charge]).await.unwrap_err();
/// assert_eq!(*unpublished.failed[0].1.kind(), ErrorKind::Unroutable);
/// # Ok::<_, cqrs_core::BoxError>(())
/// # }).unwrap();
/// ```
#[async_trait]
pub trait Publisher: fmt::Debug + Send + Sync + 'static {
    /// Sends messages, and waits until the broker has stored each of them for everybody who gets it
    /// (P17).
    ///
    /// Messages with one key (and one tenant) are stored in the order in which they are given, and
    /// after one of them has failed the later ones of its key fail as well, so that sending those that
    /// failed once more keeps the order. Messages of different keys are sent at once, as far as the
    /// broker takes them: what has failed is no suffix of the list. Who calls it again for a key before
    /// it has an answer gives up the order of that key (P19).
    ///
    /// A *command* goes to the one group that takes commands of its name; a *message* to every group
    /// that listens, and to nobody when nobody does: that is no error, and is counted
    /// ([`BusHealth::unheard`](crate::BusHealth::unheard)).
    ///
    /// Sent again under its id within the time in which the bus knows it
    /// ([`BusCapabilities::deduplicates`](crate::BusCapabilities::deduplicates)), a message is not
    /// handed over again.
    ///
    /// Cancel safety: when the future is dropped, any of the messages may have been stored, with those
    /// of its key before it.
    ///
    /// # Errors
    /// For each message that may not be stored, and only for those:
    /// - [`Unroutable`](ErrorKind::Unroutable): a command that no group takes.
    /// - [`Overloaded`](ErrorKind::Overloaded): a group that gets it has no room.
    /// - [`Invalid`](ErrorKind::Invalid), [`TooLarge`](ErrorKind::TooLarge): it cannot be taken.
    /// - [`Unavailable`](ErrorKind::Unavailable): the broker is out of reach or the bus is closed, or
    ///   one before it of its key has failed.
    /// - [`OutcomeUnknown`](ErrorKind::OutcomeUnknown): it may have been stored.
    async fn publish(&self, messages: Vec<OutboundMessage>) -> Result<(), Unpublished>;
}

/// What goes out. See [`Publisher`] for an example.
///
/// On the wire it is a CloudEvent 1.0 in binary mode (P23), with these attributes:
///
/// | attribute | from |
/// |---|---|
/// | `id` | [`Metadata::id`] |
/// | `source` | the name that the bus was connected with: of the service |
/// | `type` | [`name`](Self::name) |
/// | `subject`, `partitionkey` | [`key`](Self::key); absent without one |
/// | `time` | [`Metadata::occurred_at`] |
/// | `datacontenttype` | [`content_type`](Self::content_type) |
/// | `sequence` | [`position`](Self::position), in 20 digits, so that it sorts as text |
/// | `kind` | `command` or `message` |
/// | `schemaversion` | [`Metadata::schema_version`] |
/// | `correlationid`, `causationid` | [`Metadata::correlation`], [`Metadata::causation`] |
/// | `traceparent` | [`Metadata::traceparent`] |
/// | `tenant`, `actor` | [`Metadata::tenant`], [`Metadata::actor`] |
/// | `deadline` | [`Metadata::deadline`] |
/// | its own name | each [extension](Metadata::extension) that is named as an attribute may be, 1 to 20 of `a` to `z` and `0` to `9`, and as none of these |
/// | `extensions` | the other extensions, as one JSON object |
#[derive(Clone, PartialEq)]
pub struct OutboundMessage {
    /// Its id and the rest of its metadata.
    pub metadata: Metadata,
    /// What it is.
    pub kind: OutboundKind,
    /// Name of the command, or of the type of event: parts of letters, digits and the like, with dots
    /// between them, as `payments.charged`.
    pub name: String,
    /// Messages with one key, of one tenant, are handed over in order, one at a time. Without one it
    /// is in no order with others. Who gets it reads it as [`Metadata::partition_key`].
    pub key: Option<String>,
    /// Media type of the body.
    pub content_type: String,
    /// What it says.
    pub body: Bytes,
    /// Its place in the sender's log, where it has one.
    pub position: Option<Position>,
}

/// What a message on a bus is. See [`Publisher`] for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutboundKind {
    /// To be handled by exactly one.
    Command,
    /// For whoever listens.
    Message,
}

impl OutboundKind {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Message => "message",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Command, Self::Message].into_iter().find(|kind| kind.name() == name)
    }
}

impl OutboundMessage {
    /// JSON with a fresh id, without a key.
    pub fn new(kind: OutboundKind, name: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            metadata: Metadata::default(),
            kind,
            name: name.into(),
            key: None,
            content_type: "application/json".to_owned(),
            body: body.into(),
            position: None,
        }
    }

    /// Sets [`key`](Self::key).
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets [`metadata`](Self::metadata).
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Why it is not sent when an earlier one of its key has failed.
    pub(crate) fn behind_a_failure(&self) -> Error {
        let key = self.key.as_deref().unwrap_or_default();
        let context = format!(
            "`{}` was not sent: an earlier message of its key {key:?} has failed, and their order holds",
            self.name
        );
        Error::new(ErrorKind::Unavailable, context)
    }

    /// Sends messages, one of a key after the other and so many keys at once: what
    /// [`Publisher::publish`] asks for, where a broker takes one message at a time. For adapters.
    ///
    /// ```
    /// use cqrs_core::{Error, ErrorKind, OutboundKind, OutboundMessage};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let opened = |key| OutboundMessage::new(OutboundKind::Message, "bank.opened", "{}").with_key(key);
    /// let messages = vec![opened("a"), opened("b"), opened("a")];
    /// let unpublished = OutboundMessage::send_in_order(messages, 256, async |message| {
    ///     match message.key.as_deref() {
    ///         Some("a") => Err(Error::new(ErrorKind::Overloaded, "full")),
    ///         _ => Ok(()),
    ///     }
    /// });
    /// let failed = unpublished.await.unwrap_err().failed;
    /// assert_eq!(failed.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 2]);
    /// assert_eq!(*failed[1].1.kind(), ErrorKind::Unavailable); // never sent
    /// # });
    /// ```
    ///
    /// # Errors
    /// Those of the messages that failed, and of those behind them.
    pub async fn send_in_order<F>(
        messages: Vec<Self>,
        keys_at_once: usize,
        send: impl Fn(Self) -> F,
    ) -> Result<(), Unpublished>
    where
        F: Future<Output = Result<()>>,
    {
        let mut queues: Vec<Vec<(usize, Self)>> = Vec::new();
        let mut lanes: HashMap<Lane, usize> = HashMap::new();
        for (n, message) in messages.into_iter().enumerate() {
            let queue = Lane::of_outbound(&message).map(|lane| {
                *lanes.entry(lane).or_insert_with(|| {
                    queues.push(Vec::new());
                    queues.len() - 1
                })
            });
            match queue {
                Some(queue) => queues[queue].push((n, message)),
                None => queues.push(vec![(n, message)]),
            }
        }
        let send = &send;
        let sent = queues.into_iter().map(|queue| async move {
            let mut failed: Vec<(usize, Error)> = Vec::new();
            for (n, message) in queue {
                let sent = match failed.is_empty() {
                    true => send(message).await,
                    false => Err(message.behind_a_failure()),
                };
                failed.extend(sent.err().map(|error| (n, error)));
            }
            failed
        });
        let sent = stream::iter(sent).buffer_unordered(keys_at_once.max(1));
        let mut failed: Vec<(usize, Error)> = sent.map(stream::iter).flatten().collect().await;
        failed.sort_by_key(|(n, _)| *n);
        Unpublished::unless_empty(failed)
    }

    /// Checks it against what a bus takes. Every adapter calls it first.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) or [`TooLarge`](ErrorKind::TooLarge), naming what is to blame
    /// (P24).
    pub fn check(&self, limits: &BusLimits) -> Result<()> {
        check_message(&self.name, &self.metadata, &self.content_type, &self.body, limits)?;
        if let Some(key) = &self.key {
            text("key", key, limits.key)?;
        }
        Ok(())
    }
}

/// Checks what every message has that goes out.
pub(super) fn check_message(
    name: &str,
    metadata: &Metadata,
    content_type: &str,
    body: &Bytes,
    limits: &BusLimits,
) -> Result<()> {
    check_exact_name(name, limits)?;
    if let Some(tenant) = metadata.tenant() {
        text("tenant", tenant, limits.name)?;
    }
    text("content_type", content_type, limits.name)?;
    within(|| format!("the headers of {name}"), metadata.size(), limits.headers)?;
    within(|| name.to_owned(), body.len(), limits.body)
}

/// Checks a name that is no pattern.
pub(super) fn check_exact_name(name: &str, limits: &BusLimits) -> Result<()> {
    check_name("name", name, limits)?;
    if let Some(part) = name.split('.').find(|part| *part == "*") {
        let context = format!("{name:?} is a pattern, not a name: it has the part {part}");
        return Err(Error::invalid_field("name", context));
    }
    Ok(())
}

/// Checks a name, or a pattern of names: parts with dots between them, none empty, without what a
/// broker gives a meaning to.
pub(super) fn check_name(field: &str, name: &str, limits: &BusLimits) -> Result<()> {
    text(field, name, limits.name)?;
    let is_plain = |part: &str| part == "*" || !(part.is_empty() || part.contains(['*', '>', '#']));
    if name.contains(char::is_whitespace) || !name.split('.').all(is_plain) {
        let context = format!(
            "the {field} {name:?} is not made of parts with dots between them, such as \
             `payments.charged`: no spaces, and none of `*`, `>` and `#` inside a part"
        );
        return Err(Error::invalid_field(field, context));
    }
    Ok(())
}

/// What is to be sent from a store, as a bus takes it.
impl TryFrom<&PendingMessage> for OutboundMessage {
    type Error = Error;

    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) for a timer, which is for a saga of the same service, and for
    /// a message whose body was erased.
    fn try_from(pending: &PendingMessage) -> Result<Self> {
        let message = &pending.message;
        let kind = match message.kind {
            OutgoingKind::Command => OutboundKind::Command,
            OutgoingKind::Message => OutboundKind::Message,
            OutgoingKind::Timer => {
                let context = format!("`{}` is a timer: no bus takes it", message.name);
                return Err(Error::invalid_field("kind", context));
            }
        };
        let (content_type, body) = match &message.body {
            Payload::Json(json) => {
                ("application/json".to_owned(), Bytes::copy_from_slice(json.as_str().as_bytes()))
            }
            Payload::Binary { content_type, bytes } => (content_type.to_string(), bytes.clone()),
            Payload::Erased => {
                let context = format!("what `{}` said was erased: it cannot be sent", message.name);
                return Err(Error::invalid_field("body", context));
            }
        };
        let mut metadata = message.metadata.clone();
        if metadata.occurred_at().is_none() {
            metadata = metadata.with_occurred_at(pending.recorded_at);
        }
        Ok(Self {
            metadata,
            kind,
            name: message.name.to_string(),
            key: Some(message.key.clone()),
            content_type,
            body,
            position: Some(pending.position),
        })
    }
}

/// Messages that may not be stored, each with its place in the list and why. All others are. See
/// [`Publisher`] for an example.
#[derive(Debug)]
pub struct Unpublished {
    /// In the order of the list, at least one.
    pub failed: Vec<(usize, Error)>,
}

impl Unpublished {
    /// The answer for a list of which these failed.
    ///
    /// # Errors
    /// When there are any.
    pub fn unless_empty(failed: Vec<(usize, Error)>) -> Result<(), Self> {
        if failed.is_empty() { Ok(()) } else { Err(Self { failed }) }
    }

    /// Why the first one failed: all there is to say when one message was sent.
    pub fn into_first(self) -> Error {
        let first = self.failed.into_iter().next().map(|(_, error)| error);
        first.unwrap_or_else(|| Error::new(ErrorKind::Internal, "nothing failed"))
    }
}

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages may not be stored", self.failed.len())?;
        match self.failed.first() {
            Some((n, error)) => write!(f, "; number {n}: {error}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Unpublished {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failed.first().map(|(_, error)| error as _)
    }
}

/// Without what it says.
impl fmt::Debug for OutboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metadata, kind, name, key, body, .. } = self;
        let mut message = f.debug_struct("OutboundMessage");
        message.field("id", &metadata.id()).field("kind", kind).field("name", name);
        message.field("key", key).field("bytes", &body.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::payload::Json;
    use crate::message::timestamp::Timestamp;
    use crate::port::outgoing::Outgoing;

    fn refused(message: &OutboundMessage) -> String {
        match message.check(&BusLimits::default()).unwrap_err().kind() {
            ErrorKind::Invalid { field: Some(field) } => field.clone(),
            ErrorKind::TooLarge { what, .. } => what.clone(),
            kind => panic!("{kind:?}"),
        }
    }

    #[test]
    fn hostile_names_are_refused_by_field() {
        let long = "a".repeat(300);
        for name in ["", ".", "a.", ".a", "a..b", "a.*", "*", "a.>", "a b", "a\n", "#", "a*", &long]
        {
            assert_eq!(
                refused(&OutboundMessage::new(OutboundKind::Message, name, "")),
                "name",
                "{name}"
            );
        }
        for name in ["a", "bank.opened", "bank.v2.opened_late", "bänk.größer", "a-b.c/d:e"] {
            let message = OutboundMessage::new(OutboundKind::Message, name, "");
            assert!(message.check(&BusLimits::default()).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_rest_is_refused_by_field() {
        let message = || OutboundMessage::new(OutboundKind::Message, "bank.opened", "");
        assert_eq!(refused(&message().with_key("")), "key");
        assert_eq!(refused(&message().with_key("a\r\nb: c")), "key");
        assert_eq!(
            refused(&message().with_metadata(Metadata::default().with_tenant(""))),
            "tenant"
        );
        let noted = Metadata::default().with_extension("note", "x".repeat(1 << 20));
        assert_eq!(refused(&message().with_metadata(noted)), "the headers of bank.opened");
        let body = vec![b' '; BusLimits::default().body + 1].into();
        assert_eq!(refused(&OutboundMessage { body, ..message() }), "bank.opened");
        let content_type = String::new();
        assert_eq!(refused(&OutboundMessage { content_type, ..message() }), "content_type");
    }

    #[test]
    fn what_a_store_sends_is_what_a_bus_takes() {
        let pending = |kind, body| PendingMessage {
            position: 7,
            recorded_at: Timestamp::from_micros(5),
            message: Outgoing::new(kind, "bank.opened", "17", body),
        };
        let json = || Payload::Json(Json::parse("{}").unwrap());
        let sent = pending(OutgoingKind::Message, json());
        let message = OutboundMessage::try_from(&sent).unwrap();
        assert_eq!(message.metadata.id(), sent.message.metadata.id());
        assert_eq!(message.metadata.occurred_at(), Some(Timestamp::from_micros(5)));
        assert_eq!((message.key.as_deref(), message.position), (Some("17"), Some(7)));
        assert_eq!((&*message.content_type, &*message.body), ("application/json", &b"{}"[..]));
        for refused in
            [pending(OutgoingKind::Timer, json()), pending(OutgoingKind::Command, Payload::Erased)]
        {
            assert!(OutboundMessage::try_from(&refused).is_err());
        }
    }
}
