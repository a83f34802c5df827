//! One message from another service: known or not, handled, and settled.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use super::Listening;
use crate::error::{Error, ErrorKind, Result};
use crate::handler::HandlerError;
use crate::message::fingerprint::{Fingerprint, Fingerprinter, canonical};
use crate::message::payload::PayloadRef;
use crate::message::timestamp::Timestamp;
use crate::port::commit::{Commit, InboxMark};
use crate::port::delivery::{Delivery, InboundMessage, Ticket, Verdict};
use crate::port::page::{Page, Recorded};
use crate::runtime::backoff;
use crate::runtime::node::{Node, Stopping};

/// How often a message is handled anew, at once, when its commit meets a conflict.
const CONFLICTS: u32 = 16;

/// Handles a delivery and settles it. When the stop has come so far, or this is dropped, it is not
/// settled: the bus hands it over again.
pub(super) async fn receive(node: Arc<Node>, listening: Arc<Listening>, delivery: Delivery) {
    let _busy = node.activity.begin();
    let (message, ticket) = delivery.split();
    let handling = Receiving { node: &node, listening: &listening, message: &message };
    let verdict = tokio::select! {
        verdict = handling.verdict() => verdict,
        () = stay_alive(&ticket, listening.settings.settle_within) => return,
        () = node.until(Stopping::Abandoning) => return,
    };
    let (name, id) = (listening.name, message.metadata.id());
    if let Verdict::Park(cause) = &verdict {
        tracing::warn!(listener = name, message = %id, cause, "parked: it becomes a dead letter");
    }
    let settled = match verdict {
        Verdict::Ack => ticket.ack().await,
        Verdict::Retry(after) => ticket.retry(after).await,
        Verdict::Park(cause) => ticket.park(cause).await,
    };
    if let Err(error) = settled {
        // The inbox knows what was handled.
        tracing::debug!(listener = name, message = %id, %error, "not settled: it comes again");
    }
}

/// Tells the bus that a message is being worked on, for as long as it is polled.
async fn stay_alive(ticket: &Ticket, settle_within: Duration) {
    loop {
        tokio::time::sleep(settle_within / 3).await;
        if let Err(error) = ticket.extend().await {
            // Another one may have it by now: the inbox lets one of them commit.
            tracing::debug!(%error, "the bus was not told that a message is still worked on");
        }
    }
}

struct Receiving<'a> {
    node: &'a Node,
    listening: &'a Listening,
    message: &'a InboundMessage,
}

/// What came of one attempt.
enum Attempt {
    Done,
    /// Others were faster: once more.
    Conflict(Error),
    Failed(HandlerError),
}

