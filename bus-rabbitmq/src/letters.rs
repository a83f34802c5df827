//! Dead letters: messages in a queue of their own, with their cause, how often they were handed over, and where
//! they come from.

use std::collections::BTreeMap;

use cqrs_core::{
    DeadLetter, DeadLetterId, Error, ErrorKind, FindDeadLetters, MessageId, OutboundKind, Result,
    Timestamp,
};
use futures_util::StreamExt;
use lapin::options::BasicAckOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel};
use tokio::time::timeout;

use crate::error::{of, unavailable};
use crate::headers;
use crate::link::Link;
use crate::names::short;
use crate::publisher::dated;
use crate::raw::{Raw, SINCE, with_headers};
use crate::record::{Lock, count};
use crate::session::{ANSWER, NoAnswer, Sent, Session, at_once};

/// Headers beside those of the message.
const ID: &str = "cqrs-letter";
const CAUSE: &str = "cqrs-cause";
const ATTEMPTS: &str = "cqrs-attempts";
const ORIGIN: &str = "cqrs-origin";
/// The kind of messages that its group gets.
const KIND: &str = "cqrs-kind";
/// The name that the message was published under.
const NAME: &str = "cqrs-name";

/// Characters of a cause that are kept.
const LONGEST_CAUSE: usize = 2_000;

/// Stores a message as a dead letter of a group.
pub(crate) async fn bury(
    session: &Session,
    link: &Link,
    (kind, group): (OutboundKind, &str),
    raw: &Raw,
    attempts: u32,
    cause: &str,
) -> Result<()> {
    let cause: String = cause.chars().take(LONGEST_CAUSE).collect();
    let since = raw.since().map_or(0, |since| since.as_micros() / 1_000_000);
    let letter = MessageId::fresh().to_string();
    let (attempts, since) = (attempts.to_string(), since.to_string());
    let texts = [
        (ID, letter.as_str()),
        (CAUSE, &cause),
        (ATTEMPTS, &attempts),
        (ORIGIN, group),
        (KIND, kind.name()),
        (NAME, &raw.key),
        (SINCE, &since),
    ];
    let properties = with_headers(&raw.properties, |headers| {
        for (name, text) in texts {
            headers.insert(name.into(), AMQPValue::LongString(text.into()));
        }
    });
    let properties = headers::stored(dated(without_expiration(properties)));
    let (exchange, body) = (ShortString::default(), raw.body.clone());
    match session.send(exchange, link.names.dead(), false, properties, body).await {
        Sent::Stored => Ok(()),
        other => Err(unavailable("storing a dead letter", format!("{other:?}"))),
    }
}

/// A dead letter stays, whatever its sender said.
fn without_expiration(properties: BasicProperties) -> BasicProperties {
    match properties.expiration() {
        None => properties,
        Some(_) => {
            let plain = BasicProperties::default();
            let plain = match properties.content_type() {
                Some(content_type) => plain.with_content_type(content_type.clone()),
                None => plain,
            };
            plain.with_headers(properties.headers().clone().unwrap_or_default())
        }
    }
}

/// A dead letter in our hands, until its channel is closed.
struct InHand {
    tag: u64,
    raw: Raw,
}

impl InHand {
    fn text(&self, name: &str) -> Option<String> {
        let headers = self.raw.properties.headers().as_ref()?;
        headers::text(headers, name).map(std::borrow::Cow::into_owned)
    }

    fn letter(&self) -> DeadLetter {
        let attempts = self.text(ATTEMPTS).and_then(|n| n.parse().ok()).unwrap_or_default();
        let [id, cause, origin, name] =
            [ID, CAUSE, ORIGIN, NAME].map(|header| self.text(header).unwrap_or_default());
        let since = self.raw.properties.timestamp().unwrap_or_default();
        let since = i64::try_from(since).unwrap_or_default().saturating_mul(1_000_000);
        DeadLetter {
            message: self.raw.listed(&name, &id, attempts),
            id: DeadLetterId(id),
            cause,
            attempts,
            origin,
            since: Timestamp::from_micros(since),
        }
    }
}

