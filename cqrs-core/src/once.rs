//! Commands that are applied once: the mark in the inbox, and the answer to a repeat.

use crate::error::{Error, ErrorKind, Failure, Result};
use crate::handler::Answer;
use crate::message::envelope::Reply;
use crate::message::fingerprint::{Fingerprint, Fingerprinter, canonical};
use crate::message::local::Received;
use crate::message::metadata::Metadata;
use crate::message::request::Request;
use crate::message::wire::Wire;
use crate::port::Position;
use crate::port::commit::InboxMark;
use crate::port::store::Store;

/// What is known of a request that must be applied once, before it is handled.
pub(crate) struct Once<R: Request> {
    consumer: String,
    fingerprint: Fingerprint,
    wire: Wire<R>,
}

impl<R: Request> Once<R> {
    /// `None`: the request names no inbox.
    pub(crate) fn of(request: &R, metadata: &Metadata) -> Result<Option<Self>> {
        let Some(consumer) = metadata.inbox() else { return Ok(None) };
        let wire = R::wire().ok_or_else(|| {
            let context = format!("`{}` has no wire form, so its answer cannot be kept", R::NAME);
            Error::new(ErrorKind::Unsupported { part: "inbox" }, context)
        })?;
        let body = match metadata.local::<Received>() {
            Some(Received(body)) => *body,
            None => canonical(&(wire.request.encode)(request).map_err(|cause| {
                let context = format!("`{}` cannot be encoded: {cause}", R::NAME);
                Error::new(ErrorKind::Internal, context).with_source(cause)
            })?),
        };
        let fingerprint = fingerprint::<R>(body, metadata);
        Ok(Some(Self { consumer: consumer.to_owned(), fingerprint, wire }))
    }

    pub(crate) fn mark(&self, metadata: &Metadata, output: &R::Output) -> Result<InboxMark> {
        let reply = (self.wire.output.encode)(output).map_err(|cause| {
            let context = format!("the answer of `{}` cannot be encoded: {cause}", R::NAME);
            Error::new(ErrorKind::Internal, context).with_source(cause)
        })?;
        Ok(InboxMark {
            consumer: self.consumer.clone(),
            message: metadata.id(),
            fingerprint: self.fingerprint,
            reply: Some(reply),
        })
    }

    /// The answer that is kept from before, if there is one.
    pub(crate) async fn recall(
        &self,
        store: &dyn Store,
        metadata: &Metadata,
    ) -> Result<Option<Reply<R::Output>>> {
        let Some(entry) = store.inbox(&self.consumer, metadata.id()).await? else {
            return Ok(None);
        };
        if entry.fingerprint != self.fingerprint {
            return Err(Error::id_reused("message", metadata.id()));
        }
        self.answer(entry.position, entry.reply.as_deref()).map(Some)
    }

    pub(crate) fn answer(
        &self,
        position: Position,
        reply: Option<&[u8]>,
    ) -> Result<Reply<R::Output>> {
        let decoded = match reply {
            Some(reply) => (self.wire.output.decode)(reply),
            None => Err("nothing is kept".into()),
        };
        let output = decoded.map_err(|cause| {
            let kind = ErrorKind::Decode { message: R::NAME.to_owned(), field: None };
            let context = format!("the kept answer of `{}` cannot be read: {cause}", R::NAME);
            Error::new(kind, context).with_source(cause)
        })?;
        Ok(Reply { output, position: Some(position) })
    }
}

/// What to answer when the domain says no: the answer of before where there is one, because the
/// repeat of a success must not be refused by its own effect.
pub(crate) async fn rejected<R: Request>(
    once: Option<&Once<R>>,
    store: &dyn Store,
    metadata: &Metadata,
    rejection: R::Error,
) -> Answer<R> {
    let kept = match once {
        Some(once) => once.recall(store, metadata).await?,
        None => None,
    };
    kept.ok_or(Failure::Rejected(rejection))
}

/// What makes two requests the same: name, tenant, actor and body.
fn fingerprint<R: Request>(body: Fingerprint, metadata: &Metadata) -> Fingerprint {
    let mut fingerprint = Fingerprinter::new();
    fingerprint.text(R::NAME);
    fingerprint.text(metadata.tenant().unwrap_or_default());
    fingerprint.text(metadata.actor().unwrap_or_default());
    fingerprint.add(body.as_bytes());
    fingerprint.finish()
}
