//! Records in the stream of groups: the newest of each subject is read, and replaced by who has read it.

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use cqrs_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Answered, refused, unavailable};
use crate::link::Link;

/// A record, and its sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept<T> {
    pub(crate) record: T,
    pub(crate) sequence: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is stored, under this sequence.
    Stored(u64),
    /// Another one has been stored meanwhile.
    Conflict,
}

async fn groups(link: &Link) -> Result<Stream<()>> {
    let name = link.subjects.groups();
    let stream = link.jetstream.get_stream_no_info(&name).await;
    stream.map_err(|error| unavailable(format_args!("the stream `{name}`"), error))
}

/// The newest record of a subject.
pub(crate) async fn get<T: DeserializeOwned>(
    link: &Link,
    subject: &str,
) -> Result<Option<Kept<T>>> {
    let found = groups(link).await?.get_last_raw_message_by_subject(subject).await;
    let message = match found {
        Ok(message) => message,
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
            return Ok(None);
        }
        Err(error) => {
            let doing = format!("reading `{subject}`");
            return Err(match error.kind() {
                LastRawMessageErrorKind::JetStream(answer) => refused(doing, &answer),
                _ => unavailable(doing, error),
            });
        }
    };
    let record = serde_json::from_slice(&message.payload).map_err(|error| {
        let context = format!("the record `{subject}` in NATS cannot be read: {error}");
        Error::new(ErrorKind::Internal, context).with_source(error)
    })?;
    Ok(Some(Kept { record, sequence: message.sequence }))
}

/// Writes a record in the place of the one with this sequence; 0: of none. Asked for once: whether it is
/// stored may stay unknown.
pub(crate) async fn try_put<T: Serialize>(
    link: &Link,
    subject: &str,
    record: &T,
    replaces: u64,
) -> Result<Put> {
    let doing = || format!("writing `{subject}`");
    let payload = serde_json::to_vec(record)
        .map_err(|error| Error::new(ErrorKind::Internal, doing()).with_source(error))?;
    let message =
        PublishMessage::build().payload(payload.into()).expected_last_subject_sequence(replaces);
    let sent = async { link.jetstream.send_publish(subject.to_owned(), message).await?.await };
    match sent.await {
        Ok(stored) => Ok(Put::Stored(stored.sequence)),
        Err(error) => match error.kind() {
            PublishErrorKind::WrongLastSequence => Ok(Put::Conflict),
            _ => Err(match error.answer() {
                Some(answer) => refused(doing(), &answer),
                None => unavailable(doing(), error),
            }),
        },
    }
}

/// Writes a record, and finds out what became of it when there is no answer. `is_same` tells whether
/// a record that is there is the one that was written.
pub(crate) async fn put<T: Serialize + DeserializeOwned>(
    link: &Link,
    subject: &str,
    record: &T,
    replaces: u64,
    is_same: impl Fn(&T) -> bool,
) -> Result<Put> {
    let error = match try_put(link, subject, record, replaces).await {
        Ok(Put::Stored(sequence)) => return Ok(Put::Stored(sequence)),
        Ok(Put::Conflict) => None,
        Err(error) if *error.kind() == ErrorKind::Unavailable => Some(error),
        Err(error) => return Err(error),
    };
    // An earlier try of the same write may be what stands in the way.
    match get::<T>(link, subject).await? {
        Some(found) if found.sequence > replaces && is_same(&found.record) => {
            Ok(Put::Stored(found.sequence))
        }
        Some(found) if found.sequence != replaces => Ok(Put::Conflict),
        _ => Err(error.unwrap_or_else(|| {
            let context = format!("`{subject}` is refused, and nothing stands in the way");
            Error::new(ErrorKind::Unavailable, context)
        })),
    }
}
