//! Dead letters: messages in a stream of their own, with their cause, how often they were handed over, and where
//! they come from.

use std::sync::OnceLock;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use cqrs_core::{
    DeadLetter, DeadLetterId, Error, ErrorKind, FindDeadLetters, InboundMessage, MessageId,
    Metadata, Result, Timestamp,
};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::error::{Answered, refused, unavailable};
use crate::headers::{self, MESSAGE_ID};
use crate::link::Link;
use crate::publisher::store;

/// Headers beside those of the message.
const CAUSE: &str = "cqrs-cause";
const ATTEMPTS: &str = "cqrs-attempts";
const ORIGIN: &str = "cqrs-origin";
/// The subject that the message was published under.
const SUBJECT: &str = "cqrs-subject";
/// The one group that a message is for that was sent again.
const ONLY: &str = "cqrs-only";
/// When it was published first, in microseconds since 1970.
const SINCE: &str = "cqrs-since";

/// Characters of a cause that are kept.
const LONGEST_CAUSE: usize = 2_000;

/// A message as the broker has it.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) sequence: u64,
    pub(crate) subject: Subject,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// When the broker stored it.
    pub(crate) stored_at: Timestamp,
    /// What the headers and the body say, once they were read.
    pub(crate) read: OnceLock<InboundMessage>,
}

impl Raw {
    /// How much of the room for messages it takes: as many as the pages of memory in its body, and one at
    /// least.
    pub(crate) fn weight(&self) -> usize {
        (self.body.len() / 4096).max(1)
    }

    /// When it was published first.
    pub(crate) fn since(&self) -> Timestamp {
        let since = self.headers.get(SINCE).and_then(|since| since.as_str().parse().ok());
        since.map_or(self.stored_at, Timestamp::from_micros)
    }

    /// Why it is not handed over, if that is so: an inbox may have forgotten it.
    pub(crate) fn is_too_old(&self, link: &Link, attempt: u32, now: Timestamp) -> Option<String> {
        let settings = &link.settings;
        let most = match self.headers.get(SINCE) {
            Some(_) => settings.longest_redelivery(),
            None if attempt > 1 => settings.redeliver_within,
            None => return None,
        };
        let age = now.duration_since(self.since());
        (age > most).then(|| {
            format!(
                "it is {} s old, and maybe was handled: it is not handed over again after {} s",
                age.as_secs(),
                most.as_secs()
            )
        })
    }

    /// Whether the group may get it: a message that was sent again is for one.
    pub(crate) fn is_for(&self, group: &str) -> bool {
        self.headers.get(ONLY).is_none_or(|only| only.as_str() == group)
    }

    /// As it is handed over.
    pub(crate) fn inbound(&self, attempt: u32) -> Result<InboundMessage> {
        if let Some(read) = self.read.get() {
            return Ok(InboundMessage { attempt, ..read.clone() });
        }
        let message = headers::read(&self.headers, self.body.clone(), attempt)?;
        Ok(self.read.get_or_init(|| message).clone())
    }

    /// As it is listed; of one that cannot be read, what can be told of it.
    fn listed(&self, attempt: u32) -> InboundMessage {
        self.inbound(attempt).unwrap_or_else(|_| {
            let source = format!("{}\0{}", self.subject, self.sequence);
            InboundMessage {
                metadata: Metadata::of(MessageId::from_u128(0).derived(&source, 0)),
                // Behind prefix, kind and part.
                name: self.subject.splitn(4, '.').nth(3).unwrap_or_default().to_owned(),
                content_type: "application/octet-stream".to_owned(),
                body: self.body.clone(),
                attempt,
            }
        })
    }
}

/// Stores a message as a dead letter of a group. Stored again, it is one letter.
pub(crate) async fn bury(
    link: &Link,
    group: &str,
    raw: &Raw,
    attempts: u32,
    cause: &str,
) -> Result<()> {
    let mut headers = raw.headers.clone();
    let cause: String = cause.chars().take(LONGEST_CAUSE).collect();
    let cause = utf8_percent_encode(&cause, NON_ALPHANUMERIC).to_string();
    headers.insert(CAUSE, cause.as_str());
    headers.insert(ATTEMPTS, attempts.to_string().as_str());
    headers.insert(ORIGIN, group);
    headers.insert(SUBJECT, &*raw.subject);
    headers.insert(SINCE, raw.since().as_micros().to_string().as_str());
    headers.insert(MESSAGE_ID, format!("{group}/{}", raw.sequence).as_str());
    let subject = link.subjects.letter(group);
    store(link, &subject, || headers.clone(), &raw.body, link.deadline()).await?;
    tracing::warn!(group, subject = %raw.subject, sequence = raw.sequence, cause, "a dead letter");
    Ok(())
}