impl Receiving<'_> {
    async fn verdict(&self) -> Verdict {
        let mark = InboxMark {
            consumer: self.listening.name.to_owned(),
            message: self.message.metadata.id(),
            fingerprint: fingerprint(self.message),
            reply: None,
        };
        match self.is_known(&mark).await {
            Ok(true) => return Verdict::Ack,
            Ok(false) => {}
            Err(error) => return self.failed(&fatal(error)),
        }
        let mut conflicts = 0;
        loop {
            match self.attempt(&mark).await {
                Attempt::Done => return Verdict::Ack,
                Attempt::Failed(error) => return self.failed(&error),
                Attempt::Conflict(error) if conflicts == CONFLICTS => {
                    return self.failed(&error.into());
                }
                Attempt::Conflict(_) => {
                    conflicts += 1;
                    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..5))).await;
                }
            }
        }
    }

    /// Whether it was handled before.
    ///
    /// Errors: it stands for another content, or the store does not understand the question.
    async fn is_known(&self, mark: &InboxMark) -> Result<bool> {
        let ask = || self.node.store.inbox(&mark.consumer, mark.message);
        match self.with_patience(ask).await? {
            None => Ok(false),
            Some(entry) if entry.fingerprint == mark.fingerprint => Ok(true),
            Some(_) => Err(Error::id_reused("message", mark.message)),
        }
    }

    async fn attempt(&self, mark: &InboxMark) -> Attempt {
        let mut commit = match self.handle().await {
            Ok(commit) => commit,
            Err(error) => return Attempt::Failed(error),
        };
        commit.inbox.push(mark.clone());
        match self.with_patience(|| self.node.store.commit(commit.clone())).await {
            Ok(_) => Attempt::Done,
            Err(error) if error.is_conflict() => Attempt::Conflict(error),
            Err(error) if error.is_of_the_caller() => Attempt::Failed(fatal(error)),
            Err(error) => Attempt::Failed(error.into()),
        }
    }

    /// Runs the handler: what it wants written.
    async fn handle(&self) -> Result<Commit, HandlerError> {
        let page = page(self.message).map_err(HandlerError::fatal)?;
        let Some(event) = page.get(0) else { return Ok(Commit::default()) };
        let handling = self.listening.handler.handle(&event, false).map_err(|error| {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            HandlerError::fatal(format!("`{}` cannot be read: {cause}", self.message.name))
        })?;
        let Some(work) = handling.await? else { return Ok(Commit::default()) };
        // Each attempt is a commit of its own: the inbox tells whether one was applied.
        Ok(Commit { id: Commit::default().id, ..work.take()? })
    }

    /// Asks the store until it answers: a store that is out of reach is no failure of the handler. The
    /// message stays in hand meanwhile, and holds up those that come after it.
    async fn with_patience<T, F>(&self, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut failures = 0;
        loop {
            match ask().await {
                Err(error) if is_of_the_store(&error) => {
                    failures += 1;
                    let listener = self.listening.name;
                    tracing::warn!(listener, %error, failures, "the store does not answer; again");
                    tokio::time::sleep(backoff(failures)).await;
                }
                answered => return answered,
            }
        }
    }

    fn failed(&self, error: &HandlerError) -> Verdict {
        match self.listening.settings.retry.next(self.message.attempt, error) {
            Some(after) => {
                let (listener, attempt) = (self.listening.name, self.message.attempt);
                tracing::debug!(listener, attempt, %error, ?after, "a message failed; again");
                Verdict::Retry(after)
            }
            None => Verdict::Park(crate::runtime::aside::cut(&error.to_string())),
        }
    }
}

fn fatal(error: Error) -> HandlerError {
    HandlerError::fatal(error)
}

fn is_of_the_store(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown)
}

/// What makes two messages under one id the same: name, tenant and body.
fn fingerprint(message: &InboundMessage) -> Fingerprint {
    let mut fingerprint = Fingerprinter::new();
    fingerprint.text(&message.name);
    fingerprint.text(message.metadata.tenant().unwrap_or_default());
    fingerprint.add(canonical(&message.body).as_bytes());
    fingerprint.finish()
}

/// The message as an event that is read from a log: what handlers of events know how to decode.
///
/// Errors: why there is none.
fn page(message: &InboundMessage) -> Result<Page, String> {
    let InboundMessage { metadata, name, content_type, body, attempt: _ } = message;
    let data = match is_json(content_type) {
        true => PayloadRef::Json(
            std::str::from_utf8(body)
                .map_err(|error| format!("the body of `{name}` is no text: {error}"))?,
        ),
        false => PayloadRef::Binary { content_type, bytes: body },
    };
    let mut page = Page::default();
    page.push(&Recorded {
        tenant: metadata.tenant(),
        category: "",
        stream: metadata.partition_key().unwrap_or_default(),
        version: 0,
        position: 0,
        recorded_at: metadata.occurred_at().unwrap_or(Timestamp::UNIX_EPOCH),
        event_type: name,
        schema_version: metadata.schema_version().unwrap_or(1),
        id: metadata.id(),
        joined_tags: "",
        metadata_json: &metadata.to_json(),
        data,
    });
    Ok(page)
}

/// Whether a media type is one of JSON, whatever its parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(&*essence, "application/json" | "text/json") || essence.ends_with("+json")
}
