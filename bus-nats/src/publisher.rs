//! Publishing: of each key one message on its way, of many keys at once.

use std::sync::atomic::Ordering;

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use cqrs_core::{Error, ErrorKind, Lane, OutboundKind, OutboundMessage, Result, Unpublished};
use tokio::time::Instant;

use crate::error::{Answered, closed, refused};
use crate::headers;
use crate::link::Link;
use crate::routes::Routes;
use crate::subjects::Part;

/// Publishes them, as [`Publisher::publish`](cqrs_core::Publisher::publish) says.
pub(crate) async fn publish(
    link: &Link,
    routes: &Routes,
    messages: Vec<OutboundMessage>,
) -> Result<(), Unpublished> {
    let deadline = link.deadline();
    OutboundMessage::send_in_order(messages, link.settings.window, |message| async move {
        publish_one(link, routes, &message, deadline).await
    })
    .await
}

async fn publish_one(
    link: &Link,
    routes: &Routes,
    message: &OutboundMessage,
    deadline: Instant,
) -> Result<()> {
    message.check(&link.limits)?;
    link.ready(deadline).await?;
    let OutboundMessage { kind, name, .. } = message;
    let is_taken = routes.takes(link, *kind, name).await;
    if *kind == OutboundKind::Command && !is_taken.as_ref().is_ok_and(|is_taken| *is_taken) {
        is_taken?;
        let context = format!("no group takes the command `{name}`");
        return Err(Error::new(ErrorKind::Unroutable, context));
    }
    let lane = Lane::of_outbound(message);
    let part = Part::of(lane.as_ref(), message.metadata.id());
    let subject = link.subjects.message(*kind, part, name);
    let headers = || headers::of(message, &link.settings.name);
    store(link, &subject, headers, &message.body, deadline).await?;
    if matches!(is_taken, Ok(false)) {
        link.unheard.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Stores a message under the id in its headers, and tries again until it is known that it is stored.
pub(crate) async fn store(
    link: &Link,
    subject: &str,
    headers: impl Fn() -> HeaderMap,
    body: &Bytes,
    deadline: Instant,
) -> Result<u64> {
    let mut may_be_stored = false;
    loop {
        let message = PublishMessage::build().payload(body.clone()).headers(headers());
        let sent = async { link.jetstream.send_publish(subject.to_owned(), message).await?.await };
        let mut connections = link.connections.clone();
        connections.mark_unchanged();
        let error = tokio::select! {
            biased;
            sent = sent => match sent {
                Ok(stored) => return Ok(stored.sequence),
                Err(error) => error,
            },
            // What was on its way over the connection before is lost, or the word that it is stored: nobody waits for
            // it.
            Ok(()) = connections.changed(), if Instant::now() < deadline => {
                may_be_stored = true;
                continue;
            }
        };
        if let Some(answer) = error.answer() {
            let doing = format!("publishing to `{subject}`");
            if answer.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM {
                return Err(too_large(link, subject, body.len()));
            }
            return Err(refused(doing, &answer));
        }
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                return Err(too_large(link, subject, body.len()));
            }
            // Nobody has taken it.
            PublishErrorKind::StreamNotFound | PublishErrorKind::MaxAckPending => {}
            _ => may_be_stored = true,
        }
        if link.is_closed() || Instant::now() >= deadline {
            let doing = format!("publishing to `{subject}`: {error}");
            return Err(match may_be_stored {
                true => Error::new(ErrorKind::OutcomeUnknown, doing).with_source(error),
                false if link.is_closed() => closed(),
                false => Error::new(ErrorKind::Unavailable, doing).with_source(error),
            });
        }
        tracing::debug!(subject, %error, "not known to be stored; sent again");
        let pause = std::time::Duration::from_millis(5 + fastrand::u64(0..45));
        tokio::time::sleep(pause).await;
        let _ = tokio::time::timeout_at(deadline, link.connected()).await;
    }
}

fn too_large(link: &Link, subject: &str, len: usize) -> Error {
    let limit = link.client.max_payload();
    let what = subject.to_owned();
    let context =
        format!("`{subject}` with {len} bytes: the server takes {limit}, headers included");
    Error::new(ErrorKind::TooLarge { what, size: len, limit }, context)
}