/// Dead letters in the order in which they came to be.
pub(crate) async fn find(link: &Link, find: &FindDeadLetters) -> Result<Vec<DeadLetter>> {
    let stream = stream(link).await?;
    let subject = match &find.origin {
        Some(origin) => link.subjects.letter(origin),
        None => link.subjects.letters(),
    };
    let mut from = find.after.as_ref().and_then(number).map_or(1, |after| after + 1);
    let mut letters = Vec::new();
    while letters.len() < find.limit as usize {
        let next = stream.raw_message_builder().sequence(from).next_by_subject(subject.clone());
        let Some(message) = found(next.send().await)? else { break };
        from = message.sequence + 1;
        letters.push(letter(message));
    }
    Ok(letters)
}

/// Hands a dead letter to its group once more.
pub(crate) async fn send_again(link: &Link, id: &DeadLetterId) -> Result<()> {
    let stream = stream(link).await?;
    let message = get(&stream, id).await?;
    let text = |name| message.headers.get(name).map(|value| value.as_str().to_owned());
    let (Some(origin), Some(subject)) = (text(ORIGIN), text(SUBJECT)) else {
        return Err(unknown(id));
    };
    let mut headers = HeaderMap::new();
    for (name, values) in message.headers.iter() {
        let name: &str = name.as_ref();
        let is_of_the_letter = [CAUSE, ATTEMPTS, ORIGIN, SUBJECT].contains(&name);
        if !is_of_the_letter && let Some(value) = values.first() {
            headers.insert(name, value.as_str());
        }
    }
    headers.insert(ONLY, origin.as_str());
    // The broker would take its first id for a message that it has.
    headers.insert(MESSAGE_ID, format!("again/{}", message.sequence).as_str());
    store(link, &subject, || headers.clone(), &message.payload, link.deadline()).await?;
    remove(link, &stream, id, message.sequence).await
}

/// Forgets a dead letter.
pub(crate) async fn discard(link: &Link, id: &DeadLetterId) -> Result<()> {
    let stream = stream(link).await?;
    let message = get(&stream, id).await?;
    remove(link, &stream, id, message.sequence).await
}

async fn stream(link: &Link) -> Result<Stream<()>> {
    link.ready(link.deadline()).await?;
    let name = link.subjects.dead();
    let stream = link.jetstream.get_stream_no_info(&name).await;
    stream.map_err(|error| unavailable(format_args!("the stream `{name}`"), error))
}

async fn get(stream: &Stream<()>, id: &DeadLetterId) -> Result<StreamMessage> {
    let sequence = number(id).ok_or_else(|| unknown(id))?;
    found(stream.get_raw_message(sequence).await)?.ok_or_else(|| unknown(id))
}

async fn remove(link: &Link, stream: &Stream<()>, id: &DeadLetterId, sequence: u64) -> Result<()> {
    match stream.delete_message(sequence).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(unknown(id)),
        Err(error) => {
            let doing =
                format!("removing the dead letter {} from `{}`", id.0, link.subjects.dead());
            Err(match error.answer() {
                Some(_) => unknown(id),
                None => unavailable(doing, error),
            })
        }
    }
}

/// A message that may not be there.
pub(crate) fn found(
    answer: Result<StreamMessage, async_nats::jetstream::stream::RawMessageError>,
) -> Result<Option<StreamMessage>> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(answer) => Err(refused("reading a message", &answer)),
            _ => Err(unavailable("reading a message", error)),
        },
    }
}

fn letter(message: StreamMessage) -> DeadLetter {
    let since = Timestamp::from(std::time::SystemTime::from(message.time));
    let id = DeadLetterId(message.sequence.to_string());
    let text = |name| message.headers.get(name).map(|value| value.as_str().to_owned());
    let attempts = text(ATTEMPTS).and_then(|text| text.parse().ok()).unwrap_or_default();
    let cause = text(CAUSE).unwrap_or_default();
    let cause = percent_decode_str(&cause).decode_utf8_lossy().into_owned();
    let (origin, subject) = (text(ORIGIN).unwrap_or_default(), text(SUBJECT).unwrap_or_default());
    let StreamMessage { sequence, headers, payload, .. } = message;
    let (subject, read) = (subject.into(), OnceLock::new());
    let raw = Raw { sequence, subject, headers, body: payload, stored_at: since, read };
    let message = raw.listed(attempts);
    DeadLetter { id, message, cause, attempts, origin, since }
}

fn number(id: &DeadLetterId) -> Option<u64> {
    id.0.parse().ok()
}

fn unknown(id: &DeadLetterId) -> Error {
    let context = format!("there is no dead letter {}", id.0);
    Error::new(ErrorKind::Invalid { field: Some("dead_letter".to_owned()) }, context)
}
