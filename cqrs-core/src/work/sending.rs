//! What a unit of work sends: commands to others, and events of the contract with them.

use super::Work;
use crate::domain::saga::effect::encode;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::message::event::{Event, EventType};
use crate::message::id::MessageId;
use crate::message::payload::Payload;
use crate::message::request::Command;
use crate::port::outgoing::{Outgoing, OutgoingKind};

impl Work {
    /// Sends a command once this work is committed: to its handler in this app, or in another process
    /// with this store. In no order with others; its id is the answer.
    ///
    /// It is sent at least once, and applied once where its handler answers repeats
    /// ([`Handler::ANSWERS_REPEATS`](crate::Handler::ANSWERS_REPEATS)). Nobody hears its answer: one
    /// that is rejected, or fails too often, is parked. A [`Saga`](crate::Saga) is told.
    ///
    /// ```
    /// use cqrs_core::{Failure, Never, Work};
    /// # use cqrs_core::{Command, Request, RequestKind, Wire};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Clone, Serialize, Deserialize)]
    /// # struct Greet { name: String }
    /// # impl Command for Greet {}
    /// # impl Request for Greet {
    /// #     const NAME: &'static str = "mail.greet";
    /// #     const KIND: RequestKind = RequestKind::Command;
    /// #     type Output = ();
    /// #     type Error = Never;
    /// #     fn wire() -> Option<Wire<Self>> { Some(Wire::json()) }
    /// # }
    /// # struct Join { name: String }
    ///
    /// async fn join(join: Join, work: Work) -> Result<(), Failure<Never>> {
    ///     // .. with what it changes, in the same commit:
    ///     work.send(&Greet { name: join.name })?;
    ///     Ok(())
    /// }
    /// # let _ = join;
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it has no [wire form](crate::Request::wire) or cannot be
    /// encoded.
    pub fn send<C: Command>(&self, command: &C) -> Result<MessageId> {
        self.go_out(OutgoingKind::Command, (C::NAME, C::VERSION), None, encode(command))
    }

    /// The same, after all others with this key that were sent before, one at a time.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_keyed<C: Command>(&self, key: impl Into<String>, command: &C) -> Result<MessageId> {
        let name = (C::NAME, C::VERSION);
        self.go_out(OutgoingKind::Command, name, Some(key.into()), encode(command))
    }

    /// Publishes an event of the contract with others once this work is committed, over the bus of the
    /// app. In no order with others; its id is the answer. See [`send`](Self::send) for an example.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) when it cannot be encoded.
    pub fn publish<E: Event>(&self, event: &E) -> Result<MessageId> {
        let EventType { name, version, .. } = *event.event_type();
        self.go_out(OutgoingKind::Message, (name, version), None, event.encode())
    }

    /// The same, after all others with this key that were published before, one at a time.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_keyed<E: Event>(&self, key: impl Into<String>, event: &E) -> Result<MessageId> {
        let EventType { name, version, .. } = *event.event_type();
        self.go_out(OutgoingKind::Message, (name, version), Some(key.into()), event.encode())
    }

    fn go_out(
        &self,
        kind: OutgoingKind,
        (name, version): (&'static str, u16),
        key: Option<String>,
        body: Result<Payload, BoxError>,
    ) -> Result<MessageId> {
        let body = body.map_err(|cause| {
            let context = format!("`{name}` cannot be sent: {cause}");
            Error::new(ErrorKind::Invalid { field: None }, context).with_source(cause)
        })?;
        let mut gathered = self.gathered()?;
        let n = gathered.commit.outgoing.len() as u32;
        let id = self.0.base.derived("outgoing", n);
        let key = key.unwrap_or_else(|| format!("{name}#{id}"));
        let metadata = self.0.metadata.for_outgoing(id).with_schema_version(version);
        let message = Outgoing { metadata, ..Outgoing::new(kind, name, key, body) };
        gathered.commit.outgoing.push(message);
        Ok(id)
    }

    /// Sends a message once the work is committed.
    pub(crate) fn send_out(&self, message: Outgoing) -> Result<()> {
        self.gathered()?.commit.outgoing.push(message);
        Ok(())
    }
}