/// Looks at all dead letters, in the order of the queue. They stay in it, but for those that are acknowledged before
/// the channel is closed.
async fn look(
    session: &Session,
    queue: ShortString,
    doing: &str,
    mut look_at: impl FnMut(InHand),
) -> Result<Channel> {
    let channel = session.step(doing, session.channel()).await?;
    let mut left = count(session, &channel, &queue, doing).await?;
    if left == 0 {
        return Ok(channel);
    }
    let (options, arguments) = (at_once(), FieldTable::default());
    let consume = channel.basic_consume(queue, "look".into(), options, arguments);
    let mut letters = session.step(doing, consume).await?;
    while left > 0 {
        let Ok(Some(letter)) = session.answer(letters.next()).await else {
            if session.is_gone() {
                return Err(unavailable(doing, NoAnswer));
            }
            // Some of them may have come to their end meanwhile.
            break;
        };
        let raw = Raw::of(letter.map_err(|error| of(doing, error))?);
        look_at(InHand { tag: raw.tag, raw });
        left -= 1;
    }
    Ok(channel)
}

async fn leave(channel: Channel) {
    let _ = timeout(ANSWER, channel.close(200, "done".into())).await;
}

/// Dead letters, in the order in which they came to be.
pub(crate) async fn find(link: &Link, find: &FindDeadLetters) -> Result<Vec<DeadLetter>> {
    let doing = "reading dead letters";
    let lock = Lock::take(link, "dead", doing, link.deadline()).await?;
    let limit = usize::try_from(find.limit).unwrap_or(usize::MAX);
    let mut found: BTreeMap<String, DeadLetter> = BTreeMap::new();
    let looked = look(&lock.session, link.names.dead(), doing, |in_hand| {
        let letter = in_hand.letter();
        let is_wanted = find.origin.as_ref().is_none_or(|origin| *origin == letter.origin)
            && find.after.as_ref().is_none_or(|after| letter.id > *after);
        if is_wanted {
            found.insert(letter.id.0.clone(), letter);
            if found.len() > limit {
                found.pop_last();
            }
        }
    });
    leave(looked.await?).await;
    Ok(found.into_values().collect())
}

/// Hands a dead letter to its group once more.
pub(crate) async fn send_again(link: &Link, id: &DeadLetterId) -> Result<()> {
    let doing = "sending a dead letter again";
    take_out(link, id, doing, async |session, letter| {
        let (Some(origin), Some(kind)) = (letter.text(ORIGIN), letter.text(KIND)) else {
            return Err(unknown(id));
        };
        let kind = OutboundKind::named(&kind).ok_or_else(|| unknown(id))?;
        let properties = with_headers(&letter.raw.properties, |headers| {
            for name in [ID, CAUSE, ATTEMPTS, ORIGIN, KIND, NAME] {
                headers.remove(name);
            }
        });
        let queue = link.names.queue(kind, &origin);
        let (exchange, body) = (ShortString::default(), letter.raw.body.clone());
        // The client would log what comes back: so it is looked first whether there is a group.
        let is_there = crate::topology::exists(&session.connection, queue.clone());
        if !session.step(doing, is_there).await? {
            let context = format!("there is no group `{origin}` any more that could get it");
            return Err(Error::new(
                ErrorKind::Invalid { field: Some("group".to_owned()) },
                context,
            ));
        }
        match session.send(exchange, queue, true, properties, body).await {
            Sent::Stored => Ok(()),
            Sent::Refused => {
                let context = format!("{doing}: the group `{origin}` has no room");
                Err(Error::new(ErrorKind::Overloaded, context))
            }
            other => Err(unavailable(doing, format!("{other:?}"))),
        }
    })
    .await
}

/// Forgets a dead letter.
pub(crate) async fn discard(link: &Link, id: &DeadLetterId) -> Result<()> {
    take_out(link, id, "discarding a dead letter", async |_, _| Ok(())).await
}

/// Removes a dead letter, once something was done with it.
async fn take_out(
    link: &Link,
    id: &DeadLetterId,
    doing: &str,
    work: impl AsyncFnOnce(&Session, &InHand) -> Result<()>,
) -> Result<()> {
    let lock = Lock::take(link, "dead", doing, link.deadline()).await?;
    let mut found = None;
    let looked = look(&lock.session, link.names.dead(), doing, |in_hand| {
        if in_hand.text(ID).as_ref() == Some(&id.0) {
            found = Some(in_hand);
        }
    });
    let channel = looked.await?;
    let done = match &found {
        None => Err(unknown(id)),
        Some(letter) => work(&lock.session, letter).await,
    };
    if done.is_ok()
        && let Some(InHand { tag, .. }) = found
    {
        lock.session.step(doing, channel.basic_ack(tag, BasicAckOptions::default())).await?;
    }
    leave(channel).await;
    done
}

fn unknown(id: &DeadLetterId) -> Error {
    let short = short(id.0.clone());
    let context = format!("there is no dead letter {short}");
    Error::new(ErrorKind::Invalid { field: Some("dead_letter".to_owned()) }, context)
}
