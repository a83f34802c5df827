//! Taking a part over: from nobody, from a connection that has left it, or from one that is dead.

use std::sync::OnceLock;
use std::time::SystemTime;

use async_nats::client::RequestErrorKind;
use cqrs_core::{BusSubscription, Error, ErrorKind, OutboundKind, Result};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::cursor::Record;
use crate::error::unavailable;
use crate::kept::{self, Kept, Put};
use crate::letters::{Raw, found};
use crate::link::Link;
use crate::owned::Taken;
use crate::routes;
use crate::subjects::Part;

/// What became of an attempt to take a part over.
pub(crate) enum Take {
    Taken(Box<Taken>),
    /// It is another's, who lives.
    Another,
    /// It is another's, who does not answer.
    Silent,
}

/// Takes a part over. `is_patient`: an owner who does not answer is believed to live.
pub(crate) async fn take(link: &Link, group: &str, part: Part, is_patient: bool) -> Result<Take> {
    link.ready(link.deadline()).await?;
    let subject = link.subjects.cursor(part, group);
    let kept: Option<Kept<Record>> = kept::get(link, &subject).await?;
    let (before, replaces) = match kept {
        Some(Kept { record, sequence }) => (record, sequence),
        None => {
            let begins = known(link, group).await?.begins;
            (Record { read: begins, ..Record::default() }, 0)
        }
    };
    if let Some(owner) = &before.owner
        && *owner != link.id
    {
        match answers(link, owner).await? {
            Life::Answers => return Ok(Take::Another),
            Life::Silent if is_patient => return Ok(Take::Silent),
            Life::Silent | Life::Dead => {}
        }
    }
    let record = Record { owner: Some(link.id.clone()), write: before.write + 1, ..before };
    let is_same = |other: &Record| *other == record;
    let Put::Stored(sequence) = kept::put(link, &subject, &record, replaces, is_same).await? else {
        return Ok(Take::Another);
    };
    // Behind the write: whoever changes what the group takes writes the record anew after that.
    let group_now = known(link, group).await?;
    let takes = match OutboundKind::named(&group_now.kind) {
        Some(OutboundKind::Command) => BusSubscription::to_commands(group, group_now.names),
        _ => BusSubscription::to_messages(group, group_now.names),
    };
    let messages = link.jetstream.get_stream_no_info(link.subjects.messages()).await;
    let messages = messages.map_err(|error| unavailable("reading messages", error))?;
    let open = record.open.clone().into_iter().map(|(sequence, attempts)| {
        let messages = &messages;
        async move {
            let raw = found(messages.get_raw_message(sequence).await)?.map(|message| Raw {
                sequence: message.sequence,
                subject: message.subject,
                headers: message.headers,
                body: message.payload,
                stored_at: SystemTime::from(message.time).into(),
                read: OnceLock::new(),
            });
            Ok::<_, Error>((sequence, attempts, raw))
        }
    });
    let read: Vec<_> = stream::iter(open).buffered(16).try_collect().await?;
    let (mut open, mut gone) = (Vec::new(), Vec::new());
    for (sequence, attempts, raw) in read {
        match raw {
            Some(raw) => open.push((raw, attempts)),
            None => {
                tracing::warn!(group, sequence, "a message is gone before it was handled");
                gone.push(sequence);
            }
        }
    }
    Ok(Take::Taken(Box::new(Taken { record, sequence, open, gone, takes })))
}

async fn known(link: &Link, group: &str) -> Result<routes::Group> {
    let kept = routes::group(link, group).await?;
    kept.map(|kept| kept.record).ok_or_else(|| {
        let context = format!("NATS has no record of the group `{group}` any more");
        Error::new(ErrorKind::Internal, context)
    })
}

/// What is known of another connection.
pub(crate) enum Life {
    Answers,
    Silent,
    Dead,
}

/// Whether a connection lives. The broker knows at once that nobody listens for one whose process has died.
pub(crate) async fn answers(link: &Link, owner: &str) -> Result<Life> {
    let asked = link.client.request(link.subjects.connection(owner), "".into()).await;
    match asked {
        Ok(_) => Ok(Life::Answers),
        Err(error) => match error.kind() {
            // When the server was away, everybody connects again: who is not there yet may be about to.
            RequestErrorKind::NoResponders if !link.is_settled() => Ok(Life::Answers),
            RequestErrorKind::NoResponders => Ok(Life::Dead),
            RequestErrorKind::TimedOut => Ok(Life::Silent),
            _ => Err(unavailable("asking whether a connection lives", error)),
        },
    }
}
